//! What one rule uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use environment::Monotonic;
use parking_lot::Mutex;

use crate::limits::{LimitName, OverLimit, RuleLimits};
use crate::minute::Minute;
use crate::responses::Responses;
use crate::workspace::Use;

/// One rule's budgets of requests and bytes, and its requests by status.
#[derive(Debug)]
pub struct RuleQuota {
    of: Arc<str>,
    requests_max: AtomicU64,
    bytes_max: AtomicU64,
    /// Both windows under one lock: a request is charged to both or to none.
    windows: Mutex<Windows>,
    responses: Responses,
}

#[derive(Default, Debug)]
struct Windows {
    requests: Minute,
    bytes: Minute,
}

/// What a rule uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleUsage {
    /// Requests in the current minute.
    pub requests: Use,
    /// Bytes in the current minute.
    pub bytes: Use,
    /// Requests since the start by the status of their answer; see [`STATUSES`](crate::STATUSES).
    pub responses: Vec<(u16, u64)>,
}

impl RuleQuota {
    pub(crate) fn new(of: Arc<str>, limits: RuleLimits) -> Self {
        let quota = Self {
            of,
            requests_max: AtomicU64::new(0),
            bytes_max: AtomicU64::new(0),
            windows: Mutex::default(),
            responses: Responses::default(),
        };
        quota.set_limits(limits);
        quota
    }

    /// Its limits.
    pub fn limits(&self) -> RuleLimits {
        RuleLimits {
            requests_per_minute: self.requests_max.load(Relaxed),
            bytes_per_minute: self.bytes_max.load(Relaxed),
        }
    }

    /// Changes its limits; what is used already stays used.
    pub fn set_limits(&self, limits: RuleLimits) {
        self.requests_max.store(limits.requests_per_minute, Relaxed);
        self.bytes_max.store(limits.bytes_per_minute, Relaxed);
    }

    /// Charges a request with a body of `bytes`, as it is sent.
    ///
    /// # Errors
    /// When requests or bytes of this minute are used up; nothing is charged then.
    pub fn admit(&self, bytes: u64, now: Monotonic) -> Result<(), OverLimit> {
        let limits = self.limits();
        let mut windows = self.windows.lock();
        let Windows { requests, bytes: sent } = &mut *windows;
        for (minute, amount, value, limit) in [
            (&mut *requests, 1, limits.requests_per_minute, LimitName::RuleRequests),
            (&mut *sent, bytes, limits.bytes_per_minute, LimitName::RuleBytes),
        ] {
            if let Err(wait) = minute.check(amount, value, now) {
                let (of, used) = (Arc::clone(&self.of), minute.used(value, now));
                return Err(OverLimit { limit, of, value, used, retry_after: Some(wait), contributors: Vec::new() });
            }
        }
        requests.charge(1);
        sent.charge(bytes);
        Ok(())
    }

    /// Charges bytes that a request turned out to have beyond what was admitted: its length was not announced.
    /// Never refuses; an excess is paid by the windows after this one.
    pub fn charge_bytes(&self, bytes: u64, now: Monotonic) {
        let limits = self.limits();
        let mut windows = self.windows.lock();
        let _ = windows.bytes.used(limits.bytes_per_minute, now);
        windows.bytes.charge(bytes);
    }

    /// Counts an answered request, whatever the answer.
    pub fn answered(&self, status: u16) {
        self.responses.add(status);
    }

    /// What is used now.
    pub fn usage(&self, now: Monotonic) -> RuleUsage {
        let limits = self.limits();
        let mut windows = self.windows.lock();
        let Windows { requests, bytes } = &mut *windows;
        RuleUsage {
            requests: Use::of(requests, limits.requests_per_minute, now),
            bytes: Use::of(bytes, limits.bytes_per_minute, now),
            responses: self.responses.totals(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(secs: u64) -> Monotonic {
        Monotonic::from_duration(Duration::from_secs(secs))
    }

    #[test]
    fn a_request_is_charged_to_both_budgets_or_to_none() {
        let quota = RuleQuota::new("dcr-1".into(), RuleLimits { requests_per_minute: 3, bytes_per_minute: 100 });
        quota.admit(60, at(0)).unwrap();
        let over = quota.admit(50, at(1)).unwrap_err();
        assert_eq!((over.limit, over.value, over.used), (LimitName::RuleBytes, 100, 60));
        assert_eq!(over.retry_after, Some(Duration::from_secs(59)));
        quota.admit(20, at(2)).unwrap();
        quota.admit(20, at(3)).unwrap();
        assert_eq!(quota.admit(0, at(4)).unwrap_err().limit, LimitName::RuleRequests);
        let usage = quota.usage(at(5));
        assert_eq!((usage.requests.used, usage.bytes.used), (3, 100));
        quota.admit(100, at(60)).unwrap();
        assert_eq!(quota.usage(at(60)).requests, Use { used: 1, limit: 3, used_before: 3 });
    }

    #[test]
    fn limits_change_while_running() {
        let quota = RuleQuota::new("dcr-1".into(), RuleLimits { requests_per_minute: 1, bytes_per_minute: 100 });
        quota.admit(1, at(0)).unwrap();
        quota.admit(1, at(0)).unwrap_err();
        quota.set_limits(RuleLimits { requests_per_minute: 2, bytes_per_minute: 100 });
        quota.admit(1, at(0)).unwrap();
    }

    #[test]
    fn bytes_without_an_announced_length_are_charged_afterwards() {
        let quota = RuleQuota::new("dcr-1".into(), RuleLimits { requests_per_minute: 10, bytes_per_minute: 100 });
        quota.admit(0, at(0)).unwrap();
        quota.charge_bytes(250, at(0));
        assert_eq!(quota.admit(1, at(1)).unwrap_err().retry_after, Some(Duration::from_secs(119)));
        quota.admit(50, at(120)).unwrap();
    }

    #[test]
    fn counts_answers() {
        let quota = RuleQuota::new("dcr-1".into(), RuleLimits::default());
        for status in [204, 204, 429] {
            quota.answered(status);
        }
        assert_eq!(quota.usage(at(0)).responses, [(204, 2), (429, 1)]);
    }
}
