//! What a log's references stand for.

use hashbrown::HashMap;
use tsdb_format::wal::record::WalRef;

/// A series of the head, or one of which nothing has come yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Reference {
    /// No record told of it.
    #[default]
    Unknown,
    /// Its slot.
    Slot(u32),
    /// Where its labels are, among those of all such.
    Unborn(Place),
}

/// References by number. They are nearly always counted up, with gaps where series have gone: so in small pages, found by a
/// map, and the last page found first.
#[derive(Default)]
pub(super) struct References {
    pages: Vec<[Reference; PAGE]>,
    /// By the number of the page.
    index: HashMap<u64, u32>,
    last: Option<(u64, u32)>,
}

impl References {
    #[inline]
    pub(super) fn get(&mut self, series: WalRef) -> Reference {
        let (number, place) = (series.0 / PAGE as u64, (series.0 % PAGE as u64) as usize);
        match self.last {
            Some((last, page)) if last == number => self.pages[page as usize][place],
            _ => match self.index.get(&number) {
                Some(page) => {
                    self.last = Some((number, *page));
                    self.pages[*page as usize][place]
                }
                None => Reference::Unknown,
            },
        }
    }

    /// Says what a reference stands for; returns what it stood for.
    pub(super) fn set(&mut self, series: WalRef, reference: Reference) -> Reference {
        let (number, place) = (series.0 / PAGE as u64, (series.0 % PAGE as u64) as usize);
        let page = *self.index.entry(number).or_insert_with(|| {
            self.pages.push([Reference::Unknown; PAGE]);
            self.pages.len() as u32 - 1
        });
        std::mem::replace(&mut self.pages[page as usize][place], reference)
    }
}

/// Where the labels of a series are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    block: u32,
    start: u32,
}

/// Labels of series of which nothing has come yet, as their records have them. A checkpoint names all series before the first
/// sample: so they lie back to back, in blocks that go when the last of theirs is needed no more.
#[derive(Default)]
pub(super) struct UnbornLabels {
    blocks: Vec<Block>,
}

#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    live: u32,
}

impl UnbornLabels {
    pub(super) fn push(&mut self, encoded: &[u8]) -> Place {
        let needed = LENGTH_BYTES + encoded.len();
        if self.blocks.last().is_none_or(|block| block.bytes.capacity() - block.bytes.len() < needed) {
            self.free_last();
            // Small at first: a workspace may have few series.
            let size = if self.blocks.is_empty() { BLOCK_BYTES / 64 } else { BLOCK_BYTES };
            self.blocks.push(Block { bytes: Vec::with_capacity(size.max(needed)), live: 0 });
        }
        let number = self.blocks.len() as u32 - 1;
        let block = &mut self.blocks[number as usize];
        let start = block.bytes.len() as u32;
        block.bytes.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
        block.bytes.extend_from_slice(encoded);
        block.live += 1;
        Place { block: number, start }
    }

    pub(super) fn get(&self, place: Place) -> &[u8] {
        let rest = &self.blocks[place.block as usize].bytes[place.start as usize..];
        let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>().expect("a place comes from `push`");
        &rest[..u32::from_le_bytes(*length) as usize]
    }

    /// They are not needed any more.
    pub(super) fn release(&mut self, place: Place) {
        let is_last = place.block as usize + 1 == self.blocks.len();
        let block = &mut self.blocks[place.block as usize];
        block.live -= 1;
        if block.live == 0 && !is_last {
            block.bytes = Vec::new();
        }
    }

    /// The last block takes no more.
    fn free_last(&mut self) {
        if let Some(block) = self.blocks.last_mut()
            && block.live == 0
        {
            block.bytes = Vec::new();
        }
    }
}

/// Few, so that a log with large gaps costs little; enough that neighbours share a lookup.
const PAGE: usize = 32;

const LENGTH_BYTES: usize = 4;
const BLOCK_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_near_and_far() {
        let mut references = References::default();
        let numbers = [1, 2, 31, 32, 33, 1_000_000_007, u64::MAX, 0];
        for (slot, number) in numbers.into_iter().enumerate() {
            assert_eq!(references.get(WalRef(number)), Reference::Unknown);
            assert_eq!(references.set(WalRef(number), Reference::Slot(slot as u32)), Reference::Unknown);
        }
        for (slot, number) in numbers.into_iter().enumerate() {
            assert_eq!(references.get(WalRef(number)), Reference::Slot(slot as u32), "{number}");
        }
        assert_eq!(references.set(WalRef(2), Reference::Slot(9)), Reference::Slot(1));
        assert_eq!((references.get(WalRef(2)), references.get(WalRef(3))), (Reference::Slot(9), Reference::Unknown));
    }

    #[test]
    fn blocks_of_labels_go_when_all_of_theirs_are_born() {
        let mut labels = UnbornLabels::default();
        let texts: Vec<Vec<u8>> = (0..20_000u32).map(|number| number.to_string().repeat(10).into_bytes()).collect();
        let places: Vec<Place> = texts.iter().map(|text| labels.push(text)).collect();
        let held = |labels: &UnbornLabels| labels.blocks.iter().map(|block| block.bytes.capacity()).sum::<usize>();
        assert!(held(&labels) > 900_000 && labels.blocks.len() > 4);
        for (text, place) in texts.iter().zip(&places) {
            assert_eq!(labels.get(*place), text);
            labels.release(*place);
        }
        assert!(held(&labels) <= BLOCK_BYTES, "the last block alone is kept");
        let large = vec![7; 2 * BLOCK_BYTES];
        let place = labels.push(&large);
        assert_eq!(labels.get(place), large);
        assert_eq!(held(&labels), 2 * BLOCK_BYTES + LENGTH_BYTES);
    }
}
