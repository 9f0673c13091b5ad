//! A window sliding over the samples of one series.
//!
//! Samples are read in batches and kept only as long as the window needs them. Windows never go back: both ends only
//! rise from call to call. Staleness markers are left out on the way in: ranges skip them. Start timestamps are kept for
//! those who ask for them, of series that have any.

mod sought;

use std::sync::Arc;

use model::{ResetHint, TimestampMs, is_stale_nan};
use storage::{Batch, QueryError, SampleIterator};

use crate::column::{Cell, Run};
use crate::float_windows::FloatSeries;
use crate::grid::Grid;
use crate::histogram::FloatHistogram;
use crate::histogram_reader::{HistogramParts, HistogramReader};
use crate::start_timestamp::{self, Times};
use sought::Sought;

/// Where the samples of one series come from.
pub(crate) enum SampleSource {
    Stored(Box<dyn SampleIterator>),
    Subquery(SubqueryPoints),
}

impl SampleSource {
    /// Replaces `batch` by the next samples, of one kind; `false` at the end.
    fn next(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        match self {
            Self::Stored(samples) => samples.next_batch(batch),
            Self::Subquery(points) => Ok(points.next(batch)),
        }
    }
}

/// The results of a subquery's inner expression for one series, at the subquery's own times.
pub(crate) struct SubqueryPoints {
    grid: Grid,
    run: Run,
    /// How many slots of the run were looked at already.
    given: usize,
}

impl SubqueryPoints {
    pub(crate) fn new(grid: Grid, run: Run) -> Self {
        Self { grid, run, given: 0 }
    }

    fn next(&mut self, batch: &mut Batch) -> bool {
        batch.clear();
        while let Some((step, cell)) = self.run.slot(self.given) {
            let time = TimestampMs(self.grid.time(step));
            match cell {
                None => {}
                Some(Cell::Float(value)) if batch.histograms.is_empty() => {
                    batch.timestamps.push(time);
                    batch.floats.push(value);
                }
                Some(Cell::Histogram(histogram)) if batch.floats.is_empty() => {
                    batch.timestamps.push(time);
                    let mut histogram = histogram.to_native();
                    // It spoke of the sample before in storage; here another one stands before it, or the same again.
                    if matches!(histogram.reset_hint, ResetHint::Reset | ResetHint::NotReset) {
                        histogram.reset_hint = ResetHint::Unknown;
                    }
                    batch.histograms.push(Arc::new(histogram));
                }
                // The other kind starts the next batch.
                Some(_) => break,
            }
            self.given += 1;
        }
        !batch.is_empty()
    }
}

/// The samples inside one window, oldest first. Not empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    /// Times of the floats.
    pub(crate) times: &'a [TimestampMs],
    /// The floats.
    pub(crate) floats: &'a [f64],
    /// Times of the histograms.
    pub(crate) histogram_times: &'a [TimestampMs],
    /// The histograms.
    pub(crate) histograms: &'a [Arc<FloatHistogram>],
    /// Start timestamps of the floats; empty when none is known or looked at.
    pub(crate) starts: &'a [TimestampMs],
    /// Start timestamps of the histograms; empty when none is known or looked at.
    pub(crate) histogram_starts: &'a [TimestampMs],
    /// Which floats (from 1 on) are the first after a reset of the counter: lower than the one before, or of another
    /// start if that is looked at.
    pub(crate) falls: Falls<'a>,
    /// Whether a float starts inside what the one before counted.
    pub(crate) overlaps: bool,
    /// The window's open left end.
    pub(crate) start: i64,
    /// The window's closed right end.
    pub(crate) end: i64,
    /// The time of evaluation.
    pub(crate) at: i64,
}

impl Window<'static> {
    /// Without samples.
    pub(crate) const EMPTY: Self = Self {
        times: &[],
        floats: &[],
        histogram_times: &[],
        histograms: &[],
        starts: &[],
        histogram_starts: &[],
        falls: Falls { places: &[], base: 0 },
        overlaps: false,
        start: 0,
        end: 0,
        at: 0,
    };
}

