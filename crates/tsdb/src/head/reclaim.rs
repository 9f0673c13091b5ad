//! Letting go: of samples that blocks have, of series that have no samples, and of what they took.
//!
//! Each step holds the writer or the index for a moment only, so that commits and queries come between. What is begun here is
//! gone on with at the next round of maintenance.

use model::TimestampMs;

use super::generation::Era;
use super::index::{Purged, SLOTS_AT_ONCE};
use super::series::Cut;
use super::slots::Resting;
use super::{Head, PAGE_SERIES};
use crate::committer::Shared;

/// How long a slot that a series had is no other's, so that who keeps something by slot for as long need not ask.
const REST: std::time::Duration = std::time::Duration::from_secs(3600);

impl Shared {
    /// Lets go of the samples before `time` in the head, and marks series dead that have none left. Called under the lock of
    /// maintenance, after [`Head::freeze_before`] with the same time, when their blocks are published and the generation that
    /// ended after that is over: whoever reads the head sees the blocks, too.
    pub(crate) fn cut_head(&self, time: TimestampMs) {
        debug_assert!(time <= self.head.frozen_before(), "nothing may come to what is let go of");
        let era = self.head.generations.era();
        let mut cut = Cut::default();
        let mut died = Vec::new();
        for page in 0..(self.head.slot_count() as usize).div_ceil(PAGE_SERIES) {
            self.with_writer(|writer| {
                let dead = self.head.cut_page(page, time, &mut cut, |slot| self.ooo.contains(slot));
                self.head.slots.lock().bury(&dead, era);
                writer.admission.bury(&dead);
                died.extend(dead);
            });
        }
        self.head.time_min.fetch_max(time.0, std::sync::atomic::Ordering::Relaxed);
        self.counters.chunks.sub(cut.chunks);
        self.counters.sealed_chunk_bytes.sub(cut.sealed_bytes);
        if !died.is_empty() {
            let dead = SlotSet::of(&died);
            self.keys.forget(|slot| dead.has(slot));
        }
        // Whoever comes from now on finds none of them, by labels, matchers or keys.
        self.head.begin_generation();
        self.head.slots.lock().died(era, died);
    }

    /// Purges series that are dead, and lets what purged ones took be used again, as far as nobody can know of it any more.
    /// Called under the lock of maintenance.
    pub(crate) fn reclaim(&self) {
        let head = &self.head;
        let deaths = head.slots.lock().deaths();
        for _ in 0..deaths {
            let Some((era, slots)) = head.slots.lock().next_dead(|era| head.is_over(era)) else { break };
            let (named, slots): (Vec<_>, Vec<_>) = {
                let exemplars = head.exemplars.lock();
                slots.into_iter().partition(|slot| exemplars.has_series(*slot))
            };
            // The ring is asked by labels, and they are here.
            head.slots.lock().postpone(era, named);
            self.purge(era, &slots);
        }
        let now = self.clock.monotonic();
        let may_be_used = |resting: &Resting| head.is_over(resting.era) && now.since(resting.since) >= REST;
        loop {
            let Some(mut purged) = head.slots.lock().next_rested(may_be_used) else { break };
            let mut is_done = false;
            while !is_done {
                is_done = self.with_writer(|_| {
                    let (slots, is_done) = head.index.write().free(&mut purged);
                    head.slots.lock().free(&slots);
                    is_done
                });
            }
        }
    }

    fn purge(&self, era: Era, dead: &[u32]) {
        let head = &self.head;
        let mut purged = Purged::default();
        for some in dead.chunks(SLOTS_AT_ONCE) {
            // With the writer: none of them comes back meanwhile.
            self.with_writer(|_| {
                let (mut slots, mut index) = (head.slots.lock(), head.index.write());
                for slot in some.iter().filter(|slot| slots.purge(**slot, era)) {
                    index.unlink(*slot);
                    purged.slots.push(*slot);
                }
            });
        }
        if purged.slots.is_empty() {
            return;
        }
        let gone = purged.slots.iter().copied().collect();
        let mut pairs = Vec::new();
        for some in purged.slots.chunks(SLOTS_AT_ONCE) {
            head.index.read().add_pairs_of(some, &mut pairs);
        }
        let mut rest = &pairs[..];
        while !rest.is_empty() {
            rest = head.index.write().thin(rest, &gone, &mut purged);
        }
        let names = head.index.read().names_of_purged(&purged);
        for name in names {
            head.index.write().thin_name(name, &mut purged);
        }
        let era = head.begin_generation();
        head.slots.lock().rest(Resting { era, since: self.clock.monotonic(), purged });
    }
}

impl Head {
    /// Cuts the series of a page; returns those that have died. Only who holds the writer calls it.
    fn cut_page(&self, page: usize, time: TimestampMs, cut: &mut Cut, is_kept: impl Fn(u32) -> bool) -> Vec<u32> {
        let first = (page * PAGE_SERIES) as u32;
        let mut dead = Vec::new();
        for (slot, series) in (first..).zip(self.page(page).write().iter_mut()) {
            let gone = series.cut_before(time);
            cut.chunks += gone.chunks;
            cut.sealed_bytes += gone.sealed_bytes;
            if series.is_empty() && !is_kept(slot) {
                dead.push(slot);
            }
        }
        if !dead.is_empty() {
            let mut index = self.index.write();
            // Slots of nobody are empty, too.
            dead.retain(|slot| index.is_alive(*slot));
            dead.iter().for_each(|slot| index.set_dead(*slot, true));
        }
        dead
    }

    /// The series have samples again. Only who holds the writer calls it.
    pub(crate) fn revive(&self, revived: &[u32]) {
        let (mut slots, mut index) = (self.slots.lock(), self.index.write());
        for slot in revived {
            slots.revive(*slot);
            index.set_dead(*slot, false);
        }
    }
}

/// A set of slots.
struct SlotSet(Vec<u64>);

impl SlotSet {
    fn of(slots: &[u32]) -> Self {
        let last = slots.iter().max().map_or(0, |last| *last as usize);
        let mut words = vec![0; last / 64 + 1];
        for slot in slots {
            words[*slot as usize / 64] |= 1 << (slot % 64);
        }
        Self(words)
    }

    fn has(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests;
