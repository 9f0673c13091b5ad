//! Databases with batches that wait.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::committer::Shared;

/// A queue of databases, each in it at most once (see `Queue::push` there): so one thread at a time commits for one, and a
/// database with many batches gives way to the others after each group. Bounded by the number of databases.
#[derive(Default)]
pub(crate) struct Commits {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Shared>>,
    stopped: bool,
}

impl Commits {
    /// Has a database's batches committed.
    pub(crate) fn push(&self, shared: Arc<Shared>) {
        self.state.lock().waiting.push_back(shared);
        self.wake.notify_one();
    }

    /// Commits until stopped. What still waits then is committed by whoever closes its database.
    pub(super) fn run(&self) {
        while let Some(shared) = self.take() {
            shared.commit_group();
        }
    }

    /// Commits a group of the database that is next.
    pub(super) fn run_one(&self) -> bool {
        let next = self.state.lock().waiting.pop_front();
        next.inspect(|shared| shared.commit_group()).is_some()
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.wake.notify_all();
    }

    fn take(&self) -> Option<Arc<Shared>> {
        let mut state = self.state.lock();
        loop {
            if let Some(shared) = state.waiting.pop_front() {
                return Some(shared);
            }
            if state.stopped {
                return None;
            }
            self.wake.wait(&mut state);
        }
    }
}
