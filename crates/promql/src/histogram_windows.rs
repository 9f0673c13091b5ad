//! Functions over windows that hold histograms, alone or beside floats. Windows of floats never come here.
//!
//! What a function makes of histograms says [`HistogramUse`]. Rates follow the rules of floats, with these additions: the
//! coarsest resolution of all samples counts, and what is told is told once a window.

use std::sync::Arc;

use model::{ResetHint, TimestampMs};
use promql_syntax::ExtendedRange;

use crate::column::Cell;
use crate::histogram::{Buckets, FloatHistogram};
use crate::histogram_sum::{self, Total};
use crate::notes::{Combining, Notes};
use crate::range_function::{HistogramUse, RangeFunction};
use crate::rate::{RateKind, SampledSpan};
use crate::row::Context;
use crate::start_timestamp::{self, Times};
use crate::window::Window;
use crate::{extended_histograms, extended_range, transitions};

/// The result for a window of the range.
pub(crate) fn evaluate(
    function: RangeFunction,
    extended: Option<ExtendedRange>,
    window: &Window<'_>,
    arguments: &[f64],
    scratch: &mut Vec<f64>,
    notes: &Notes<'_>,
    context: &mut Context<'_>,
) -> Option<Cell> {
    let is_mixed = !window.floats.is_empty();
    match function.histogram_use() {
        HistogramUse::Taken => function.evaluate(window, arguments, scratch),
        HistogramUse::Ignored => {
            if is_mixed {
                notes.histograms_ignored(context);
            }
            function.evaluate(window, arguments, scratch)
        }
        HistogramUse::Exclusive if is_mixed => {
            notes.mix(context);
            None
        }
        HistogramUse::Exclusive => of_histograms(function, extended, window, notes, context),
        HistogramUse::ExclusiveLastTwo => match newest_two(window) {
            _ if window.floats.len() + window.histograms.len() < 2 => None,
            0 => function.evaluate(window, arguments, scratch),
            1 => {
                notes.mix(context);
                None
            }
            _ => instant(function == RangeFunction::InstantRate, window, notes, context).map(histogram),
        },
        HistogramUse::Computed => {
            let anchored = match extended {
                Some(_) => extended_range::anchored(window),
                None => Some(*window),
            };
            anchored.map(|window| match function {
                RangeFunction::Changes => Cell::Float(transitions::changes(&window)),
                _ => Cell::Float(transitions::resets(&window)),
            })
        }
    }
}

fn of_histograms(
    function: RangeFunction,
    extended: Option<ExtendedRange>,
    window: &Window<'_>,
    notes: &Notes<'_>,
    context: &mut Context<'_>,
) -> Option<Cell> {
    let result = match (function, extended) {
        (RangeFunction::Rate(kind), None) => extrapolated(kind, window, notes, context),
        (RangeFunction::Rate(kind), Some(extended)) => {
            extended_histograms::change(kind, extended == ExtendedRange::Smoothed, window, notes, context)
        }
        _ => {
            let total = if function == RangeFunction::Sum { Total::Sum } else { Total::Average };
            histogram_sum::over_time(total, window.histograms, notes, context)
        }
    };
    result.map(histogram)
}

fn histogram(histogram: FloatHistogram) -> Cell {
    Cell::Histogram(Arc::new(histogram))
}

/// The change over the window, extrapolated to its ends.
fn extrapolated(
    kind: RateKind,
    window: &Window<'_>,
    notes: &Notes<'_>,
    context: &mut Context<'_>,
) -> Option<FloatHistogram> {
    let span = SampledSpan::of(kind, window, window.histogram_times, window.histogram_starts)?;
    let first = &window.histograms[0];
    let mut result = match window.histograms.len() {
        1 => FloatHistogram::clone(first),
        _ => {
            let mut result = change(kind.counter, window, notes, context)?;
            if span.from_zero {
                notes.combine(Combining::Addition, &mut result, first, context)?;
            }
            result
        }
    };
    let has_share = kind.counter && result.count > 0.0 && first.count >= 0.0;
    let first_share = has_share.then(|| first.count / result.count);
    result.multiply(span.factor(kind, window, first_share));
    Some(result)
}

