//! One series in memory: full chunks and one that grows.

mod delete;

use std::sync::Arc;

use model::{NativeHistogram, TimestampMs};
use storage::{QueryError, TimeRange};
use tsdb_format::chunk::{
    ChunkEncoding, CorruptChunk, HistogramChunk, HistogramDecoder, Misfit, XorChunk, XorDecoder, same_observations,
};

use crate::part::ChunkData;

/// A sample's value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Float(f64),
    Histogram(Arc<NativeHistogram>),
}

impl Value {
    /// Whether two values are one sample told twice. Floats bit for bit: staleness markers are NaNs.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(left), Self::Float(right)) => left.to_bits() == right.to_bits(),
            (Self::Histogram(left), Self::Histogram(right)) => same_observations(left, right),
            _ => false,
        }
    }
}

/// Samples that do not change any more. Cheap to clone. Full ones may have moved to a file.
#[derive(Clone)]
pub(crate) struct Chunk {
    pub(crate) start: TimestampMs,
    pub(crate) end: TimestampMs,
    pub(crate) data: ChunkData,
}

/// What appending did, for counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sealed {
    /// The open chunk grew.
    No,
    /// A chunk was opened, and the one before, of so many bytes (0: there was none), is full.
    Yes { bytes: usize },
}

/// What was let go of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cut {
    pub(crate) chunks: u64,
    pub(crate) sealed_bytes: u64,
}

/// Invariant: times rise over all chunks; the open chunk, if there is one, has the newest sample. After a start there may be full
/// ones alone.
#[derive(Default)]
pub(crate) struct MemSeries {
    full: Vec<Chunk>,
    open: Open,
}

#[derive(Default)]
enum Open {
    #[default]
    None,
    Floats(XorChunk),
    Histograms(Box<HistogramChunk>),
}

impl MemSeries {
    /// The newest sample.
    #[inline]
    pub(crate) fn newest(&self) -> Option<(TimestampMs, Value)> {
        match &self.open {
            Open::None => self.full.last().map(Chunk::last_value),
            Open::Floats(chunk) => {
                let (at, value) = chunk.newest();
                Some((at, Value::Float(value)))
            }
            Open::Histograms(chunk) => {
                let (at, histogram) = chunk.newest();
                Some((at, Value::Histogram(Arc::clone(histogram))))
            }
        }
    }

    /// The time of the newest sample.
    #[inline]
    pub(crate) fn newest_time(&self) -> Option<TimestampMs> {
        match &self.open {
            Open::None => self.full.last().map(|chunk| chunk.end),
            Open::Floats(chunk) => Some(chunk.newest().0),
            Open::Histograms(chunk) => Some(chunk.newest().0),
        }
    }

    /// Looks at what [`append`](Self::append) changes, so that the processor has it at hand; what comes back means nothing.
    #[inline]
    pub(crate) fn touch(&self) -> u8 {
        match &self.open {
            Open::Floats(chunk) => {
                let data = chunk.data();
                data[0] ^ data[data.len() - 1]
            }
            Open::None | Open::Histograms(_) => 0,
        }
    }

    /// Adds a sample newer than all others.
    #[inline]
    pub(crate) fn append(&mut self, at: TimestampMs, value: Value, chunk_range_ms: i64) -> Sealed {
        debug_assert!(self.newest_time().is_none_or(|newest| newest < at), "samples are checked before they come here");
        match value {
            Value::Float(value) => self.append_float(at, value, chunk_range_ms),
            Value::Histogram(histogram) => self.append_histogram(at, histogram, chunk_range_ms),
        }
    }

    /// Chunks with samples in `range`, in order of time; the open one as a copy.
    pub(crate) fn chunks(&self, range: TimeRange) -> Vec<Chunk> {
        let overlaps = |start, end| start <= range.end && range.start <= end;
        let first = self.full.partition_point(|chunk| chunk.end < range.start);
        let mut chunks: Vec<Chunk> =
            self.full[first..].iter().take_while(|chunk| chunk.start <= range.end).cloned().collect();
        if let Some((start, end)) = self.open_range()
            && overlaps(start, end)
        {
            chunks.extend(self.copy_open());
        }
        chunks
    }

