//! Ranges whose ends need not be samples: `anchored` ones begin with the value of the last sample at or before their
//! start, `smoothed` ones begin and end with values between the samples on either side. Nothing is extrapolated.
//!
//! A window of such a range holds samples beyond its ends, as far as the lookback reaches: [`Reach`]. Not here: what
//! smoothed instant selectors give (`smoothed`), histograms (`extended_histograms`).

use model::TimestampMs;
use promql_syntax::ExtendedRange;
use storage::TimeRange;

use crate::rate::RateKind;
use crate::window::Window;

/// How far beyond its ends a range has samples, milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Reach {
    pub(crate) before: i64,
    pub(crate) after: i64,
}

impl Reach {
    pub(crate) fn of(extended: Option<ExtendedRange>, lookback_ms: i64) -> Self {
        match extended {
            None => Self::default(),
            Some(ExtendedRange::Anchored) => Self { before: lookback_ms, after: 0 },
            Some(ExtendedRange::Smoothed) => Self { before: lookback_ms, after: lookback_ms },
        }
    }

    /// What is needed of the samples when `range` would be without it.
    pub(crate) fn around(self, range: TimeRange) -> TimeRange {
        TimeRange { start: range.start.plus(-self.before), end: range.end.plus(self.after) }
    }
}

/// Which samples of a window a range is computed from, first and last: from the last one at or before its start, or the
/// first of all, to the last one, or the first at or after its end when that is smoothed. `None` when all lie before it.
pub(crate) fn outer_samples(times: &[TimestampMs], window: &Window<'_>, smoothed: bool) -> Option<(usize, usize)> {
    let mut last = times.len().checked_sub(1)?;
    let first = times[..last].partition_point(|at| at.0 <= window.start).saturating_sub(1);
    if smoothed {
        last = times[..last].partition_point(|at| at.0 < window.end);
    }
    (times[last].0 > window.start).then_some((first, last))
}

/// The change over a range, from end to end; of a counter, with what it lost by resets added.
pub(crate) fn change(kind: RateKind, smoothed: bool, window: &Window<'_>) -> Option<f64> {
    let (mut first, mut last) = outer_samples(window.times, window, smoothed)?;
    if window.times[first].0 > window.end {
        return None;
    }
    let ends = Ends::of(window, first, last, smoothed, kind.counter);
    let mut change = ends.right - ends.left;
    if kind.counter {
        // Resets that the ends lie in are part of their values.
        if window.times[first].0 <= window.start {
            first += 1;
        }
        if window.times[last].0 < window.end {
            last += 1;
        }
        change += lost_by_resets(ends, window.floats.get(first..last).unwrap_or_default());
    }
    if kind.per_second {
        change /= (window.end - window.start) as f64 / 1000.0;
    }
    Some(change)
}

/// Values at the ends of a range.
#[derive(Clone, Copy, Debug)]
struct Ends {
    left: f64,
    right: f64,
}

impl Ends {
    /// `first` and `last` as [`outer_samples`] gives them.
    fn of(window: &Window<'_>, first: usize, last: usize, smoothed: bool, counter: bool) -> Self {
        let between = |before: usize, at: i64| {
            let times = (window.times[before].0, window.times[before + 1].0);
            interpolate(times, (window.floats[before], window.floats[before + 1]), at, counter)
        };
        let left = match smoothed && window.times[first].0 < window.start {
            true => between(first, window.start),
            false => window.floats[first],
        };
        let right = match smoothed && last > 0 && window.times[last].0 > window.end {
            true => between(last - 1, window.end),
            false => window.floats[last],
        };
        Self { left, right }
    }
}

/// The value at a time between two samples, on a straight line. A counter that was reset between them counts from zero.
pub(crate) fn interpolate(times: (i64, i64), values: (f64, f64), at: i64, counter: bool) -> f64 {
    let (before, after) = values;
    let from = if counter && after < before { 0.0 } else { before };
    from + (after - from) * (at - times.0) as f64 / (times.1 - times.0) as f64
}

fn lost_by_resets(ends: Ends, inside: &[f64]) -> f64 {
    let (mut lost, mut before) = (0.0, ends.left);
    for value in inside.iter().chain([&ends.right]) {
        if *value < before {
            lost += before;
        }
        before = *value;
    }
    lost
}

/// The window without what lies before the anchor of its range: its last sample at or before the start. `None` when there
/// is nothing after the start.
pub(crate) fn anchored<'a>(window: &Window<'a>) -> Option<Window<'a>> {
    let until_start = |times: &[TimestampMs]| times.partition_point(|at| at.0 <= window.start);
    let (floats, histograms) = (until_start(window.times), until_start(window.histogram_times));
    if floats == window.times.len() && histograms == window.histogram_times.len() {
        return None;
    }
    let newest = |times: &[TimestampMs], count: usize| count.checked_sub(1).map(|index| times[index]);
    let (float, histogram) = (newest(window.times, floats), newest(window.histogram_times, histograms));
    // The one anchor is a float or a histogram.
    let (floats, histograms) = match () {
        () if float.is_none() && histogram.is_none() => (0, 0),
        () if float >= histogram => (floats - 1, histograms),
        () => (floats, histograms - 1),
    };
    Some(window.skip(floats, histograms))
}

