//! Change over a range: `rate`, `increase`, `delta` extrapolate to the whole range; `irate`, `idelta` look at the last
//! two samples.

use crate::window::Window;

/// What is asked about a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RateKind {
    /// A fall is a reset to zero, not a change.
    pub(crate) counter: bool,
    /// Per second rather than over the range.
    pub(crate) per_second: bool,
}

/// The change over the window, extrapolated to its ends; `None` below two samples.
///
/// An end is reached when the outermost sample lies within 1.1 average distances of it: then one more sample would be
/// expected there. Otherwise the series is taken to start (end) half a distance further. A counter never reaches below 0.
pub(crate) fn extrapolated(kind: RateKind, window: &Window<'_>) -> Option<f64> {
    let [first, .., last] = *window.floats else { return None };
    let (first_time, last_time) = (window.times[0].0, window.times[window.times.len() - 1].0);
    let mut change = last - first;
    if kind.counter {
        for fall in window.falls.iter() {
            change += window.floats[fall - 1];
        }
    }
    let sampled = (last_time - first_time) as f64 / 1000.0;
    let distance = sampled / (window.floats.len() - 1) as f64;
    let reach = |to_end: f64| if to_end >= distance * REACH { distance / 2.0 } else { to_end };
    let mut to_start = reach((first_time - window.start) as f64 / 1000.0);
    let to_end = reach((window.end - last_time) as f64 / 1000.0);
    if kind.counter && change > 0.0 && first >= 0.0 {
        let to_zero = sampled * (first / change);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if kind.per_second {
        factor /= (window.end - window.start) as f64 / 1000.0;
    }
    Some(change * factor)
}

/// The change between the last two samples; `None` below two.
pub(crate) fn instant(counter_per_second: bool, window: &Window<'_>) -> Option<f64> {
    let [.., before, last] = *window.floats else { return None };
    let count = window.times.len();
    let distance = (window.times[count - 1].0 - window.times[count - 2].0) as f64 / 1000.0;
    let reset = counter_per_second && last < before;
    let change = if reset { last } else { last - before };
    Some(if counter_per_second { change / distance } else { change })
}

/// Average distances between samples within which the end of a range counts as covered.
const REACH: f64 = 1.1;
