//! Histograms in ranges that are `anchored` or `smoothed`, and between samples: as floats in `extended_range`.

use std::sync::Arc;

use model::{ResetHint, TimestampMs};

use crate::extended_range::outer_samples;
use crate::histogram::FloatHistogram;
use crate::notes::{Combining, Notes};
use crate::rate::RateKind;
use crate::row::Context;
use crate::window::Window;

/// The change over a range, from end to end; of a counter, with what it lost by resets added.
pub(crate) fn change(
    kind: RateKind,
    smoothed: bool,
    window: &Window<'_>,
    notes: &Notes<'_>,
    context: &mut Context<'_>,
) -> Option<FloatHistogram> {
    let (first, last) = outer_samples(window.histogram_times, window, smoothed)?;
    if smoothed && window.histogram_times[first].0 > window.end {
        return None;
    }
    check_kind(kind, &window.histograms[first..=last], notes, context)?;
    let line = Line { times: window.histogram_times, histograms: window.histograms, counter: kind.counter };
    let left = match smoothed && line.times[first].0 < window.start {
        true => line.between(first, window.start, notes, context)?,
        false => FloatHistogram::clone(&line.histograms[first]),
    };
    let right = match smoothed && last > 0 && line.times[last].0 > window.end {
        true => line.between(last - 1, window.end, notes, context)?,
        false => FloatHistogram::clone(&line.histograms[last]),
    };
    if !kind.counter && [&left, &right].iter().any(|end| end.reset_hint != ResetHint::Gauge) {
        notes.not_a_gauge(context);
    }
    let mut change = right.clone();
    notes.combine(Combining::Subtraction, &mut change, &left, context)?;
    if kind.counter {
        // A reset before the first sample inside is in the left end already, when that lies between samples.
        let is_spanned = smoothed
            && line.times[first].0 < window.start
            && line.histograms[first + 1].is_reset_after(&line.histograms[first]);
        let anchor = if is_spanned { first + 1 } else { first };
        let before = if is_spanned { &*line.histograms[anchor] } else { &left };
        if anchor < last {
            let inside = &line.histograms[anchor + 1..last];
            if let Some(lost) = lost_by_resets(before, inside, &right, notes, context)? {
                notes.combine(Combining::Addition, &mut change, &lost, context)?;
            }
        }
    }
    if kind.per_second {
        change.divide((window.end - window.start) as f64 / 1000.0);
    }
    change.reset_hint = ResetHint::Gauge;
    change.compact();
    Some(change)
}

/// `None` for a mix of bucket kinds; a gauge among what should be counters is told.
fn check_kind(
    kind: RateKind,
    histograms: &[Arc<FloatHistogram>],
    notes: &Notes<'_>,
    context: &mut Context<'_>,
) -> Option<()> {
    let custom = histograms.first()?.has_custom_buckets();
    for histogram in histograms {
        if histogram.has_custom_buckets() != custom {
            notes.incompatible(context);
            return None;
        }
        if kind.counter && histogram.reset_hint == ResetHint::Gauge {
            notes.not_a_counter(context);
        }
    }
    Some(())
}

/// What a counter had counted before each of its resets after `before`, which stands for the samples up to `inside`.
/// `None` when histograms do not go together.
fn lost_by_resets<'h>(
    before: &'h FloatHistogram,
    inside: &'h [Arc<FloatHistogram>],
    right: &'h FloatHistogram,
    notes: &Notes<'_>,
    context: &mut Context<'_>,
) -> Option<Option<FloatHistogram>> {
    let mut lost: Option<FloatHistogram> = None;
    let mut before = before;
    for histogram in inside.iter().map(|histogram| &**histogram).chain([right]) {
        if histogram.is_reset_after(before) {
            match &mut lost {
                None => lost = Some(before.clone()),
                Some(lost) => notes.combine(Combining::Addition, lost, before, context)?,
            }
        }
        before = histogram;
    }
    Some(lost)
}

/// The samples of a series, with straight lines between them.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) times: &'a [TimestampMs],
    pub(crate) histograms: &'a [Arc<FloatHistogram>],
    /// A reset between two samples is a count from zero.
    pub(crate) counter: bool,
}

impl Line<'_> {
    /// The histogram at a time between the sample `before` and the next one. `None` when they do not go together.
    pub(crate) fn between(
        self,
        before: usize,
        at: i64,
        notes: &Notes<'_>,
        context: &mut Context<'_>,
    ) -> Option<FloatHistogram> {
        let (from, to) = (&self.histograms[before], &self.histograms[before + 1]);
        let (from_time, to_time) = (self.times[before].0, self.times[before + 1].0);
        if at == from_time {
            return Some(FloatHistogram::clone(from));
        }
        let mut result = FloatHistogram::clone(to);
        if at == to_time {
            return Some(result);
        }
        let part = (at - from_time) as f64 / (to_time - from_time) as f64;
        if self.counter && to.is_reset_after(from) {
            result.multiply(part);
            return Some(result);
        }
        notes.combine(Combining::Subtraction, &mut result, from, context)?;
        result.multiply(part);
        notes.combine(Combining::Addition, &mut result, from, context)?;
        Some(result)
    }
}
