//! Samples of one series from chunks that may overlap.
//!
//! Chunks are begun in order of their first samples, and stay open until their last: only those that overlap at one time
//! are unpacked together, and a chunk that overlaps none goes straight into the caller's batch.
//!
//! A native histogram's hint about a reset speaks of the sample before it in its chunk, or in the chunk that its writer
//! filled before. Where another one comes between, the hint says nothing any more and becomes unknown.

use std::sync::Arc;

use model::{ResetHint, TimestampMs};
use storage::{Batch, QueryError, SampleIterator, TimeRange};
use tsdb_format::chunk::same_observations;

use super::{decode, decode_onto};
use crate::part::Chunk;
use crate::stats::Counter;

/// Is told what a walk over samples meets on its way.
pub(crate) trait Witness: Send {
    /// Two chunks have a sample of one time and differ in its value; the second was left out.
    fn conflict(&self);

    /// A chunk cannot be read: leave it out (`Ok`), or end the walk.
    ///
    /// # Errors
    /// What the walk ends with.
    fn unreadable(&self, error: QueryError) -> Result<(), QueryError> {
        Err(error)
    }
}

/// Conflicts are counted, what is unreadable ends the walk.
impl Witness for &Counter {
    fn conflict(&self) {
        self.add(1);
    }
}

/// The samples of `chunks` that are in `range` and not deleted, in order of time. Where several chunks have a sample at one
/// time, that of the first chunk of the list counts. Times inside one chunk rise.
pub(crate) fn samples<W: Witness>(chunks: Vec<Chunk>, range: TimeRange, witness: W) -> Samples<W> {
    let mut order = Vec::new();
    if !chunks.is_sorted_by_key(|chunk| chunk.start) {
        order.extend(0..chunks.len());
        order.sort_by_key(|index| chunks[*index].start);
    }
    Samples { chunks, order, begun: 0, open: Vec::new(), spare: Vec::new(), last: None, range, witness }
}

/// See [`samples`].
pub(crate) struct Samples<W> {
    chunks: Vec<Chunk>,
    /// Indices of chunks by their first samples; empty when they stand in that order.
    order: Vec<usize>,
    /// How many were opened, or passed over.
    begun: usize,
    /// Chunks of which some samples were given, and some not.
    open: Vec<OpenChunk>,
    /// Memory of chunks that ended.
    spare: Vec<Batch>,
    /// The chunk of the last sample given.
    last: Option<usize>,
    range: TimeRange,
    witness: W,
}

/// A chunk's samples, and how far they were given.
struct OpenChunk {
    /// Its place in the list; the lower one counts.
    rank: usize,
    batch: Batch,
    at: usize,
}

impl<W: Witness> SampleIterator for Samples<W> {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        batch.clear();
        while batch.is_empty() {
            if !self.open.is_empty() {
                self.merge(batch)?;
                continue;
            }
            let Some(next) = self.next_chunk() else { return Ok(false) };
            if self.begin(next) {
                self.decode(next, batch)?;
                if !batch.is_empty() {
                    self.came_from(next, true, batch, 0);
                    if batch.histograms.is_empty() {
                        self.add_floats(batch)?;
                    }
                }
            } else {
                self.open(next)?;
            }
        }
        Ok(true)
    }
}

impl<W: Witness> Samples<W> {
    /// The chunk that is begun next. Passes over those outside the range.
    fn next_chunk(&mut self) -> Option<usize> {
        while self.begun < self.chunks.len() {
            let next = self.order.get(self.begun).copied().unwrap_or(self.begun);
            if self.chunks[next].overlaps(self.range) {
                return Some(next);
            }
            self.begun += 1;
        }
        None
    }

    fn next_start(&mut self) -> Option<TimestampMs> {
        self.next_chunk().map(|next| self.chunks[next].start)
    }

    /// Passes to a chunk; says whether it overlaps none after it.
    fn begin(&mut self, next: usize) -> bool {
        let end = self.chunks[next].end;
        self.begun += 1;
        self.next_start().is_none_or(|start| end < start)
    }

    /// Adds the floats of the chunks that follow to those of one, as far as each stands alone, so that what is done for each batch is
    /// done seldom, and nothing is copied.
    fn add_floats(&mut self, batch: &mut Batch) -> Result<(), QueryError> {
        while batch.len() < JOINED_SAMPLES
            && let Some(next) = self.next_chunk()
        {
            let begun = self.begun;
            let is_added = self.begin(next)
                && match decode_onto(&self.chunks[next], self.range, batch) {
                    Ok(is_added) => is_added,
                    Err(error) => {
                        self.witness.unreadable(error)?;
                        continue;
                    }
                };
            if !is_added {
                // It is begun again, as the next batch.
                self.begun = begun;
                return Ok(());
            }
            self.last = Some(next);
        }
        Ok(())
    }

