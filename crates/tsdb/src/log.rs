//! The write-ahead log on disk: segments of records in Prometheus' format, in the directory `wal`.
//!
//! Writing: records are gathered, then go to the segment in one append. A new segment starts at every opening and when
//! one is full; the full one is synced first, so that a power cut never keeps a later record without an earlier one.

mod replay;
mod syncer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use environment::{Disk, DiskFile};
use tsdb_format::wal::frame::FrameWriter;

pub use replay::{Damage, Recovery};
pub(crate) use replay::{Replayed, replay};
pub(crate) use syncer::Syncer;

use crate::stats::Counters;

/// The end of the log.
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
            sync_if_there(&*disk, &directory.join(segment_name(before)))?;
        }
        let file = match start_segment(&*disk, directory, number, syncer.as_deref()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                take_empty_segment(&*disk, directory, number, syncer.as_deref())?
            }
            started => started?,
        };
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
        })
    }

    /// Adds a record to the next write.
    pub(crate) fn push(&mut self, record: &[u8]) {
        self.records.extend_from_slice(record);
        self.ends.push(self.records.len());
    }

    /// Writes the records pushed since the last write, in order, with one append. On `Ok` they have left the process, and
    /// if the log has no syncer they are synced.
    pub(crate) fn write(&mut self, counters: &Counters) -> io::Result<()> {
        if self.ends.is_empty() {
            return Ok(());
        }
        let bound: usize =
            self.ends.len() * FrameWriter::framed_bytes_max(0) + FrameWriter::framed_bytes_max(self.records.len());
        if self.frames.position() > 0 && self.frames.position() + bound as u64 > self.segment_bytes_max {
            self.next_segment(counters)?;
        }
        self.framed.clear();
        let mut start = 0;
        for &end in &self.ends {
            self.frames.frame(&self.records[start..end], &mut self.framed);
            start = end;
        }
        self.file.append(&self.framed)?;
        counters.wal_writes.add(1);
        counters.wal_bytes.add(self.framed.len() as u64);
        self.forget();
        match &self.syncer {
            Some(syncer) => {
                syncer.written();
                Ok(())
            }
            None => self.sync(counters),
        }
    }

    /// Makes everything written survive a power cut.
    pub(crate) fn sync(&self, counters: &Counters) -> io::Result<()> {
        sync(&*self.file, counters)
    }

    /// The path of the segment being written.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(segment_name(self.number))
    }

    fn next_segment(&mut self, counters: &Counters) -> io::Result<()> {
        self.sync(counters)?;
        self.file = start_segment(&*self.disk, &self.directory, self.number + 1, self.syncer.as_deref())?;
        self.number += 1;
        self.frames.start_segment();
        counters.wal_segment.set(self.number);
        Ok(())
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

fn start_segment(
    disk: &dyn Disk,
    directory: &Path,
    number: u64,
    syncer: Option<&Syncer>,
) -> io::Result<Box<dyn DiskFile>> {
    let path = directory.join(segment_name(number));
    let file = disk.create(&path)?;
    follow(disk, directory, &path, syncer)?;
    Ok(file)
}

/// Goes on in a segment that an earlier start left empty, which spares the disk most of the work of a new one.
fn take_empty_segment(
    disk: &dyn Disk,
    directory: &Path,
    number: u64,
    syncer: Option<&Syncer>,
) -> io::Result<Box<dyn DiskFile>> {
    let path = directory.join(segment_name(number));
    let file = disk.open_append(&path)?;
    if !file.is_empty()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    follow(disk, directory, &path, syncer)?;
    Ok(file)
}

/// Makes the segment's name durable, also where the start that made it died before it had, and has the segment synced.
fn follow(disk: &dyn Disk, directory: &Path, path: &Path, syncer: Option<&Syncer>) -> io::Result<()> {
    disk.sync_directory(directory)?;
    if let Some(syncer) = syncer {
        // A handle of its own: syncing must not wait for writing, nor the reverse.
        syncer.watch(disk.open_append(path)?);
    }
    Ok(())
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

fn segment_name(number: u64) -> String {
    format!("{number:08}")
}

const KEPT_BYTES_MAX: usize = 4 << 20;