impl<'a> Window<'a> {
    /// Without the first `floats` and the first `histograms`.
    pub(crate) fn skip(&self, floats: usize, histograms: usize) -> Self {
        fn rest<T>(values: &[T], from: usize) -> &[T] {
            values.get(from..).unwrap_or_default()
        }
        Self {
            times: rest(self.times, floats),
            floats: rest(self.floats, floats),
            starts: rest(self.starts, floats),
            falls: self.falls.after(floats),
            histogram_times: rest(self.histogram_times, histograms),
            histograms: rest(self.histograms, histograms),
            histogram_starts: rest(self.histogram_starts, histograms),
            ..*self
        }
    }

    /// All samples: floats, then histograms.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (i64, Cell)> + '_ {
        let floats = self.times.iter().zip(self.floats).map(|(time, value)| (time.0, Cell::Float(*value)));
        let histograms = self.histogram_times.iter().zip(self.histograms);
        floats.chain(histograms.map(|(time, histogram)| (time.0, Cell::Histogram(Arc::clone(histogram)))))
    }
}

/// Places where a value is lower than the one before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Falls<'a> {
    places: &'a [usize],
    base: usize,
}

impl<'a> Falls<'a> {
    /// Some places in a series, for a window that starts with its value `base`.
    #[inline]
    pub(crate) fn new(places: &'a [usize], base: usize) -> Self {
        Self { places, base }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.iter().map(|place| place - self.base)
    }

    #[inline]
    pub(crate) fn last(&self) -> Option<usize> {
        self.places.last().map(|place| place - self.base)
    }

    /// Those after the float `index`, for a window that starts with it.
    pub(crate) fn after(self, index: usize) -> Self {
        let base = self.base + index;
        Self { places: &self.places[self.places.partition_point(|place| *place <= base)..], base }
    }
}

/// Slides over one series; reused for the next.
#[derive(Default)]
pub(crate) struct WindowBuffer {
    floats: Lane<f64>,
    histograms: Lane<Arc<FloatHistogram>>,
    reader: HistogramReader,
    /// Only where the reader reads all.
    sought: Sought,
    /// What histograms take beyond a sample each.
    histogram_samples: usize,
    /// Floats that begin a counter anew.
    falls: Places,
    /// Floats whose start lies before the float before.
    overlaps: Places,
    with_starts: bool,
    /// Nobody looks at `falls`.
    without_falls: bool,
    loaded_until: Option<i64>,
    exhausted: bool,
    batch: Batch,
    samples_read: usize,
}

/// Samples of one kind; the window is `first..end`, what follows was read ahead.
struct Lane<T> {
    times: Vec<TimestampMs>,
    values: Vec<T>,
    /// As long as `times`, or empty while none is known.
    starts: Vec<TimestampMs>,
    first: usize,
    end: usize,
}

/// Indices into a lane, rising, and which of them have a neighbour before them in the window.
#[derive(Default)]
struct Places {
    all: Vec<usize>,
    first: usize,
    end: usize,
}

impl Places {
    fn clear(&mut self) {
        self.all.clear();
        (self.first, self.end) = (0, 0);
    }

    #[inline]
    fn advance(&mut self, first: usize, end: usize) {
        while self.end < self.all.len() && self.all[self.end] < end {
            self.end += 1;
        }
        while self.first < self.end && self.all[self.first] <= first {
            self.first += 1;
        }
    }

    #[inline]
    fn inside(&self) -> &[usize] {
        &self.all[self.first..self.end]
    }

    /// The lane has forgotten its first samples.
    fn shift(&mut self, dropped: usize) {
        let passed = self.all.partition_point(|place| *place < dropped);
        self.all.drain(..passed);
        self.all.iter_mut().for_each(|place| *place -= dropped);
        self.first = self.first.saturating_sub(passed);
        self.end = self.end.saturating_sub(passed);
    }
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { times: Vec::new(), values: Vec::new(), starts: Vec::new(), first: 0, end: 0 }
    }
}