    /// Reads a chunk; one that is unreadable is an empty one, if the witness lets it pass.
    fn decode(&self, index: usize, batch: &mut Batch) -> Result<(), QueryError> {
        decode(&self.chunks[index], self.range, batch).or_else(|error| {
            batch.clear();
            self.witness.unreadable(error)
        })
    }

    fn open(&mut self, index: usize) -> Result<(), QueryError> {
        let mut batch = self.spare.pop().unwrap_or_default();
        self.decode(index, &mut batch)?;
        self.open.push(OpenChunk { rank: index, batch, at: 0 });
        self.close_ended();
        Ok(())
    }

    fn close_ended(&mut self) {
        let spare = &mut self.spare;
        self.open.extract_if(.., |chunk| chunk.time().is_none()).for_each(|ended| spare.push(ended.batch));
    }

    /// Fills `batch` with samples of one kind while chunks are open.
    fn merge(&mut self, batch: &mut Batch) -> Result<(), QueryError> {
        while batch.len() < BATCH_SAMPLES {
            let Some((first, chosen)) = self.first()? else { break };
            if !batch.is_empty() && batch.histograms.is_empty() == self.open[chosen].has_histograms() {
                // The other kind starts the next batch.
                break;
            }
            let mut until = self.next_start();
            let (value_of, at) = (chosen, self.open[chosen].at);
            for other in (0..self.open.len()).filter(|other| *other != chosen) {
                if self.open[other].time() == Some(first) {
                    if !self.open[value_of].has_same(at, &self.open[other]) {
                        self.witness.conflict();
                    }
                    self.open[other].at += 1;
                }
                until = [until, self.open[other].time()].into_iter().flatten().min();
            }
            let (rank, is_first, place) = (self.open[chosen].rank, self.open[chosen].at == 0, batch.len());
            self.open[chosen].move_to(batch, until);
            self.came_from(rank, is_first, batch, place);
            self.close_ended();
        }
        Ok(())
    }

    /// Notes that the samples of `batch` from `place` on are of chunk `rank`, the first of them the chunk's first or not.
    fn came_from(&mut self, rank: usize, is_first: bool, batch: &mut Batch, place: usize) {
        let follows = self.last == Some(rank) || (is_first && self.last.is_none_or(|last| last + 1 == rank));
        if let Some(histogram) = batch.histograms.get_mut(place).filter(|_| !follows)
            && histogram.reset_hint != ResetHint::Gauge
        {
            Arc::make_mut(histogram).reset_hint = ResetHint::Unknown;
        }
        self.last = Some(rank);
    }

    /// The time of the next sample, and the open chunk that has it, after all chunks have been opened that may have it, too.
    fn first(&mut self) -> Result<Option<(TimestampMs, usize)>, QueryError> {
        loop {
            let first = self.open.iter().filter_map(|chunk| Some((chunk.time()?, chunk.rank))).min();
            let Some((first, rank)) = first else { return Ok(None) };
            match self.next_start() {
                Some(start) if start <= first => {
                    let next = self.next_chunk().expect("it has a start");
                    self.begun += 1;
                    self.open(next)?;
                }
                _ => {
                    let chosen = self.open.iter().position(|chunk| chunk.rank == rank);
                    return Ok(chosen.map(|chosen| (first, chosen)));
                }
            }
        }
    }
}

impl OpenChunk {
    fn time(&self) -> Option<TimestampMs> {
        self.batch.timestamps.get(self.at).copied()
    }

    fn has_histograms(&self) -> bool {
        !self.batch.histograms.is_empty()
    }

    /// Whether the sample at `at` has the value of the next one of `other`. Floats bit for bit: staleness markers are NaNs.
    fn has_same(&self, at: usize, other: &Self) -> bool {
        match (self.has_histograms(), other.has_histograms()) {
            (false, false) => self.batch.floats[at].to_bits() == other.batch.floats[other.at].to_bits(),
            (true, true) => same_observations(&self.batch.histograms[at], &other.batch.histograms[other.at]),
            _ => false,
        }
    }

    /// Moves samples before `until`, at least the next one, as far as there is room.
    fn move_to(&mut self, batch: &mut Batch, until: Option<TimestampMs>) {
        let room = BATCH_SAMPLES - batch.len();
        let rest = &self.batch.timestamps[self.at..];
        let before = until.map_or(rest.len(), |until| rest.partition_point(|at| *at < until));
        let range = self.at..self.at + before.clamp(1, room);
        batch.extend_from(&self.batch, range.clone());
        self.at = range.end;
    }
}

/// Few enough to stay in the processor's caches.
const BATCH_SAMPLES: usize = 256;

/// Floats of several chunks that are given together, to some more: a day of one series at a minute, 32 KB.
const JOINED_SAMPLES: usize = 2048 - 120;
