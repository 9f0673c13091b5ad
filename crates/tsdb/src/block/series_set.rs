//! Unions of many lists of postings.

use tsdb_format::block::index::{BlockSeriesRef, Postings};

/// A set of series as a bit for each reference between the first and the last: a series takes four to ten references, so
/// even the set of all takes little more than a byte for each.
pub(super) struct SeriesBits {
    first: u32,
    words: Vec<u64>,
}

impl SeriesBits {
    /// The series that are in any of the lists.
    pub(super) fn union(lists: &[Postings<'_>]) -> Self {
        let ends = lists.iter().filter_map(|list| Some((list.get(0)?.0, list.get(list.len() - 1)?.0)));
        let (first, last) = ends.fold((u32::MAX, 0), |(first, last), (low, high)| (first.min(low), last.max(high)));
        if first > last {
            return Self { first: 0, words: Vec::new() };
        }
        let mut words = vec![0u64; (last - first) as usize / 64 + 1];
        for series in lists.iter().flat_map(Postings::iter) {
            // A damaged list may be out of order.
            let place = series.0.wrapping_sub(first);
            if let Some(word) = words.get_mut(place as usize / 64) {
                *word |= 1 << (place % 64);
            }
        }
        Self { first, words }
    }

    pub(super) fn contains(&self, series: BlockSeriesRef) -> bool {
        let place = series.0.wrapping_sub(self.first);
        self.words.get(place as usize / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// All of them, rising.
    pub(super) fn into_series(self) -> Vec<BlockSeriesRef> {
        let mut series = Vec::with_capacity(self.words.iter().map(|word| word.count_ones() as usize).sum());
        for (index, mut word) in self.words.into_iter().enumerate() {
            while word != 0 {
                series.push(BlockSeriesRef(self.first + index as u32 * 64 + word.trailing_zeros()));
                word &= word - 1;
            }
        }
        series
    }
}
