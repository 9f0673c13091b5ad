//! What an answer means.
//!
//! One pure function: no clock, no chance, no state. Everything that it looks at comes in as the [`Attempt`]; what
//! follows is done by others. `docs/judging.md` shows its cases as a table, which a test renders anew.
//!
//! The order of its questions: taken? wrong in itself (400, 413, 415)? otherwise it may pass, so: too old? then how long to
//! wait, and who waits: this entry alone, or everything for this target.

use std::time::Duration;

use remote_write::Version;
use spool::{Counts, Rejection};

use crate::answer_text::AnswerText;
use crate::counts::{is_none, less, total};
use crate::{Answer, Policy, SendError, backoff};

/// What is known of the attempt that was answered.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Attempts at this body in a row, this one included.
    pub number: u32,
    /// What was sent.
    pub version: Version,
    /// What was sent holds this.
    pub tally: Counts,
    /// Whether it can be cut: it holds several series, and the bound of cuts is not reached.
    pub divisible: bool,
    /// Bytes of the body.
    pub bytes: usize,
    /// Whether the same samples were sent before and may have arrived.
    pub sent_before: bool,
    /// Whether it is a part of what was answered 500 as a whole.
    pub part_of_failing: bool,
    /// How often this body was answered 500, this time included.
    pub server_errors: u32,
    /// How many of these came although something else had been delivered since the one before.
    pub amid_deliveries: u32,
    /// Whether this one did.
    pub amid_deliveries_now: bool,
    /// The share of other requests that were answered 500 since this entry was for the first time, in `0.0..1.0`.
    pub others_failing: f64,
    /// Whether it holds a series that was given up before for being answered 500.
    pub holds_known_poison: bool,
    /// Whether anything was delivered since this attempt was sent.
    pub delivered_meanwhile: bool,
    /// Failures of the target in a row, this one included and refusals not.
    pub target_failures: u32,
    /// Refusals in a row, this one included: answers that make everything wait for an identity, a role or a rule.
    pub refusals: u32,
    /// How long the target has answered so, up to this answer.
    pub refused_for: Duration,
    /// Whether the token was obtained after the target had refused one.
    pub token_fresh: bool,
    /// Chance in `0.0..1.0` that spreads waits.
    pub chance: f64,
}

/// Who waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// This entry; others go on.
    Entry,
    /// Everything for this target.
    Target,
}

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// Taken.
    Delivered {
        /// What the target says it did not write: rejected.
        missing: Counts,
        /// What counts as taken only because the target has it, or something newer, after it had been sent before.
        unconfirmed: Counts,
    },
    /// Tried again.
    Retry {
        /// After this time.
        after: Duration,
        /// Who waits.
        reach: Reach,
        /// A word for metrics, see [`crate::Blocked::reason`].
        reason: &'static str,
    },
    /// The token is refused: try at once with a new one.
    RefreshToken,
    /// Something is not set up yet, or no longer: everything waits, one request tries.
    Hold {
        /// After this time.
        after: Duration,
        /// What it is.
        reason: Rejection,
    },
    /// Too large: send it in two halves.
    Split,
    /// Something in it is bad: find out what.
    Bisect,
    /// Say it in version 1.0.
    Transcode,
    /// Refused for good.
    Quarantine {
        /// Why.
        reason: Rejection,
        /// What was written nevertheless; the rest is refused.
        written: Counts,
    },
    /// Too old to be tried again.
    Expired,
}

impl Verdict {
    /// The word of metrics and docs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Retry { .. } => "retry",
            Self::RefreshToken => "refresh_token",
            Self::Hold { .. } => "hold",
            Self::Split => "split",
            Self::Bisect => "bisect",
            Self::Transcode => "transcode",
            Self::Quarantine { .. } => "quarantine",
            Self::Expired => "expired",
        }
    }
}

/// Judges the answer, or the lack of one, to an attempt at an entry of that age.
pub fn judge(answer: &Result<Answer, SendError>, attempt: &Attempt, age: Duration, policy: &Policy) -> Verdict {
    let case = Case { attempt, age, policy };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return case.failing(error.kind, None),
    };
    match answer.status {
        200..=299 => case.taken(answer),
        400 | 409 | 422 => case.wrong(answer),
        401 if !attempt.token_fresh => case.unless_expired(Verdict::RefreshToken),
        401 => case.hold(Rejection::Unauthorized),
        403 => case.hold(Rejection::Forbidden),
        408 => case.failing("timeout", answer.retry_after),
        413 => case.too_large(),
        415 if attempt.version == Version::V2 => Verdict::Transcode,
        415 => case.hold(Rejection::Unsupported),
        429 => case.wait("throttled", answer.retry_after),
        500 => case.server_error(answer),
        503 => case.wait("unavailable", answer.retry_after),
        425 | 501..=599 => case.failing("unavailable", answer.retry_after),
        300..=499 => case.hold(Rejection::NotFound),
        _ => case.failing("invalid_answer", None),
    }
}

struct Case<'a> {
    attempt: &'a Attempt,
    age: Duration,
    policy: &'a Policy,
}