    /// The chunk with the newest sample in `range`, if it has chunks there. When that is the newest of all, the sample alone.
    pub(crate) fn newest_chunk(&self, range: TimeRange) -> Option<Chunk> {
        // Most queries ask for the present. The open chunk's bytes, where its start is, are then not even looked at.
        if let Open::Floats(chunk) = &self.open
            && let (at, value) = chunk.newest()
            && range.contains(at)
        {
            return Some(Chunk { start: at, end: at, data: ChunkData::Sample(at, value) });
        }
        let open = self.open_range().filter(|(start, _)| *start <= range.end);
        let Some((_, end)) = open else {
            let after = self.full.partition_point(|chunk| chunk.start <= range.end);
            return self.full[..after].last().filter(|chunk| range.start <= chunk.end).cloned();
        };
        if end < range.start { None } else { self.copy_open() }
    }

    /// Whether a chunk overlaps `range`.
    pub(crate) fn has_chunks(&self, range: TimeRange) -> bool {
        if self.newest_time().is_some_and(|newest| range.contains(newest)) {
            return true;
        }
        let open = self.open_range().is_some_and(|(start, end)| start <= range.end && range.start <= end);
        let first = self.full.partition_point(|chunk| chunk.end < range.start);
        open || self.full.get(first).is_some_and(|chunk| chunk.start <= range.end)
    }

    fn append_float(&mut self, at: TimestampMs, value: f64, chunk_range_ms: i64) -> Sealed {
        match &mut self.open {
            Open::Floats(chunk)
                if has_room(chunk.len(), chunk.data().len(), 1)
                    && in_one_range(chunk.newest().0, at, chunk_range_ms) =>
            {
                chunk.push(at, value);
                Sealed::No
            }
            _ => {
                let sealed = self.seal();
                self.open = Open::Floats(XorChunk::new(at, value));
                sealed
            }
        }
    }

    fn append_histogram(&mut self, at: TimestampMs, histogram: Arc<NativeHistogram>, chunk_range_ms: i64) -> Sealed {
        let mut after_reset = false;
        if let Open::Histograms(chunk) = &mut self.open
            && has_room(chunk.len(), chunk.data().len(), HISTOGRAM_SAMPLES_MIN)
            && in_one_range(chunk.newest().0, at, chunk_range_ms)
        {
            match chunk.push(at, Arc::clone(&histogram)) {
                Ok(()) => return Sealed::No,
                Err(misfit) => after_reset = misfit == Misfit::Reset,
            }
        }
        let sealed = self.seal();
        self.open = Open::Histograms(Box::new(HistogramChunk::new(at, histogram, after_reset)));
        sealed
    }

    /// Lets go of chunks all of whose samples are before `time`; counts them.
    pub(crate) fn cut_before(&mut self, time: TimestampMs) -> Cut {
        let gone = self.full.partition_point(|chunk| chunk.end < time);
        let sealed_bytes = self.full[..gone].iter().map(|chunk| chunk.data_bytes() as u64).sum();
        let mut cut = Cut { chunks: gone as u64, sealed_bytes };
        if gone > 0 {
            self.full.drain(..gone);
            self.full.shrink_to_fit();
        }
        if self.open_range().is_some_and(|(_, end)| end < time) {
            self.open = Open::None;
            cut.chunks += 1;
        }
        cut
    }

    /// The full chunks that are in memory.
    pub(crate) fn full_in_memory(&self) -> impl Iterator<Item = &Chunk> {
        self.full.iter().filter(|chunk| matches!(chunk.data, ChunkData::Memory(..)))
    }

    /// Adds a full chunk, newer than all others.
    pub(crate) fn add_full(&mut self, chunk: Chunk) {
        debug_assert!(self.newest_time().is_none_or(|newest| newest < chunk.start), "chunks come in order");
        debug_assert!(matches!(self.open, Open::None), "full chunks come before the open one");
        self.full.push(chunk);
    }

    /// Takes a full chunk's data from elsewhere from now on, if it is still the one it was; returns the bytes that need no memory
    /// any more.
    pub(crate) fn replace_full(&mut self, moved: &Chunk, data: ChunkData) -> usize {
        let same = |chunk: &&mut Chunk| chunk.start == moved.start && chunk.end == moved.end;
        match self.full.iter_mut().find(same) {
            Some(chunk) if chunk.is_in_same_memory(moved) => {
                chunk.data = data;
                moved.data_bytes()
            }
            _ => 0,
        }
    }

