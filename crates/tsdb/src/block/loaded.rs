//! The index and chunk files of a block in use.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use storage::QueryError;
use tsdb_format::block::index::Index;
use tsdb_format::block::segment::{self, ChunkRef, Frame};
use tsdb_format::block::{CorruptBlock, index::BlockSeriesRef};
use tsdb_format::chunk::{self, ChunkEncoding};

use super::counters::BlockCounters;
use super::error::BlockError;
use super::source::{BlockPart, BlockSource};
use super::verified::Verified;
use crate::part::{ChunkBytes, ChunkStore};

/// What reading needs. Lives as long as somebody reads, also when the block rests or is replaced.
pub(crate) struct Loaded {
    /// None other in this process has or had this number.
    pub(super) number: u64,
    pub(super) index: Index<Bytes>,
    segments: Box<[Segment]>,
    source: Arc<dyn BlockSource>,
    /// Of files that are not mapped: what was read last, since the next chunk asked for mostly follows the last one.
    window: Mutex<Window>,
    /// Damaged places that the log was told of.
    told: Mutex<BTreeSet<u64>>,
    counters: Arc<BlockCounters>,
}

struct Segment {
    length: u64,
    mapped: Option<(Bytes, Verified)>,
}

#[derive(Default)]
struct Window {
    segment: u32,
    start: u64,
    bytes: Bytes,
}

impl Loaded {
    /// Opens index and chunk files. `index_version`: see [`Index::open_as`].
    pub(super) fn open(
        source: &Arc<dyn BlockSource>,
        index_version: Option<u8>,
        counters: &Arc<BlockCounters>,
    ) -> Result<Self, BlockError> {
        let reading = |part| BlockError::reading(&**source, part);
        let mut segments = Vec::new();
        for number in 0..source.segments().map_err(reading(BlockPart::Chunks(0)))? {
            let part = BlockPart::Chunks(number);
            let length = source.len(part).map_err(reading(part))?;
            let mapped = source.mapped(part).map_err(reading(part))?;
            segments.push(Segment { length, mapped: mapped.map(|bytes| (bytes, Verified::new(length))) });
        }
        let part = BlockPart::Index;
        let file = source.len(part).and_then(|length| source.read(part, 0..length)).map_err(reading(part))?;
        let index = Index::open_as(file, index_version).map_err(|error| BlockError::corrupt(&**source, error))?;
        Ok(Self {
            number: OPENED.fetch_add(1, Ordering::Relaxed),
            index,
            segments: segments.into(),
            source: Arc::clone(source),
            window: Mutex::default(),
            told: Mutex::default(),
            counters: Arc::clone(counters),
        })
    }

