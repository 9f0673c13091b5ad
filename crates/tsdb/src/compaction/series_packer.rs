//! The chunks of one series, from all parts that have it → the chunks that a block stores.
//!
//! What can be copied is copied. Samples are unpacked and packed again only where chunks overlap, where a part of one is
//! deleted or outside the block, and where small neighbours make fewer larger ones: each chunk costs some thirty bytes
//! beside its samples.

use std::ops::Range;

use storage::{Batch, QueryError, SampleIterator, TimeRange};
use tsdb_format::chunk::{ChunkEncoding, begins_with_reset, sample_count};

use super::block_writer::BlockChunk;
use super::chunk_cutter::{Bounds, CHUNK_SAMPLES, ChunkCutter};
use crate::merge::{Witness, samples};
use crate::part::{Chunk, ChunkBytes};

/// Packs one series after the other.
#[derive(Default)]
pub(crate) struct SeriesPacker {
    cutter: ChunkCutter,
    batch: Batch,
}

/// A chunk of the series, read; its place in the list is its rank.
struct Input<'a> {
    rank: usize,
    chunk: &'a Chunk,
    encoding: ChunkEncoding,
    data: ChunkBytes<'a>,
    samples: u16,
}

/// Neighbours in time that are treated alike.
struct Run {
    inputs: Range<usize>,
    /// Unpacked and packed again, in chunks of these bounds; otherwise the first one is copied, and the others are the same.
    again: Option<Bounds>,
    /// How many chunks packing again has made.
    made: usize,
}

