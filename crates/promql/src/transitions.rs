//! `changes` and `resets` of samples among which are histograms: neighbours are compared in order of time, whichever
//! kind they are.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::histogram::FloatHistogram;
use crate::start_timestamp::{self, Times};
use crate::window::Window;

/// How often a sample differs from the one before.
pub(crate) fn changes(window: &Window<'_>) -> f64 {
    count(window, |before, after| match (before.value, after.value) {
        (Value::Float(before), Value::Float(after)) => differ(before, after),
        (Value::Histogram(before), Value::Histogram(after)) => !after.is_same(before),
        _ => true,
    })
}

/// Whether a float differs from the one before; NaN equals itself.
pub(crate) fn differ(before: f64, after: f64) -> bool {
    before != after && !(before.is_nan() && after.is_nan())
}

/// How often a counter begins anew. So it does when its kind changes.
pub(crate) fn resets(window: &Window<'_>) -> f64 {
    count(window, |before, after| match (before.value, after.value) {
        (Value::Float(from), Value::Float(to)) => to < from || start_timestamp::is_reset(before.times, after.times),
        (Value::Histogram(from), Value::Histogram(to)) => {
            start_timestamp::is_reset(before.times, after.times) || to.is_reset_after(from)
        }
        _ => true,
    })
}

#[derive(Clone, Copy)]
struct Sample<'a> {
    times: Times,
    value: Value<'a>,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

/// How many pairs of neighbours are such a transition.
fn count(window: &Window<'_>, is_transition: impl Fn(&Sample<'_>, &Sample<'_>) -> bool) -> f64 {
    let (mut float, mut histogram) = (0, 0);
    let mut before: Option<Sample<'_>> = None;
    let mut transitions = 0;
    loop {
        let order = match (window.times.get(float), window.histogram_times.get(histogram)) {
            (Some(float), Some(histogram)) => float.cmp(histogram),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return f64::from(transitions),
        };
        let sample = match order {
            Ordering::Less => {
                let times = Times::of(window.starts, window.times, float);
                float += 1;
                Sample { times, value: Value::Float(window.floats[float - 1]) }
            }
            Ordering::Greater | Ordering::Equal => {
                let times = Times::of(window.histogram_starts, window.histogram_times, histogram);
                histogram += 1;
                Sample { times, value: Value::Histogram(&window.histograms[histogram - 1]) }
            }
        };
        transitions += u32::from(before.is_some_and(|before| is_transition(&before, &sample)));
        before = Some(sample);
    }
}
