//! Change over a range: `rate`, `increase`, `delta` extrapolate to the whole range; `irate`, `idelta` look at the last
//! two samples.

use model::TimestampMs;
use storage::Batch;

use crate::window::Window;

/// What is asked about a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RateKind {
    /// A fall is a reset to zero, not a change.
    pub(crate) counter: bool,
    /// Per second rather than over the range.
    pub(crate) per_second: bool,
}

/// The change over the window, extrapolated to its ends; `None` for too few samples.
pub(crate) fn extrapolated(kind: RateKind, window: &Window<'_>) -> Option<f64> {
    let span = SampledSpan::of(kind, window, window.times, window.starts)?;
    let (first, last) = (window.floats[0], window.floats[window.floats.len() - 1]);
    let mut change = last - first;
    if kind.counter {
        for fall in window.falls.iter() {
            change += window.floats[fall - 1];
        }
    }
    if span.from_zero {
        change += first;
    }
    let first_share = (kind.counter && change > 0.0 && first >= 0.0).then(|| first / change);
    Some(change * span.factor(kind, window, first_share))
}

/// The part of a window over which a change was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampledSpan {
    start: i64,
    end: i64,
    /// Average distance of the samples, seconds; 0 for one sample.
    distance: f64,
    /// The counter is known to have started inside the window, at zero: the change goes from there.
    pub(crate) from_zero: bool,
}

impl SampledSpan {
    /// From the samples' times and start timestamps. `None` when they show no change: two are needed, or one and the zero
    /// that it started from.
    #[inline]
    pub(crate) fn of(
        kind: RateKind,
        window: &Window<'_>,
        times: &[TimestampMs],
        starts: &[TimestampMs],
    ) -> Option<Self> {
        let (first, last) = (times.first()?.0, times[times.len() - 1].0);
        // A start at the end that is not in the window would be a zero outside of it.
        let known = starts.first().filter(|start| kind.counter && **start != Batch::START_UNKNOWN);
        let zero = known.map(|start| start.0).filter(|start| window.start < *start && *start < first);
        if times.len() == 1 && zero.is_none() {
            return None;
        }
        let distance = if times.len() > 1 { seconds(first, last) / (times.len() - 1) as f64 } else { 0.0 };
        Some(Self { start: zero.unwrap_or(first), end: last, distance, from_zero: zero.is_some() })
    }

    /// What to multiply the change with.
    ///
    /// An end of the window is reached when the outermost sample lies within 1.1 average distances of it: then one more
    /// sample would be expected there. Otherwise the series is taken to start (end) half a distance further. A counter never
    /// reaches below 0, which is known from the share that the first sample has in the change.
    #[inline]
    pub(crate) fn factor(&self, kind: RateKind, window: &Window<'_>, first_share: Option<f64>) -> f64 {
        let distance = self.distance;
        let reach = |to_end: f64| if to_end >= distance * REACH { distance / 2.0 } else { to_end };
        let sampled = seconds(self.start, self.end);
        let mut to_start = 0.0;
        if !self.from_zero {
            to_start = reach(seconds(window.start, self.start));
            if let Some(share) = first_share {
                let to_zero = sampled * share;
                if to_zero < to_start {
                    to_start = to_zero;
                }
            }
        }
        let to_end = reach(seconds(self.end, window.end));
        let mut factor = (sampled + to_start + to_end) / sampled;
        if kind.per_second {
            factor /= seconds(window.start, window.end);
        }
        factor
    }
}

#[inline]
fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    (to_ms - from_ms) as f64 / 1000.0
}

/// The change between the last two samples; `None` below two.
pub(crate) fn instant(counter_per_second: bool, window: &Window<'_>) -> Option<f64> {
    let [.., before, last] = *window.floats else { return None };
    let count = window.times.len();
    let distance = seconds(window.times[count - 2].0, window.times[count - 1].0);
    let reset = counter_per_second && window.falls.last() == Some(count - 1);
    let change = if reset { last } else { last - before };
    Some(if counter_per_second { change / distance } else { change })
}

/// Average distances between samples within which the end of a range counts as covered.
const REACH: f64 = 1.1;
