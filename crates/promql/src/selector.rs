//! Instant vector selectors: at each step a series' newest sample, if it is not too old and no staleness marker.

use std::sync::Arc;

use model::{TimestampMs, is_stale_nan};
use storage::{Batch, QueryError, SampleIterator, Series};

use crate::EvalError;
use crate::column::{Cell, Column};
use crate::grid::Grid;
use crate::histogram::FloatHistogram;
use crate::histogram_reader::{HistogramParts, HistogramReader};
use crate::plan::InstantSelector;
use crate::row::{Context, Sink};
use crate::selected_rows::{SeriesState, each_row};

/// What a selector gives of a sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gives {
    Value,
    /// The sample's time, in seconds.
    Time,
    /// The sample's start timestamp, in seconds; 0 when it is not known.
    StartTime,
    /// A float's time, in milliseconds; a histogram as it is.
    TimeOfFloat,
}

impl InstantSelector {
    pub(crate) fn evaluate(
        self,
        gives: Gives,
        grid: Grid,
        context: &mut Context<'_>,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let compute = |context: &mut Context<'_>, cursor: &mut Cursor, mut series: Series, column: &mut Column| {
            cursor.reset();
            let any = self.fill(gives, grid, context.lookback_ms, series.samples.as_mut(), cursor, column)?;
            Ok(any.then(|| match gives {
                Gives::Value | Gives::TimeOfFloat => (series.labels, false),
                Gives::Time | Gives::StartTime => (context.computed_labels(&series.labels), true),
            }))
        };
        let lookback_ms = context.lookback_ms;
        let cursor = || Cursor::new(self.histogram_parts, lookback_ms);
        each_row(self.selection, grid, context, &cursor, &compute, sink)
    }

    /// Fills a column from one series; says whether there is any value.
    pub(crate) fn fill(
        &self,
        gives: Gives,
        grid: Grid,
        lookback_ms: i64,
        samples: &mut dyn SampleIterator,
        cursor: &mut Cursor,
        column: &mut Column,
    ) -> Result<bool, QueryError> {
        let (done, mut any) = match gives {
            Gives::Value => self.fill_floats(grid, lookback_ms, samples, cursor, column)?,
            Gives::Time | Gives::StartTime | Gives::TimeOfFloat => (0, false),
        };
        for step in done..grid.steps {
            let until = self.look.from(grid.time(step));
            cursor.seek(samples, until)?;
            let Some((taken, value)) = &cursor.newest else { continue };
            if *taken <= until.saturating_sub(lookback_ms) {
                continue;
            }
            let cell = match (value, gives) {
                (Newest::Stale, _) => continue,
                (_, Gives::Time) => Cell::Float(*taken as f64 / 1000.0),
                (_, Gives::StartTime) => Cell::Float(cursor.newest_start.0 as f64 / 1000.0),
                (Newest::Float(value), Gives::Value) => Cell::Float(*value),
                (Newest::Float(_), Gives::TimeOfFloat) => Cell::Float(*taken as f64),
                (Newest::Histogram(histogram), Gives::Value | Gives::TimeOfFloat) => {
                    Cell::Histogram(Arc::clone(histogram))
                }
            };
            column.set(step, cell);
            any = true;
        }
        Ok(any)
    }
}

impl InstantSelector {
    /// Fills steps from a series' floats: the way of nearly all series, without a look at what histograms need. Says how
    /// many steps are done, and whether any has a value; the cursor goes on from there.
    fn fill_floats(
        &self,
        grid: Grid,
        lookback_ms: i64,
        samples: &mut dyn SampleIterator,
        cursor: &mut Cursor,
        column: &mut Column,
    ) -> Result<(usize, bool), QueryError> {
        let slots = column.floats_mut();
        let (mut step, mut any) = (0, false);
        let mut newest = None;
        while cursor.read(samples)? && cursor.batch.histograms.is_empty() {
            let Batch { timestamps: times, floats, .. } = &cursor.batch;
            let mut next = 0;
            while step < grid.steps {
                let until = self.look.from(grid.time(step));
                while next < times.len() && times[next].0 <= until {
                    next += 1;
                }
                if next == times.len() {
                    // The next batch may have a newer one.
                    break;
                }
                if next > 0 {
                    newest = Some((times[next - 1].0, floats[next - 1]));
                }
                any |= fill_slot(&mut slots[step], newest, until.saturating_sub(lookback_ms));
                step += 1;
            }
            if step == grid.steps {
                return Ok((step, any));
            }
            newest = Some((times[next - 1].0, floats[next - 1]));
        }
        if cursor.exhausted {
            while step < grid.steps {
                let until = self.look.from(grid.time(step));
                any |= fill_slot(&mut slots[step], newest, until.saturating_sub(lookback_ms));
                step += 1;
            }
        }
        cursor.newest = newest.map(|(taken, value)| (taken, Newest::of_float(value)));
        cursor.passed_until = if step > 0 { self.look.from(grid.time(step - 1)) } else { i64::MIN };
        Ok((step, any))
    }
}