impl<T> Lane<T> {
    fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.starts.clear();
        (self.first, self.end) = (0, 0);
    }

    #[inline]
    fn advance(&mut self, start: i64, end: i64) {
        while self.end < self.times.len() && self.times[self.end].0 <= end {
            self.end += 1;
        }
        while self.first < self.end && self.times[self.first].0 <= start {
            self.first += 1;
        }
    }

    /// Forgets what lies before the window once that is most of the memory; says how much.
    fn compact(&mut self) -> usize {
        if self.first < COMPACT_AT || self.first * 2 < self.times.len() {
            return 0;
        }
        let dropped = self.first;
        self.times.drain(..dropped);
        self.values.drain(..dropped);
        if !self.starts.is_empty() {
            self.starts.drain(..dropped);
        }
        self.first = 0;
        self.end -= dropped;
        dropped
    }

    /// Start timestamps of the window.
    #[inline]
    fn starts(&self) -> &[TimestampMs] {
        self.starts.get(self.first..self.end).unwrap_or_default()
    }

    /// Takes over the start timestamps of samples that were just appended.
    fn append_starts(&mut self, added_from: usize, starts: impl Iterator<Item = TimestampMs>) {
        self.starts.resize(added_from, Batch::START_UNKNOWN);
        self.starts.extend(starts);
        // Of samples after the first that has one, none may be left out.
        self.starts.resize(self.times.len(), Batch::START_UNKNOWN);
    }
}

impl WindowBuffer {
    /// A buffer that keeps start timestamps, or leaves them out.
    pub(crate) fn with_starts(with_starts: bool) -> Self {
        Self { with_starts, ..Self::default() }
    }

    /// The same buffer, for these parts of histograms.
    pub(crate) fn with_histogram_parts(self, parts: HistogramParts) -> Self {
        Self { reader: HistogramReader::new(parts), ..self }
    }

    /// The same buffer, which tells of falls of floats or, as that takes time, does not.
    pub(crate) fn with_falls(self, with_falls: bool) -> Self {
        Self { without_falls: !with_falls, ..self }
    }

    /// Starts with a new series.
    pub(crate) fn reset(&mut self) {
        self.floats.clear();
        self.histograms.clear();
        self.reader.forget();
        self.sought.clear();
        self.histogram_samples = 0;
        self.falls.clear();
        self.overlaps.clear();
        self.loaded_until = None;
        self.exhausted = false;
    }

    /// Samples read so far, of all series.
    pub(crate) fn samples_read(&self) -> usize {
        self.samples_read
    }

    /// Samples held now.
    pub(crate) fn len(&self) -> usize {
        self.floats.times.len() + self.histograms.times.len() + self.histogram_samples
    }

