//! Reading: every part that may have samples of a range is asked, series of equal labels are put together, and their
//! samples are unpacked as they are walked over.
//!
//! The order of parts is that in which samples were stored: blocks as they were made, then what is in memory. A sample that
//! stands in several is one; where values differ, the first counts.
//!
//! What is damaged is left out, told and counted, and the rest is served. What cannot be reached at the moment is an error:
//! a part would look like all.

use std::sync::Arc;

use model::{Matcher, TimestampMs};
use storage::{
    Batch, BoxFuture, LeftOut, Querier, QueryError, SampleIterator, SelectHints, Series, SeriesSet, TimeRange,
};

use crate::block::{Block, select_joined};
use crate::committer::Shared;
use crate::head::HeadPart;
use crate::merge::{SeriesMerge, Witness, samples};
use crate::part::{Chunk, ChunkData, Part, SeriesSource, Want};
use crate::readiness::Ready;

pub(crate) struct DbQuerier {
    shared: Arc<Shared>,
    range: TimeRange,
    /// Who wants to know what is left out.
    left_out: Option<Arc<LeftOut>>,
}

impl DbQuerier {
    pub(crate) fn new(shared: Arc<Shared>, range: TimeRange) -> Self {
        Self { shared, range, left_out: None }
    }

    /// Tells what is left out.
    pub(crate) fn telling(self, left_out: Arc<LeftOut>) -> Self {
        Self { left_out: Some(left_out), ..self }
    }

    /// Parts that may have samples in a range, near enough to be read without waiting.
    async fn parts(&self, matchers: &[Matcher], range: TimeRange, want: Want) -> Result<Parts, QueryError> {
        if range.start > range.end {
            return Ok(Parts { blocks: Vec::new(), head: None });
        }
        // What is older than all the log holds is in blocks, and need not wait for the log to be read.
        let has_been_read = self.shared.readiness.outcome().is_some();
        let in_memory = has_been_read || self.shared.logged_from <= range.end;
        if in_memory {
            let ready = Ready(Arc::clone(&self.shared)).await;
            ready.map_err(|error| QueryError::Unavailable(error.to_string().into()))?;
        }
        // Before the list of blocks: samples move from memory to blocks, so this way none are missed.
        let head = HeadPart::new(&self.shared);
        let blocks = self.shared.blocks.in_range(range);
        for block in &blocks {
            block.prefetch(matchers, range, want).await;
        }
        Ok(Parts { blocks, head: (in_memory && head.overlaps(range)).then_some(head) })
    }

    /// Texts of all parts, sorted, each once.
    async fn texts(
        &self,
        matchers: &[Matcher],
        limit: usize,
        of: impl Fn(&dyn Part) -> Result<Vec<String>, QueryError>,
    ) -> Result<Vec<String>, QueryError> {
        let mut texts = Vec::new();
        for part in self.parts(matchers, self.range, Want::Labels).await?.iter() {
            let more = of(part)?;
            texts = if texts.is_empty() { more } else { union(texts, more) };
        }
        if limit > 0 {
            texts.truncate(limit);
        }
        Ok(texts)
    }
}

impl Querier for DbQuerier {
    fn select<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        Box::pin(async move {
            let (start, end) = (self.range.start.max(hints.range.start), self.range.end.min(hints.range.end));
            let range = TimeRange { start, end };
            let want = match (hints.series_only, hints.newest_only) {
                (true, _) => Want::Labels,
                (false, true) => Want::Newest,
                (false, false) => Want::Samples,
            };
            let parts = self.parts(matchers, range, want).await?;
            let joined = || select_joined(&parts.blocks, matchers, range, want, &self.shared.work.joined);
            let source = match &parts.head {
                Some(head) if parts.blocks.is_empty() => head.select_only(matchers, range, want, &hints)?,
                // Series of several parts are put together by all their labels.
                Some(head) => Box::new(SeriesMerge::new(vec![joined()?, head.select(matchers, range, want)?])?),
                None => joined()?,
            };
            let set = SelectedSeries {
                parts,
                source,
                range,
                left: if hints.limit == 0 { usize::MAX } else { hints.limit },
                observer: Observer { shared: Arc::clone(&self.shared), left_out: self.left_out.clone() },
            };
            Ok(Box::new(set) as Box<dyn SeriesSet>)
        })
    }

    fn label_names<'a>(
        &'a self,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(self.texts(matchers, limit, |part| part.label_names(matchers, self.range)))
    }

    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(self.texts(matchers, limit, move |part| part.label_values(name, matchers, self.range)))
    }
}

/// Parts of a database: blocks in order of precedence, then what is in memory.
struct Parts {
    blocks: Vec<Arc<Block>>,
    head: Option<HeadPart>,
}

impl Parts {
    fn iter(&self) -> impl Iterator<Item = &dyn Part> {
        let blocks = self.blocks.iter().map(|block| &**block as &dyn Part);
        blocks.chain(self.head.as_ref().map(|head| head as &dyn Part))
    }
}

/// All texts of two sorted lists, sorted, each once.
fn union(left: Vec<String>, right: Vec<String>) -> Vec<String> {
    let mut all = Vec::with_capacity(left.len().max(right.len()));
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(first), Some(second)) = (left.peek(), right.peek()) {
        let order = first.cmp(second);
        let second = if order.is_ge() { right.next() } else { None };
        all.extend(if order.is_le() { left.next() } else { second });
    }
    all.extend(left);
    all.extend(right);
    all
}

struct SelectedSeries {
    parts: Parts,
    source: Box<dyn SeriesSource>,
    range: TimeRange,
    left: usize,
    observer: Observer,
}

impl SeriesSet for SelectedSeries {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some(series) = self.source.next()? else { return Ok(None) };
        self.left -= 1;
        let samples: Box<dyn SampleIterator> = match series.chunks.as_slice() {
            [] => Box::new(Nothing),
            // The head tells it of a range that it is in.
            [Chunk { data: ChunkData::Sample(at, value), deleted: None, .. }] => Box::new(One(Some((*at, *value)))),
            _ => Box::new(samples(series.chunks, self.range, self.observer.clone())),
        };
        Ok(Some(Series { labels: series.labels, samples }))
    }

    fn remaining(&self) -> Option<usize> {
        Some(self.source.remaining()?.min(self.left))
    }

    fn may_have_label(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.may_have_label(name))
    }
}

/// No samples: of series whose labels alone are wanted. Takes no memory.
struct Nothing;

impl SampleIterator for Nothing {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        batch.clear();
        Ok(false)
    }
}

/// A float that is known already, until it was given.
struct One(Option<(TimestampMs, f64)>);

impl SampleIterator for One {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        batch.clear();
        let Some((at, value)) = self.0.take() else { return Ok(false) };
        batch.timestamps.push(at);
        batch.floats.push(value);
        Ok(true)
    }
}

/// Counts what a query met.
#[derive(Clone)]
struct Observer {
    shared: Arc<Shared>,
    left_out: Option<Arc<LeftOut>>,
}

impl Witness for Observer {
    fn conflict(&self) {
        self.shared.counters.query_conflicts.add(1);
    }

    fn unreadable(&self, error: QueryError) -> Result<(), QueryError> {
        match error {
            QueryError::Corrupt(_) => {
                // Whoever holds the chunk has told of it.
                self.shared.counters.query_bad_chunks.add(1);
                if let Some(left_out) = &self.left_out {
                    left_out.damaged_chunk();
                }
                Ok(())
            }
            QueryError::Unavailable(_) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
