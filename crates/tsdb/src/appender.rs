//! Collects the samples of one request. Touches the head only to look up series.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use model::{Exemplar, Labels, Metadata, NativeHistogram, TimestampMs};
use storage::{AgeLimit, AppendError, Appender, BoxFuture, CommitError, Committed, SeriesRef};

use crate::batch::{Batch, BatchSample, BatchSeries, Known, NewSeries};
use crate::committer::Shared;
use crate::head::Lookup;
use crate::key_cache::{KeyCursor, KeyHash};

pub(crate) struct BatchAppender {
    shared: Arc<Shared>,
    /// Slots in here belong to the series that had them when it began.
    batch: Batch,
    /// New series of this batch, by labels.
    new: HashMap<Labels, BatchSeries>,
    lookup: Lookup,
    cursor: KeyCursor,
    oldest_taken: TimestampMs,
    newest_taken: TimestampMs,
    hits: u64,
    misses: u64,
}

impl BatchAppender {
    pub(crate) fn new(shared: Arc<Shared>, now: TimestampMs) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let (retention, ahead) = (millis(shared.settings.retention), millis(shared.settings.future_max));
        Self {
            batch: shared.work.pool.take(shared.head.generation()),
            shared,
            new: HashMap::new(),
            lookup: Lookup::default(),
            cursor: KeyCursor::default(),
            oldest_taken: now.plus(-retention),
            newest_taken: now.plus(ahead),
            hits: 0,
            misses: 0,
        }
    }

    /// The series of a reference that this appender gave.
    ///
    /// # Panics
    /// When it did not: the sample would go to another series.
    #[inline]
    fn series_of(&self, series: SeriesRef) -> BatchSeries {
        let found = BatchSeries::from_ref(series.0).filter(|series| match series.known() {
            Known::New(index) => index < self.batch.new_series.len(),
            Known::Head(slot) => slot < self.shared.head.slot_count(),
        });
        found.expect("series references are used with the appender that gave them")
    }

    /// The slot of a living series; remembers its key.
    fn find(&mut self, labels: &Labels, key: Option<KeyHash>) -> Option<u32> {
        // Held while the key is remembered: when the series dies, its keys are forgotten after that.
        let index = self.shared.head.index.read();
        let slot = index.find(labels, &mut self.lookup).filter(|slot| index.is_alive(*slot))?;
        if key.is_some_and(|key| self.shared.keys.insert(key, slot)) {
            self.shared.counters.series_cache_evictions.add(1);
        }
        Some(slot)
    }

    fn check_time(&self, at: TimestampMs) -> Result<(), AppendError> {
        let error = if at > self.newest_taken {
            AppendError::TooFarAhead { at, newest: self.newest_taken }
        } else if at < self.oldest_taken {
            AppendError::TooOld { at, oldest: self.oldest_taken, limit: AgeLimit::Retention }
        } else {
            return Ok(());
        };
        self.shared.counters.rejected(&error);
        Err(error)
    }

    fn push(&mut self, series: SeriesRef, timestamp: TimestampMs, is_histogram: bool, value: u64) {
        let series = self.series_of(series);
        self.batch.samples.push(BatchSample { series, is_histogram, timestamp, value });
    }
}

impl Appender for BatchAppender {
    #[inline]
    fn resolve(&mut self, key: &[u8]) -> Option<SeriesRef> {
        let slot = self.shared.keys.get(self.shared.keys.hash(key), &mut self.cursor);
        match slot {
            Some(slot) => {
                self.hits += 1;
                Some(SeriesRef(BatchSeries::head(slot).as_ref()))
            }
            None => {
                self.misses += 1;
                None
            }
        }
    }

    fn series(&mut self, key: Option<&[u8]>, labels: &Labels) -> Result<SeriesRef, AppendError> {
        if let Some(series) = self.new.get(labels) {
            return Ok(SeriesRef(series.as_ref()));
        }
        let key = key.map(|key| self.shared.keys.hash(key));
        if let Some(slot) = self.find(labels, key) {
            return Ok(SeriesRef(BatchSeries::head(slot).as_ref()));
        }
        let limit = self.shared.settings.series_max;
        if self.shared.head.used_slots() as usize + self.new.len() >= limit as usize {
            let error = AppendError::SeriesLimit { limit: u64::from(limit) };
            self.shared.counters.rejected(&error);
            return Err(error);
        }
        let series = BatchSeries::new_at(self.batch.new_series.len());
        self.batch.new_series.push(NewSeries { labels: labels.clone(), key });
        self.new.insert(labels.clone(), series);
        Ok(SeriesRef(series.as_ref()))
    }

    #[inline]
    fn index_of(&self, series: SeriesRef) -> Option<u32> {
        match BatchSeries::from_ref(series.0)?.known() {
            Known::Head(slot) => Some(slot),
            Known::New(_) => None,
        }
    }

    #[inline]
    fn append(&mut self, series: SeriesRef, timestamp: TimestampMs, value: f64) -> Result<(), AppendError> {
        self.check_time(timestamp)?;
        self.push(series, timestamp, false, value.to_bits());
        Ok(())
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp: TimestampMs,
        histogram: Arc<NativeHistogram>,
    ) -> Result<(), AppendError> {
        self.check_time(timestamp)?;
        self.push(series, timestamp, true, self.batch.histograms.len() as u64);
        self.batch.histograms.push(histogram);
        Ok(())
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar) -> Result<(), AppendError> {
        self.check_time(exemplar.timestamp)?;
        let series = self.series_of(series);
        self.batch.exemplars.push((series, exemplar));
        Ok(())
    }

    fn set_metadata(&mut self, name: &str, metadata: Metadata) {
        self.batch.metadata.push((name.to_owned(), metadata));
    }

    fn commit(mut self: Box<Self>) -> BoxFuture<'static, Result<Committed, CommitError>> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Box::pin(std::future::ready(Ok(Committed::default())));
        }
        Box::pin(self.shared.submit(batch))
    }
}

impl Drop for BatchAppender {
    fn drop(&mut self) {
        self.shared.counters.series_cache_hits.add(self.hits);
        self.shared.counters.series_cache_misses.add(self.misses);
        self.shared.work.pool.put(std::mem::take(&mut self.batch));
    }
}
