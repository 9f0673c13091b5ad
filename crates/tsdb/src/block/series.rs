//! The walk over a selection's series.

use std::sync::Arc;

use storage::{QueryError, TimeRange};

use super::loaded::Loaded;
use super::select::Selection;
use super::tombstones::{Deletions, covers, touches};
use crate::part::{Chunk, ChunkData, ChunkStore, PartSeries, SeriesSource, Want};

/// Series of a selection with their chunks in a range of time, one by one.
pub(super) struct BlockSeries {
    loaded: Arc<Loaded>,
    store: Arc<dyn ChunkStore>,
    selection: Selection,
    next: usize,
    deletions: Arc<Deletions>,
    range: TimeRange,
    want: Want,
}

impl BlockSeries {
    pub(super) fn new(
        loaded: Arc<Loaded>,
        selection: Selection,
        deletions: Arc<Deletions>,
        range: TimeRange,
        want: Want,
    ) -> Self {
        let store = Arc::clone(&loaded) as Arc<dyn ChunkStore>;
        Self { loaded, store, selection, next: 0, deletions, range, want }
    }
}

impl SeriesSource for BlockSeries {
    fn next(&mut self) -> Result<Option<PartSeries>, QueryError> {
        while let Some(&series) = self.selection.series.get(self.next) {
            self.next += 1;
            let found = match self.loaded.index.series(series) {
                Ok(found) => found,
                Err(error) => {
                    self.loaded.tell_series(series, &error);
                    continue;
                }
            };
            let deleted = self.deletions.of(series);
            let in_range = |chunk: &&tsdb_format::block::ChunkMeta| {
                chunk.min_time <= self.range.end
                    && self.range.start <= chunk.max_time
                    && !deleted.is_some_and(|deleted| covers(deleted, chunk.min_time, chunk.max_time))
            };
            let mut chunks = found.chunks.iter().filter(in_range).peekable();
            if chunks.peek().is_none()
                || !self.selection.rest.iter().all(|matcher| matcher.matches_labels(&found.labels))
            {
                continue;
            }
            let chunks = match self.want {
                Want::Labels => Vec::new(),
                Want::Samples => chunks
                    .map(|chunk| Chunk {
                        start: chunk.min_time,
                        end: chunk.max_time,
                        data: ChunkData::Stored { store: Arc::clone(&self.store), reference: chunk.reference.0 },
                        deleted: deleted.filter(|deleted| touches(deleted, chunk.min_time, chunk.max_time)).cloned(),
                    })
                    .collect(),
            };
            return Ok(Some(PartSeries { labels: found.labels, chunks }));
        }
        Ok(None)
    }
}

/// Nothing, for a block that cannot be read.
impl SeriesSource for Option<BlockSeries> {
    fn next(&mut self) -> Result<Option<PartSeries>, QueryError> {
        self.as_mut().map_or(Ok(None), SeriesSource::next)
    }
}
