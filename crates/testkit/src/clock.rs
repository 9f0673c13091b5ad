//! A clock that stands still until a test moves it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use environment::{BoxFuture, Clock, Monotonic, UnixTime};

/// A clock moved by hand. Clones are the same clock.
///
/// Sleepers wake in the order of their deadlines, those of one deadline in the order in which they were first polled.
/// Under an executor of its own (tokio, say) a woken task runs only after [`ManualClock::advance`] has returned; to run
/// tasks at the very moments they asked for, let [`crate::Simulation`] advance the clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    wall: Duration,
    monotonic: Duration,
    next_sleeper: u64,
    sleepers: BTreeMap<(Duration, u64), Waker>,
}

impl ManualClock {
    /// A clock that shows `wall`.
    pub fn new(wall: UnixTime) -> Self {
        Self(Arc::new(Mutex::new(State {
            wall: wall.since_epoch(),
            // Not zero, so that subtracting a little from a reading does not hit the start by accident.
            monotonic: Duration::from_secs(1000),
            next_sleeper: 0,
            sleepers: BTreeMap::new(),
        })))
    }

    /// Another clock that shows the same and is moved on its own. Nobody sleeps on it.
    #[must_use]
    pub fn fork(&self) -> Self {
        let State { wall, monotonic, .. } = *self.state();
        Self(Arc::new(Mutex::new(State { wall, monotonic, next_sleeper: 0, sleepers: BTreeMap::new() })))
    }

    /// Lets `span` pass on both clocks; wakes every sleeper whose time comes, in order.
    pub fn advance(&self, span: Duration) {
        let until = self.state().monotonic + span;
        while self.advance_to_next(until) {}
    }

    /// Moves to the earliest deadline not after `until` and wakes that one sleeper; without one moves to `until` and
    /// answers false. For executors that run tasks between two wakes.
    pub(crate) fn advance_to_next(&self, until: Duration) -> bool {
        let mut state = self.state();
        let due = state.sleepers.first_key_value().map(|(key, _)| *key).filter(|(deadline, _)| *deadline <= until);
        let target = due.map_or(until, |(deadline, _)| deadline.max(state.monotonic));
        let span = target.saturating_sub(state.monotonic);
        state.monotonic += span;
        state.wall += span;
        let waker = due.and_then(|key| state.sleepers.remove(&key));
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        due.is_some()
    }

    pub(crate) fn monotonic_span(&self) -> Duration {
        self.state().monotonic
    }

    /// Sets the wall clock alone, as an administrator or a time daemon does.
    pub fn set_wall(&self, wall: UnixTime) {
        self.state().wall = wall.since_epoch();
    }

    /// Lets `span` pass on the wall clock alone, as while a laptop is suspended.
    pub fn suspend(&self, span: Duration) {
        self.state().wall += span;
    }

    /// How many sleeps are waited on.
    pub fn sleepers(&self) -> usize {
        self.state().sleepers.len()
    }

    /// The time until the next sleeper wakes.
    pub fn next_wake_in(&self) -> Option<Duration> {
        let state = self.state();
        state.sleepers.first_key_value().map(|((deadline, _), _)| deadline.saturating_sub(state.monotonic))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere must not hide its message behind a poisoned lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_duration(self.state().wall)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_duration(self.state().monotonic)
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        let deadline = self.state().monotonic.saturating_add(span);
        Box::pin(Sleep { clock: self.clone(), deadline, registered: None })
    }
}

struct Sleep {
    clock: ManualClock,
    deadline: Duration,
    registered: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.state();
        if state.monotonic >= self.deadline {
            return Poll::Ready(());
        }
        let number = *self.registered.get_or_insert_with(|| {
            state.next_sleeper += 1;
            state.next_sleeper
        });
        state.sleepers.insert((self.deadline, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.registered {
            self.clock.state().sleepers.remove(&(self.deadline, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(sleep: &mut BoxFuture<'static, ()>) -> bool {
        sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn sleeps_end_at_their_time_and_not_before() {
        let clock = ManualClock::new(UnixTime::from_secs(100));
        let mut sleep = clock.sleep(Duration::from_secs(5));
        assert!(!poll(&mut sleep));
        clock.advance(Duration::from_millis(4999));
        assert!(!poll(&mut sleep));
        clock.advance(Duration::from_millis(1));
        assert!(poll(&mut sleep));
        assert_eq!(clock.now(), UnixTime::from_secs(105));
    }

    #[test]
    fn a_dropped_sleep_is_forgotten() {
        let clock = ManualClock::new(UnixTime::EPOCH);
        let mut sleep = clock.sleep(Duration::from_secs(5));
        poll(&mut sleep);
        assert_eq!((clock.sleepers(), clock.next_wake_in()), (1, Some(Duration::from_secs(5))));
        drop(sleep);
        assert_eq!((clock.sleepers(), clock.next_wake_in()), (0, None));
    }

    #[test]
    fn the_wall_steps_without_the_monotonic_clock() {
        let clock = ManualClock::new(UnixTime::from_secs(1000));
        let before = clock.monotonic();
        clock.set_wall(UnixTime::from_secs(10));
        clock.suspend(Duration::from_secs(20));
        assert_eq!((clock.now(), clock.monotonic()), (UnixTime::from_secs(30), before));
    }
}
