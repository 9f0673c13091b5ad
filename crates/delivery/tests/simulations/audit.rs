//! Compares every sample that was appended with what the target has and what the ledger says.

use std::collections::{BTreeMap, BTreeSet};

use remote_write::Version;
use spool::{Expiry, Ledger, Rejection};

use crate::target::{self, Sample};
use crate::world::World;

/// What the ledger says, floats only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sums {
    pub(crate) received: u64,
    pub(crate) delivered: u64,
    pub(crate) unconfirmed: u64,
    pub(crate) rejected: u64,
    pub(crate) expired: u64,
    pub(crate) queued: u64,
    pub(crate) resent: u64,
}

impl World {
    pub(crate) fn sums(&self) -> Sums {
        let Ledger { received, delivered, unconfirmed, rejected, expired, queued, resent } = self.ledger();
        Sums {
            received: received.samples,
            delivered: delivered.samples,
            unconfirmed: unconfirmed.samples,
            rejected: rejected.iter().map(|(_, counts)| counts.samples).sum(),
            expired: expired.iter().map(|(_, counts)| counts.samples).sum(),
            queued: queued.samples,
            resent: resent.samples,
        }
    }

    pub(crate) fn rejected(&self, reason: Rejection) -> u64 {
        self.ledger().rejected.iter().find(|(known, _)| *known == reason).map_or(0, |(_, counts)| counts.samples)
    }

    pub(crate) fn expired(&self, reason: Expiry) -> u64 {
        self.ledger().expired.iter().find(|(known, _)| *known == reason).map_or(0, |(_, counts)| counts.samples)
    }

    /// The audit. Nothing was killed: counts are equal, not only sets.
    #[track_caller]
    pub(crate) fn audit(&self) -> Sums {
        self.audit_with(|sums, stored| {
            assert_eq!(stored, sums.delivered - sums.unconfirmed, "what the ledger calls delivered is at the target");
        })
    }

    /// The audit when requests were on their way at a kill, or stored although their answer was lost.
    #[track_caller]
    pub(crate) fn audit_sets(&self) -> Sums {
        self.audit_with(|sums, stored| assert!(stored >= sums.delivered - sums.unconfirmed, "{stored}, {sums:?}"))
    }

    #[track_caller]
    fn audit_with(&self, check_counts: impl FnOnce(&Sums, u64)) -> Sums {
        let sums = self.sums();
        let accounted = sums.delivered + sums.rejected + sums.expired + sums.queued;
        assert_eq!((sums.received, self.appended.len() as u64), (accounted, sums.received), "{sums:?}");
        let seen = self.sink.seen();
        let mut stored: BTreeMap<&Sample, u64> = BTreeMap::new();
        for sample in &seen.stored {
            *stored.entry(sample).or_default() += 1;
        }
        let appended: BTreeSet<&Sample> = self.appended.iter().collect();
        assert!(stored.keys().all(|sample| appended.contains(*sample)), "the target has nothing else");
        let refused: BTreeSet<Sample> = self.refused_samples();
        let missing = appended.iter().filter(|sample| !stored.contains_key(**sample) && !refused.contains(**sample));
        let missing = missing.count() as u64;
        let unaccounted = sums.expired + sums.queued + sums.unconfirmed;
        assert!(missing <= unaccounted, "{missing} are neither at the target nor in the ring: {sums:?}");
        let repeats: u64 = stored.values().map(|times| times - 1).sum();
        assert!(repeats <= sums.resent, "{repeats} repeats, {sums:?}");
        check_counts(&sums, stored.len() as u64);
        check_order(&seen.stored);
        sums
    }

    fn refused_samples(&self) -> BTreeSet<Sample> {
        let refusals = self.refusals();
        let bodies = refusals.iter().filter(|refusal| !refusal.body.is_empty());
        bodies.flat_map(|refusal| target::decode(Version::V1, &refusal.body)).flat_map(|(_, samples)| samples).collect()
    }
}

/// What arrives of a series for the first time is newer than all that arrived of it before.
#[track_caller]
fn check_order(stored: &[Sample]) {
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for sample @ (series, at, _) in stored {
        if seen.insert(sample) {
            let newest = newest.entry(series).or_insert(i64::MIN);
            assert!(*at > *newest, "{series} at {at} arrives after {newest}");
            *newest = *at;
        }
    }
}
