//! A log on disk: segments of records in Prometheus' format. A database has two: `wal` for what comes in order (and series,
//! exemplars, metadata, deletions), `wbl` for samples out of order.
//!
//! Writing: records are gathered, then go to the segment in one append. A new segment starts at every opening and when
//! one is full; the full one is synced first, so that a power cut never keeps a later record without an earlier one. An append
//! that fails (a full disk) is cut back to what was there before it, so that the next one can succeed; a failed sync cannot be
//! mended, since nobody knows what is on the disk.
//!
//! Reading: [`replay`], which mends what is damaged ([`mend`]). Shortening: [`checkpoint`] writes what is still needed of the
//! oldest segments, which are then removed.

mod checkpoint;
mod mend;
mod replay;
mod segments;
mod shortening;
mod syncer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use environment::{Disk, DiskFile};
use model::TimestampMs;
use tsdb_format::wal::frame::FrameWriter;

pub(crate) use checkpoint::{Checkpoint, CheckpointError, Needed};
pub use mend::{Damage, Recovery};
pub(crate) use mend::{Mend, SET_ASIDE};
pub(crate) use replay::{Late, Replayed, Replaying};
use segments::segment_path;
pub(crate) use segments::{Listing, name_of};
pub(crate) use shortening::{ShortenError, in_order_end};
pub(crate) use syncer::Syncer;

use crate::stats::Counters;

/// The end of a log.
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    number: u64,
    file: Box<dyn DiskFile>,
    frames: FrameWriter,
    segment_bytes_max: u64,
    /// Syncs in the background; without one, every write is synced.
    syncer: Option<Arc<Syncer>>,
    /// Records of the next write, back to back, and where each ends.
    records: Vec<u8>,
    ends: Vec<usize>,
    framed: Vec<u8>,
    /// Something failed that left more in the segment than `frames` knows.
    is_torn: bool,
    /// The newest time of what was written so far.
    newest: TimestampMs,
    /// Segments that are not written any more and that no checkpoint stands for, rising.
    closed: Vec<ClosedSegment>,
    /// The time for which [`Log::begin_segment_for`] began the last segment.
    begun_for: TimestampMs,
}

/// A segment that is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ClosedSegment {
    pub(crate) number: u64,
    /// No sample in it is newer.
    pub(crate) newest: TimestampMs,
}

/// Why records are not in the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// They could not be appended, and are not there. The next write may succeed.
    #[error("write to {}: {source}", path.display())]
    Append { path: PathBuf, source: io::Error },
    /// They, or those before, may be lost by a power cut. Nothing may be written any more.
    #[error("sync of {}: {source}", path.display())]
    Sync { path: PathBuf, source: io::Error },
}

impl WriteError {
    /// Whether nothing may be written any more.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Sync { .. })
    }
}

