//! Ranges of time that blocks have: the smallest one (2 hours) times powers of three, aligned, so that each lies in one of
//! the next size.

use std::ops::Range;

use model::TimestampMs;

use crate::part::aligned;
use crate::settings::Settings;

/// The sizes in use, in milliseconds, from the smallest to the largest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BlockRanges {
    sizes_ms: Vec<i64>,
}

impl BlockRanges {
    /// Sizes as the settings bound them; always at least one.
    pub(crate) fn new(settings: &Settings) -> Self {
        let largest = settings.largest_block_range_ms();
        let sizes = std::iter::successors(Some(settings.block_range_ms), |size| size.checked_mul(STEP));
        Self { sizes_ms: sizes.take_while(|size| *size <= largest).collect() }
    }

    pub(crate) fn sizes_ms(&self) -> &[i64] {
        &self.sizes_ms
    }

    pub(crate) fn smallest_ms(&self) -> i64 {
        self.sizes_ms[0]
    }

    /// The range whose block a sample at `at` goes to, when everything before `complete_until` is known to be complete: the
    /// largest one that is complete, so that old data make few blocks; otherwise the smallest.
    pub(crate) fn range_of(&self, at: TimestampMs, complete_until: TimestampMs) -> Range<i64> {
        let ranges = self.sizes_ms.iter().rev().map(|size| aligned(at, *size));
        ranges
            .into_iter()
            .find(|range| range.end <= complete_until.0)
            .unwrap_or_else(|| aligned(at, self.smallest_ms()))
    }

    /// Widens times to the bounds of the smallest ranges that they touch; the end of the result does not belong to it.
    pub(crate) fn widened(&self, first: TimestampMs, last: TimestampMs) -> Range<i64> {
        aligned(first, self.smallest_ms()).start..aligned(last, self.smallest_ms()).end
    }
}

const STEP: i64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn old_data_go_to_large_ranges_and_each_time_to_one() {
        let ranges = BlockRanges::new(&Settings::default());
        assert_eq!(ranges.sizes_ms().iter().map(|size| size / HOUR).collect::<Vec<_>>(), [2, 6, 18, 54, 162, 486]);
        let of = |hour: i64, until: i64| {
            let range = ranges.range_of(TimestampMs(hour * HOUR), TimestampMs(until * HOUR));
            (range.start / HOUR, range.end / HOUR)
        };
        assert_eq!(of(13, 14), (12, 14));
        assert_eq!(of(11, 14), (6, 12));
        assert_eq!(of(1, 18), (0, 18));
        assert_eq!(of(20, 14), (20, 22));
        assert_eq!(of(-1, 14), (-486, 0));

        // Every time belongs to exactly one range, whatever is complete.
        for until in (0..400).step_by(2) {
            let mut hour = -486;
            while hour < until {
                let (start, end) = of(hour, until);
                assert_eq!(start, hour, "no gap and no overlap, complete until {until}");
                assert!((start..end).all(|hour| of(hour, until) == (start, end)), "{start}..{end}");
                hour = end;
            }
        }
        let year: std::collections::BTreeSet<_> = (-8760..0).map(|hour| of(hour, 1)).collect();
        assert!(year.len() <= 20, "{}", year.len());
    }
}
