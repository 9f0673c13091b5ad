//! The entries at hand, and which of them may go: those that share no series with an earlier one.
//!
//! Each series hash is claimed by the last entry with it; an entry waits for those that claimed its series before. So
//! order per series holds through any chain of entries. Claims of entries that are gone stay until there are as many of
//! them as of others: taking them out one by one would cost as much as making them.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use environment::Monotonic;
use spool::EntryId;

use crate::case::Case;

/// Entries between the queue and the target.
#[derive(Default)]
pub(crate) struct Window {
    slots: BTreeMap<EntryId, Slot>,
    claims: HashMap<u32, EntryId, BuildHasherDefault<Mixed>>,
    /// Hashes of the entries in the window, those that several have counted for each.
    series: usize,
    bytes: usize,
}

struct Slot {
    case: Case,
    /// Earlier entries that it shares a series with.
    waits_for: usize,
    /// Later entries that wait for this one.
    followers: Vec<EntryId>,
    bytes: usize,
}

impl Window {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes that it holds, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes an entry later than all before.
    pub(crate) fn push(&mut self, case: Case) {
        let (id, bytes) = (case.id, case.bytes());
        let mut earlier: Vec<EntryId> = Vec::new();
        self.claims.reserve(case.series.len());
        for hash in &*case.series {
            if let Some(other) = self.claims.insert(*hash, id)
                && other != id
                && earlier.last() != Some(&other)
            {
                earlier.push(other);
            }
        }
        earlier.sort_unstable();
        earlier.dedup();
        // A claim may be of an entry that is gone.
        earlier.retain(|other| match self.slots.get_mut(other) {
            Some(slot) => {
                slot.followers.push(id);
                true
            }
            None => false,
        });
        self.series += case.series.len();
        self.bytes += bytes;
        self.slots.insert(id, Slot { case, waits_for: earlier.len(), followers: Vec::new(), bytes });
    }

    pub(crate) fn get_mut(&mut self, id: EntryId) -> Option<&mut Case> {
        self.slots.get_mut(&id).map(|slot| &mut slot.case)
    }

    /// Takes an entry out; those that waited for it alone may go.
    pub(crate) fn remove(&mut self, id: EntryId) -> Option<Case> {
        let slot = self.slots.remove(&id)?;
        self.series -= slot.case.series.len();
        if self.slots.is_empty() {
            self.claims.clear();
            self.claims.shrink_to(CLAIMS_KEPT);
        } else if self.claims.len() > CLAIMS_KEPT + 2 * self.series {
            let slots = &self.slots;
            self.claims.retain(|_, id| slots.contains_key(id));
        }
        for follower in &slot.followers {
            if let Some(follower) = self.slots.get_mut(follower) {
                follower.waits_for -= 1;
            }
        }
        self.bytes -= slot.bytes;
        Some(slot.case)
    }

    /// The first entry behind `after` that may be sent now.
    pub(crate) fn ready(&self, after: Option<EntryId>, now: Monotonic) -> Option<EntryId> {
        let behind = |id: &EntryId| after.is_none_or(|after| *id > after);
        self.slots.iter().find(|(id, slot)| behind(id) && slot.is_ready(now)).map(|(id, _)| *id)
    }

    /// When the next entry may be sent that cannot be now because it failed before.
    pub(crate) fn next_ready_at(&self) -> Option<Monotonic> {
        let waiting = self.slots.values().filter(|slot| slot.waits_for == 0 && !slot.case.is_flying());
        waiting.filter_map(|slot| slot.case.not_before).min()
    }

    /// Entries that are not on their way, in order.
    pub(crate) fn resting(&self) -> impl Iterator<Item = &Case> {
        self.slots.values().map(|slot| &slot.case).filter(|case| !case.is_flying())
    }
}

impl Slot {
    fn is_ready(&self, now: Monotonic) -> bool {
        self.waits_for == 0 && !self.case.is_flying() && self.case.not_before.is_none_or(|at| at <= now)
    }
}

/// The keys are hashes already; they only have to be spread over 64 bits, of which the table uses both ends.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Room for claims that is kept for the next entries; so many of entries that are gone cost little.
const CLAIMS_KEPT: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use environment::UnixTime;
    use remote_write::Version;
    use spool::{Counts, Entry};

    use super::*;

    const NOW: Monotonic = Monotonic::from_duration(std::time::Duration::ZERO);

    fn case(id: u64, series: &[u32]) -> Case {
        Case::new(Entry {
            id: EntryId(id),
            received_at: UnixTime::EPOCH,
            version: Version::V1,
            body: Bytes::from_static(b"x"),
            tally: Counts::default(),
            series: series.into(),
            recovered: false,
        })
    }

    fn ready(window: &Window) -> Vec<u64> {
        let mut ready = Vec::new();
        let mut after = None;
        while let Some(id) = window.ready(after, NOW) {
            ready.push(id.0);
            after = Some(id);
        }
        ready
    }

    #[test]
    fn an_entry_waits_for_all_that_share_a_series_with_it() {
        let mut window = Window::default();
        for (id, series) in [(1, &[1, 2][..]), (2, &[3]), (3, &[2, 3]), (4, &[9]), (5, &[1, 3]), (6, &[])] {
            window.push(case(id, series));
        }
        assert_eq!(ready(&window), [1, 2, 4, 6]);
        window.remove(EntryId(2));
        assert_eq!(ready(&window), [1, 4, 6]);
        window.remove(EntryId(1));
        assert_eq!(ready(&window), [3, 4, 6]);
        window.remove(EntryId(3));
        assert_eq!(ready(&window), [4, 5, 6]);
        for id in 4..=6 {
            window.remove(EntryId(id));
        }
        assert_eq!((window.len(), window.bytes(), window.claims.len()), (0, 0, 0));
    }

    #[test]
    fn claims_of_entries_that_are_gone_hold_nobody_up_and_stay_bounded() {
        let mut window = Window::default();
        let of = |id: u64| (0..1000).map(|series| (id * 1000 + series) as u32).collect::<Vec<_>>();
        for id in 1..=100 {
            window.push(case(id, &of(id)));
            if id > 1 {
                window.remove(EntryId(id - 1));
            }
            assert!(window.claims.len() <= CLAIMS_KEPT + 3 * 1000, "{}", window.claims.len());
        }
        // The series of an entry that is gone, and one of the entry that is not.
        window.push(case(101, &of(99)));
        window.push(case(102, &[100_000, 42]));
        assert_eq!(ready(&window), [100, 101]);
        window.remove(EntryId(100));
        assert_eq!(ready(&window), [101, 102]);
    }
}
