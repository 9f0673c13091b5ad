//! Which slots are used, by whom they were used, and when they can be again.
//!
//! A slot's life: *taken* for a new series; *dead* when neither the head nor the out-of-order samples have any of it: found
//! by nobody any more, but its next sample brings the series back; *purged* when all who might have it are gone: the labels
//! cannot be found any more; *free* when those are gone, too, who saw it before, and it has rested.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use environment::Monotonic;
use hashbrown::HashMap;

use super::generation::Era;
use super::index::Purged;

/// Changed by who holds the writer, or under the lock of maintenance what only that uses.
#[derive(Default)]
pub(crate) struct Slots {
    /// The lowest first: neighbours in time come to be neighbours in memory.
    free: BinaryHeap<Reverse<u32>>,
    /// Slots below have been taken at some time.
    next: u32,
    /// Those dead, with the generation in which they died last.
    dead: HashMap<u32, Era>,
    /// The same, by generation: some may have come back since.
    died: VecDeque<(Era, Vec<u32>)>,
    resting: VecDeque<Resting>,
    resting_slots: u32,
}

/// What was purged together.
pub(crate) struct Resting {
    /// Older generations, and this one, have seen it.
    pub(crate) era: Era,
    pub(crate) since: Monotonic,
    pub(crate) purged: Purged,
}

impl Slots {
    /// A slot for a new series.
    pub(crate) fn take(&mut self) -> u32 {
        if let Some(Reverse(slot)) = self.free.pop() {
            return slot;
        }
        self.next += 1;
        self.next - 1
    }

    /// A slot that was taken has not come to be used.
    pub(crate) fn give_back(&mut self, slot: u32) {
        self.free.push(Reverse(slot));
    }

    /// Slots that belong to a series, be it dead.
    pub(crate) fn used(&self) -> u32 {
        self.next - self.free.len() as u32 - self.resting_slots
    }

    /// Series that are alive.
    pub(crate) fn alive(&self) -> u32 {
        self.used() - self.dead.len() as u32
    }

    /// These are dead since this generation, which is the current one.
    pub(crate) fn bury(&mut self, slots: &[u32], era: Era) {
        self.dead.extend(slots.iter().map(|slot| (*slot, era)));
    }

    /// These are all that have died in this generation: they can be purged when it is over.
    pub(crate) fn died(&mut self, era: Era, slots: Vec<u32>) {
        if !slots.is_empty() {
            self.died.push_back((era, slots));
        }
    }

    /// How often [`Slots::next_dead`] may be asked until it comes to what was postponed meanwhile.
    pub(crate) fn deaths(&self) -> usize {
        self.died.len()
    }

    /// It has samples again.
    pub(crate) fn revive(&mut self, slot: u32) {
        self.dead.remove(&slot);
    }

    /// The slots that died earliest and are dead since, if `is_over` says so of the generation.
    pub(crate) fn next_dead(&mut self, is_over: impl Fn(Era) -> bool) -> Option<(Era, Vec<u32>)> {
        let (era, mut slots) = self.died.pop_front_if(|(era, _)| is_over(*era))?;
        slots.retain(|slot| self.dead.get(slot) == Some(&era));
        Some((era, slots))
    }

    /// These stay dead for a while longer.
    pub(crate) fn postpone(&mut self, era: Era, slots: Vec<u32>) {
        self.died(era, slots);
    }

    /// Takes a slot out of the dead, unless it has come back.
    pub(crate) fn purge(&mut self, slot: u32, era: Era) -> bool {
        let is_dead = self.dead.get(&slot) == Some(&era);
        if is_dead {
            self.dead.remove(&slot);
            self.resting_slots += 1;
        }
        is_dead
    }

    pub(crate) fn rest(&mut self, resting: Resting) {
        self.resting.push_back(resting);
    }

    /// What has rested longest, if `may_be_used` says so.
    pub(crate) fn next_rested(&mut self, may_be_used: impl Fn(&Resting) -> bool) -> Option<Purged> {
        let rested = self.resting.pop_front_if(|resting| may_be_used(resting))?;
        Some(rested.purged)
    }

    /// They can be taken again.
    pub(crate) fn free(&mut self, slots: &[u32]) {
        self.resting_slots -= slots.len() as u32;
        self.free.extend(slots.iter().map(|slot| Reverse(*slot)));
    }
}
