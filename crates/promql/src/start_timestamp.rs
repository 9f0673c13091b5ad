//! What start timestamps tell: since when the state that a sample shows was counted.
//!
//! Cumulative counters keep theirs until they begin anew; of deltas each starts where the one before ended. Zero is
//! *unknown*, and so is a start at its sample's own time.

use model::TimestampMs;
use storage::Batch;

/// A sample's times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Times {
    /// When its counting began.
    pub(crate) start: TimestampMs,
    /// When it was taken.
    pub(crate) at: TimestampMs,
}

impl Times {
    /// Those of the sample `index`; `starts` may be empty, when none is known.
    pub(crate) fn of(starts: &[TimestampMs], times: &[TimestampMs], index: usize) -> Self {
        Self { start: starts.get(index).copied().unwrap_or(Batch::START_UNKNOWN), at: times[index] }
    }

    fn is_known(self) -> bool {
        self.start != Batch::START_UNKNOWN
    }
}

/// Whether counting began anew between two neighbouring samples.
pub(crate) fn is_reset(before: Times, after: Times) -> bool {
    if !after.is_known() || after.start == before.start || after.start >= after.at || after.start < before.at {
        return false;
    }
    // A start at the sample before is that of a delta, unless the sample before does not know its own start: then it is
    // how some senders tell that they do not know.
    after.start > before.at || (before.is_known() && before.start < before.at)
}

/// Whether a sample says to count from inside what the one before counted: one of the two is wrong.
pub(crate) fn overlaps(before: Times, after: Times) -> bool {
    after.is_known() && after.start < before.at && after.start != before.start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times((start, at): (i64, i64)) -> Times {
        Times { start: TimestampMs(start), at: TimestampMs(at) }
    }

    #[test]
    fn resets_and_overlaps_of_neighbours() {
        // (start, time) of two samples, whether the second is a reset, whether it overlaps.
        let cases = [
            ("nothing is known", (0, 10), (0, 20), false, false),
            ("a cumulative one goes on", (5, 10), (5, 20), false, false),
            ("a cumulative one begins anew", (5, 10), (15, 20), true, false),
            ("the first start known lies between", (0, 10), (15, 20), true, false),
            ("a delta after a delta", (1, 10), (10, 20), true, false),
            ("a delta that starts a moment later", (1, 10), (11, 20), true, false),
            ("unknown start told as the sample before", (0, 10), (10, 20), false, false),
            ("unknown start told as the own time before", (10, 10), (10, 20), false, false),
            ("the start is the own time", (5, 10), (20, 20), false, false),
            ("the start lies ahead", (5, 10), (25, 20), false, false),
            ("the one before starts after itself", (12, 10), (10, 20), false, false),
            ("an invalid start that stays", (15, 10), (15, 20), false, false),
            ("the second reaches back", (5, 10), (7, 20), false, true),
            ("the second reaches back, the first is unknown", (0, 10), (7, 20), false, true),
        ];
        for (what, before, after, reset, overlap) in cases {
            let (before, after) = (times(before), times(after));
            assert_eq!((is_reset(before, after), overlaps(before, after)), (reset, overlap), "{what}");
        }
    }
}
