//! One answer from the committer to one waiting future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use storage::{CommitError, Committed};

type Answer = Result<Committed, CommitError>;

#[derive(Default)]
struct State {
    answer: Option<Answer>,
    waker: Option<Waker>,
}

/// The committer's end. Dropped without an answer, it says that the workspace is closing.
pub(crate) struct Ticket(Arc<Mutex<State>>);

/// The waiting end. Dropping it does not take the batch back.
pub(crate) struct Waiting(Arc<Mutex<State>>);

pub(crate) fn ticket() -> (Ticket, Waiting) {
    let state = Arc::default();
    (Ticket(Arc::clone(&state)), Waiting(state))
}

impl Ticket {
    pub(crate) fn answer(self, answer: Answer) {
        self.put(answer);
    }

    fn put(&self, answer: Answer) {
        let mut state = self.0.lock();
        state.answer.get_or_insert(answer);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Answered tickets are not waited for any more: only the first answer counts.
        if Arc::strong_count(&self.0) > 1 {
            self.put(Err(CommitError::Closing));
        }
    }
}

impl Future for Waiting {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut state = self.0.lock();
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