/// The samples of the range itself, as a query for them is answered: values at both ends, and the samples between.
pub(crate) fn samples(smoothed: bool, window: &Window<'_>) -> Vec<(i64, f64)> {
    let Some((first, last)) = outer_samples(window.times, window, smoothed) else { return Vec::new() };
    let ends = Ends::of(window, first, last, smoothed, false);
    let inside = window.times.iter().zip(window.floats).take(last + 1).skip(first);
    let inside = inside.filter(|(at, _)| window.start < at.0 && at.0 < window.end).map(|(at, value)| (at.0, *value));
    let mut samples = vec![(window.start, ends.left)];
    samples.extend(inside);
    samples.push((window.end, ends.right));
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{SampleSource, WindowBuffer};

    struct Given(Vec<(i64, f64)>);

    impl storage::SampleIterator for Given {
        fn next_batch(&mut self, batch: &mut storage::Batch) -> Result<bool, storage::QueryError> {
            batch.clear();
            for (at, value) in self.0.drain(..) {
                batch.timestamps.push(TimestampMs(at));
                batch.floats.push(value);
            }
            Ok(!batch.is_empty())
        }
    }

    /// Looks at the range `(start, end]` of samples, those within 100 of it among them.
    fn look<T>(samples: &[(i64, f64)], (start, end): (i64, i64), at: impl FnOnce(&Window<'_>) -> T) -> Option<T> {
        let mut source = SampleSource::Stored(Box::new(Given(samples.to_vec())));
        let mut buffer = WindowBuffer::default();
        let window = buffer.advance(&mut source, start - 100, end + 100, end).unwrap()?;
        Some(at(&Window { start, end, ..window }))
    }

    const COUNTER: RateKind = RateKind { counter: true, per_second: false };
    const GAUGE: RateKind = RateKind { counter: false, per_second: false };

    #[test]
    fn changes_go_from_end_to_end() {
        let rising: &[(i64, f64)] = &[(0, 1.0), (10, 2.0), (20, 4.0), (30, 8.0)];
        let resetting: &[(i64, f64)] = &[(0, 10.0), (10, 4.0), (20, 8.0)];
        let cases = [
            ("samples at the ends", rising, (0, 30), COUNTER, Some(7.0)),
            ("between samples", rising, (5, 25), COUNTER, Some(4.5)),
            ("inside one pair of samples", rising, (22, 27), COUNTER, Some(2.0)),
            ("the data begin inside", rising, (-10, 10), COUNTER, Some(1.0)),
            ("the data end inside", rising, (20, 50), COUNTER, Some(4.0)),
            ("all data lie before", rising, (30, 50), COUNTER, None),
            ("all data lie after", rising, (-50, -10), COUNTER, None),
            ("a reset before the left end", resetting, (5, 20), COUNTER, Some(6.0)),
            ("a reset inside", resetting, (0, 20), COUNTER, Some(8.0)),
            ("a fall of a gauge", resetting, (0, 20), GAUGE, Some(-2.0)),
        ];
        for (what, samples, range, kind, expected) in cases {
            let found = look(samples, range, |window| change(kind, true, window)).flatten();
            let is_close = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
                (found, expected) => found == expected,
            };
            assert!(is_close, "{what}: {found:?}, not {expected:?}");
        }
    }

    #[test]
    fn anchors_are_the_last_samples_before() {
        let samples = [(0, 9.0), (10, 5.0), (20, 4.0), (30, 6.0)];
        let cases =
            [((10, 30), Some(vec![5.0, 4.0, 6.0])), ((9, 30), Some(vec![9.0, 5.0, 4.0, 6.0])), ((30, 40), None)];
        for (range, expected) in cases {
            let floats = look(&samples, range, |window| anchored(window).map(|window| window.floats.to_vec()));
            assert_eq!(floats.flatten(), expected, "{range:?}");
        }
        let falls =
            look(&samples, (10, 30), |window| anchored(window).map(|window| window.falls.iter().collect::<Vec<_>>()));
        assert_eq!(falls.flatten(), Some(vec![1]), "that of the anchor itself lies before");
    }

    #[test]
    fn the_samples_of_a_range_end_where_it_does() {
        let rising = [(0, 1.0), (10, 2.0), (20, 4.0), (30, 8.0)];
        let found = |range, smoothed| look(&rising, range, |window| samples(smoothed, window)).unwrap();
        assert_eq!(found((5, 25), true), [(5, 1.5), (10, 2.0), (20, 4.0), (25, 6.0)]);
        assert_eq!(found((10, 30), true), [(10, 2.0), (20, 4.0), (30, 8.0)]);
        assert_eq!(found((30, 50), true), []);
        assert_eq!(found((-50, -10), true), [(-50, 1.0), (-10, 1.0)], "as upstream");
    }
}
