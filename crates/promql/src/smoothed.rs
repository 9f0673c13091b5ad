//! `selector smoothed`: at each step the value that the samples around it show: that of a sample taken just then, one
//! between the samples before and after, or else that of the sample before. Both must be within the lookback.

use std::sync::Arc;

use model::ResetHint;

use crate::EvalError;
use crate::column::{Cell, Column};
use crate::extended_histograms::Line;
use crate::extended_range::interpolate;
use crate::grid::Grid;
use crate::histogram::FloatHistogram;
use crate::notes::Notes;
use crate::plan::SmoothedSelector;
use crate::row::{Context, Row, Sink, hold_column};
use crate::window::{SampleSource, Window, WindowBuffer};

impl SmoothedSelector {
    pub(crate) fn evaluate(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let mut selected = context.take_selected(self.selector.selection);
        let mut column = hold_column(context, grid)?;
        let mut buffer = WindowBuffer::default().with_histogram_parts(self.selector.histogram_parts);
        while let Some(series) = selected.next()? {
            context.check_interrupt()?;
            column.clear();
            buffer.reset();
            let notes = Notes { metric: series.labels.metric_name(), place: self.position.into() };
            let mut source = SampleSource::Stored(series.samples);
            self.fill(grid, &mut source, &mut buffer, &notes, context, &mut column)?;
            if column.any_present() {
                sink(context, Row { labels: series.labels, drop_name: false, column: &mut column })?;
            }
        }
        context.budget.release(grid.steps);
        Ok(())
    }

    fn fill(
        &self,
        grid: Grid,
        source: &mut SampleSource,
        buffer: &mut WindowBuffer,
        notes: &Notes<'_>,
        context: &mut Context<'_>,
        column: &mut Column,
    ) -> Result<(), EvalError> {
        let lookback = context.lookback_ms;
        for (step, time) in grid.times().enumerate() {
            let at = self.selector.look.from(time);
            let (start, end) = (at.saturating_sub(lookback), at.saturating_add(lookback));
            context.budget.check(buffer.len())?;
            let Some(window) = buffer.advance(source, start, end, at)? else { continue };
            let cell = match (window.floats.is_empty(), window.histograms.is_empty()) {
                (false, true) => float_at(&window, at).map(Cell::Float),
                (true, false) => histogram_at(&window, at, notes, context).map(Cell::Histogram),
                _ => {
                    notes.mix(context);
                    None
                }
            };
            if let Some(cell) = cell {
                column.set(step, cell);
            }
        }
        Ok(())
    }
}

fn float_at(window: &Window<'_>, at: i64) -> Option<f64> {
    let after = window.times.partition_point(|time| time.0 < at);
    match (after.checked_sub(1), window.times.get(after)) {
        (_, Some(time)) if time.0 == at => Some(window.floats[after]),
        (Some(before), Some(time)) => {
            let times = (window.times[before].0, time.0);
            Some(interpolate(times, (window.floats[before], window.floats[after]), at, false))
        }
        (Some(before), None) => Some(window.floats[before]),
        (None, _) => None,
    }
}

fn histogram_at(
    window: &Window<'_>,
    at: i64,
    notes: &Notes<'_>,
    context: &mut Context<'_>,
) -> Option<Arc<FloatHistogram>> {
    let after = window.histogram_times.partition_point(|time| time.0 < at);
    if window.histogram_times.get(after).is_some_and(|time| time.0 == at) {
        return Some(Arc::clone(&window.histograms[after]));
    }
    let before = after.checked_sub(1)?;
    let from = &window.histograms[before];
    let Some(to) = window.histograms.get(after) else {
        // What the hint says of the sample is not true of one that repeats it.
        return Some(Arc::new(FloatHistogram { reset_hint: ResetHint::Unknown, ..FloatHistogram::clone(from) }));
    };
    let counter = [from, to].iter().any(|sample| sample.reset_hint != ResetHint::Gauge);
    if from.has_custom_buckets() != to.has_custom_buckets() {
        notes.incompatible(context);
        return None;
    }
    let line = Line { times: window.histogram_times, histograms: window.histograms, counter };
    line.between(before, at, notes, context).map(Arc::new)
}
