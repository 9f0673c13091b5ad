//! Whether the target is to be asked at all: open, or closed until a time at which a single request tries.
//!
//! Several requests are on their way when a target goes down, and each brings its own failure. They count as one: a request
//! carries the *epoch* in which it left, and only a failure of the present epoch closes the gate further.

use std::time::Duration;

use environment::{Monotonic, UnixTime};

use crate::Blocked;
use crate::message::Cause;

mod refusals;

use refusals::{Refusals, Refused};

/// The state of one target.
pub(crate) struct Gate {
    closed: Option<Closed>,
    epoch: u64,
    /// Whether the one request that tries is on its way.
    probing: bool,
    /// Failures since the target last let us in, other than refusals.
    failures: u32,
    refusals: Refusals,
    /// When a refused token was last exchanged, since something was taken.
    refreshed_at: Option<Monotonic>,
}

struct Closed {
    reason: &'static str,
    status: Option<u16>,
    since: UnixTime,
    until: Monotonic,
    retry_at: UnixTime,
}

/// What may be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// As much as there is room for.
    All,
    /// One request.
    Probe,
    /// Nothing until then.
    NothingUntil(Monotonic),
    /// Nothing until the request that tries is answered.
    Nothing,
}

impl Gate {
    /// An open gate.
    pub(crate) fn new() -> Self {
        Self { closed: None, epoch: 0, probing: false, failures: 0, refusals: Refusals::default(), refreshed_at: None }
    }

    /// Forgets everything, for another target; what is on its way to the old one says nothing of the new.
    pub(crate) fn reset(&mut self) {
        *self = Self { epoch: self.epoch + 1, ..Self::new() };
    }