/// The last histogram without the first; of a counter, with what it lost by resets added. There are two at least.
fn change(counter: bool, window: &Window<'_>, notes: &Notes<'_>, context: &mut Context<'_>) -> Option<FloatHistogram> {
    let (first, last) = (&window.histograms[0], &window.histograms[window.histograms.len() - 1]);
    let is_gauge = |histogram: &FloatHistogram| histogram.reset_hint == ResetHint::Gauge;
    if counter && (is_gauge(first) || is_gauge(last)) {
        notes.not_a_counter(context);
    }
    // After a reset nothing of the first one matters, not even its buckets.
    let second = &window.histograms[1];
    let skips_first = counter && begins_anew(window, 1, first);
    let empty;
    let from: &FloatHistogram = match skips_first {
        true => {
            empty = zero_of(second);
            &empty
        }
        false => first,
    };
    let custom = from.has_custom_buckets();
    if last.has_custom_buckets() != custom {
        notes.incompatible(context);
        return None;
    }
    let mut schema = last.schema.min(from.schema);
    if counter {
        for between in &window.histograms[1..window.histograms.len() - 1] {
            if is_gauge(between) {
                notes.not_a_counter(context);
            }
            schema = schema.min(between.schema);
            if between.has_custom_buckets() != custom {
                notes.incompatible(context);
                return None;
            }
        }
    }
    let mut change = FloatHistogram::clone(last);
    change.reduce_resolution(schema);
    notes.combine(Combining::Subtraction, &mut change, from, context)?;
    if counter {
        add_what_was_lost(&mut change, from, window, notes, context)?;
    } else if !is_gauge(first) || !is_gauge(last) {
        notes.not_a_gauge(context);
    }
    change.reset_hint = ResetHint::Gauge;
    change.compact();
    Some(change)
}

/// No observations, in buckets of the same kind.
fn zero_of(histogram: &FloatHistogram) -> FloatHistogram {
    FloatHistogram {
        reset_hint: ResetHint::Unknown,
        schema: histogram.schema,
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: 0.0,
        sum: 0.0,
        positive: Buckets::default(),
        negative: Buckets::default(),
        custom_values: histogram.custom_values.clone(),
    }
}

/// Adds what a counter had counted before each of its resets; `from` stands for the first sample.
fn add_what_was_lost(
    change: &mut FloatHistogram,
    from: &FloatHistogram,
    window: &Window<'_>,
    notes: &Notes<'_>,
    context: &mut Context<'_>,
) -> Option<()> {
    let mut before = from;
    let mut overlaps = false;
    for (index, histogram) in window.histograms.iter().enumerate().skip(1) {
        let (times_before, times) = (times(window, index - 1), times(window, index));
        overlaps |= start_timestamp::overlaps(times_before, times);
        if begins_anew(window, index, before) {
            notes.combine(Combining::Addition, change, before, context)?;
        }
        before = histogram;
    }
    if overlaps {
        notes.overlap(context);
    }
    Some(())
}

/// Whether the counter was reset between a histogram of the window and the one `before` it.
fn begins_anew(window: &Window<'_>, index: usize, before: &FloatHistogram) -> bool {
    start_timestamp::is_reset(times(window, index - 1), times(window, index))
        || window.histograms[index].is_reset_after(before)
}

fn times(window: &Window<'_>, index: usize) -> Times {
    Times::of(window.histogram_starts, window.histogram_times, index)
}

/// The change between the last two histograms, for counters by second.
fn instant(
    counter_per_second: bool,
    window: &Window<'_>,
    notes: &Notes<'_>,
    context: &mut Context<'_>,
) -> Option<FloatHistogram> {
    let count = window.histograms.len();
    let [.., before, last] = window.histograms else { return None };
    let are_gauges = [before, last].map(|histogram| histogram.reset_hint == ResetHint::Gauge);
    match counter_per_second {
        true if are_gauges.contains(&true) => notes.not_a_counter(context),
        false if are_gauges.contains(&false) => notes.not_a_gauge(context),
        _ => {}
    }
    let mut result = FloatHistogram::clone(last);
    if !counter_per_second || !begins_anew(window, count - 1, before) {
        notes.combine(Combining::Subtraction, &mut result, before, context)?;
    }
    result.reset_hint = ResetHint::Gauge;
    result.compact();
    if counter_per_second {
        let distance = window.histogram_times[count - 1].since(window.histogram_times[count - 2]);
        result.divide(distance as f64 / 1000.0);
    }
    Some(result)
}

/// How many of the newest two samples are histograms.
fn newest_two(window: &Window<'_>) -> usize {
    let later_floats = |at: &TimestampMs| window.times.len() - window.times.partition_point(|time| time <= at);
    let newest = window.histogram_times.iter().rev().take(2).enumerate();
    newest.filter(|(histograms, at)| histograms + later_floats(at) < 2).count()
}
