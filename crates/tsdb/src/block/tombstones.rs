//! Deleted ranges of a block's series.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::TimestampMs;
use storage::TimeRange;
use tsdb_format::block::index::BlockSeriesRef;
use tsdb_format::block::tombstones::Tombstone;

/// Ranges by series: of each sorted, apart from each other.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Deletions {
    by_series: BTreeMap<BlockSeriesRef, Arc<[TimeRange]>>,
}

impl Deletions {
    /// From ranges in any order, which may overlap.
    pub(crate) fn new(tombstones: &[Tombstone]) -> Self {
        let mut by_series: BTreeMap<BlockSeriesRef, Vec<TimeRange>> = BTreeMap::new();
        for &Tombstone { series, min_time, max_time } in tombstones {
            by_series.entry(series).or_default().push(TimeRange { start: min_time, end: max_time });
        }
        Self { by_series: by_series.into_iter().map(|(series, ranges)| (series, united(ranges))).collect() }
    }

    /// These and others.
    #[must_use]
    pub(crate) fn with(&self, more: &[Tombstone]) -> Self {
        let mut all = self.tombstones();
        all.extend_from_slice(more);
        Self::new(&all)
    }

    /// As they stand in the file.
    pub(crate) fn tombstones(&self) -> Vec<Tombstone> {
        let ranges =
            self.by_series.iter().flat_map(|(series, ranges)| ranges.iter().map(move |range| (*series, *range)));
        ranges.map(|(series, range)| Tombstone { series, min_time: range.start, max_time: range.end }).collect()
    }

    pub(crate) fn of(&self, series: BlockSeriesRef) -> Option<&Arc<[TimeRange]>> {
        self.by_series.get(&series)
    }

    /// Whether nothing is deleted.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_series.is_empty()
    }

    /// How many ranges.
    pub(crate) fn len(&self) -> usize {
        self.by_series.values().map(|ranges| ranges.len()).sum()
    }
}

/// Sorts ranges and puts those together that overlap or touch.
fn united(mut ranges: Vec<TimeRange>) -> Arc<[TimeRange]> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut out: Vec<TimeRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start.0 <= last.end.0.saturating_add(1) => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out.into()
}

/// Whether all of `start..=end` is deleted.
pub(super) fn covers(deleted: &[TimeRange], start: TimestampMs, end: TimestampMs) -> bool {
    let after = deleted.partition_point(|range| range.start <= start);
    after.checked_sub(1).is_some_and(|index| end <= deleted[index].end)
}

/// Whether any of `start..=end` is deleted.
pub(super) fn touches(deleted: &[TimeRange], start: TimestampMs, end: TimestampMs) -> bool {
    let first = deleted.partition_point(|range| range.end < start);
    deleted.get(first).is_some_and(|range| range.start <= end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(series: u32, min: i64, max: i64) -> Tombstone {
        Tombstone { series: BlockSeriesRef(series), min_time: TimestampMs(min), max_time: TimestampMs(max) }
    }

    #[test]
    fn ranges_are_united() {
        let given =
            [tombstone(2, 5, 9), tombstone(1, 1, 3), tombstone(2, 1, 4), tombstone(2, 20, 30), tombstone(2, 7, 12)];
        let deletions = Deletions::new(&given);
        let all = [tombstone(1, 1, 3), tombstone(2, 1, 12), tombstone(2, 20, 30)];
        assert_eq!(deletions.tombstones(), all);
        assert_eq!(deletions.len(), 3);
        assert_eq!(
            deletions.with(&[tombstone(2, 13, 19), tombstone(3, i64::MIN, i64::MAX)]).tombstones(),
            [tombstone(1, 1, 3), tombstone(2, 1, 30), tombstone(3, i64::MIN, i64::MAX)]
        );
        assert!(Deletions::default().is_empty() && deletions.of(BlockSeriesRef(7)).is_none());
    }

    #[test]
    fn what_a_chunk_has_of_deleted_ranges() {
        let deletions = Deletions::new(&[tombstone(1, 10, 20), tombstone(1, 30, 40)]);
        let deleted = deletions.of(BlockSeriesRef(1)).unwrap();
        for (start, end, touched, covered) in [
            (0, 9, false, false),
            (0, 10, true, false),
            (10, 20, true, true),
            (12, 12, true, true),
            (12, 21, true, false),
            (21, 29, false, false),
            (15, 35, true, false),
            (40, 40, true, true),
            (41, 50, false, false),
        ] {
            let (start, end) = (TimestampMs(start), TimestampMs(end));
            assert_eq!(
                (touches(deleted, start, end), covers(deleted, start, end)),
                (touched, covered),
                "{start:?} {end:?}"
            );
        }
    }
}
