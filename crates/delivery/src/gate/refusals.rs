//! How long the target has refused everything for the sake of who we are or where we ask: 401, 403, 404 and the like.
//!
//! The time is that between one such answer and the next. Failures of another kind between two of them (5xx, 429, no
//! answer, no token) say nothing of it: the time around them does not count, and neither does it begin anew. Whatever the
//! target takes ends the streak.

use std::time::Duration;

use environment::Monotonic;

use crate::message::Cause;

/// The refusals since the target last let us in.
#[derive(Default)]
pub(crate) struct Refusals {
    count: u32,
    lasted: Duration,
    /// Unless the target failed in another way since.
    last: Option<Refused>,
}

/// A refusal.
pub(crate) struct Refused {
    pub(crate) at: Monotonic,
    pub(crate) cause: Cause,
}

impl Refusals {
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// How long they would have lasted with one more now.
    pub(crate) fn lasted_with(&self, now: Monotonic) -> Duration {
        self.lasted + self.last.as_ref().map_or(Duration::ZERO, |last| now.since(last.at))
    }

    pub(crate) fn add(&mut self, cause: Cause, now: Monotonic) {
        self.lasted = self.lasted_with(now);
        self.count = self.count.saturating_add(1);
        self.last = Some(Refused { at: now, cause });
    }

    /// The target failed in another way.
    pub(crate) fn interrupt(&mut self) {
        self.last = None;
    }

    /// The last one, if they have lasted longer than `grace` and nothing else happened since.
    pub(crate) fn beyond(&self, grace: Duration) -> Option<&Refused> {
        self.last.as_ref().filter(|_| self.lasted > grace)
    }
}
