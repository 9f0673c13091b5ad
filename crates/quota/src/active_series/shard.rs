//! A part of the table: hashes in open addressing with linear probing.
//!
//! An entry is one word: the upper 56 bits of the hash, and in the lowest byte a mark of the slot in which the series was
//! last seen; 0 is a free place. Marks repeat after 255 slots; a shard is swept before anything else is done in a new slot, so all of
//! its entries are of the 49 slots up to the one it was swept for, and a mark is never ambiguous.

use super::{SLOTS_ACTIVE, SeriesHash};

/// A quarter of an hour, counted from some time before the process began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Slot(pub(crate) u64);

impl Slot {
    fn mark(self) -> u64 {
        self.0 % MARKS + 1
    }
}

/// Whether a series is in a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    Active,
    Absent,
}

#[derive(Default, Debug)]
pub(super) struct Shard {
    entries: Box<[u64]>,
    used: usize,
    swept: u64,
}

impl Shard {
    /// Notes that a series was seen, if it is here. The newest slot counts.
    pub(super) fn touch(&mut self, hash: SeriesHash, slot: Slot) -> Found {
        if self.entries.is_empty() {
            return Found::Absent;
        }
        let place = self.find(hash.0);
        let entry = self.entries[place];
        if entry == FREE {
            return Found::Absent;
        }
        if self.slots_ago(entry) > self.swept.saturating_sub(slot.0) {
            self.entries[place] = entry & !MARK | slot.mark();
        }
        Found::Active
    }

    /// Adds a series that is not here.
    pub(super) fn insert(&mut self, hash: SeriesHash, slot: Slot) {
        // At least one place in eight stays free, so that probes end soon.
        if (self.used + 1) * 8 > self.entries.len() * 7 {
            self.rebuild((self.entries.len() + self.entries.len() / 2).max(PLACES_MIN));
        }
        let place = self.find(hash.0);
        self.entries[place] = hash.0 & !MARK | slot.mark();
        self.used += 1;
    }

    /// Rids the shard of series that have left by `now`, and gives memory back when most of it is free. How many left.
    pub(super) fn sweep(&mut self, now: Slot) -> u64 {
        let passed = now.0.saturating_sub(self.swept);
        if passed == 0 {
            return 0;
        }
        let before = self.used;
        if passed > SLOTS_ACTIVE {
            (self.entries, self.used) = (Box::default(), 0);
        } else {
            let oldest = SLOTS_ACTIVE - passed;
            let leaves = |shard: &Self, entry: u64| entry != FREE && shard.slots_ago(entry) > oldest;
            let left = self.entries.iter().filter(|entry| leaves(self, **entry)).count();
            if left > 0 {
                for place in 0..self.entries.len() {
                    if leaves(self, self.entries[place]) {
                        self.entries[place] = FREE;
                    }
                }
                // Free places in the middle of a probe would hide what lies behind them.
                self.used -= left;
                self.rebuild(self.places_after_sweep());
            }
        }
        self.swept = now.0;
        (before - self.used) as u64
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.entries)
    }

    /// As many as before, or fewer if three in four are free.
    fn places_after_sweep(&self) -> usize {
        match self.entries.len() {
            places if self.used * 4 < places => (self.used * 3 / 2).max(PLACES_MIN),
            places => places,
        }
    }

    /// How many slots before the last sweep an entry was seen.
    fn slots_ago(&self, entry: u64) -> u64 {
        (Slot(self.swept).mark() + MARKS - (entry & MARK)) % MARKS
    }

    /// The place of the entry with this hash, or the free one where it belongs.
    fn find(&self, hash: u64) -> usize {
        let places = self.entries.len();
        let mut place = ((u128::from(hash) * places as u128) >> 64) as usize;
        while self.entries[place] != FREE && (self.entries[place] ^ hash) & !MARK != 0 {
            place = if place + 1 == places { 0 } else { place + 1 };
        }
        place
    }

    fn rebuild(&mut self, places: usize) {
        let old = std::mem::replace(&mut self.entries, vec![FREE; places].into_boxed_slice());
        for entry in old.into_iter().filter(|entry| *entry != FREE) {
            let place = self.find(entry & !MARK);
            self.entries[place] = entry;
        }
    }
}

const FREE: u64 = 0;
const MARK: u64 = 0xff;
const MARKS: u64 = 255;
const PLACES_MIN: usize = 16;
