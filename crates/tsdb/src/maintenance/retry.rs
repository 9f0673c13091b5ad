//! When a step that failed is tried again.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use environment::Monotonic;

use super::{Step, StepError};
use crate::compaction::CompactionError;
use crate::engine::contained;
use crate::shared::Shared;

/// Steps whose last try failed.
#[derive(Default)]
pub(super) struct Retries(BTreeMap<Step, Retry>);

struct Retry {
    failures: u32,
    not_before: Monotonic,
}

impl Retries {
    /// Does a step, unless it failed a short while ago; returns what it says, and `false` when it was not done.
    pub(super) fn attempt(
        &mut self,
        shared: &Shared,
        step: Step,
        act: &mut dyn FnMut() -> Result<bool, StepError>,
    ) -> bool {
        let now = shared.clock.monotonic();
        if self.0.get(&step).is_some_and(|retry| now < retry.not_before) {
            return false;
        }
        // One that fails in this way, too, must not keep those after it from being done.
        let mut outcome = Err(StepError::Panicked);
        contained("a step of maintenance", || outcome = act());
        match outcome {
            Ok(done) => {
                if self.0.remove(&step).is_some() {
                    tracing::info!(directory = %shared.directory.display(), ?step, "a step of maintenance succeeds again");
                }
                done
            }
            Err(StepError::Compaction(CompactionError::Stopped)) => false,
            Err(error) => {
                let failures = self.0.get(&step).map_or(0, |retry| retry.failures) + 1;
                let wait = wait(failures);
                let reason = with_sources(&error);
                tracing::error!(
                    directory = %shared.directory.display(), ?step, reason, failures, again_after = ?wait,
                    "a step of maintenance failed"
                );
                shared.counters.maintenance_failures.add(1);
                self.0.insert(step, Retry { failures, not_before: shared.clock.monotonic().plus(wait) });
                false
            }
        }
    }

    /// Tries all again with the next round.
    pub(super) fn forget(&mut self) {
        self.0.values_mut().for_each(|retry| retry.not_before = Monotonic::from_duration(Duration::ZERO));
    }

    /// After how long something is to be tried again.
    pub(super) fn next(&self, now: Monotonic) -> Option<Duration> {
        self.0.values().map(|retry| retry.not_before.since(now)).min()
    }
}

fn wait(failures: u32) -> Duration {
    WAIT_MIN.saturating_mul(1 << (failures - 1).min(16)).min(WAIT_MAX)
}

pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

const WAIT_MIN: Duration = Duration::from_secs(2);
const WAIT_MAX: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use environment::{Disk, UnixTime};
    use testkit::{ManualClock, MemoryDisk};

    use super::*;
    use crate::block::Blocks;
    use crate::{Engine, Settings};

    #[test]
    fn a_step_that_panics_is_tried_again_later_and_keeps_no_other_from_being_done() {
        let (disk, clock) = (Arc::new(MemoryDisk::new()) as Arc<dyn Disk>, ManualClock::new(UnixTime::from_secs(1)));
        let engine = Engine::manual(Arc::clone(&disk), Arc::new(clock.clone()));
        let (directory, settings) = (Path::new("w"), Settings::default());
        let shared = Shared::new(engine.work(), directory, settings, Blocks::without_any(disk, directory));
        let mut retries = Retries::default();
        let mut fails = || -> Result<bool, StepError> { panic!("on purpose") };
        assert!(!retries.attempt(&shared, Step::Merge, &mut fails));
        assert_eq!(shared.counters.maintenance_failures.get(), 1);
        for (step, waited, is_done) in
            [(Step::Merge, Duration::ZERO, false), (Step::Expire, Duration::ZERO, true), (Step::Merge, WAIT_MIN, true)]
        {
            clock.advance(waited);
            assert_eq!(retries.attempt(&shared, step, &mut || Ok(true)), is_done, "{step:?} after {waited:?}");
        }
        assert_eq!(shared.counters.maintenance_failures.get(), 1);
    }

    #[test]
    fn the_wait_doubles_up_to_a_bound() {
        let waits: Vec<u64> = [1, 2, 3, 8, 9, 100, u32::MAX].map(|failures| wait(failures).as_secs()).into();
        assert_eq!(waits, [2, 4, 8, 256, 300, 300, 300]);
    }
}
