//! The walk over a selection's series.

use std::sync::Arc;

use storage::{QueryError, TimeRange};
use tsdb_format::block::index::{BlockSeriesRef, SeriesReader};
use tsdb_format::block::{ChunkMeta, CorruptBlock};

use super::loaded::Loaded;
use super::select::{Selection, meets_rest};
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
    reader: SeriesReader,
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
        Self { loaded, store, selection, next: 0, deletions, range, want, reader: SeriesReader::default() }
    }
}

impl BlockSeries {
    /// The next series of the selection, whether it has chunks in the range or not; `None` for one to pass over.
    fn look(&mut self, series: BlockSeriesRef) -> Result<Option<PartSeries>, CorruptBlock> {
        let (index, TimeRange { start, end }) = (&self.loaded.index, self.range);
        if self.reader.read(index, series, start, end)?.is_empty() {
            return Ok(None);
        }
        let deleted = self.deletions.of(series);
        let is_left =
            |chunk: &ChunkMeta| !deleted.is_some_and(|deleted| covers(deleted, chunk.min_time, chunk.max_time));
        if !self.reader.chunks().iter().any(is_left) || !meets_rest(&mut self.reader, index, &self.selection.rest)? {
            return Ok(None);
        }
        let chunks = match self.want {
            Want::Labels => Vec::new(),
            Want::Samples | Want::Newest => {
                let left = self.reader.chunks().iter().filter(|chunk| is_left(chunk));
                let chunks = left.map(|chunk| Chunk {
                    start: chunk.min_time,
                    end: chunk.max_time,
                    data: ChunkData::Stored { store: Arc::clone(&self.store), reference: chunk.reference.0 },
                    deleted: deleted.filter(|deleted| touches(deleted, chunk.min_time, chunk.max_time)).cloned(),
                });
                chunks.collect()
            }
        };
        Ok(Some(PartSeries { labels: self.reader.labels(index)?, chunks }))
    }
}

impl SeriesSource for BlockSeries {
    fn next(&mut self) -> Result<Option<PartSeries>, QueryError> {
        while let Some(&series) = self.selection.series.get(self.next) {
            self.next += 1;
            match self.look(series) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => self.loaded.tell_series(series, &error),
            }
        }
        Ok(None)
    }

    fn remaining(&self) -> Option<usize> {
        Some(self.selection.series.len() - self.next)
    }
}

/// Nothing, for a block that cannot be read.
impl SeriesSource for Option<BlockSeries> {
    fn next(&mut self) -> Result<Option<PartSeries>, QueryError> {
        self.as_mut().map_or(Ok(None), SeriesSource::next)
    }

    fn remaining(&self) -> Option<usize> {
        self.as_ref().map_or(Some(0), SeriesSource::remaining)
    }
}
