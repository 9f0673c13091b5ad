//! What is to be with one workspace's database, and what is.

use std::sync::Arc;
use std::time::Duration;

use environment::Monotonic;
use tokio::sync::Notify;

use super::Open;

/// Changed under the lock on all places only.
pub(super) struct Place {
    pub(super) wanted: Wanted,
    pub(super) state: State,
    /// Somebody asked for it since it was last left to rest.
    pub(super) needed: bool,
    /// It is to be closed whoever uses it, and opened again when it is asked for.
    pub(super) reopen: bool,
    /// A task is at work on it.
    pub(super) busy: bool,
    /// When somebody asked for it last.
    pub(super) used_at: Monotonic,
    /// When it was last seen to, if it was.
    pub(super) visited_at: Option<Monotonic>,
    /// Why it could not be done; it is tried again.
    pub(super) failure: Option<Failure>,
    changed: Arc<Notify>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// Open while it is used.
    Available,
    Closed,
    /// Closed, and the directory gone.
    Removed,
}

pub(super) enum State {
    Closed,
    /// On its way to be open, or to be closed.
    Moving,
    Open(Arc<Open>),
}

/// What is to be done next.
pub(super) enum Step {
    Open,
    Close(Arc<Open>),
    Remove,
}

/// What went wrong, and when it is tried again.
pub(super) struct Failure {
    pub(super) reason: Arc<str>,
    pub(super) wait: Duration,
    pub(super) retry_at: Monotonic,
}

impl Failure {
    /// A failure after another one is tried again later than that one was.
    pub(super) fn after(before: Option<&Self>, reason: Arc<str>, now: Monotonic) -> Self {
        let wait = before.map_or(FIRST_WAIT, |before| (before.wait * 2).min(LAST_WAIT));
        Self { reason, wait, retry_at: now.plus(wait) }
    }
}

impl Place {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            state: State::Closed,
            needed: false,
            reopen: false,
            busy: false,
            used_at: Monotonic::from_duration(Duration::ZERO),
            visited_at: None,
            failure: None,
            changed: Arc::default(),
        }
    }

    pub(super) fn open(&self) -> Option<&Arc<Open>> {
        match &self.state {
            State::Open(open) => Some(open),
            State::Closed | State::Moving => None,
        }
    }

    /// Ends when something has changed after this call.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + use<> {
        Arc::clone(&self.changed).notified_owned()
    }

    pub(super) fn tell(&self) {
        self.changed.notify_waiters();
    }

    /// Whether nobody holds the open database. Nobody can get hold of it while the places are locked.
    pub(super) fn is_unused(&self) -> bool {
        self.open().is_some_and(|open| Arc::strong_count(open) == 1)
    }

    /// Whether what failed is to be tried again now. What nobody asked for waits until somebody does.
    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        let asked = self.needed || self.wanted != Wanted::Available;
        !self.busy && asked && self.failure.as_ref().is_some_and(|failure| failure.retry_at <= now)
    }

    /// Whether nothing is left of the workspace.
    pub(super) fn is_over(&self) -> bool {
        self.wanted == Wanted::Closed && matches!(self.state, State::Closed)
    }

    /// What is to be done next, which is begun with this call. What could not be opened is left alone until its time comes.
    pub(super) fn next_step(&mut self, now: Monotonic) -> Option<Step> {
        let is_unused = self.is_unused();
        let rests = self.failure.as_ref().is_some_and(|failure| now < failure.retry_at);
        match (self.wanted, &self.state) {
            (_, State::Moving) => None,
            (Wanted::Available, State::Closed) => (self.needed && !rests).then(|| {
                self.state = State::Moving;
                Step::Open
            }),
            (Wanted::Available, State::Open(_)) if !self.reopen && (self.needed || !is_unused) => None,
            (_, State::Open(open)) => {
                let open = Arc::clone(open);
                (self.state, self.reopen) = (State::Moving, false);
                Some(Step::Close(open))
            }
            (Wanted::Removed, State::Closed) => Some(Step::Remove),
            (Wanted::Closed, State::Closed) => None,
        }
    }
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_tried_again_later_each_time() {
        let now = Monotonic::from_duration(Duration::from_secs(100));
        let (mut failure, mut waits) = (None, Vec::new());
        for _ in 0..9 {
            let next = Failure::after(failure.as_ref(), "it".into(), now);
            assert_eq!(next.retry_at.since(now), next.wait);
            waits.push(next.wait.as_secs());
            failure = Some(next);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn what_is_closed_is_opened_when_it_is_needed_only() {
        let now = Monotonic::from_duration(Duration::ZERO);
        let mut place = Place::new(Wanted::Available);
        assert!(place.next_step(now).is_none());
        place.needed = true;
        assert!(matches!(place.next_step(now), Some(Step::Open)));
        assert!(place.next_step(now).is_none(), "it is under way");
        place.state = State::Closed;
        place.wanted = Wanted::Removed;
        assert!(matches!(place.next_step(now), Some(Step::Remove)));
        place.wanted = Wanted::Closed;
        assert!(place.next_step(now).is_none() && place.is_over());
    }

    #[test]
    fn what_could_not_be_opened_is_left_alone_until_its_time_comes() {
        let now = Monotonic::from_duration(Duration::from_secs(100));
        let mut place = Place::new(Wanted::Available);
        place.needed = true;
        place.failure = Some(Failure::after(None, "it".into(), now));
        assert!(place.next_step(now).is_none(), "whoever else came to work on it had asked before it failed");
        assert!(matches!(place.next_step(now.plus(FIRST_WAIT)), Some(Step::Open)));
        place.state = State::Closed;
        place.wanted = Wanted::Removed;
        assert!(matches!(place.next_step(now), Some(Step::Remove)), "what is wanted now is not what failed");
    }
}
