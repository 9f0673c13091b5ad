//! How long an entry has waited, also when the wall clock is set.
//!
//! The queue knows only the wall-clock time of receipt, which survives restarts. A clock that is set forward by a day must
//! not expire a day's worth of entries, so steps of the wall clock against the monotonic one are remembered, and taken off
//! the age of what was received before them. A clock set back makes entries look younger, never older.

use std::time::Duration;

use environment::{Monotonic, UnixTime};

/// Sees steps of the wall clock, if it looks often enough.
pub(crate) struct Ages {
    wall: UnixTime,
    monotonic: Monotonic,
    /// Steps forward: what bears a time before that one was received before the step, and is younger by that much.
    steps: Vec<(UnixTime, Duration)>,
}

impl Ages {
    pub(crate) fn new(wall: UnixTime, monotonic: Monotonic) -> Self {
        Self { wall, monotonic, steps: Vec::new() }
    }

    /// Compares the clocks.
    pub(crate) fn look(&mut self, wall: UnixTime, monotonic: Monotonic) {
        let step = wall.since(self.wall).saturating_sub(monotonic.since(self.monotonic));
        if step > STEP_MIN {
            if self.steps.len() == STEPS_MAX {
                self.steps.remove(0);
            }
            // Whatever comes after the step bears at least the time of the last look and the step.
            self.steps.push((self.wall.plus(step), step));
        }
        (self.wall, self.monotonic) = (wall, monotonic);
    }

    /// The age of what was received at that time.
    pub(crate) fn of(&self, received_at: UnixTime) -> Duration {
        let stepped = self.steps.iter().filter(|(before, _)| received_at < *before).map(|(_, step)| *step).sum();
        self.wall.since(received_at).saturating_sub(stepped)
    }
}

/// Less than this is how clocks drift and threads are scheduled.
const STEP_MIN: Duration = Duration::from_secs(2);
/// How many steps are remembered.
const STEPS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(seconds: i64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    fn monotonic(seconds: u64) -> Monotonic {
        Monotonic::from_duration(Duration::from_secs(seconds))
    }

    fn age(ages: &Ages, received_at: i64) -> u64 {
        ages.of(wall(received_at)).as_secs()
    }

    #[test]
    fn a_step_forward_ages_nothing() {
        let mut ages = Ages::new(wall(1000), monotonic(0));
        ages.look(wall(1010), monotonic(10));
        assert_eq!(age(&ages, 1000), 10);
        ages.look(wall(90_020), monotonic(20));
        assert_eq!(age(&ages, 1000), 20);
        assert_eq!(age(&ages, 90_015), 5, "received after the step");
        ages.look(wall(180_030), monotonic(30));
        assert_eq!((age(&ages, 1000), age(&ages, 90_020)), (30, 10));
    }

    #[test]
    fn a_step_back_makes_nothing_older() {
        let mut ages = Ages::new(wall(100_000), monotonic(0));
        ages.look(wall(1010), monotonic(10));
        assert_eq!((age(&ages, 100_000), age(&ages, 1005)), (0, 5));
        ages.look(wall(100_020), monotonic(20));
        assert_eq!((age(&ages, 100_000), age(&ages, 1005)), (0, 15));
        ages.look(wall(900_030), monotonic(30));
        assert_eq!((age(&ages, 100_000), age(&ages, 1005)), (0, 25));
    }

    #[test]
    fn drift_is_no_step() {
        let mut ages = Ages::new(wall(0), monotonic(0));
        for minute in 1..100 {
            ages.look(wall(minute * 61), monotonic(minute as u64 * 60));
        }
        assert_eq!(age(&ages, 0), 99 * 61);
    }
}
