//! One bit per series of the engine: touched in this slot.
//!
//! A word holds 32 bits and a tag that names the slot they are of, so that a new slot begins without clearing anything: a
//! word with an older tag is all zero. Words lie in segments that double in size and are made when first needed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::shard::Slot;

/// Dense indices from here on have no bit: their series are looked up in the table with every sample. Bounds the bits of
/// one workspace to 16 MiB.
pub const DENSE_INDEX_MAX: u32 = (SEGMENT_WORDS_MIN << (SEGMENTS - 1)) as u32 * INDICES_PER_WORD;

/// Names a slot in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag(u64);

#[derive(Default, Debug)]
pub(super) struct SeenBits {
    /// Grows when all bits of before are void.
    generation: AtomicU64,
    segments: [OnceLock<Box<[AtomicU64]>>; SEGMENTS],
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
        let (segment, offset) = place(index);
        let words = self.segments.get(segment).and_then(OnceLock::get);
        let word = words.and_then(|words| words.get(offset)).map_or(0, |word| word.load(Relaxed));
        (word ^ tag.0) & (TAG | bit(index)) == bit(index)
    }

    pub(super) fn set(&self, index: u32, tag: Tag) {
        let (segment, offset) = place(index);
        let Some(words) = self.segments.get(segment) else { return };
        let words = words.get_or_init(|| (0..words_of(segment)).map(|_| AtomicU64::new(0)).collect());
        // Another thread may set a neighbour; one whose request began in an older slot may void bits, which costs lookups.
        words[offset].update(Relaxed, Relaxed, |word| match word & TAG == tag.0 {
            true => word | bit(index),
            false => tag.0 | bit(index),
        });
    }

    pub(super) fn bytes(&self) -> usize {
        self.segments.iter().filter_map(OnceLock::get).map(|words| size_of_val(&**words)).sum()
    }
}

/// The segment of an index and its word in there. The first two segments are of the smallest size, each further one of
/// as many words as all before it; segments that do not exist stand for indices without a bit.
#[inline]
fn place(index: u32) -> (usize, usize) {
    let word = (index / INDICES_PER_WORD) as usize;
    let segment = ((word | (SEGMENT_WORDS_MIN - 1)).ilog2() - (SEGMENT_WORDS_MIN.ilog2() - 1)) as usize;
    // Half the smallest size for the first segment, which is rounded away.
    let start = ((SEGMENT_WORDS_MIN / 2) << segment) & !(SEGMENT_WORDS_MIN - 1);
    (segment, word - start)
}

fn words_of(segment: usize) -> usize {
    SEGMENT_WORDS_MIN << segment.saturating_sub(1)
}

fn bit(index: u32) -> u64 {
    1 << (index % INDICES_PER_WORD)
}

const TAG: u64 = 0xffff_ffff << 32;
const INDICES_PER_WORD: u32 = 32;
/// 2,048 series.
const SEGMENT_WORDS_MIN: usize = 64;
/// Up to 2^21 words.
const SEGMENTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_a_bit_of_its_own() {
        let mut next = (0, 0);
        for word in 0..5_000u32 {
            let found = place(word * INDICES_PER_WORD);
            assert_eq!(found, place(word * INDICES_PER_WORD + 31));
            if next.1 == words_of(next.0) {
                next = (next.0 + 1, 0);
            }
            assert_eq!(found, next, "word {word}");
            next.1 += 1;
        }
        assert_eq!(place(DENSE_INDEX_MAX - 1), (SEGMENTS - 1, words_of(SEGMENTS - 1) - 1));
        assert_eq!(place(DENSE_INDEX_MAX), (SEGMENTS, 0));
        assert!(place(u32::MAX).0 >= SEGMENTS);
    }

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
        bits.set(u32::MAX, tag);
        assert!(!bits.is_set(u32::MAX, tag));
        assert_eq!(bits.bytes(), 0);
    }
}