    /// Memory beside mapped files, but for what is verified.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.index.memory_bytes() + self.segments.len() * size_of::<Segment>()
    }

    /// Tells of a series that cannot be read.
    pub(super) fn tell_series(&self, series: BlockSeriesRef, error: &CorruptBlock) {
        if self.tell_once(u64::from(series.0) | SERIES_FLAG) {
            self.counters.corrupt_series.add(1);
            tracing::error!(
                block = self.source.name(), %error,
                "a series in the index of a block is damaged and left out of all answers"
            );
        }
    }

    fn chunk(&self, reference: ChunkRef) -> Result<(ChunkEncoding, ChunkBytes<'static>), ChunkError> {
        let segment = self.segments.get(reference.segment() as usize);
        let outside = "a reference to a chunk outside its segment";
        let segment = segment.ok_or(CorruptBlock { part: "index", offset: reference.0, what: outside })?;
        let offset = u64::from(reference.offset());
        if offset < segment::HEADER_BYTES as u64 || offset >= segment.length {
            return Err(CorruptBlock { part: "index", offset: reference.0, what: outside }.into());
        }
        let (encoding, data) = match &segment.mapped {
            Some((file, verified)) => {
                let frame = segment::frame(file, offset as usize)?;
                if !verified.contains(reference.offset()) {
                    segment::verify(file, &frame)?;
                    verified.insert(reference.offset(), frame.end - offset as usize);
                }
                (frame.encoding, file.slice(frame.data))
            }
            None => self.read_unmapped(reference, segment.length)?,
        };
        match chunk::plain(encoding, &data) {
            Ok((encoding, None)) => Ok((encoding, ChunkBytes::Read(data))),
            Ok((encoding, Some(repacked))) => Ok((encoding, ChunkBytes::Repacked(repacked))),
            Err(error) => Err(ChunkError::Unusable(error.to_string())),
        }
    }

    /// Reads a chunk through the window. Its checksum is verified each time: these are other bytes each time.
    fn read_unmapped(&self, reference: ChunkRef, length: u64) -> Result<(u8, Bytes), ChunkError> {
        let offset = u64::from(reference.offset());
        let part = BlockPart::Chunks(reference.segment());
        let mut window = self.window.lock();
        let held = window.start..window.start + window.bytes.len() as u64;
        if window.segment == reference.segment() && held.contains(&offset) {
            let within = (offset - window.start) as usize;
            if let Ok(frame) = segment::frame(&window.bytes, within) {
                return verified_chunk(&window.bytes, frame);
            }
        }
        // The length is known only from the chunk's first bytes; nearly all are shorter than this.
        let mut end = length.min(offset + CHUNK_BYTES_EXPECTED);
        let mut bytes = self.source.read(part, offset..end).map_err(ChunkError::Unreadable)?;
        if let Some(whole) = segment::framed_bytes(&bytes).map(|bytes| offset.saturating_add(bytes))
            && whole > end
        {
            end = length.min(whole);
            bytes = self.source.read(part, offset..end).map_err(ChunkError::Unreadable)?;
        }
        *window = Window { segment: reference.segment(), start: offset, bytes: bytes.clone() };
        drop(window);
        let frame = segment::frame(&bytes, 0)?;
        verified_chunk(&bytes, frame)
    }

    /// Tells of a chunk that cannot be read.
    fn tell_chunk(&self, reference: ChunkRef, what: &str) -> QueryError {
        let (file, offset) = (BlockPart::Chunks(reference.segment()).path(), reference.offset());
        if self.tell_once(reference.0) {
            self.counters.corrupt_chunks.add(1);
            tracing::error!(
                block = self.source.name(),
                file,
                offset,
                error = what,
                "a chunk is damaged and left out of all answers"
            );
        }
        QueryError::Corrupt(format!("{what}: at byte {offset} of {file} of block {}", self.source.name()).into())
    }

    /// Whether the log was not told of this place yet; counts that it is now.
    fn tell_once(&self, place: u64) -> bool {
        let mut told = self.told.lock();
        told.len() < TOLD_MAX && told.insert(place)
    }
}

fn verified_chunk(bytes: &Bytes, frame: Frame) -> Result<(u8, Bytes), ChunkError> {
    segment::verify(bytes, &frame)?;
    Ok((frame.encoding, bytes.slice(frame.data)))
}

enum ChunkError {
    Corrupt(CorruptBlock),
    /// An encoding that cannot be read, or data that are none.
    Unusable(String),
    Unreadable(std::io::Error),
}

impl From<CorruptBlock> for ChunkError {
    fn from(error: CorruptBlock) -> Self {
        Self::Corrupt(error)
    }
}

impl ChunkStore for Loaded {
    fn read(&self, reference: u64) -> Result<(ChunkEncoding, ChunkBytes<'static>), QueryError> {
        let reference = ChunkRef(reference);
        self.chunk(reference).map_err(|error| {
            let what = match error {
                ChunkError::Corrupt(CorruptBlock { what, .. }) => what.to_owned(),
                ChunkError::Unusable(what) => what,
                ChunkError::Unreadable(error) => {
                    let file = BlockPart::Chunks(reference.segment()).path();
                    let text = format!("{file} of block {}: {error}", self.source.name());
                    return QueryError::Unavailable(text.into());
                }
            };
            self.tell_chunk(reference, &what)
        })
    }

    fn damaged(&self, reference: u64, error: &QueryError) {
        self.tell_chunk(ChunkRef(reference), &error.to_string());
    }
}

/// How many were opened in this process.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// Few chunks are longer: floats have at most 1 KiB, histograms mostly so.
pub(super) const CHUNK_BYTES_EXPECTED: u64 = 16_000;
/// Damaged places of one block that are told of and counted. One with more needs no number.
const TOLD_MAX: usize = 1000;
/// Tells a series' number from a chunk's.
const SERIES_FLAG: u64 = 1 << 63;