    pub(crate) fn admission(&self, now: Monotonic) -> Admission {
        match &self.closed {
            None => Admission::All,
            Some(_) if self.probing => Admission::Nothing,
            Some(closed) if closed.until <= now => Admission::Probe,
            Some(closed) => Admission::NothingUntil(closed.until),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// A request leaves; answers its epoch.
    pub(crate) fn leave(&mut self) -> u64 {
        self.probing = self.closed.is_some();
        self.epoch
    }

    /// Failures in a row if a request of `epoch` failed now; refusals are not among them.
    pub(crate) fn failures_with(&self, epoch: u64) -> u32 {
        if epoch == self.epoch { self.failures.saturating_add(1) } else { self.failures.max(1) }
    }

    /// Refusals in a row if a request of `epoch` was refused now.
    pub(crate) fn refusals_with(&self, epoch: u64) -> u32 {
        let count = self.refusals.count();
        if epoch == self.epoch { count.saturating_add(1) } else { count.max(1) }
    }

    /// How long the target has refused everything if a request of `epoch` was refused now. One that left before what is
    /// known of the target says nothing of how it is.
    pub(crate) fn refused_for_with(&self, epoch: u64, now: Monotonic) -> Duration {
        if epoch == self.epoch { self.refusals.lasted_with(now) } else { Duration::ZERO }
    }

    /// Whether a token used in `epoch` is one that was obtained after the target had refused another, lately.
    pub(crate) fn is_token_fresh(&self, epoch: u64, now: Monotonic) -> bool {
        // An exchange starts an epoch, so requests of the present one have the new token.
        epoch == self.epoch && self.refreshed_at.is_some_and(|at| now.since(at) < REFRESH_INTERVAL)
    }

    /// The token is exchanged; one request tries with the new one.
    pub(crate) fn refresh(&mut self, epoch: u64, now: Monotonic, wall: UnixTime) {
        if epoch == self.epoch {
            self.refreshed_at = Some(now);
            let closed = Closed { reason: "unauthorized", status: Some(401), since: wall, until: now, retry_at: wall };
            self.close(closed);
        }
    }

    /// The target took something. Answers whether that opened the gate.
    pub(crate) fn taken(&mut self, epoch: u64) -> bool {
        self.refusals = Refusals::default();
        self.answered(epoch)
    }

    /// The target answered something that concerns one request only, so it is there and lets us in. Answers whether that
    /// opened the gate.
    pub(crate) fn answered(&mut self, epoch: u64) -> bool {
        if epoch != self.epoch {
            return false;
        }
        self.probing = false;
        self.failures = 0;
        self.refreshed_at = None;
        self.refusals = Refusals::default();
        self.closed.take().is_some()
    }

    /// A request was refused, as every other would be. Answers whether this is news.
    pub(crate) fn refused(
        &mut self,
        epoch: u64,
        reason: &'static str,
        cause: Cause,
        after: Duration,
        now: Monotonic,
        wall: UnixTime,
    ) -> bool {
        let status = cause.status;
        if epoch == self.epoch {
            self.refusals.add(cause, now);
        }
        self.closed_by(epoch, reason, status, after, now, wall)
    }

    /// A request failed for another reason that concerns all. Answers whether this is news.
    pub(crate) fn failed(
        &mut self,
        epoch: u64,
        reason: &'static str,
        status: Option<u16>,
        after: Duration,
        now: Monotonic,
        wall: UnixTime,
    ) -> bool {
        if epoch == self.epoch {
            self.failures = self.failures.saturating_add(1);
            self.refusals.interrupt();
        }
        self.closed_by(epoch, reason, status, after, now, wall)
    }

    fn closed_by(
        &mut self,
        epoch: u64,
        reason: &'static str,
        status: Option<u16>,
        after: Duration,
        now: Monotonic,
        wall: UnixTime,
    ) -> bool {
        let (until, retry_at) = (now.plus(after), wall.plus(after));
        if epoch != self.epoch {
            // One that left before the gate was closed can only make the wait longer.
            if let Some(closed) = &mut self.closed
                && closed.until < until
                && reason == closed.reason
            {
                (closed.until, closed.retry_at) = (until, retry_at);
            }
            return false;
        }
        self.close(Closed { reason, status, since: wall, until, retry_at })
    }

    fn close(&mut self, mut closed: Closed) -> bool {
        self.epoch += 1;
        self.probing = false;
        let known = self.closed.as_ref().filter(|known| known.reason == closed.reason);
        let news = known.is_none();
        if let Some(known) = known {
            closed.since = known.since;
        }
        self.closed = Some(closed);
        news
    }

    /// The request that tries was not sent after all, or goes on as one of many.
    pub(crate) fn take_back(&mut self, epoch: u64) {
        if epoch == self.epoch {
            self.probing = false;
        }
    }

    /// The refusal for which everything is given up that had waited for longer than `grace` when it came: the last one, once
    /// they have lasted for longer than that. Only until it is time to ask again.
    pub(crate) fn giving_up(&self, grace: Duration, now: Monotonic) -> Option<&Refused> {
        match self.admission(now) {
            Admission::NothingUntil(_) => self.refusals.beyond(grace),
            Admission::All | Admission::Probe | Admission::Nothing => None,
        }
    }

    pub(crate) fn blocked(&self) -> Option<Blocked> {
        let Closed { reason, status, since, retry_at, .. } = self.closed.as_ref()?;
        Some(Blocked { reason, since: *since, retry_at: *retry_at, status: *status })
    }
}

/// While the target refuses tokens, they are exchanged no more often than this.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> (Monotonic, UnixTime) {
        (Monotonic::from_duration(SECOND * seconds as u32), UnixTime::from_millis(seconds * 1000))
    }

    #[test]
    fn one_outage_counts_once_and_one_request_tries() {
        let (now, wall) = at(10);
        let mut gate = Gate::new();
        let epochs: Vec<_> = (0..3).map(|_| gate.leave()).collect();
        let news: Vec<_> =
            epochs.iter().map(|epoch| gate.failed(*epoch, "unreachable", None, SECOND, now, wall)).collect();
        assert_eq!(news, [true, false, false]);
        assert_eq!(gate.failures_with(gate.epoch), 2);
        assert_eq!(gate.admission(now), Admission::NothingUntil(at(11).0));
        assert_eq!(gate.admission(at(11).0), Admission::Probe);
        let probe = gate.leave();
        assert_eq!(gate.admission(at(11).0), Admission::Nothing);
        assert!(!gate.taken(epochs[0]), "what left before the outage says nothing of its end");
        assert!(!gate.failed(probe, "unreachable", None, 2 * SECOND, at(12).0, at(12).1), "the same is no news");
        assert_eq!(gate.blocked().unwrap().since, wall);
        let probe = gate.leave();
        assert!(gate.taken(probe));
        assert_eq!((gate.admission(at(15).0), gate.failures_with(gate.epoch)), (Admission::All, 1));
    }