impl Log {
    /// Starts the segment `number`.
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        directory: &Path,
        number: u64,
        segment_bytes_max: u64,
        syncer: Option<Arc<Syncer>>,
    ) -> io::Result<Self> {
        // What the process before this one wrote and did not sync was read and is answered from: it is not to be gone, nor to be
        // missing below what is synced from now on.
        if let Some(before) = number.checked_sub(1) {
            sync_if_there(&*disk, &segment_path(directory, before))?;
        }
        let file = start_segment(&*disk, directory, number, syncer.as_deref())?;
        Ok(Self {
            disk,
            directory: directory.to_path_buf(),
            number,
            file,
            frames: FrameWriter::new(0),
            segment_bytes_max,
            syncer,
            records: Vec::new(),
            ends: Vec::new(),
            framed: Vec::new(),
            is_torn: false,
            newest: TimestampMs::MIN,
            closed: Vec::new(),
            begun_for: TimestampMs::MIN,
        })
    }

    /// Segments that were there before, as reading them found them.
    pub(crate) fn after(mut self, closed: Vec<ClosedSegment>) -> Self {
        self.newest = closed.iter().map(|segment| segment.newest).fold(self.newest, TimestampMs::max);
        self.closed = closed;
        self
    }

    /// Adds a record to the next write.
    pub(crate) fn push(&mut self, record: &[u8]) {
        self.records.extend_from_slice(record);
        self.ends.push(self.records.len());
    }

    /// Adds the time of a sample of the next write.
    #[inline]
    pub(crate) fn cover(&mut self, at: TimestampMs) {
        self.newest = self.newest.max(at);
    }

    /// Writes the records pushed since the last write, in order, with one append. On `Ok` they have left the process, and
    /// if the log has no syncer they are synced.
    ///
    /// # Errors
    /// The log is as before, without the records; see [`WriteError`].
    pub(crate) fn write(&mut self, counters: &Counters) -> Result<(), WriteError> {
        if self.ends.is_empty() {
            return Ok(());
        }
        let written = self.write_records(counters);
        self.forget();
        written?;
        match &self.syncer {
            Some(syncer) => {
                syncer.written();
                Ok(())
            }
            None => self.sync(counters),
        }
    }

    /// Makes everything written survive a power cut.
    pub(crate) fn sync(&self, counters: &Counters) -> Result<(), WriteError> {
        sync(&*self.file, counters).map_err(|source| WriteError::Sync { path: self.path(), source })
    }

    /// Ends the segment, if there is anything in it: what is written from here on goes to the next one. Returns the number of
    /// the segment that is written to.
    pub(crate) fn cut(&mut self, counters: &Counters) -> Result<u64, WriteError> {
        if self.frames.position() > 0 || self.is_torn {
            self.cut_back().map_err(|source| WriteError::Append { path: self.path(), source })?;
            self.next_segment(counters)?;
        }
        Ok(self.number)
    }

    /// Ends the segment when blocks have samples up to a later time than before: it becomes superfluous in its turn, however slowly
    /// it grew. Says whether it is later.
    pub(crate) fn begin_segment_for(&mut self, time: TimestampMs, counters: &Counters) -> Result<bool, WriteError> {
        if time <= self.begun_for {
            return Ok(false);
        }
        self.cut(counters)?;
        self.begun_for = time;
        Ok(true)
    }

    /// Segments that are complete, rising; none that a checkpoint stands for.
    pub(crate) fn closed(&self) -> &[ClosedSegment] {
        &self.closed
    }

    /// The segments up to `number` are gone.
    pub(crate) fn forget_closed(&mut self, number: u64) {
        self.closed.retain(|segment| segment.number > number);
    }

    /// The path of the segment being written.
    pub(crate) fn path(&self) -> PathBuf {
        segment_path(&self.directory, self.number)
    }

    /// The log's directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn write_records(&mut self, counters: &Counters) -> Result<(), WriteError> {
        self.cut_back().map_err(|source| WriteError::Append { path: self.path(), source })?;
        let bound: usize =
            self.ends.len() * FrameWriter::framed_bytes_max(0) + FrameWriter::framed_bytes_max(self.records.len());
        if self.frames.position() > 0 && self.frames.position() + bound as u64 > self.segment_bytes_max {
            self.next_segment(counters)?;
        }
        let before = self.frames.position();
        self.framed.clear();
        let mut start = 0;
        for &end in &self.ends {
            self.frames.frame(&self.records[start..end], &mut self.framed);
            start = end;
        }
        if let Err(source) = self.file.append(&self.framed) {
            self.frames.go_back(before);
            self.is_torn = true;
            // If it does not succeed now, it is tried again before the next write.
            let _ = self.cut_back();
            return Err(WriteError::Append { path: self.path(), source });
        }
        counters.wal_writes.add(1);
        counters.wal_bytes.add(self.framed.len() as u64);
        Ok(())
    }

    /// Removes what a failed append left.
    fn cut_back(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.truncate(self.frames.position())?;
            self.is_torn = false;
        }
        Ok(())
    }

    fn next_segment(&mut self, counters: &Counters) -> Result<(), WriteError> {
        self.sync(counters)?;
        let number = self.number + 1;
        let started = start_segment(&*self.disk, &self.directory, number, self.syncer.as_deref());
        let path = || segment_path(&self.directory, number);
        self.file = started.map_err(|source| WriteError::Append { path: path(), source })?;
        self.closed.push(ClosedSegment { number: self.number, newest: self.newest });
        self.number = number;
        self.frames.go_back(0);
        counters.wal_segment.set(self.number);
        Ok(())
    }

    /// Gives back memory that is kept for the next write.
    pub(crate) fn rest(&mut self) {
        self.records.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.framed = Vec::new();
    }

    fn forget(&mut self) {
        self.records.clear();
        self.ends.clear();
        // One unusually large group must not cost memory for ever.
        self.records.shrink_to(KEPT_BYTES_MAX);
        self.framed.clear();
        self.framed.shrink_to(KEPT_BYTES_MAX);
    }
}

/// Makes a segment, or goes on in one that an earlier try left empty, which spares the disk most of the work of a new one. Its
/// name is durable, also where the start that made it died before it was, and it is synced from here on.
fn start_segment(
    disk: &dyn Disk,
    directory: &Path,
    number: u64,
    syncer: Option<&Syncer>,
) -> io::Result<Box<dyn DiskFile>> {
    let path = segment_path(directory, number);
    let file = match disk.create(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = disk.open_append(&path)?;
            if !file.is_empty()? {
                return Err(error);
            }
            file
        }
        created => created?,
    };
    disk.sync_directory(directory)?;
    if let Some(syncer) = syncer {
        // A handle of its own: syncing must not wait for writing, nor the reverse.
        syncer.watch(disk.open_append(&path)?);
    }
    Ok(file)
}

fn sync_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.open_append(path) {
        Ok(file) => file.sync(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync(file: &dyn DiskFile, counters: &Counters) -> io::Result<()> {
    counters.wal_syncs.add(1);
    file.sync()
}

const KEPT_BYTES_MAX: usize = 4 << 20;