/// The newest float, if it was taken after `too_old` and is no staleness marker.
#[inline]
fn fill_slot(slot: &mut f64, newest: Option<(i64, f64)>, too_old: i64) -> bool {
    match newest {
        Some((taken, value)) if taken > too_old && !is_stale_nan(value) => {
            *slot = if value.is_nan() { f64::NAN } else { value };
            true
        }
        _ => false,
    }
}

/// Walks over the samples of one series; reused for the next.
#[derive(Default)]
pub(crate) struct Cursor {
    batch: Batch,
    /// The first sample in `batch` that was not passed yet.
    next: usize,
    /// The last sample passed, with its time.
    newest: Option<(i64, Newest)>,
    newest_start: TimestampMs,
    exhausted: bool,
    reader: HistogramReader,
    lookback_ms: i64,
    /// Up to where samples were passed.
    passed_until: i64,
    samples_read: usize,
}

impl SeriesState for Cursor {
    fn work(&self) -> usize {
        self.samples_read
    }
}

enum Newest {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
    Stale,
}

impl Newest {
    fn of_float(value: f64) -> Self {
        if is_stale_nan(value) { Self::Stale } else { Self::Float(value) }
    }
}

impl Cursor {
    pub(crate) fn new(parts: HistogramParts, lookback_ms: i64) -> Self {
        Self { reader: HistogramReader::new(parts), lookback_ms, passed_until: i64::MIN, ..Self::default() }
    }

    pub(crate) fn reset(&mut self) {
        self.batch.clear();
        self.next = 0;
        self.newest = None;
        self.exhausted = false;
        self.reader.forget();
        self.passed_until = i64::MIN;
    }

    /// Reads the next batch; `false` at the end.
    fn read(&mut self, samples: &mut dyn SampleIterator) -> Result<bool, QueryError> {
        self.next = 0;
        if !samples.next_batch(&mut self.batch)? {
            self.exhausted = true;
            self.batch.clear();
        }
        self.samples_read += self.batch.len();
        Ok(!self.exhausted)
    }

    /// Passes all samples up to `until`, which rises from call to call.
    fn seek(&mut self, samples: &mut dyn SampleIterator, until: i64) -> Result<(), QueryError> {
        loop {
            let times = &self.batch.timestamps;
            let from = self.next;
            while self.next < times.len() && times[self.next].0 <= until {
                self.next += 1;
            }
            if self.next > from {
                if self.reader.reads_all() {
                    self.read_before(from, until);
                }
                self.newest = Some(self.passed(self.next - 1));
                let start = self.batch.start_timestamps.get(self.next - 1);
                self.newest_start = start.copied().unwrap_or(Batch::START_UNKNOWN);
            }
            if self.next < self.batch.len() || self.exhausted {
                self.passed_until = until;
                return Ok(());
            }
            self.read(samples)?;
        }
    }

    /// Reads the samples before the last one passed, for what they tell about it. Those of an earlier lookback window tell
    /// nothing.
    fn read_before(&mut self, from: usize, until: i64) {
        let known_from = until.saturating_sub(self.lookback_ms);
        if self.newest.as_ref().is_some_and(|(taken, _)| *taken < known_from && *taken >= self.passed_until) {
            self.reader.forget();
        }
        for index in from..self.next - 1 {
            let is_left_out = self.batch.timestamps[index].0 < known_from;
            match self.batch.histograms.get(index) {
                Some(histogram) if !is_left_out && !histogram.is_stale() => drop(self.reader.read(histogram)),
                _ if is_left_out => self.reader.forget(),
                _ => {}
            }
        }
    }

    fn passed(&mut self, index: usize) -> (i64, Newest) {
        let value = match self.batch.histograms.get(index) {
            Some(histogram) if histogram.is_stale() => Newest::Stale,
            Some(histogram) => Newest::Histogram(self.reader.read(histogram)),
            None => Newest::of_float(self.batch.floats[index]),
        };
        (self.batch.timestamps[index].0, value)
    }
}
