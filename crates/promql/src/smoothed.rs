//! `selector smoothed`: at each step the value that the samples around it show: that of a sample taken just then, one
//! between the samples before and after, or else that of the sample before. Both must be within the lookback.

use crate::EvalError;
use crate::column::{Cell, Column};
use crate::extended_range::interpolate;
use crate::grid::Grid;
use crate::over_range::Notes;
use crate::plan::SmoothedSelector;
use crate::row::{Context, Row, Sink, hold_column};
use crate::window::{SampleSource, Window, WindowBuffer};

impl SmoothedSelector {
    pub(crate) fn evaluate(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let mut selected = context.take_selected(self.selector.selection);
        let mut column = hold_column(context, grid)?;
        let mut buffer = WindowBuffer::default();
        while let Some(series) = selected.next()? {
            context.check_interrupt()?;
            column.clear();
            buffer.reset();
            let notes = Notes { name: "", metric: series.labels.metric_name(), position: self.position };
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
                (true, false) => return Err(EvalError::NotYetSupported("smoothed native histograms".into())),
                _ => {
                    notes.warn_of_mix(context);
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