    /// Reads all samples, and gives them if they are floats without start timestamps and not too many. Before the first window.
    pub(crate) fn whole_floats(&mut self, source: &mut SampleSource) -> Result<Option<FloatSeries<'_>>, QueryError> {
        while !self.exhausted {
            if self.len() > WHOLE_MAX {
                return Ok(None);
            }
            self.fill(source)?;
        }
        let Lane { times, values, starts, .. } = &self.floats;
        let alone = self.histograms.times.is_empty() && starts.is_empty();
        Ok(alone.then_some(FloatSeries { times, floats: values, falls: &self.falls.all }))
    }

    /// Moves to the window `(start, end]`; `None` when no sample is inside.
    #[inline]
    pub(crate) fn advance(
        &mut self,
        source: &mut SampleSource,
        start: i64,
        end: i64,
        at: i64,
    ) -> Result<Option<Window<'_>>, QueryError> {
        while !self.exhausted && self.loaded_until.is_none_or(|loaded| loaded <= end) {
            self.fill(source)?;
        }
        self.floats.advance(start, end);
        self.histograms.advance(start, end);
        if self.reader.reads_all() {
            self.sought.advance(start, end, &self.floats, &mut self.histograms);
        }
        if self.floats.first == self.floats.end && self.histograms.first == self.histograms.end {
            return Ok(None);
        }
        let (floats, histograms) = (&self.floats, &self.histograms);
        self.falls.advance(floats.first, floats.end);
        self.overlaps.advance(floats.first, floats.end);
        Ok(Some(Window {
            times: &floats.times[floats.first..floats.end],
            floats: &floats.values[floats.first..floats.end],
            histogram_times: &histograms.times[histograms.first..histograms.end],
            histograms: &histograms.values[histograms.first..histograms.end],
            starts: floats.starts(),
            histogram_starts: histograms.starts(),
            falls: Falls { places: self.falls.inside(), base: floats.first },
            overlaps: !self.overlaps.inside().is_empty(),
            start,
            end,
            at,
        }))
    }

    fn fill(&mut self, source: &mut SampleSource) -> Result<(), QueryError> {
        if !source.next(&mut self.batch)? {
            self.exhausted = true;
            return Ok(());
        }
        self.samples_read += self.batch.len();
        self.loaded_until = self.batch.timestamps.last().map(|time| time.0);
        let dropped = self.floats.compact();
        if dropped > 0 {
            self.falls.shift(dropped);
            self.overlaps.shift(dropped);
        }
        self.histograms.compact();
        match self.batch.histograms.is_empty() {
            true => self.append_floats(),
            false => {
                self.append_histograms();
                self.histogram_samples = self.histograms.values.iter().map(|histogram| histogram.samples()).sum();
            }
        }
        Ok(())
    }

    fn append_floats(&mut self) {
        let added_from = self.floats.values.len();
        // All are looked at, so that the compiler compares several at once.
        if self.batch.floats.iter().fold(false, |any, value| any | is_stale_nan(*value)) {
            let live = self.batch.timestamps.iter().zip(&self.batch.floats).filter(|(_, value)| !is_stale_nan(**value));
            for (time, value) in live {
                self.floats.times.push(*time);
                self.floats.values.push(*value);
            }
        } else if added_from == 0 && self.batch.start_timestamps.is_empty() {
            std::mem::swap(&mut self.floats.times, &mut self.batch.timestamps);
            std::mem::swap(&mut self.floats.values, &mut self.batch.floats);
        } else {
            self.floats.times.extend_from_slice(&self.batch.timestamps);
            self.floats.values.extend_from_slice(&self.batch.floats);
        }
        let starts_known = !self.batch.start_timestamps.is_empty() || !self.floats.starts.is_empty();
        if self.with_starts && starts_known {
            return self.append_float_starts(added_from);
        }
        let from = added_from.max(1);
        if self.without_falls || from >= self.floats.values.len() {
            return;
        }
        let pairs = self.floats.values[from - 1..].windows(2);
        // Most have none, which is soon seen.
        if pairs.clone().fold(false, |any, pair| any | (pair[1] < pair[0])) {
            let falls = pairs.enumerate().filter(|(_, pair)| pair[1] < pair[0]);
            self.falls.all.extend(falls.map(|(index, _)| from + index));
        }
    }

    /// Resets that values show, and those that start timestamps tell.
    fn append_float_starts(&mut self, added_from: usize) {
        let Self { floats, batch, falls, overlaps, .. } = self;
        let live = batch.start_timestamps.iter().zip(&batch.floats).filter(|(_, value)| !is_stale_nan(**value));
        floats.append_starts(added_from, live.map(|(start, _)| *start));
        for index in added_from.max(1)..floats.values.len() {
            let times = |index| Times::of(&floats.starts, &floats.times, index);
            let (before, after) = (times(index - 1), times(index));
            if floats.values[index] < floats.values[index - 1] || start_timestamp::is_reset(before, after) {
                falls.all.push(index);
            }
            if start_timestamp::overlaps(before, after) {
                overlaps.all.push(index);
            }
        }
    }

    fn append_histograms(&mut self) {
        let added_from = self.histograms.values.len();
        for (time, histogram) in self.batch.timestamps.iter().zip(&self.batch.histograms) {
            if !histogram.is_stale() {
                self.histograms.times.push(*time);
                self.histograms.values.push(self.reader.read(histogram));
                if self.reader.found_out() {
                    self.sought.add_found(time.0);
                }
            }
        }
        let Self { histograms, batch, .. } = self;
        if self.with_starts && (!batch.start_timestamps.is_empty() || !histograms.starts.is_empty()) {
            let live = batch.start_timestamps.iter().zip(&batch.histograms).filter(|(_, value)| !value.is_stale());
            histograms.append_starts(added_from, live.map(|(start, _)| *start));
        }
    }
}

/// Series with more samples are not held whole: 256 KiB.
const WHOLE_MAX: usize = 1 << 14;

/// Below this many samples before the window, moving memory costs more than it saves.
const COMPACT_AT: usize = 1024;

#[cfg(test)]
mod tests;
