//! A long row of words of which only the beginning is made, as far as it is used.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Words that a row has at most: 16 MiB of them.
pub(super) const WORDS_MAX: usize = SEGMENT_WORDS_MIN << (SEGMENTS - 1);

/// Words, all zero at first, in segments that double in size and are made when first needed.
#[derive(Default, Debug)]
pub(super) struct Segments([OnceLock<Box<[AtomicU64]>>; SEGMENTS]);

impl Segments {
    /// A word; none where nothing was made yet.
    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&AtomicU64> {
        let (segment, offset) = place(number);
        self.0.get(segment).and_then(OnceLock::get).and_then(|words| words.get(offset))
    }

    /// A word, made if need be; none behind the end of the row.
    pub(super) fn make(&self, number: usize) -> Option<&AtomicU64> {
        let (segment, offset) = place(number);
        let words = self.0.get(segment)?;
        words.get_or_init(|| (0..words_of(segment)).map(|_| AtomicU64::new(0)).collect()).get(offset)
    }

    /// Makes all words zero.
    pub(super) fn clear(&self) {
        for word in self.0.iter().filter_map(OnceLock::get).flatten() {
            word.store(0, Relaxed);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().filter_map(OnceLock::get).map(|words| size_of_val(&**words)).sum()
    }
}

/// The segment of a word and its place in there. The first two segments are of the smallest size, each further one of as
/// many words as all before it; segments that do not exist stand for words behind the end.
#[inline]
fn place(number: usize) -> (usize, usize) {
    let segment = ((number | (SEGMENT_WORDS_MIN - 1)).ilog2() - (SEGMENT_WORDS_MIN.ilog2() - 1)) as usize;
    // Half the smallest size for the first segment, which is rounded away.
    let start = ((SEGMENT_WORDS_MIN / 2) << segment) & !(SEGMENT_WORDS_MIN - 1);
    (segment, number - start)
}

fn words_of(segment: usize) -> usize {
    SEGMENT_WORDS_MIN << segment.saturating_sub(1)
}

const SEGMENT_WORDS_MIN: usize = 64;
/// Up to 2^21 words.
const SEGMENTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_place_of_its_own() {
        let mut next = (0, 0);
        for word in 0..5_000 {
            if next.1 == words_of(next.0) {
                next = (next.0 + 1, 0);
            }
            assert_eq!(place(word), next, "word {word}");
            next.1 += 1;
        }
        assert_eq!(place(WORDS_MAX - 1), (SEGMENTS - 1, words_of(SEGMENTS - 1) - 1));
        assert_eq!(place(WORDS_MAX), (SEGMENTS, 0));
    }

    #[test]
    fn words_are_made_when_needed() {
        let segments = Segments::default();
        assert!(
            segments.get(70).is_none() && segments.make(WORDS_MAX).is_none() && segments.make(usize::MAX).is_none()
        );
        assert_eq!(segments.bytes(), 0);
        segments.make(70).unwrap().store(5, Relaxed);
        assert_eq!(segments.get(70).unwrap().load(Relaxed), 5);
        assert_eq!(segments.bytes(), 64 * 8);
        segments.clear();
        assert_eq!(segments.get(70).unwrap().load(Relaxed), 0);
    }
}
