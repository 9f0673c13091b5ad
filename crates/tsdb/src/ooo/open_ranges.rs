//! The ranges of blocks that the samples of a half belong to.

use std::ops::Range;

use model::TimestampMs;

/// Ranges, rising, none in another. The sizes in use grow while time goes on and more of the past is complete: a range may
/// swallow smaller ones that were opened before.
#[derive(Clone, Default)]
pub(crate) struct OpenRanges {
    list: Vec<Range<i64>>,
    /// The one asked for last: neighbouring samples are of neighbouring times.
    last: usize,
}

impl OpenRanges {
    /// The open range with this time.
    #[inline]
    pub(crate) fn find(&mut self, at: TimestampMs) -> Option<Range<i64>> {
        match self.list.get(self.last) {
            Some(range) if range.contains(&at.0) => Some(range.clone()),
            _ => {
                self.last = self.index(at)?;
                Some(self.list[self.last].clone())
            }
        }
    }

    /// The open range with this time.
    ///
    /// # Panics
    /// When there is none.
    pub(crate) fn of(&self, at: TimestampMs) -> Range<i64> {
        self.list[self.index(at).expect("ranges are opened before samples come to them")].clone()
    }

    /// Opens a range.
    pub(crate) fn open(&mut self, range: Range<i64>) {
        let first = self.list.partition_point(|other| other.end <= range.start);
        let is_inside = |other: &Range<i64>| other.start <= range.start && range.end <= other.end;
        if !self.list.get(first).is_some_and(is_inside) {
            let swallowed = self.list[first..].iter().take_while(|other| other.end <= range.end).count();
            self.list.splice(first..first + swallowed, [range]);
        }
    }

    pub(crate) fn as_slice(&self) -> &[Range<i64>] {
        &self.list
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    fn index(&self, at: TimestampMs) -> Option<usize> {
        let index = self.list.partition_point(|range| range.end <= at.0);
        self.list.get(index).filter(|range| range.start <= at.0).map(|_| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_ranges_swallow_smaller_ones() {
        let mut open = OpenRanges::default();
        for (range, expected) in [
            (6..8, "[6..8]"),
            (0..2, "[0..2, 6..8]"),
            (8..10, "[0..2, 6..8, 8..10]"),
            (6..8, "[0..2, 6..8, 8..10]"),
            (6..12, "[0..2, 6..12]"),
            (10..12, "[0..2, 6..12]"),
            (-18..0, "[-18..0, 0..2, 6..12]"),
            (0..18, "[-18..0, 0..18]"),
            (20..22, "[-18..0, 0..18, 20..22]"),
        ] {
            open.open(range);
            assert_eq!(format!("{:?}", open.as_slice()), expected);
        }
        for (at, expected) in
            [(-19, None), (-18, Some(-18..0)), (17, Some(0..18)), (18, None), (21, Some(20..22)), (22, None)]
        {
            assert_eq!(open.find(TimestampMs(at)), expected, "{at}");
            assert_eq!(open.find(TimestampMs(at)), expected, "{at} again");
        }
    }
}
