//! What is known of an attempt at an entry when its answer is judged.

use std::time::Duration;

use super::Case;
use crate::known_bad::KnownBad;
use crate::target::sent_twice;
use crate::{Answer, Attempt, SendError};

/// How requests fared, since the start.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Tried {
    /// Taken.
    pub(crate) deliveries: u64,
    /// Answered 500.
    pub(crate) server_errors: u64,
}

/// What a case cannot know itself about an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) tried: Tried,
    /// Deliveries when the attempt was sent.
    pub(crate) deliveries_before: u64,
    pub(crate) target_failures: u32,
    pub(crate) refusals: u32,
    pub(crate) refused_for: Duration,
    pub(crate) token_fresh: bool,
    pub(crate) chance: f64,
}

impl Case {
    /// The attempt that was answered.
    pub(crate) fn attempt(
        &mut self,
        answer: &Result<Answer, SendError>,
        around: Circumstances,
        known_bad: &KnownBad,
    ) -> Attempt {
        let holds_known_poison = self.holds_poison(known_bad);
        let (Some(flying), Some(chunk)) = (&self.flying, self.chunks.front_mut()) else {
            unreachable!("an answer comes to a parcel");
        };
        let mut amid_deliveries_now = false;
        if matches!(answer, Ok(Answer { status: 500, .. })) && !flying.canary {
            // What was delivered while this was on its way may have come after it failed.
            amid_deliveries_now = chunk.deliveries_at_failure.is_some_and(|before| around.deliveries_before > before);
            chunk.server_errors += 1;
            chunk.amid_deliveries += u32::from(amid_deliveries_now);
            chunk.deliveries_at_failure = Some(around.tried.deliveries);
            self.server_errors += 1;
            self.before_server_errors.get_or_insert(around.tried);
        }
        let others_failing = self.before_server_errors.map_or(0.0, |before| {
            // The count has this entry's in it, without the one that is judged.
            let failed = around.tried.server_errors + 1 - self.server_errors - before.server_errors;
            let taken = around.tried.deliveries - before.deliveries;
            // Of few requests not much can be said: as if there had been one more of each.
            (failed + 1) as f64 / (failed + taken + 2) as f64
        });
        Attempt {
            number: chunk.attempts,
            version: flying.version,
            tally: flying.tally,
            divisible: flying.divisible,
            bytes: flying.bytes,
            sent_before: chunk.sent_before || sent_twice(answer),
            part_of_failing: chunk.part_of_failing,
            server_errors: chunk.server_errors,
            amid_deliveries: chunk.amid_deliveries,
            amid_deliveries_now,
            others_failing,
            holds_known_poison,
            delivered_meanwhile: around.tried.deliveries > around.deliveries_before,
            target_failures: around.target_failures,
            refusals: around.refusals,
            refused_for: around.refused_for,
            token_fresh: around.token_fresh,
            chance: around.chance,
        }
    }
}
