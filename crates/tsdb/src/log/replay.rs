//! Reading the logs back into a head, and mending what a crash or a bad disk left.
//!
//! One thread reads, checks and decodes records in their order, a page of a segment at a time, and finds or makes the series.
//! Samples go to workers ([`sink`]), each of which has some of the head's pages, a few scrapes of a page at a time: so those of
//! one series stay in order, and the head is the same for any number of workers.
//!
//! A series whose record is there comes into the head with its first sample only. So a record written for a batch that
//! was never finished, or for metadata alone, leaves nothing behind, nor does a series all of whose samples are in blocks.

mod records;
mod references;
mod sink;

use std::path::{Path, PathBuf};

use environment::{Disk, Monotonic};
use hashbrown::HashMap;
use model::TimestampMs;
use tsdb_format::wal::frame::{CorruptLog, FrameReader, SegmentError};
use tsdb_format::wal::record::WalRef;

use self::records::{Kind, Records};
use self::sink::Sink;
use super::ClosedSegment;
use super::mend::{Hole, Holed, Mend, Recovery};
use super::segments::{Listing, Segment, Sequential};
use crate::db::OpenError;
use crate::head::Head;
use crate::head_chunks::LoadedChunks;
use crate::ooo::Ooo;
use crate::stats::Counters;

/// What is read, and into what.
pub(crate) struct Replaying<'a> {
    pub(crate) disk: &'a dyn Disk,
    /// The database's.
    pub(crate) directory: &'a Path,
    /// Empty.
    pub(crate) head: &'a Head,
    pub(crate) counters: &'a Counters,
    /// Samples in order that are older are in blocks.
    pub(crate) from: TimestampMs,
    /// Full chunks that need not be built again.
    pub(crate) head_chunks: LoadedChunks,
    /// Where samples out of order go.
    pub(crate) late: Option<Late<'a>>,
    /// Threads that append, beside the one that reads. With none that one does all; the outcome is the same.
    pub(crate) workers: usize,
    pub(crate) mend: Mend,
}

/// For the log of samples out of order.
pub(crate) struct Late<'a> {
    pub(crate) ooo: &'a Ooo,
    pub(crate) now: Monotonic,
}

/// What the writer goes on with.
pub(crate) struct Replayed {
    /// Numbers of the next segments of `wal` and `wbl`, which do not exist or are empty.
    pub(crate) next_segment: u64,
    pub(crate) next_late_segment: u64,
    /// Segments of `wal` that no checkpoint stands for.
    pub(crate) closed: Vec<ClosedSegment>,
    /// References of the series in the head, by slot.
    pub(crate) refs: Vec<WalRef>,
    /// References of metric families with metadata.
    pub(crate) metadata_refs: HashMap<String, WalRef>,
    /// The first reference never used.
    pub(crate) next_ref: u64,
    /// The newest time that a deletion in the log reaches; `None` when there is none that matters.
    pub(crate) deleted_until: Option<TimestampMs>,
    pub(crate) recovery: Recovery,
}

impl Replaying<'_> {
    /// Reads the logs, and mends them.
    pub(crate) fn run(mut self) -> Result<Replayed, OpenError> {
        let wal = Listing::of(self.disk, &self.directory.join("wal"))?;
        let wbl = Listing::of(self.disk, &self.directory.join("wbl"))?;
        if self.mend == Mend::Yes {
            wal.remove_leftovers(self.disk)?;
            wbl.remove_leftovers(self.disk)?;
        }
        let chunks = std::mem::take(&mut self.head_chunks);
        let workers = if self.bytes(&wal) < PARALLEL_BYTES_MIN { 0 } else { self.workers };
        Sink::scope(self.head, workers, |sink| {
            let mut records = Records::new(&self, chunks, sink);
            let (next_segment, closed) = self.read_log(&wal, Kind::InOrder, &mut records)?;
            records.finish_in_order();
            let (next_late_segment, _) = self.read_log(&wbl, Kind::OutOfOrder, &mut records)?;
            Ok(records.finish(next_segment, next_late_segment, closed))
        })
    }

    /// Reads one log; returns the number of its next segment, and those there are.
    fn read_log(
        &self,
        listing: &Listing,
        kind: Kind,
        records: &mut Records<'_, '_>,
    ) -> Result<(u64, Vec<ClosedSegment>), OpenError> {
        let mut closed = Vec::new();
        let mut reader = None;
        for segment in &listing.checkpoint_files {
            self.read_segment(segment, false, kind, records, &mut reader)?;
        }
        for segment in &listing.segments {
            let is_last = Some(segment) == listing.segments.last();
            let length = self.read_segment(segment, is_last, kind, records, &mut reader)?;
            // A start without a write leaves an empty segment: it is used again.
            if length == 0 && is_last {
                return Ok((segment.number, closed));
            }
            closed.push(ClosedSegment { number: segment.number, newest: records.newest() });
        }
        Ok((listing.next_number(), closed))
    }

    /// Takes in all records of a segment, and mends it; returns its length.
    fn read_segment(
        &self,
        segment: &Segment,
        is_last: bool,
        kind: Kind,
        records: &mut Records<'_, '_>,
        reader: &mut Option<FrameReader<Sequential>>,
    ) -> Result<u64, OpenError> {
        let path = &segment.path;
        let source = Sequential::open(self.disk, path).map_err(OpenError::at("read", path))?;
        let reader = match reader {
            Some(reader) => {
                reader.restart(source);
                reader
            }
            None => reader.insert(FrameReader::new(source)),
        };
        let mut holes: Vec<Hole> = Vec::new();
        let mut open: Option<(u64, CorruptLog)> = None;
        loop {
            match reader.next_record() {
                Ok(Some(record)) => {
                    records.take(path, kind, record);
                    if let Some((start, error)) = open.take() {
                        holes.push(Hole { start, end: reader.start(), error });
                    }
                }
                Ok(None) => break,
                Err(SegmentError::Corrupt(error)) => {
                    open.get_or_insert((reader.good(), error));
                }
                Err(SegmentError::Read(error)) => return Err(OpenError::at("read", path)(error)),
            }
        }
        let length = reader.position();
        holes.extend(open.map(|(start, error)| Hole { start, end: length, error }));
        records.recovery.segments += 1;
        records.recovery.bytes += length;
        let holed = Holed { disk: self.disk, directory: self.directory, path, length, is_last, mend: self.mend };
        holed.mend(&holes, &mut records.recovery)?;
        Ok(length)
    }

    /// How much is to be read. What cannot be asked for fails when it is read.
    fn bytes(&self, listing: &Listing) -> u64 {
        let length = |path: &PathBuf| self.disk.open_read(path).and_then(|file| file.len()).unwrap_or(0);
        listing.checkpoint_files.iter().chain(&listing.segments).map(|segment| length(&segment.path)).sum()
    }
}

/// Below it, starting threads costs more than they save.
const PARALLEL_BYTES_MIN: u64 = if cfg!(test) { 1 } else { 1 << 20 };

#[cfg(test)]
mod tests;
