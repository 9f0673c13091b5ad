//! Whether a database's log has been read, and waiting for it.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use environment::Disk;
use model::TimestampMs;
use parking_lot::{Condvar, Mutex};

use crate::block::Blocks;
use crate::committer::Shared;
use crate::db::OpenError;
use crate::engine::Work;
use crate::log::in_order_end;

/// Changes once.
#[derive(Default)]
pub(crate) struct Readiness {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    wakers: Vec<Waker>,
}

type Outcome = Result<(), Arc<OpenError>>;

impl Readiness {
    /// What became of reading the log; `None` while it is read.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.state.lock().outcome.clone()
    }

    pub(crate) fn set(&self, outcome: Outcome) {
        let wakers = {
            let mut state = self.state.lock();
            state.outcome.get_or_insert(outcome);
            std::mem::take(&mut state.wakers)
        };
        self.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Blocks until it is known; a helper does the work meanwhile.
    pub(crate) fn wait(&self, helper: Option<&Work>) -> Outcome {
        let mut state = self.state.lock();
        loop {
            if let Some(outcome) = &state.outcome {
                return outcome.clone();
            }
            match helper {
                Some(work) => {
                    drop(state);
                    assert!(work.run_pending(), "what is waited for is under way");
                    state = self.state.lock();
                }
                None => self.changed.wait(&mut state),
            }
        }
    }
}

/// Before this time the logs in `directory` hold nothing that is not in blocks, too: reading those needs no waiting.
pub(crate) fn logged_from(disk: &dyn Disk, directory: &Path, blocks: &Blocks) -> TimestampMs {
    let is_empty = |path: &Path| disk.open_read(path).and_then(|file| file.is_empty()).unwrap_or(false);
    match disk.list(&directory.join("wbl")) {
        Ok(segments) if segments.iter().all(|(path, _)| is_empty(path)) => in_order_end(&blocks.all()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => in_order_end(&blocks.all()),
        // Late samples are of any age.
        _ => TimestampMs::MIN,
    }
}

/// Resolves when it is known.
pub(crate) struct Ready(pub(crate) Arc<Shared>);

impl Future for Ready {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.0.readiness.state.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}
