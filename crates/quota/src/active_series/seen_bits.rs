//! One bit per series of the engine: touched in this slot.
//!
//! A word holds 32 bits and a tag that names the slot they are of, so that a new slot begins without clearing anything: a
//! word with an older tag is all zero.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::segments::{Segments, WORDS_MAX};
use super::shard::Slot;

/// Dense indices from here on have no bit: their series are looked up in the table with every sample. Bounds the bits of
/// one workspace to 16 MiB.
pub const DENSE_INDEX_MAX: u32 = WORDS_MAX as u32 * INDICES_PER_WORD;

/// Names a slot in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag(u64);

#[derive(Default, Debug)]
pub(super) struct SeenBits {
    /// Grows when all bits of before are void.
    generation: AtomicU64,
    words: Segments,
}

impl SeenBits {
    pub(super) fn tag(&self, slot: Slot) -> Tag {
        // Never zero, the tag of untouched words, as slots begin above zero; a slot's lower 20 bits last for 29 years.
        let generation = self.generation.load(Relaxed);
        Tag(((generation << 20 | slot.0 & 0xf_ffff) & 0xffff_ffff) << 32)
    }

    /// Voids all bits.
    pub(super) fn forget(&self) {
        self.generation.fetch_add(1, Relaxed);
    }

    #[inline]
    pub(super) fn is_set(&self, index: u32, tag: Tag) -> bool {
        let word = self.words.get(word_of(index)).map_or(0, |word| word.load(Relaxed));
        (word ^ tag.0) & (TAG | bit(index)) == bit(index)
    }

    pub(super) fn set(&self, index: u32, tag: Tag) {
        let Some(word) = self.words.make(word_of(index)) else { return };
        // Another thread may set a neighbour; one whose request began in an older slot may void bits, which costs lookups.
        word.update(Relaxed, Relaxed, |word| match word & TAG == tag.0 {
            true => word | bit(index),
            false => tag.0 | bit(index),
        });
    }

    /// Whether `tag` is of the time since all bits were voided last.
    pub(super) fn is_current(&self, tag: Tag, slot: Slot) -> bool {
        self.tag(slot) == tag
    }

    pub(super) fn bytes(&self) -> usize {
        self.words.bytes()
    }
}

fn word_of(index: u32) -> usize {
    (index / INDICES_PER_WORD) as usize
}

fn bit(index: u32) -> u64 {
    1 << (index % INDICES_PER_WORD)
}

const TAG: u64 = 0xffff_ffff << 32;
const INDICES_PER_WORD: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_of_one_slot_and_generation() {
        let bits = SeenBits::default();
        let (first, second) = (bits.tag(Slot(49)), bits.tag(Slot(50)));
        for index in [0, 31, 32, 2048, 1_000_000] {
            assert!(!bits.is_set(index, first));
            bits.set(index, first);
            assert!(bits.is_set(index, first) && !bits.is_set(index, second) && !bits.is_set(index + 1, first));
        }
        bits.set(1, second);
        assert!(bits.is_set(1, second) && !bits.is_set(0, first), "a newer slot voids its word");
        bits.forget();
        assert!(!bits.is_set(1, bits.tag(Slot(50))));
    }

    #[test]
    fn indices_beyond_the_bound_cost_nothing() {
        let bits = SeenBits::default();
        let tag = bits.tag(Slot(49));
        for index in [DENSE_INDEX_MAX, u32::MAX] {
            bits.set(index, tag);
            assert!(!bits.is_set(index, tag));
        }
        assert_eq!(bits.bytes(), 0);
    }
}
