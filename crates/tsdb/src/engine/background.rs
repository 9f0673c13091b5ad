//! Work that takes long.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use super::contained;

/// A piece of it. Bounded by the number of databases: each has one replay and at most one round of maintenance waiting.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// What goes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Urgency {
    /// Requests wait for it.
    Urgent,
    /// Nobody does. Leaves one thread to what is urgent, if there are several.
    Slow,
}

pub(crate) struct Background {
    state: Mutex<State>,
    wake: Condvar,
    slow_at_once_max: usize,
}

#[derive(Default)]
struct State {
    urgent: VecDeque<Job>,
    slow: VecDeque<Job>,
    slow_running: usize,
    stopped: bool,
}

impl Background {
    pub(super) fn new(threads: usize) -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), slow_at_once_max: threads.saturating_sub(1).max(1) }
    }

    pub(crate) fn push(&self, urgency: Urgency, job: Job) {
        let mut state = self.state.lock();
        match urgency {
            Urgency::Urgent => state.urgent.push_back(job),
            Urgency::Slow => state.slow.push_back(job),
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Works until stopped; what has not begun then never does.
    pub(super) fn run(&self) {
        let mut state = self.state.lock();
        while !state.stopped {
            match self.take(&mut state) {
                Some((urgency, job)) => {
                    drop(state);
                    self.work(urgency, job);
                    state = self.state.lock();
                }
                None => self.wake.wait(&mut state),
            }
        }
    }

    pub(super) fn run_one(&self) -> bool {
        let next = self.take(&mut self.state.lock());
        next.map(|(urgency, job)| self.work(urgency, job)).is_some()
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.wake.notify_all();
    }

    fn take(&self, state: &mut State) -> Option<(Urgency, Job)> {
        if let Some(job) = state.urgent.pop_front() {
            return Some((Urgency::Urgent, job));
        }
        if state.slow_running == self.slow_at_once_max {
            return None;
        }
        let job = state.slow.pop_front()?;
        state.slow_running += 1;
        Some((Urgency::Slow, job))
    }

    fn work(&self, urgency: Urgency, job: Job) {
        contained("work in the background", job);
        if urgency == Urgency::Slow {
            self.state.lock().slow_running -= 1;
            // A thread that left the next slow one alone may take it now.
            self.wake.notify_one();
        }
    }
}
