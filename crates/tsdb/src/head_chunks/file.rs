//! One file of head chunks, read at places.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use environment::{Disk, DiskRead};
use model::TimestampMs;
use storage::QueryError;
use tsdb_format::chunk::ChunkEncoding;
use tsdb_format::head_chunk::{self, FRAME_BYTES_MAX, HeadChunk, Next};

use crate::part::{ChunkBytes, ChunkData, ChunkStore};

pub(super) struct ChunkFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    number: u32,
    newest: AtomicI64,
    bytes: AtomicU64,
    reader: Box<dyn DiskRead>,
    /// When nothing is appended any more.
    finished: OnceLock<Finished>,
}

/// How a file is read that does not change any more.
enum Finished {
    Map(Bytes),
    Read(Box<dyn DiskRead>),
}

impl ChunkFile {
    /// A file that is being written.
    pub(super) fn growing(disk: Arc<dyn Disk>, path: PathBuf, number: u32) -> io::Result<Self> {
        Ok(Self {
            reader: disk.open_read(&path)?,
            disk,
            path,
            number,
            newest: AtomicI64::new(i64::MIN),
            bytes: AtomicU64::new(head_chunk::HEADER.len() as u64),
            finished: OnceLock::new(),
        })
    }

    /// It has so many bytes now, and a chunk that ends at this time.
    pub(super) fn grown(&self, bytes: u64, end: TimestampMs) {
        self.bytes.store(bytes, Ordering::Release);
        self.newest.fetch_max(end.0, Ordering::Relaxed);
    }

    /// Nothing is appended any more.
    pub(super) fn finish(&self) {
        let map = self.disk.map(&self.path).ok().flatten().filter(|map| map.len() as u64 >= self.bytes());
        let finished = match map {
            Some(map) => Some(Finished::Map(map)),
            // Opened again: what was opened while it grew need not outlive the file's name with all that came since.
            None => self.disk.open_read(&self.path).ok().map(Finished::Read),
        };
        if let Some(finished) = finished {
            let _ = self.finished.set(finished);
        }
    }

    /// The chunk that begins at this byte.
    pub(super) fn chunk(self: &Arc<Self>, offset: u32) -> ChunkData {
        let reference = u64::from(self.number) << 32 | u64::from(offset);
        ChunkData::Stored { store: Arc::clone(self) as Arc<dyn ChunkStore>, reference }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// The time at which its newest chunk ends.
    pub(super) fn newest(&self) -> TimestampMs {
        TimestampMs(self.newest.load(Ordering::Relaxed))
    }

    fn read_mapped(map: &Bytes, offset: usize) -> Result<(ChunkEncoding, Bytes), Unreadable> {
        let bytes = map.get(offset..).unwrap_or_default();
        let chunk = whole(head_chunk::next_chunk(bytes))?;
        Ok((encoding(&chunk)?, map.slice_ref(chunk.data)))
    }

    fn read_at(reader: &dyn DiskRead, offset: u64) -> Result<(ChunkEncoding, Bytes), Unreadable> {
        let mut buffer = vec![0; USUAL_BYTES];
        loop {
            let read = reader.read_at(&mut buffer, offset).map_err(Unreadable::Now)?;
            let is_all = read < buffer.len();
            match head_chunk::next_chunk(&buffer[..read]) {
                // Not more than the largest chunk.
                Ok(Next::More(needed)) if !is_all => buffer.resize(needed.max(buffer.len() + 1), 0),
                next => {
                    let chunk = whole(next)?;
                    let encoding = encoding(&chunk)?;
                    return Ok((encoding, Bytes::copy_from_slice(chunk.data)));
                }
            }
        }
    }
}

/// Why a chunk could not be read.
enum Unreadable {
    /// Its bytes are not what was written.
    Damaged(String),
    /// The disk did not do its part this time: the chunk is not to be given up for it.
    Now(io::Error),
}

impl From<String> for Unreadable {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

fn whole(next: Result<Next<'_>, head_chunk::CorruptHeadChunk>) -> Result<HeadChunk<'_>, String> {
    match next {
        Ok(Next::Chunk(chunk, _)) => Ok(chunk),
        Ok(Next::More(_)) => Err("a head chunk reaches beyond its file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn encoding(chunk: &HeadChunk<'_>) -> Result<ChunkEncoding, String> {
    ChunkEncoding::from_byte(chunk.encoding).ok_or_else(|| format!("a head chunk of encoding {}", chunk.encoding))
}

impl ChunkStore for ChunkFile {
    /// Verified at each touch: the files stay small, and the checksum is cheaper than remembering.
    fn read(&self, reference: u64) -> Result<(ChunkEncoding, ChunkBytes<'static>), QueryError> {
        let offset = reference & u64::from(u32::MAX);
        debug_assert_eq!(reference >> 32, u64::from(self.number));
        let read = match self.finished.get() {
            Some(Finished::Map(map)) => Self::read_mapped(map, offset as usize),
            Some(Finished::Read(reader)) => Self::read_at(&**reader, offset),
            None => Self::read_at(&*self.reader, offset),
        };
        read.map(|(encoding, data)| (encoding, ChunkBytes::Read(data))).map_err(|unreadable| match unreadable {
            Unreadable::Damaged(what) => {
                tracing::error!(
                    file = %self.path.display(), offset, what,
                    "a chunk of the head is damaged; the next start builds it from the write-ahead log"
                );
                QueryError::Corrupt(format!("{} at byte {offset}: {what}", self.path.display()).into())
            }
            Unreadable::Now(error) => {
                QueryError::Unavailable(format!("{} at byte {offset}: {error}", self.path.display()).into())
            }
        })
    }
}

/// Most chunks are smaller.
const USUAL_BYTES: usize = 1024 + FRAME_BYTES_MAX;
