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

    /// The series that are in both lists.
    pub fn intersection(&self, other: Self) -> Vec<BlockSeriesRef> {
        let (short, mut long) = if self.len() <= other.len() { (*self, other) } else { (other, *self) };
        let mut common = Vec::new();
        for series in short.iter() {
            long = long.from(series);
            match long.get(0) {
                None => break,
                Some(first) if first == series => common.push(series),
                Some(_) => {}
            }
        }
        common
    }

    /// Whether any of `series`, which rise, is in the list.
    pub fn meets(&self, series: &[BlockSeriesRef]) -> bool {
        let mut list = *self;
        let mut series = series;
        while let (Some(first), Some(&other)) = (list.get(0), series.first()) {
            if first == other {
                return true;
            }
            if first < other {
                list = list.from(other);
            } else {
                series = &series[series.partition_point(|other| *other < first)..];
            }
        }
        false
    }

    /// Leaves those of `series`, which rise, that are in the list (`keep`), or those that are not.
    pub fn filter(&self, series: &mut Vec<BlockSeriesRef>, keep: bool) {
        let mut rest = *self;
        if series.len() * SPARSE < self.len() {
            series.retain(|series| {
                rest = rest.from(*series);
                (rest.get(0) == Some(*series)) == keep
            });
            return;
        }
        // About as many on both sides: step by step beats looking ahead.
        let mut list = self.references.iter().map(|bytes| u32::from_be_bytes(*bytes));
        let mut next = list.next();
        series.retain(|series| {
            while next.is_some_and(|next| next < series.0) {
                next = list.next();
            }
            (next == Some(series.0)) == keep
        });
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

/// From how many entries for each one that is looked for on, looking ahead beats walking.
const SPARSE: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_are_sets(
            left in prop::collection::btree_set(0u32..300, 0..120),
            right in prop::collection::btree_set(0u32..300, 0..120),
            many in prop::collection::btree_set(0u32..3000, 0..2000),
        ) {
            for (left, right) in [(&left, &right), (&left, &many), (&many, &right)] {
                let bytes: Vec<[u8; 4]> = right.iter().map(|series| series.to_be_bytes()).collect();
                let other: Vec<[u8; 4]> = left.iter().map(|series| series.to_be_bytes()).collect();
                let (list, other) = (Postings { references: &bytes }, Postings { references: &other });
                let refs = |set: BTreeSet<u32>| set.into_iter().map(BlockSeriesRef).collect::<Vec<_>>();
                let common = refs(left & right);
                let mut kept = refs(left.clone());
                prop_assert_eq!(list.meets(&kept), !common.is_empty());
                list.filter(&mut kept, true);
                prop_assert_eq!(&kept, &common);
                let mut rest = refs(left.clone());
                list.filter(&mut rest, false);
                prop_assert_eq!(rest, refs(left - right));
                prop_assert_eq!(list.intersection(other), common.clone());
                prop_assert_eq!(other.intersection(list), common);
                for target in [0, 1, 150, 2999] {
                    let from: Vec<BlockSeriesRef> = list.from(BlockSeriesRef(target)).iter().collect();
                    prop_assert_eq!(from, refs(right.range(target..).copied().collect()));
                }
            }
        }
    }
}
