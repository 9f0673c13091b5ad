//! Reading: matchers → series, one by one; a series → its samples, chunk by chunk.

use std::sync::Arc;

use model::{LabelsBuilder, Matcher};
use storage::{Batch, BoxFuture, Querier, QueryError, SampleIterator, SelectHints, Series, SeriesSet, TimeRange};
use tsdb_format::chunk::{ChunkEncoding, CorruptChunk, HistogramDecoder, XorDecoder};

use crate::committer::Shared;
use crate::head::{Chunk, matching};
use crate::readiness::Ready;

pub(crate) struct HeadQuerier {
    shared: Arc<Shared>,
    range: TimeRange,
}

impl HeadQuerier {
    pub(crate) fn new(shared: Arc<Shared>, range: TimeRange) -> Self {
        Self { shared, range }
    }

    /// The head is read when the log is.
    async fn ready(&self) -> Result<(), QueryError> {
        let ready = Ready(Arc::clone(&self.shared)).await;
        ready.map_err(|error| QueryError::Unavailable(error.to_string().into()))
    }

    /// Slots of the series that meet all matchers; `None` for all series.
    fn slots(&self, matchers: &[Matcher]) -> Option<Vec<u32>> {
        (!matchers.is_empty()).then(|| matching(&mut self.shared.head.index.read(), matchers))
    }

    fn sorted_slots(&self, matchers: &[Matcher]) -> Vec<u32> {
        let mut index = self.shared.head.index.read();
        let mut slots = matching(&mut index, matchers);
        slots.sort_unstable_by(|left, right| index.compare(*left, *right));
        slots
    }
}

impl Querier for HeadQuerier {
    fn select<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        Box::pin(async move {
            self.ready().await?;
            let range =
                TimeRange { start: self.range.start.max(hints.range.start), end: self.range.end.min(hints.range.end) };
            let overlaps = range.start <= range.end && self.shared.head.overlaps(range);
            let slots = if overlaps { self.sorted_slots(matchers) } else { Vec::new() };
            let left = if hints.limit == 0 { usize::MAX } else { hints.limit };
            let set = HeadSeriesSet {
                shared: Arc::clone(&self.shared),
                slots: slots.into_iter(),
                range,
                left,
                series_only: hints.series_only,
                builder: LabelsBuilder::default(),
            };
            Ok(Box::new(set) as Box<dyn SeriesSet>)
        })
    }

    fn label_names<'a>(
        &'a self,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(async move {
            self.ready().await?;
            if !self.shared.head.overlaps(self.range) {
                return Ok(Vec::new());
            }
            let slots = self.slots(matchers);
            let names = self.shared.head.index.read().names_of(slots.as_deref());
            Ok(limited(names, limit))
        })
    }

    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(async move {
            self.ready().await?;
            if !self.shared.head.overlaps(self.range) {
                return Ok(Vec::new());
            }
            let slots = self.slots(matchers);
            let values = self.shared.head.index.read().values_of(name, slots.as_deref());
            Ok(limited(values, limit))
        })
    }
}

fn limited(mut texts: Vec<String>, limit: usize) -> Vec<String> {
    if limit > 0 {
        texts.truncate(limit);
    }
    texts
}

struct HeadSeriesSet {
    shared: Arc<Shared>,
    slots: std::vec::IntoIter<u32>,
    range: TimeRange,
    left: usize,
    series_only: bool,
    builder: LabelsBuilder,
}

impl SeriesSet for HeadSeriesSet {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        if self.left == 0 {
            return Ok(None);
        }
        let head = &self.shared.head;
        for slot in self.slots.by_ref() {
            let chunks = if self.series_only {
                head.read(slot, |series| series.has_chunks(self.range)).then(Vec::new)
            } else {
                Some(head.read(slot, |series| series.chunks(self.range))).filter(|chunks| !chunks.is_empty())
            };
            if let Some(chunks) = chunks {
                self.left -= 1;
                let labels = head.index.read().labels(slot, &mut self.builder);
                let samples = Box::new(ChunkIterator { chunks: chunks.into_iter(), range: self.range });
                return Ok(Some(Series { labels, samples }));
            }
        }
        Ok(None)
    }
}

/// Samples of consecutive chunks, a chunk a batch.
struct ChunkIterator {
    chunks: std::vec::IntoIter<Chunk>,
    range: TimeRange,
}

impl SampleIterator for ChunkIterator {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        for chunk in self.chunks.by_ref() {
            batch.clear();
            decode(&chunk, self.range, batch).map_err(|error| QueryError::Corrupt(error.to_string().into()))?;
            if !batch.is_empty() {
                return Ok(true);
            }
        }
        batch.clear();
        Ok(false)
    }
}

fn decode(chunk: &Chunk, range: TimeRange, batch: &mut Batch) -> Result<(), CorruptChunk> {
    match chunk.encoding {
        ChunkEncoding::Xor => {
            XorDecoder::new(&chunk.data)?.read(&mut batch.timestamps, &mut batch.floats, usize::MAX)?;
            if chunk.start < range.start || range.end < chunk.end {
                let first = batch.timestamps.partition_point(|at| *at < range.start);
                let last = batch.timestamps.partition_point(|at| *at <= range.end);
                batch.timestamps.truncate(last);
                batch.floats.truncate(last);
                batch.timestamps.drain(..first);
                batch.floats.drain(..first);
            }
        }
        encoding => {
            for sample in HistogramDecoder::new(encoding, &chunk.data) {
                let (at, histogram) = sample?;
                if range.contains(at) {
                    batch.timestamps.push(at);
                    batch.histograms.push(histogram);
                }
            }
        }
    }
    Ok(())
}
