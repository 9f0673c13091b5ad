//! Failures, of which only some are logged: an upstream that is down fails many requests a second.
//!
//! Bounded per kind, so that a flood of one does not hide another: within an interval a kind has its first few texts
//! logged, each once. The rest are counted, and told with the next line of their kind or by the line of every minute.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use environment::Monotonic;

/// What makes two failures alike: the status that was answered and a word for the reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
}

/// What became of failures, by kind.
#[derive(Default)]
pub(crate) struct Complaints(Mutex<Vec<Recent>>);

/// What is known of one kind.
struct Recent {
    kind: Kind,
    /// When the interval began: with a line after a quiet one.
    since: Monotonic,
    /// The texts that were logged in it.
    logged: Vec<String>,
    /// Failures that were not logged and have not been told of yet.
    withheld: u64,
}

/// A kind of which some failures went unlogged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Withheld {
    pub(crate) kind: Kind,
    pub(crate) count: u64,
}

impl Complaints {
    /// Whether a failure is to be logged; if so, how many of its kind were not before it.
    pub(crate) fn admit(&self, now: Monotonic, kind: Kind, text: &str) -> Option<u64> {
        let mut kinds = self.kinds();
        let recent = find_or_add(&mut kinds, now, kind);
        if now.since(recent.since) >= INTERVAL {
            recent.since = now;
            recent.logged.clear();
        }
        if recent.logged.len() == TEXTS_MAX || recent.logged.iter().any(|logged| logged == text) {
            recent.withheld += 1;
            return None;
        }
        recent.logged.push(text.to_owned());
        Some(std::mem::take(&mut recent.withheld))
    }

    /// The kinds of which failures went unlogged, which from then on count as told.
    pub(crate) fn take_withheld(&self) -> Vec<Withheld> {
        let mut kinds = self.kinds();
        let told = kinds.iter_mut().filter(|recent| recent.withheld > 0);
        told.map(|recent| Withheld { kind: recent.kind, count: std::mem::take(&mut recent.withheld) }).collect()
    }

    fn kinds(&self) -> MutexGuard<'_, Vec<Recent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Few enough to be looked through. Statuses come from the upstream, so there is a bound; the last place is for all kinds
/// beyond it.
fn find_or_add(kinds: &mut Vec<Recent>, now: Monotonic, kind: Kind) -> &mut Recent {
    let at = match kinds.iter().position(|recent| recent.kind == kind) {
        Some(at) => at,
        None => {
            if kinds.len() == KINDS_MAX {
                // The one that has been quiet for longest makes room, if it has nothing more to tell.
                let quiet = |recent: &Recent| recent.withheld == 0 && now.since(recent.since) >= INTERVAL;
                if let Some(at) = kinds.iter().position(quiet) {
                    kinds.remove(at);
                }
            }
            if kinds.len() < KINDS_MAX {
                kinds.push(Recent { kind, since: now, logged: Vec::new(), withheld: 0 });
            }
            kinds.len() - 1
        }
    };
    &mut kinds[at]
}

const INTERVAL: Duration = Duration::from_secs(10);
/// Different texts of one kind within an interval; they may be an upstream's, who can make up any number.
const TEXTS_MAX: usize = 3;
const KINDS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use environment::{Clock as _, UnixTime};
    use testkit::ManualClock;

    use super::*;

    const DOWN: Kind = Kind { status: 503, reason: "UpstreamUnreachable" };
    const SERVER_ERROR: Kind = Kind { status: 500, reason: "UpstreamAnswer" };

    #[test]
    fn a_flood_of_one_kind_hides_no_other() {
        let (complaints, clock) = (Complaints::default(), ManualClock::new(UnixTime::EPOCH));
        for (kind, text, seconds_later, expected) in [
            (DOWN, "refused", 0, Some(0)),
            (DOWN, "refused", 0, None),
            (SERVER_ERROR, "oops", 0, Some(0)),
            (DOWN, "reset", 0, Some(1)),
            (DOWN, "refused", 1, None),
            (DOWN, "a third text", 0, Some(1)),
            (DOWN, "a fourth text", 0, None),
            (DOWN, "a fifth text", 0, None),
            (SERVER_ERROR, "oops", 8, None),
            (DOWN, "refused", 1, Some(2)),
            (SERVER_ERROR, "oops", 0, Some(1)),
        ] {
            clock.advance(Duration::from_secs(seconds_later));
            assert_eq!(complaints.admit(clock.monotonic(), kind, text), expected, "{kind:?} {text}");
        }
    }

    #[test]
    fn what_was_withheld_is_told_once() {
        let (complaints, clock) = (Complaints::default(), ManualClock::new(UnixTime::EPOCH));
        for _ in 0..4 {
            complaints.admit(clock.monotonic(), DOWN, "refused");
        }
        complaints.admit(clock.monotonic(), SERVER_ERROR, "oops");
        assert_eq!(complaints.take_withheld(), [Withheld { kind: DOWN, count: 3 }]);
        assert_eq!(complaints.take_withheld(), []);
    }

    #[test]
    fn kinds_are_bounded_and_quiet_ones_make_room() {
        let (complaints, clock) = (Complaints::default(), ManualClock::new(UnixTime::EPOCH));
        let kind = |status: u16| Kind { status, reason: "UpstreamAnswer" };
        for status in 0..1000 {
            complaints.admit(clock.monotonic(), kind(status), "text");
        }
        assert_eq!(complaints.kinds().len(), KINDS_MAX);
        assert_eq!(
            complaints.take_withheld().iter().map(|withheld| withheld.count).sum::<u64>(),
            1000 - KINDS_MAX as u64
        );
        clock.advance(INTERVAL);
        assert_eq!(complaints.admit(clock.monotonic(), kind(1000), "text"), Some(0));
        assert_eq!(complaints.kinds().last().map(|recent| recent.kind), Some(kind(1000)));
    }
}
