//! One answer from a thread of the queue to one waiting future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

struct Slot<T> {
    answer: Option<T>,
    /// No answer will come any more.
    ended: bool,
    waker: Option<Waker>,
}

/// The answering end. Dropped without an answer, it says so.
pub(crate) struct Ticket<T>(Arc<Mutex<Slot<T>>>);

/// The waiting end: the answer, or none when nobody is left to give one. Dropping it does not take the question back.
pub(crate) struct Waiting<T>(Arc<Mutex<Slot<T>>>);

pub(crate) fn ticket<T>() -> (Ticket<T>, Waiting<T>) {
    let slot = Arc::new(Mutex::new(Slot { answer: None, ended: false, waker: None }));
    (Ticket(Arc::clone(&slot)), Waiting(slot))
}

impl<T> Ticket<T> {
    pub(crate) fn answer(self, answer: T) {
        self.0.lock().answer = Some(answer);
    }

    /// Whether somebody still waits.
    pub(crate) fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        let mut slot = self.0.lock();
        slot.ended = true;
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Waiting<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = self.0.lock();
        if slot.answer.is_none() && !slot.ended {
            slot.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(slot.answer.take())
    }
}
