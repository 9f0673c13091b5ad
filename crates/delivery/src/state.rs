//! What delivery is about, for metrics and `/status`.

use std::collections::BTreeMap;
use std::time::Duration;

use environment::UnixTime;
use spool::Counts;

/// A snapshot.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct State {
    /// Requests on their way.
    pub in_flight: u64,
    /// Of these, how many have their token and go to the target.
    pub sending: u64,
    /// Answers and failures by what was done about them ([`crate::Verdict::name`]), since the start.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Answers by status, since the start.
    pub answers: BTreeMap<u16, u64>,
    /// Bytes of bodies sent, since the start.
    pub body_bytes: u64,
    /// Requests that the target took, since the start, and the sum of the time they took.
    pub delivered_requests: u64,
    /// See `delivered_requests`.
    pub delivered_time: Duration,
    /// When the target took something last.
    pub last_delivery: Option<UnixTime>,
    /// Samples delivered later than [`crate::Policy::late_after`], since the start.
    pub late: Counts,
    /// Why nothing goes at the moment.
    pub blocked: Option<Blocked>,
    /// The largest body that the target takes, once it said that one was too large.
    pub body_bytes_limit: Option<u64>,
}

impl State {
    /// Whether all requests on their way wait for a token.
    pub fn waits_for_token(&self) -> bool {
        self.in_flight > 0 && self.sending == 0
    }
}

/// Why nothing goes.
#[derive(Clone, PartialEq, Debug)]
pub struct Blocked {
    /// A word for metrics: `no_token`, `unauthorized`, `forbidden`, `not_found`, `unsupported`, `throttled`, `unavailable`,
    /// `unreachable`, `timeout`, `invalid_answer`.
    pub reason: &'static str,
    /// Since when.
    pub since: UnixTime,
    /// When it is tried again.
    pub retry_at: UnixTime,
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
}
