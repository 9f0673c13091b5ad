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
    let mut change = seen(kind, window);
    let first = window.floats[0];
    if span.from_zero {
        change += first;
    }
    let first_share = (kind.counter && change > 0.0 && first >= 0.0).then(|| first / change);
    Some(change * span.factor(kind, window, first_share))
}

/// The change from the first sample to the last.
#[inline]
pub(crate) fn seen(kind: RateKind, window: &Window<'_>) -> f64 {
    let (first, last) = (window.floats[0], window.floats[window.floats.len() - 1]);
    let mut change = last - first;
    if kind.counter {
        for fall in window.falls.iter() {
            change += window.floats[fall - 1];
        }
    }
    change
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

    /// What to multiply the change with. A counter never reaches below 0, which is known from the share that the first
    /// sample has in the change.
    #[inline]
    pub(crate) fn factor(&self, kind: RateKind, window: &Window<'_>, first_share: Option<f64>) -> f64 {
        let mut reach = self.reach(window);
        if let Some(share) = first_share.filter(|_| !self.from_zero) {
            reach.stay_above_zero(share);
        }
        reach.factor(kind)
    }

    /// How far the change is taken to reach.
    ///
    /// An end of the window is reached when the outermost sample lies within 1.1 average distances of it: then one more
    /// sample would be expected there. Otherwise the series is taken to start (end) half a distance further.
    #[inline]
    pub(crate) fn reach(&self, window: &Window<'_>) -> Reach {
        let distance = self.distance;
        let reach = |to_end: f64| if to_end >= distance * REACH { distance / 2.0 } else { to_end };
        Reach {
            sampled: seconds(self.start, self.end),
            to_start: if self.from_zero { 0.0 } else { reach(seconds(window.start, self.start)) },
            to_end: reach(seconds(self.end, window.end)),
            range: seconds(window.start, window.end),
        }
    }
}

/// A change's part of the window, and what is added to it at both ends; seconds.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Reach {
    sampled: f64,
    to_start: f64,
    to_end: f64,
    range: f64,
}

impl Reach {
    /// No further to the start than to where a counter was 0, if it grew evenly: its first sample is `first_share` times the
    /// change.
    #[inline]
    pub(crate) fn stay_above_zero(&mut self, first_share: f64) {
        let to_zero = self.sampled * first_share;
        if to_zero < self.to_start {
            self.to_start = to_zero;
        }
    }

    /// What to multiply the change with.
    #[inline]
    pub(crate) fn factor(&self, kind: RateKind) -> f64 {
        let factor = (self.sampled + self.to_start + self.to_end) / self.sampled;
        if kind.per_second { factor / self.range } else { factor }
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
