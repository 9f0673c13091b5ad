//! Which chunks of a file have had their checksums verified.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bit for every [`CELL_BYTES`] of a file, in pages that come when they are touched: at most one byte for 128 of the file.
pub(super) struct Verified {
    pages: Box<[OnceLock<Box<Page>>]>,
}

type Page = [AtomicU64; PAGE_WORDS];

impl Verified {
    /// Nothing is verified of a file of `length` bytes.
    pub(super) fn new(length: u64) -> Self {
        let pages = length.div_ceil(PAGE_BYTES as u64) as usize;
        Self { pages: (0..pages).map(|_| OnceLock::new()).collect() }
    }

    /// Whether the chunk that begins at `offset` was verified.
    pub(super) fn contains(&self, offset: u32) -> bool {
        let (page, word, bit) = place(offset);
        let page = self.pages.get(page).and_then(|page| page.get());
        page.is_some_and(|page| page[word].load(Ordering::Relaxed) & bit != 0)
    }

    /// Notes that the chunk that begins at `offset` and takes `bytes` was verified. One shorter than a cell is not noted:
    /// its neighbour may begin in the same cell.
    pub(super) fn insert(&self, offset: u32, bytes: usize) {
        let (page, word, bit) = place(offset);
        if let Some(page) = self.pages.get(page).filter(|_| bytes >= CELL_BYTES) {
            let page = page.get_or_init(|| Box::new([const { AtomicU64::new(0) }; PAGE_WORDS]));
            page[word].fetch_or(bit, Ordering::Relaxed);
        }
    }
}

fn place(offset: u32) -> (usize, usize, u64) {
    let cell = offset as usize / CELL_BYTES;
    (cell / (PAGE_WORDS * 64), cell / 64 % PAGE_WORDS, 1 << (cell % 64))
}

/// No two chunks with a sample begin in the same cell: the smallest takes 22 bytes.
const CELL_BYTES: usize = 16;
const PAGE_WORDS: usize = 64;
const PAGE_BYTES: usize = PAGE_WORDS * 64 * CELL_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_stands_for_itself() {
        let length = 3 * PAGE_BYTES as u64 + 1;
        let verified = Verified::new(length);
        let offsets: Vec<u32> = (8..length as u32).step_by(22).collect();
        for offset in offsets.iter().step_by(2) {
            verified.insert(*offset, 22);
        }
        for (index, offset) in offsets.iter().enumerate() {
            assert_eq!(verified.contains(*offset), index % 2 == 0, "{offset}");
        }
        assert!(!verified.contains(u32::MAX));
        verified.insert(30, 8);
        assert!(!verified.contains(30), "too short to be told from its neighbour");
    }
}