    fn refused(gate: &mut Gate, seconds: u64) -> bool {
        let cause =
            Cause { reason: spool::Rejection::Forbidden, status: Some(403), text: String::new(), repetition: false };
        let (now, wall) = at(seconds);
        let probe = gate.leave();
        gate.refused(probe, "forbidden", cause, SECOND, now, wall)
    }

    fn failed(gate: &mut Gate, seconds: u64) -> bool {
        let (now, wall) = at(seconds);
        let probe = gate.leave();
        gate.failed(probe, "unreachable", None, SECOND, now, wall)
    }

    #[test]
    fn refusals_last_from_one_to_the_next() {
        let mut gate = Gate::new();
        let giving_up = |gate: &Gate, seconds| gate.giving_up(10 * SECOND, at(seconds).0).map(|refused| refused.at);
        failed(&mut gate, 0);
        assert!(refused(&mut gate, 1000) && !refused(&mut gate, 1009));
        assert_eq!(gate.refused_for_with(gate.epoch, at(1010).0), 10 * SECOND);
        assert_eq!(giving_up(&gate, 1009), None);
        refused(&mut gate, 1011);
        assert_eq!(giving_up(&gate, 1011), Some(at(1011).0));
        assert_eq!(giving_up(&gate, 1012), None, "it is time to ask again");
        let probe = gate.leave();
        assert_eq!(giving_up(&gate, 1011), None, "it is asked");
        gate.take_back(probe);
        assert!(failed(&mut gate, 1013));
        assert_eq!((giving_up(&gate, 1013), gate.blocked().unwrap().since), (None, at(1013).1));
        refused(&mut gate, 2000);
        assert_eq!(gate.refused_for_with(gate.epoch, at(2000).0), 11 * SECOND, "what was between does not count");
        assert_eq!(gate.refused_for_with(gate.epoch - 1, at(2000).0), Duration::ZERO);
        assert_eq!(giving_up(&gate, 2000), Some(at(2000).0));
    }

    #[test]
    fn whatever_is_taken_ends_the_refusals() {
        for late in [false, true] {
            let mut gate = Gate::new();
            let early = gate.leave();
            for seconds in [0, 20, 40] {
                refused(&mut gate, seconds);
            }
            let epoch = if late { early } else { gate.leave() };
            assert_eq!(gate.taken(epoch), !late);
            assert_eq!(gate.refused_for_with(gate.epoch, at(60).0), Duration::ZERO);
            assert_eq!(gate.refusals_with(gate.epoch), 1);
        }
    }

    #[test]
    fn refusals_and_other_failures_are_counted_each_for_itself() {
        let mut gate = Gate::new();
        for seconds in 0..5 {
            failed(&mut gate, seconds);
        }
        assert_eq!((gate.failures_with(gate.epoch), gate.refusals_with(gate.epoch)), (6, 1));
        refused(&mut gate, 6);
        refused(&mut gate, 7);
        failed(&mut gate, 8);
        assert_eq!((gate.failures_with(gate.epoch), gate.refusals_with(gate.epoch)), (7, 3));
        assert_eq!(gate.refusals_with(0), 2);
        let probe = gate.leave();
        gate.taken(probe);
        assert_eq!((gate.failures_with(gate.epoch), gate.refusals_with(gate.epoch)), (1, 1));
    }

    #[test]
    fn a_longer_wait_of_a_late_answer_counts() {
        let (now, wall) = at(10);
        let mut gate = Gate::new();
        let (first, second) = (gate.leave(), gate.leave());
        gate.failed(first, "throttled", Some(429), SECOND, now, wall);
        gate.failed(second, "throttled", Some(429), 9 * SECOND, now, wall);
        assert_eq!(gate.admission(now), Admission::NothingUntil(at(19).0));
    }

    #[test]
    fn a_refused_token_is_exchanged_once() {
        let (now, wall) = at(10);
        let mut gate = Gate::new();
        let epoch = gate.leave();
        assert!(!gate.is_token_fresh(epoch, now));
        gate.refresh(epoch, now, wall);
        let probe = gate.leave();
        assert!(gate.is_token_fresh(probe, now) && !gate.is_token_fresh(epoch, now));
        assert!(!gate.is_token_fresh(probe, now.plus(REFRESH_INTERVAL)));
    }
}
