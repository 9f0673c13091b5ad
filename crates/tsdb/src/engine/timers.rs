//! What is to be done at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Weak;
use std::time::Duration;

use environment::Monotonic;
use parking_lot::{Condvar, Mutex};

use super::{Work, contained};
use crate::committer::Shared;

/// Bounded by the number of databases: each is here once for its syncs, and once for its maintenance but for what was replaced
/// within the last minute.
#[derive(Default)]
pub(crate) struct Timers {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// By time, then in the order in which they were asked for.
    waiting: BinaryHeap<Reverse<Entry>>,
    entries: u64,
    stopped: bool,
}

struct Entry {
    key: (Monotonic, u64),
    task: Task,
    /// A database that is gone has nothing to be done.
    shared: Weak<Shared>,
}

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Task {
    /// Its logs are to be synced.
    Sync,
    /// A round of maintenance is to be put into the background, if this is the timer that counts.
    Maintain(u64),
}

impl Timers {
    pub(crate) fn push(&self, due: Monotonic, task: Task, shared: Weak<Shared>) {
        let mut state = self.state.lock();
        state.entries += 1;
        let key = (due, state.entries);
        state.waiting.push(Reverse(Entry { key, task, shared }));
        let is_first = state.waiting.peek().is_some_and(|Reverse(first)| first.key == key);
        drop(state);
        if is_first {
            self.wake.notify_one();
        }
    }

    /// Does what falls due, until stopped.
    pub(super) fn run(&self, work: &Work) {
        let mut state = self.state.lock();
        while !state.stopped {
            let now = work.clock.monotonic();
            let wait = match state.waiting.peek() {
                Some(Reverse(first)) => first.key.0.since(now),
                None => Duration::MAX,
            };
            if wait.is_zero() {
                let next = state.waiting.pop();
                // Another thread looks after the one behind it.
                self.wake.notify_one();
                drop(state);
                next.inspect(|Reverse(entry)| entry.run());
                state = self.state.lock();
            } else if wait == Duration::MAX {
                self.wake.wait(&mut state);
            } else {
                self.wake.wait_for(&mut state, wait);
            }
        }
    }

    /// Does the first thing that is due.
    pub(super) fn run_due(&self, work: &Work) -> bool {
        let now = work.clock.monotonic();
        let due = {
            let mut state = self.state.lock();
            let is_due = state.waiting.peek().is_some_and(|Reverse(first)| first.key.0 <= now);
            if is_due { state.waiting.pop() } else { None }
        };
        due.inspect(|Reverse(entry)| entry.run()).is_some()
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.wake.notify_all();
    }
}

impl Entry {
    fn run(&self) {
        let Some(shared) = self.shared.upgrade() else { return };
        contained("a timer", || match self.task {
            Task::Sync => shared.sync_logs(),
            Task::Maintain(number) => shared.maintenance_due(number),
        });
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}
