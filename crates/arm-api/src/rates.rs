//! How often one principal may ask, by what is asked: reading, writing, deleting.
//!
//! A budget fills at a steady rate up to a bound and pays one request at a time, so that scripts may come in bursts and a
//! loop without a pause slows nobody else. Principals are forgotten when their budgets would be full again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use environment::Monotonic;
use http::header::{HeaderName, RETRY_AFTER};
use model::ErrorKind;

use crate::error::ArmError;
use crate::route::Verb;

/// What principals may ask in what time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// GET and HEAD.
    pub reads: Rate,
    /// PUT, PATCH and POST.
    pub writes: Rate,
    /// DELETE.
    pub deletes: Rate,
}

/// A rate with bursts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Requests at once, when none came before.
    pub burst: u32,
    /// Requests a second in the long run; at least one.
    pub per_second: u32,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |per_second| Rate { burst: 12_000, per_second };
        Self { reads: rate(200), writes: rate(100), deletes: rate(100) }
    }
}

/// Budgets of all principals.
#[derive(Debug)]
pub(crate) struct Budgets {
    rates: Rates,
    /// One lock: it is held for a lookup and a subtraction, and requests of management are few.
    spent: Mutex<HashMap<(Box<str>, Kind), Spent>>,
}

/// What a principal has spent of a budget: none when it is not known.
#[derive(Clone, Copy, Debug)]
struct Spent {
    /// Thousandths of a request.
    thousandths: u64,
    at: Monotonic,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Reads,
    Writes,
    Deletes,
}

impl Budgets {
    pub(crate) fn new(rates: Rates) -> Self {
        Self { rates, spent: Mutex::default() }
    }

    /// Pays for one request; what is left afterwards, as the header that tells it.
    ///
    /// # Errors
    /// 429 when the budget is used up; nothing is paid then.
    pub(crate) fn take(
        &self,
        principal: &str,
        verb: Option<Verb>,
        now: Monotonic,
    ) -> Result<(HeaderName, String), ArmError> {
        let kind = Kind::of(verb);
        let (rate, header) = match kind {
            Kind::Reads => (self.rates.reads, REMAINING_READS),
            Kind::Writes => (self.rates.writes, REMAINING_WRITES),
            Kind::Deletes => (self.rates.deletes, REMAINING_DELETES),
        };
        let mut all = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= PRINCIPALS_MAX {
            all.retain(|(_, kind), spent| spent.settled(self.rate(*kind), now) > 0);
        }
        if all.len() >= PRINCIPALS_MAX {
            // Rather forget what some have spent than refuse somebody for the number of others.
            all.clear();
        }
        let spent = all.entry((principal.into(), kind)).or_insert(Spent { thousandths: 0, at: now });
        let used = spent.settled(rate, now) + THOUSANDTHS;
        let bound = u64::from(rate.burst) * THOUSANDTHS;
        if used > bound {
            let wait = Duration::from_millis((used - bound).div_ceil(u64::from(rate.per_second.max(1))));
            return Err(over(kind, rate, header, wait));
        }
        *spent = Spent { thousandths: used, at: now };
        Ok((header, ((bound - used) / THOUSANDTHS).to_string()))
    }

    const fn rate(&self, kind: Kind) -> Rate {
        match kind {
            Kind::Reads => self.rates.reads,
            Kind::Writes => self.rates.writes,
            Kind::Deletes => self.rates.deletes,
        }
    }
}

impl Spent {
    /// What is still spent at `now`: a thousandth comes back per millisecond and request a second.
    fn settled(self, rate: Rate, now: Monotonic) -> u64 {
        let millis = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.thousandths.saturating_sub(millis.saturating_mul(u64::from(rate.per_second.max(1))))
    }
}

impl Kind {
    const fn of(verb: Option<Verb>) -> Self {
        match verb {
            Some(Verb::Put | Verb::Patch | Verb::Post) => Self::Writes,
            Some(Verb::Delete) => Self::Deletes,
            Some(Verb::Get | Verb::Head) | None => Self::Reads,
        }
    }
}

fn over(kind: Kind, rate: Rate, header: HeaderName, wait: Duration) -> ArmError {
    let what = match kind {
        Kind::Reads => "reading",
        Kind::Writes => "writing",
        Kind::Deletes => "deleting",
    };
    let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let message = format!(
        "The number of requests for {what} is over the limit of {} at once and {} a second: try again in {secs} seconds.",
        rate.burst, rate.per_second
    );
    let error = ArmError::new(ErrorKind::Throttled, "TooManyRequests", message);
    error.with_header(RETRY_AFTER, secs.to_string()).with_header(header, "0")
}

const THOUSANDTHS: u64 = 1000;
/// How many budgets are kept.
const PRINCIPALS_MAX: usize = 30_000;
const REMAINING_READS: HeaderName = HeaderName::from_static("x-ms-ratelimit-remaining-subscription-reads");
const REMAINING_WRITES: HeaderName = HeaderName::from_static("x-ms-ratelimit-remaining-subscription-writes");
const REMAINING_DELETES: HeaderName = HeaderName::from_static("x-ms-ratelimit-remaining-subscription-deletes");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_spent_and_come_back() {
        let rate = Rate { burst: 3, per_second: 2 };
        let budgets = Budgets::new(Rates { reads: rate, writes: rate, deletes: rate });
        let at = |ms| Monotonic::from_duration(Duration::from_millis(ms));
        let take = |who: &str, verb, ms| {
            budgets.take(who, Some(verb), at(ms)).map(|(_, left)| left).map_err(|error| {
                let after = error.headers.iter().find(|(name, _)| name == RETRY_AFTER);
                (error.status.as_u16(), after.unwrap().1.clone())
            })
        };
        for left in ["2", "1", "0"] {
            assert_eq!(take("a", Verb::Get, 0).as_deref(), Ok(left));
        }
        assert_eq!(take("a", Verb::Head, 0), Err((429, "1".to_owned())));
        assert_eq!(take("a", Verb::Get, 499), Err((429, "1".to_owned())));
        assert_eq!(take("a", Verb::Put, 499).as_deref(), Ok("2"), "each kind has its own");
        assert_eq!(take("b", Verb::Get, 499).as_deref(), Ok("2"), "and each principal");
        assert_eq!(take("a", Verb::Get, 500).as_deref(), Ok("0"));
        assert_eq!(take("a", Verb::Get, 60_000).as_deref(), Ok("2"), "no more than the burst is saved up");
    }

    #[test]
    fn a_million_principals_take_no_more_room() {
        let budgets = Budgets::new(Rates::default());
        let now = Monotonic::from_duration(Duration::from_secs(1));
        for number in 0..PRINCIPALS_MAX + 10 {
            budgets.take(&number.to_string(), None, now).unwrap();
        }
        assert!(budgets.spent.lock().unwrap().len() <= PRINCIPALS_MAX);
    }
}
