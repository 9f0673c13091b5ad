//! Lists of series that have a label.

use super::{BlockSeriesRef, corrupt, section};
use crate::block::CorruptBlock;

/// Series references in rising order, as they stand in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Postings<'a> {
    references: &'a [[u8; 4]],
}

impl<'a> Postings<'a> {
    /// The list at `offset`, its checksum verified.
    pub(crate) fn read(file: &'a [u8], offset: usize) -> Result<Self, CorruptBlock> {
        let body = section(file, offset, "a list of series reaches beyond the file")?;
        let (count, rest) = body.split_first_chunk::<4>().ok_or_else(|| corrupt(offset, "no number of series"))?;
        let (references, spare) = rest.as_chunks::<4>();
        if references.len() != u32::from_be_bytes(*count) as usize || !spare.is_empty() {
            return Err(corrupt(offset, "a list of series of another length than it says"));
        }
        Ok(Self { references })
    }

    /// How many series.
    pub fn len(&self) -> usize {
        self.references.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.references.is_empty()
    }

    /// The series at `index`.
    pub fn get(&self, index: usize) -> Option<BlockSeriesRef> {
        self.references.get(index).map(|bytes| BlockSeriesRef(u32::from_be_bytes(*bytes)))
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = BlockSeriesRef> + Clone + use<'a> {
        self.references.iter().map(|bytes| BlockSeriesRef(u32::from_be_bytes(*bytes)))
    }

    /// The part of the list from the first reference that is not below `target`. Looks near the start first, in growing
    /// steps, so that walking two lists side by side costs little.
    #[must_use]
    pub fn from(&self, target: BlockSeriesRef) -> Self {
        let below = |index: usize| u32::from_be_bytes(self.references[index]) < target.0;
        let (mut low, mut step) = (0, 1);
        while low + step <= self.references.len() && below(low + step - 1) {
            low += step;
            step *= 2;
        }
        let window = &self.references[low..self.references.len().min(low + step)];
        let skipped = low + window.partition_point(|bytes| u32::from_be_bytes(*bytes) < target.0);
        Self { references: &self.references[skipped..] }
    }
}
