//! The walk over a selection's series.

use std::sync::Arc;

use model::Matcher;
use storage::{QueryError, TimeRange};
use tsdb_format::block::index::{BlockSeriesRef, SeriesReader};
use tsdb_format::block::{ChunkMeta, CorruptBlock};

use super::loaded::Loaded;
use super::select::{Selection, meets_rest};
use super::tombstones::{Deletions, covers, touches};
use crate::part::{Chunk, ChunkData, ChunkStore, PartSeries, SeriesSource, Want};

/// One block, open for a walk over series in a range of time.
pub(super) struct BlockWalk {
    pub(super) loaded: Arc<Loaded>,
    store: Arc<dyn ChunkStore>,
    deletions: Arc<Deletions>,
    range: TimeRange,
    want: Want,
    reader: SeriesReader,
}

impl BlockWalk {
    pub(super) fn new(loaded: &Arc<Loaded>, deletions: Arc<Deletions>, range: TimeRange, want: Want) -> Self {
        let store = Arc::clone(loaded) as Arc<dyn ChunkStore>;
        Self { loaded: Arc::clone(loaded), store, deletions, range, want, reader: SeriesReader::default() }
    }

    /// Adds the chunks of a series that are in the range, if they are wanted; says whether there are any. What is damaged is told and
    /// left out.
    pub(super) fn add_chunks(&mut self, series: BlockSeriesRef, chunks: &mut Vec<Chunk>) -> bool {
        self.look(series, &[], chunks).unwrap_or_else(|error| {
            self.loaded.tell_series(series, &error);
            false
        })
    }

    /// The same for a series that has to meet `rest`.
    fn look(
        &mut self,
        series: BlockSeriesRef,
        rest: &[Matcher],
        chunks: &mut Vec<Chunk>,
    ) -> Result<bool, CorruptBlock> {
        let (index, TimeRange { start, end }) = (&self.loaded.index, self.range);
        if self.reader.read(index, series, start, end)?.is_empty() {
            return Ok(false);
        }
        let deleted = self.deletions.of(series);
        let is_left =
            |chunk: &&ChunkMeta| !deleted.is_some_and(|deleted| covers(deleted, chunk.min_time, chunk.max_time));
        if !self.reader.chunks().iter().any(|chunk| is_left(&chunk)) || !meets_rest(&mut self.reader, index, rest)? {
            return Ok(false);
        }
        match self.want {
            Want::Labels => {}
            Want::Samples | Want::Newest => {
                chunks.extend(self.reader.chunks().iter().filter(is_left).map(|chunk| Chunk {
                    start: chunk.min_time,
                    end: chunk.max_time,
                    data: ChunkData::Stored { store: Arc::clone(&self.store), reference: chunk.reference.0 },
                    deleted: deleted.filter(|deleted| touches(deleted, chunk.min_time, chunk.max_time)).cloned(),
                }));
            }
        }
        Ok(true)
    }
}

/// Series of a selection with their chunks in a range of time, one by one.
pub(super) struct BlockSeries {
    walk: BlockWalk,
    selection: Selection,
    next: usize,
}

impl BlockSeries {
    pub(super) fn new(walk: BlockWalk, selection: Selection) -> Self {
        Self { walk, selection, next: 0 }
    }

    /// The next series of the selection; `None` for one to pass over.
    fn look(&mut self, series: BlockSeriesRef) -> Result<Option<PartSeries>, CorruptBlock> {
        let mut chunks = Vec::new();
        if !self.walk.look(series, &self.selection.rest, &mut chunks)? {
            return Ok(None);
        }
        Ok(Some(PartSeries { labels: self.walk.reader.labels(&self.walk.loaded.index)?, chunks }))
    }
}

impl SeriesSource for BlockSeries {
    fn next(&mut self) -> Result<Option<PartSeries>, QueryError> {
        while let Some(&series) = self.selection.series.get(self.next) {
            self.next += 1;
            match self.look(series) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => self.walk.loaded.tell_series(series, &error),
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
