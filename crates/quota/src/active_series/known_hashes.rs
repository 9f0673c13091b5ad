//! Hashes of series by their dense index, so that a series is found in the table without reading its labels.
//!
//! A cache with one place per index, of a bounded number of places: indices that many apart share one, and the last that
//! was set has it. A word is the upper 56 bits of the hash, which are all that the table goes by, and a mark that tells the
//! sharers apart; 0 is none.

use std::sync::atomic::Ordering::Relaxed;

use super::SeriesHash;
use super::segments::{Segments, WORDS_MAX};

#[derive(Default, Debug)]
pub(super) struct KnownHashes(Segments);

impl KnownHashes {
    pub(super) fn get(&self, index: u32) -> Option<SeriesHash> {
        let word = self.0.get(index as usize % WORDS_MAX)?.load(Relaxed);
        (word & MARK == mark(index)).then_some(SeriesHash(word & !MARK))
    }

    pub(super) fn set(&self, index: u32, hash: SeriesHash) {
        if let Some(word) = self.0.make(index as usize % WORDS_MAX) {
            word.store(hash.0 & !MARK | mark(index), Relaxed);
        }
    }

    pub(super) fn forget(&self) {
        self.0.clear();
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// Never zero, and unique below 2^29 indices; those above are not cached.
fn mark(index: u32) -> u64 {
    (index as usize / WORDS_MAX + 1) as u64
}

const MARK: u64 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_those_that_share_a_place_has_it() {
        let (known, words) = (KnownHashes::default(), WORDS_MAX as u32);
        assert_eq!(known.get(3), None);
        known.set(3, SeriesHash(0xabcd_ef01_2345_67ff));
        assert_eq!(known.get(3), Some(SeriesHash(0xabcd_ef01_2345_6700)));
        assert_eq!(known.get(3 + words), None);
        known.set(3 + words, SeriesHash(0x100));
        assert_eq!((known.get(3), known.get(3 + words)), (None, Some(SeriesHash(0x100))));
        known.forget();
        assert_eq!(known.get(3 + words), None);
        known.set(u32::MAX, SeriesHash(0x100));
        assert_eq!(known.get(u32::MAX % words), None);
    }
}
