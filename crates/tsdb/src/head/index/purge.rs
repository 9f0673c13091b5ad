//! Taking series out again, in small steps, so that nobody waits for long.
//!
//! First a series cannot be found by its labels any more, then its slot goes from the postings, and pairs and names that
//! nobody has from their tables. What lookups may still hold (slot, list, texts, numbers) is used again only after
//! [`Index::free`].

use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Index, Name, hash_list, hash_pair};

/// What is left of purged series: of use to nobody but those who found it before.
#[derive(Default, Debug)]
pub(crate) struct Purged {
    pub(crate) slots: Vec<u32>,
    pairs: Vec<u32>,
    names: Vec<u32>,
}

impl Index {
    /// Slots of all series that are not purged, dead or alive.
    pub(crate) fn all(&self) -> &RoaringBitmap {
        &self.all
    }

    /// Slots of those that are dead.
    pub(crate) fn dead(&self) -> &RoaringBitmap {
        &self.dead
    }

    /// Whether a living series has the slot.
    #[inline]
    pub(crate) fn is_alive(&self, slot: u32) -> bool {
        self.all.contains(slot) && !self.dead.contains(slot)
    }

    /// Whether a series that is not purged is dead.
    pub(crate) fn set_dead(&mut self, slot: u32, is_dead: bool) {
        debug_assert!(self.all.contains(slot), "only series die and come back");
        if is_dead {
            self.dead.insert(slot);
        } else {
            self.dead.remove(slot);
        }
    }

    /// The series cannot be found by its labels any more.
    pub(crate) fn unlink(&mut self, slot: u32) {
        let hash = hash_list(self.lists.get(slot), self.seed);
        if let Ok(entry) = self.slots.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.all.remove(slot);
        self.dead.remove(slot);
    }

    /// Adds the pairs of these series to those that are there, each once.
    pub(crate) fn add_pairs_of(&self, slots: &[u32], pairs: &mut Vec<u32>) {
        pairs.extend(slots.iter().flat_map(|slot| self.lists.get(*slot)));
        pairs.sort();
        pairs.dedup();
    }

    /// Takes slots that are gone out of the postings of the first of these pairs; returns the others.
    pub(crate) fn thin<'p>(&mut self, pairs: &'p [u32], gone: &RoaringBitmap, purged: &mut Purged) -> &'p [u32] {
        let mut looked_at = 0;
        for (done, pair) in pairs.iter().enumerate() {
            let postings = &mut self.pairs[*pair as usize].postings;
            looked_at += postings.len() + 1;
            if looked_at > POSTINGS_AT_ONCE && done > 0 {
                return &pairs[done..];
            }
            if postings.remove(gone) {
                self.unlink_pair(*pair);
                purged.pairs.push(*pair);
            }
        }
        &[]
    }

    fn unlink_pair(&mut self, pair: u32) {
        let hash = hash_pair(self.name_of(pair), self.value_of(pair), self.seed);
        if let Ok(entry) = self.pair_ids.find_entry(hash, |other| *other == pair) {
            entry.remove();
        }
    }

    /// The names of pairs that are gone, each once.
    pub(crate) fn names_of_purged(&self, purged: &Purged) -> Vec<u32> {
        let mut names: Vec<u32> = purged.pairs.iter().map(|pair| self.name_of(*pair)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Takes the pairs that nobody has from their name, and the name, if it has no others, from its table.
    pub(crate) fn thin_name(&mut self, name: u32, purged: &mut Purged) {
        let is_gone = |pair: &u32| self.pairs[*pair as usize].postings.is_empty();
        let Name { pairs: of_name, sorted, .. } = &mut self.names[name as usize];
        sorted.retain(|pair| !is_gone(pair));
        of_name.retain(|pair| !is_gone(pair));
        self.thinned += 1;
        if of_name.len() < of_name.capacity() / 2 {
            of_name.shrink_to_fit();
        }
        if of_name.is_empty() {
            let hash = xxh3_64_with_seed(self.name_text(name).as_bytes(), self.seed);
            if let Ok(entry) = self.name_ids.find_entry(hash, |other| *other == name) {
                entry.remove();
            }
            purged.names.push(name);
        }
    }

    /// Lets some of what was purged be used again; returns slots among it, and whether that was all.
    pub(crate) fn free(&mut self, purged: &mut Purged) -> (Vec<u32>, bool) {
        let slots = some(&mut purged.slots);
        slots.iter().for_each(|slot| self.lists.free(*slot));
        for pair in some(&mut purged.pairs) {
            self.texts.free(self.pairs[pair as usize].value);
            self.free_pairs.push(pair);
        }
        for name in some(&mut purged.names) {
            self.texts.free(self.names[name as usize].text);
            self.free_names.push(name);
        }
        (slots, purged.slots.is_empty() && purged.pairs.is_empty() && purged.names.is_empty())
    }
}

/// Takes as many as are dealt with at once.
fn some(numbers: &mut Vec<u32>) -> Vec<u32> {
    numbers.split_off(numbers.len().saturating_sub(SLOTS_AT_ONCE))
}

/// Between two offers to let others to the index.
pub(crate) const SLOTS_AT_ONCE: usize = 1024;
const POSTINGS_AT_ONCE: u64 = 1 << 20;