    /// Whether it has no sample.
    pub(crate) fn is_empty(&self) -> bool {
        self.full.is_empty() && matches!(self.open, Open::None)
    }

    fn seal(&mut self) -> Sealed {
        let full = self.copy_open();
        let bytes = full.as_ref().map_or(0, Chunk::data_bytes);
        // One more at a time: most series have few chunks, and doubling would leave half of them empty.
        self.full.reserve_exact(usize::from(full.is_some()));
        self.full.extend(full);
        Sealed::Yes { bytes }
    }

    fn open_range(&self) -> Option<(TimestampMs, TimestampMs)> {
        match &self.open {
            Open::None => None,
            Open::Floats(chunk) => Some((chunk.start(), chunk.newest().0)),
            Open::Histograms(chunk) => Some((chunk.start(), chunk.newest().0)),
        }
    }

    fn copy_open(&self) -> Option<Chunk> {
        let (start, end) = self.open_range()?;
        let (encoding, data) = match &self.open {
            Open::None => return None,
            Open::Floats(chunk) => (ChunkEncoding::Xor, chunk.data()),
            Open::Histograms(chunk) => (chunk.encoding(), chunk.data()),
        };
        Some(Chunk { start, end, data: ChunkData::Memory(encoding, data.into()) })
    }
}

impl Chunk {
    /// Bytes of its data that are in memory.
    pub(crate) fn data_bytes(&self) -> usize {
        match &self.data {
            ChunkData::Memory(_, data) => data.len(),
            ChunkData::Sample(..) | ChunkData::Stored { .. } => 0,
        }
    }

    /// The value stored for exactly this time.
    pub(crate) fn value_at(&self, at: TimestampMs) -> Result<Option<Value>, QueryError> {
        let (encoding, data) = self.data.load()?;
        value_at(encoding, &data, at).map_err(|error| QueryError::Corrupt(error.to_string().into()))
    }

    fn last_value(&self) -> (TimestampMs, Value) {
        let value = self.value_at(self.end).ok().flatten();
        // What cannot be read was told of. It equals no sample: another one of its time is refused.
        (self.end, value.unwrap_or(Value::Float(f64::NAN)))
    }

    fn is_in_same_memory(&self, other: &Self) -> bool {
        match (&self.data, &other.data) {
            (ChunkData::Memory(_, left), ChunkData::Memory(_, right)) => Arc::ptr_eq(left, right),
            _ => false,
        }
    }
}

fn value_at(encoding: ChunkEncoding, data: &[u8], at: TimestampMs) -> Result<Option<Value>, CorruptChunk> {
    match encoding {
        ChunkEncoding::Xor => {
            let (mut timestamps, mut values) = (Vec::new(), Vec::new());
            XorDecoder::new(data)?.read(&mut timestamps, &mut values, usize::MAX)?;
            Ok(timestamps.binary_search(&at).ok().map(|index| Value::Float(values[index])))
        }
        encoding => {
            for sample in HistogramDecoder::new(encoding, data) {
                let (time, histogram) = sample?;
                if time == at {
                    return Ok(Some(Value::Histogram(histogram)));
                }
            }
            Ok(None)
        }
    }
}

/// Whether an open chunk takes one more sample.
fn has_room(samples: u16, bytes: usize, samples_min: u16) -> bool {
    samples < CHUNK_SAMPLES && (bytes + SAMPLE_BYTES_MAX <= CHUNK_BYTES || samples < samples_min)
}

/// Whether no multiple of the range lies between two times, the second of which is later. A chunk belongs to one block.
fn in_one_range(newest: TimestampMs, at: TimestampMs, range_ms: i64) -> bool {
    at.0.saturating_sub(newest.0) <= at.0.rem_euclid(range_ms)
}

/// Prometheus' aim.
const CHUNK_SAMPLES: u16 = 120;

/// No chunk of floats grows beyond.
const CHUNK_BYTES: usize = 1024;

/// The longest float sample: 68 bits of time and 77 of value.
const SAMPLE_BYTES_MAX: usize = 19;

/// Histograms with many buckets still share their layout among so many.
const HISTOGRAM_SAMPLES_MIN: u16 = 10;

#[cfg(test)]
mod tests;
