//! Mending what a crash or a bad disk left in a segment.
//!
//! A *torn tail* is what remains of a write that nobody got an answer for: damage at the very end of the last segment.
//! It is cut off, so that the next start reads the segment as whole. *Damage* anywhere else is named, copied to
//! `set-aside/`, and the segment is rewritten without it: the next start (ours or a Prometheus') finds a clean log.
//! Records behind the damage are kept.

use std::io;
use std::path::{Path, PathBuf};

use environment::{Disk, DiskRead};
use tsdb_format::wal::frame::{CorruptLog, FrameReader, FrameWriter, SegmentError};

use super::segments::{REPAIR, Sequential, name_of, with_suffix};
use crate::db::OpenError;

/// What opening found in the logs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovery {
    /// Segments read, those of a checkpoint included.
    pub segments: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Samples and histograms put into the head.
    pub samples: u64,
    /// Samples deleted afterwards, as the log says.
    pub deleted: u64,
    /// Samples that were there already: twice in the log, or in a file of head chunks, too.
    pub repeated: u64,
    /// Samples that are in blocks, and not needed any more.
    pub in_blocks: u64,
    /// Samples out of order, from the log of their own.
    pub out_of_order: u64,
    /// Chunks found in files of head chunks.
    pub head_chunks: u64,
    /// Items whose series was lost.
    pub without_series: u64,
    /// Bytes of an unfinished write cut off the end.
    pub torn_bytes: u64,
    /// Records that are whole and say what cannot be; or of a type unknown here.
    pub unreadable_records: u64,
    /// Damage, the first 100 places.
    pub damage: Vec<Damage>,
    /// Places beyond those.
    pub more_damage: u64,
}

/// A place in the log whose bytes are not what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The segment.
    pub file: PathBuf,
    /// Where in it, bytes.
    pub offset: u64,
    /// How much of it, bytes.
    pub bytes: u64,
    /// What is wrong.
    pub what: String,
    /// Where the bytes were copied to.
    pub set_aside: PathBuf,
}

/// Whether what is found damaged may be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mend {
    /// Cut off what is torn, set damage aside.
    Yes,
    /// Read what can be read, touch nothing.
    No,
}

/// Bytes of a segment that hold no record.
pub(super) struct Hole {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) error: CorruptLog,
}

/// The log whose segment has holes.
pub(super) struct Holed<'a> {
    pub(super) disk: &'a dyn Disk,
    /// The database's directory.
    pub(super) directory: &'a Path,
    /// The segment.
    pub(super) path: &'a Path,
    pub(super) length: u64,
    /// Whether the log goes on behind it.
    pub(super) is_last: bool,
    pub(super) mend: Mend,
}

impl Recovery {
    pub(crate) fn add_damage(&mut self, damage: Damage) {
        if self.damage.len() < DAMAGE_LISTED_MAX {
            self.damage.push(damage);
        } else {
            self.more_damage += 1;
        }
    }
}

impl Holed<'_> {
    /// Cuts a torn tail; rewrites a segment with other damage without it.
    pub(super) fn mend(&self, holes: &[Hole], recovery: &mut Recovery) -> Result<(), OpenError> {
        let Some(last) = holes.last() else { return Ok(()) };
        if self.is_last && holes.len() == 1 && last.error.cut && last.end == self.length {
            return self.cut_tail(last.start, recovery);
        }
        for hole in holes {
            let damage = self.set_aside(hole)?;
            tracing::error!(
                file = %self.path.display(), offset = damage.offset, bytes = damage.bytes, error = %hole.error,
                set_aside = %damage.set_aside.display(),
                "the write-ahead log is damaged; the bytes are set aside and the rest is kept"
            );
            recovery.add_damage(damage);
        }
        match self.mend {
            Mend::Yes => rewrite(self.disk, self.path).map_err(OpenError::at("rewrite", self.path)),
            Mend::No => Ok(()),
        }
    }

    fn cut_tail(&self, start: u64, recovery: &mut Recovery) -> Result<(), OpenError> {
        let torn = self.length - start;
        tracing::warn!(
            file = %self.path.display(), offset = start, bytes = torn,
            "the write-ahead log ends in an unfinished write, which nobody got an answer for; it is left out"
        );
        recovery.torn_bytes += torn;
        let cut = || {
            let mut file = self.disk.open_append(self.path)?;
            file.truncate(start)?;
            file.sync()
        };
        match self.mend {
            Mend::Yes => cut().map_err(OpenError::at("cut", self.path)),
            Mend::No => Ok(()),
        }
    }

    fn set_aside(&self, hole: &Hole) -> Result<Damage, OpenError> {
        let into = self.directory.join(SET_ASIDE);
        // A checkpoint's files are called as segments are: the directory tells them apart.
        let log = self.path.parent().map(name_of).unwrap_or_default();
        let copy = into.join(format!("{log}-{}-at-{}", name_of(self.path), hole.start));
        if self.mend == Mend::Yes {
            self.disk.create_directory(&into).map_err(OpenError::at("create", &into))?;
            match copy_range(self.disk, self.path, hole.start..hole.end, &copy) {
                Ok(()) => {}
                // A start before this one died between setting aside and mending.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(OpenError::at("write", &copy)(error)),
            }
        }
        Ok(Damage {
            file: self.path.to_path_buf(),
            offset: hole.start,
            bytes: hole.end - hole.start,
            what: hole.error.what.to_owned(),
            set_aside: copy,
        })
    }
}

/// Copies some bytes of a file to a new one, durably.
fn copy_range(disk: &dyn Disk, from: &Path, range: std::ops::Range<u64>, to: &Path) -> io::Result<()> {
    let source = disk.open_read(from)?;
    let mut file = disk.create(to)?;
    let mut buffer = vec![0; COPY_BYTES.min((range.end - range.start) as usize)];
    let mut offset = range.start;
    while offset < range.end {
        let wanted = buffer.len().min((range.end - offset) as usize);
        let read = DiskRead::read_at(&*source, &mut buffer[..wanted], offset)?;
        if read == 0 {
            break;
        }
        file.append(&buffer[..read])?;
        offset += read as u64;
    }
    file.sync()?;
    disk.sync_directory(to.parent().unwrap_or(Path::new("")))
}

/// Replaces the segment by one with its good records only.
fn rewrite(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let mended = with_suffix(path, REPAIR);
    let mut file = disk.create(&mended)?;
    let mut reader = FrameReader::new(Sequential::open(disk, path)?);
    let (mut frames, mut framed) = (FrameWriter::new(0), Vec::new());
    loop {
        match reader.next_record() {
            Ok(Some(record)) => frames.frame(record, &mut framed),
            Ok(None) => break,
            Err(SegmentError::Corrupt(_)) => {}
            Err(SegmentError::Read(error)) => return Err(error),
        }
        if framed.len() > COPY_BYTES {
            file.append(&framed)?;
            framed.clear();
        }
    }
    file.append(&framed)?;
    file.sync()?;
    disk.rename(&mended, path)?;
    disk.sync_directory(path.parent().unwrap_or(Path::new("")))
}

/// The directory for what is damaged.
pub(crate) const SET_ASIDE: &str = "set-aside";

const DAMAGE_LISTED_MAX: usize = 100;
const COPY_BYTES: usize = 1 << 20;