impl Case<'_> {
    fn taken(&self, answer: &Answer) -> Verdict {
        let sent = self.attempt.tally;
        let delivered = |missing| Verdict::Delivered { missing, unconfirmed: Counts::default() };
        match answer.written {
            Some(written) => delivered(less(sent, written)),
            // A receiver of 1.0 that does not look at the type reads a 2.0 message as an empty one, and is content with it.
            None if self.attempt.version == Version::V2 && total(sent) > 0 => Verdict::Transcode,
            None => delivered(Counts::default()),
        }
    }

    /// 400 and its like.
    fn wrong(&self, answer: &Answer) -> Verdict {
        let sent = self.attempt.tally;
        let text = AnswerText::of(answer);
        let repeated = self.attempt.sent_before && text.speaks_of_repetition();
        // With nothing written there is no telling the bad from what was refused with it.
        let counted = answer.written.map(|written| written.min(sent)).filter(|written| !is_none(*written));
        let written = counted.or_else(|| text.list().and_then(|list| list.stored_of(sent)));
        match written {
            Some(written) if repeated && text.speaks_of_nothing_else() => {
                Verdict::Delivered { missing: Counts::default(), unconfirmed: less(sent, written) }
            }
            Some(written) if written == sent => {
                Verdict::Delivered { missing: Counts::default(), unconfirmed: Counts::default() }
            }
            Some(written) => Verdict::Quarantine { reason: Rejection::Invalid, written },
            None if self.attempt.divisible => Verdict::Bisect,
            None if repeated => Verdict::Delivered { missing: Counts::default(), unconfirmed: sent },
            None => refused(Rejection::Invalid),
        }
    }

    fn too_large(&self) -> Verdict {
        match (self.attempt.divisible, self.attempt.bytes > SMALL_BODY_BYTES) {
            (true, true) => Verdict::Split,
            // Whoever calls this too large does not mean the size; the bound of cuts keeps it from costing a request each.
            (true, false) => Verdict::Bisect,
            (false, _) => refused(Rejection::TooLarge),
        }
    }

    fn hold(&self, reason: Rejection) -> Verdict {
        let Self { attempt, age, policy } = self;
        if *age > policy.age_max {
            return Verdict::Expired;
        }
        if *age > policy.authorization_grace && attempt.refused_for > policy.authorization_grace {
            return refused(reason);
        }
        Verdict::Hold { after: backoff::delay(policy.probe, attempt.refusals, attempt.chance), reason }
    }

    /// Every other body would be answered the same.
    fn wait(&self, reason: &'static str, retry_after: Option<Duration>) -> Verdict {
        self.unless_expired(Verdict::Retry {
            after: self.retry_after(retry_after, self.attempt.target_failures),
            reach: Reach::Target,
            reason,
        })
    }

    /// It depends on whether others get through.
    fn failing(&self, reason: &'static str, retry_after: Option<Duration>) -> Verdict {
        if self.attempt.delivered_meanwhile {
            let after = self.retry_after(retry_after, self.attempt.number);
            return self.unless_expired(Verdict::Retry { after, reach: Reach::Entry, reason });
        }
        self.wait(reason, retry_after)
    }

    /// A 500 may be the target's trouble or the body's. Cutting does no harm, so it needs little. Giving up needs others that
    /// get through again and again, and that it cannot be mere chance that this one never does.
    fn server_error(&self, answer: &Answer) -> Verdict {
        let Attempt { server_errors, amid_deliveries, part_of_failing, holds_known_poison, .. } = *self.attempt;
        let enough = match amid_deliveries {
            _ if holds_known_poison => 1,
            0 => CUT_ALONE_AFTER,
            _ if part_of_failing => 1,
            _ => POISON_SUSPECTED_AFTER,
        };
        if self.attempt.divisible && server_errors >= enough {
            return Verdict::Bisect;
        }
        let certain = amid_deliveries >= POISON_CERTAIN_AFTER
            && self.attempt.others_failing.powf(f64::from(amid_deliveries)) <= POISON_DOUBT_MAX;
        if !self.attempt.divisible && self.attempt.amid_deliveries_now && (certain || holds_known_poison) {
            return refused(Rejection::Invalid);
        }
        self.failing("unavailable", answer.retry_after)
    }

    fn retry_after(&self, asked: Option<Duration>, failures: u32) -> Duration {
        match asked.filter(|asked| !asked.is_zero()) {
            // A little more by chance, never less than was asked for.
            Some(asked) => {
                asked.min(self.policy.retry_after_max) + RETRY_AFTER_SPREAD.mul_f64(self.attempt.chance.clamp(0.0, 1.0))
            }
            None => backoff::delay(self.policy.backoff, failures, self.attempt.chance),
        }
    }

    fn unless_expired(&self, verdict: Verdict) -> Verdict {
        if self.age > self.policy.age_max { Verdict::Expired } else { verdict }
    }
}

fn refused(reason: Rejection) -> Verdict {
    Verdict::Quarantine { reason, written: Counts::default() }
}

/// Whether the target may have stored something of a request that it answered so.
pub(crate) fn may_have_stored(answer: &Result<Answer, SendError>) -> bool {
    match answer {
        Ok(answer) => matches!(answer.status, 200..=299 | 400 | 408 | 409 | 422 | 500..=599),
        Err(error) => error.may_have_arrived,
    }
}

/// Below this size 413 is not taken for a word about the size.
pub(crate) const SMALL_BODY_BYTES: usize = 4 << 10;
/// So many 500 for one body while others are delivered, and it is cut.
const POISON_SUSPECTED_AFTER: u32 = 3;
/// So many for what cannot be cut, each after others were delivered, and it may be given up,
const POISON_CERTAIN_AFTER: u32 = 5;
/// once a target that fails at random, as often as it fails others, would do this with less than this probability.
const POISON_DOUBT_MAX: f64 = 1e-6;
/// So many without anything delivered, and it is cut: everything else may be waiting behind this one.
const CUT_ALONE_AFTER: u32 = 8;
/// `Retry-After` is stretched by at most this, so that not everybody comes back at once.
const RETRY_AFTER_SPREAD: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