impl SeriesPacker {
    /// Hands `store` the chunks for the samples of `chunks` that are in `range` and not deleted. Of samples at one time that
    /// of the first chunk of the list counts.
    ///
    /// # Errors
    /// When a chunk is unreadable, unless the witness lets it pass.
    pub(crate) fn pack<W: Witness + Copy, T>(
        &mut self,
        chunks: &[Chunk],
        range: TimeRange,
        witness: W,
        store: impl FnOnce(&[BlockChunk<'_>]) -> T,
    ) -> Result<T, QueryError> {
        let inputs = read(chunks, range, witness)?;
        let mut runs = joined(overlapping(&inputs, range), &inputs);
        self.cutter.clear();
        for run in &mut runs {
            let Some(bounds) = run.again else { continue };
            let before = self.cutter.chunks().len();
            self.cutter.set_bounds(bounds);
            self.pack_again(&inputs[run.inputs.clone()], range, witness)?;
            run.made = self.cutter.chunks().len() - before;
        }
        let (mut stored, mut made) = (Vec::with_capacity(inputs.len()), self.cutter.chunks());
        for run in runs {
            match run.again {
                Some(_) => stored.extend(made.by_ref().take(run.made)),
                None => stored.push(inputs[run.inputs.start].copied()),
            }
        }
        Ok(store(&stored))
    }

    fn pack_again<W: Witness>(&mut self, inputs: &[Input<'_>], range: TimeRange, witness: W) -> Result<(), QueryError> {
        let mut by_rank: Vec<&Input<'_>> = inputs.iter().collect();
        by_rank.sort_unstable_by_key(|input| input.rank);
        let chunks = by_rank.into_iter().map(|input| input.chunk.clone()).collect();
        let mut samples = samples(chunks, range, witness);
        while samples.next_batch(&mut self.batch)? {
            self.cutter.push_batch(&self.batch);
        }
        self.cutter.seal();
        Ok(())
    }
}

impl<'a> Input<'a> {
    /// Whether all of its samples are stored.
    fn is_whole(&self, range: TimeRange) -> bool {
        let deleted = self.chunk.deleted.as_deref().unwrap_or_default();
        range.start <= self.chunk.start
            && self.chunk.end <= range.end
            && !deleted.iter().any(|deleted| self.chunk.overlaps(*deleted))
    }

    fn is_same(&self, other: &Self) -> bool {
        self.encoding == other.encoding && *self.data == *other.data
    }

    /// Whether it is worth packing again with its neighbours.
    fn is_small(&self) -> bool {
        self.samples < SMALL_SAMPLES && self.data.len() < SMALL_BYTES
    }

    /// Whether its samples could have stood in one chunk with those of the one before it.
    fn continues(&self, before: &Self) -> bool {
        self.encoding == before.encoding && (self.encoding == ChunkEncoding::Xor || !begins_with_reset(&self.data))
    }

    fn copied(&self) -> BlockChunk<'_> {
        BlockChunk { start: self.chunk.start, end: self.chunk.end, encoding: self.encoding, data: &self.data }
    }
}

/// The chunks that have samples in `range`, in order of time.
fn read<W: Witness>(chunks: &[Chunk], range: TimeRange, witness: W) -> Result<Vec<Input<'_>>, QueryError> {
    let mut inputs = Vec::with_capacity(chunks.len());
    for (rank, chunk) in chunks.iter().enumerate().filter(|(_, chunk)| chunk.overlaps(range)) {
        let read = chunk.data.load().and_then(|(encoding, data)| {
            let samples = sample_count(&data).map_err(|error| QueryError::Corrupt(error.to_string().into()))?;
            Ok(Input { rank, chunk, encoding, data, samples })
        });
        match read {
            Ok(input) => inputs.push(input),
            Err(error) => witness.unreadable(error)?,
        }
    }
    inputs.sort_by_key(|input| input.chunk.start);
    Ok(inputs)
}

/// Runs of chunks that overlap each other; most are of one chunk.
fn overlapping(inputs: &[Input<'_>], range: TimeRange) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::with_capacity(inputs.len());
    let mut end = None;
    for (place, input) in inputs.iter().enumerate() {
        let whole = input.is_whole(range);
        match runs.last_mut() {
            Some(run) if Some(input.chunk.start) <= end => {
                run.inputs.end = place + 1;
                if !whole || !inputs[run.inputs.start].is_same(input) {
                    run.again = Some(Bounds::default());
                }
            }
            _ => runs.push(Run { inputs: place..place + 1, again: (!whole).then(Bounds::default), made: 0 }),
        }
        end = end.max(Some(input.chunk.end));
    }
    runs
}

/// Makes one run of a small chunk and its neighbours wherever fewer chunks come of it. They may become somewhat larger than a
/// head's, so that a short rest at the end of a block needs no chunk of its own.
fn joined(runs: Vec<Run>, inputs: &[Input<'_>]) -> Vec<Run> {
    if runs.len() < 2 {
        return runs;
    }
    let input = |run: &Run| &inputs[run.inputs.start];
    let joins = |before: &Run, run: &Run| {
        let copied = before.again.is_none() && run.again.is_none();
        copied && (input(before).is_small() || input(run).is_small()) && input(run).continues(input(before))
    };
    let mut joined = Vec::with_capacity(runs.len());
    for group in runs.chunk_by(joins) {
        let samples: usize = group.iter().map(|run| usize::from(input(run).samples)).sum();
        let bytes: usize = group.iter().map(|run| input(run).data.len()).sum();
        let made = samples.div_ceil(JOINED.samples.into()).max(bytes.div_ceil(JOINED.bytes));
        if made < group.len() {
            let each = u16::try_from(samples.div_ceil(made)).unwrap_or(JOINED.samples);
            let again = Some(Bounds { samples: each, ..JOINED });
            joined.push(Run { inputs: group[0].inputs.start..group[group.len() - 1].inputs.end, again, made: 0 });
        } else {
            joined.extend(group.iter().map(|run| Run { inputs: run.inputs.clone(), ..*run }));
        }
    }
    joined
}

/// Below, a chunk has room for so many samples more that joining it with its neighbours saves bytes.
const SMALL_SAMPLES: u16 = CHUNK_SAMPLES * 4 / 5;
const SMALL_BYTES: usize = 768;

/// No joined chunk is larger: half as much again as one of a head.
const JOINED: Bounds = Bounds { samples: CHUNK_SAMPLES + CHUNK_SAMPLES / 2, bytes: 1536 };

#[cfg(test)]
mod tests;
