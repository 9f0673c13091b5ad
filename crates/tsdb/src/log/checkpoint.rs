//! Shortening the log: what is still needed of its oldest segments goes into a checkpoint, and they are removed.
//!
//! As Prometheus has it: the directory `checkpoint.NNNNNNNN` holds segments of its own and stands for all segments up to its
//! number, and for the checkpoint before it. It is written under another name, synced, then renamed. A start that finds it reads
//! it instead of them; one that does not finds them whole.
//!
//! Only closed segments are read, so that writing goes on meanwhile.

use std::io;
use std::path::{Path, PathBuf};

use environment::{Disk, DiskFile};
use model::{Exemplar, Metadata, TimestampMs};
use tsdb_format::wal::frame::{FrameReader, FrameWriter, SegmentError};
use tsdb_format::wal::record::{
    CorruptRecord, ExemplarEncoder, HistogramEncoder, HistogramKind, MetadataEncoder, Record, SampleEncoder,
    SeriesEncoder, TombstoneEncoder, WalRef,
};

use super::segments::{Listing, Sequential, UNFINISHED, checkpoint_path, segment_path, with_suffix};
use crate::db::OpenError;

/// What of old segments is still needed. Taken under the writer, when the last of them was closed.
pub(crate) struct Needed {
    /// Samples before it are in blocks.
    pub(crate) from: TimestampMs,
    /// Series that have samples or may have some again, in any order.
    pub(crate) series: Vec<WalRef>,
    /// All there are, as the log names their families.
    pub(crate) metadata: Vec<(WalRef, Metadata)>,
    /// All there are, oldest first.
    pub(crate) exemplars: Vec<(WalRef, Exemplar)>,
}

/// A checkpoint to be written.
pub(crate) struct Checkpoint<'a> {
    pub(crate) disk: &'a dyn Disk,
    /// The log's.
    pub(crate) directory: &'a Path,
    /// The last segment it stands for.
    pub(crate) upto: u64,
    pub(crate) segment_bytes_max: u64,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    /// Files cannot be used.
    #[error(transparent)]
    Disk(#[from] io::Error),
    /// The log's directory cannot be listed or tidied.
    #[error(transparent)]
    Files(#[from] OpenError),
    /// What was written has changed on the disk. The next start sets it aside.
    #[error("{} is damaged, so that the log cannot be shortened before the next start sets it aside: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
}

impl Checkpoint<'_> {
    /// Writes it, and removes what it stands for.
    pub(crate) fn write(&self, mut needed: Needed) -> Result<(), CheckpointError> {
        needed.series.sort_unstable();
        needed.series.dedup();
        let listing = Listing::of(self.disk, self.directory)?;
        listing.remove_leftovers(self.disk)?;
        let finished = checkpoint_path(self.directory, self.upto);
        let unfinished = with_suffix(&finished, UNFINISHED);
        let written = self.write_files(&listing, &unfinished, &needed);
        if written.is_err() {
            // The next try and the next start do it otherwise. What failed is more worth telling.
            let _ = self.disk.remove_directory(&unfinished);
        }
        written?;
        self.disk.rename(&unfinished, &finished)?;
        self.disk.sync_directory(self.directory)?;
        Ok(Listing::of(self.disk, self.directory)?.remove_leftovers(self.disk)?)
    }

    fn write_files(&self, listing: &Listing, directory: &Path, needed: &Needed) -> Result<(), CheckpointError> {
        self.disk.create_directory(directory)?;
        let mut output = Output::new(self, directory)?;
        let mut reader: Option<FrameReader<Sequential>> = None;
        let covered = listing.segments.iter().take_while(|segment| segment.number <= self.upto);
        for segment in listing.checkpoint_files.iter().chain(covered) {
            let source = Sequential::open(self.disk, &segment.path)?;
            let reader = match &mut reader {
                Some(reader) => {
                    reader.restart(source);
                    reader
                }
                none => none.insert(FrameReader::new(source)),
            };
            let damaged = |what: String| CheckpointError::Damaged { path: segment.path.clone(), what };
            loop {
                match reader.next_record() {
                    // Replay told of records that cannot be read.
                    Ok(Some(record)) => drop(output.filter(record, needed)?),
                    Ok(None) => break,
                    Err(SegmentError::Corrupt(error)) => return Err(damaged(error.to_string())),
                    Err(SegmentError::Read(error)) => return Err(error.into()),
                }
            }
        }
        output.finish(needed)?;
        Ok(self.disk.sync_directory(directory)?)
    }
}

/// The files of a checkpoint.
struct Output<'a> {
    checkpoint: &'a Checkpoint<'a>,
    directory: &'a Path,
    number: u64,
    file: Box<dyn DiskFile>,
    frames: FrameWriter,
    framed: Vec<u8>,
    series: SeriesEncoder,
    samples: SampleEncoder,
    histograms: HistogramEncoder,
    kind: Option<HistogramKind>,
    tombstones: TombstoneEncoder,
}

impl<'a> Output<'a> {
    fn new(checkpoint: &'a Checkpoint<'a>, directory: &'a Path) -> io::Result<Self> {
        Ok(Self {
            checkpoint,
            directory,
            number: 0,
            file: checkpoint.disk.create(&segment_path(directory, 0))?,
            frames: FrameWriter::new(0),
            framed: Vec::new(),
            series: SeriesEncoder::default(),
            samples: SampleEncoder::default(),
            histograms: HistogramEncoder::default(),
            kind: None,
            tombstones: TombstoneEncoder::default(),
        })
    }

    /// Writes what is needed of a record. Says what of it could not be read.
    fn filter(&mut self, record: &[u8], needed: &Needed) -> io::Result<Result<(), CorruptRecord>> {
        let outcome = self.encode(record, needed)?;
        // Items before the first that cannot be read are kept, as replay keeps them.
        self.flush()?;
        Ok(outcome)
    }

    fn encode(&mut self, record: &[u8], needed: &Needed) -> io::Result<Result<(), CorruptRecord>> {
        let record = match Record::decode(record) {
            Ok(record) => record,
            Err(error) => return Ok(Err(error)),
        };
        macro_rules! each {
            ($items:expr, $item:ident => $keep:block) => {
                for item in $items {
                    match item {
                        Ok($item) => $keep,
                        Err(error) => return Ok(Err(error)),
                    }
                }
            };
        }
        match record {
            Record::Series(items) => each!(items, item => {
                if needed.has(item.series) {
                    self.series.push_pairs(item.series, &item.labels);
                }
            }),
            Record::Samples(items) => each!(items, item => {
                if item.timestamp >= needed.from && needed.has(item.series) {
                    self.samples.push(item.series, item.timestamp, item.value);
                }
            }),
            Record::Histograms(items) => each!(items, item => {
                if item.timestamp >= needed.from && needed.has(item.series) {
                    let kind = HistogramKind::of(&item.histogram);
                    if self.kind.replace(kind).is_some_and(|other| other != kind) {
                        self.flush()?;
                        self.kind = Some(kind);
                    }
                    self.histograms.push(item.series, item.timestamp, &item.histogram);
                }
            }),
            Record::Tombstones(items) => each!(items, item => {
                if item.end >= needed.from && needed.has(item.series) {
                    self.tombstones.push(item.series, item.start, item.end);
                }
            }),
            // Exemplars and metadata are written at the end, those alone that are still there.
            Record::Exemplars(_) | Record::Metadata(_) | Record::Markers(_) | Record::Unknown(_) => {}
        }
        Ok(Ok(()))
    }

    /// What is needed and is not taken from the segments; then makes all of it durable.
    fn finish(mut self, needed: &Needed) -> io::Result<()> {
        let mut metadata = MetadataEncoder::default();
        for (series, value) in &needed.metadata {
            metadata.push(*series, value);
            if metadata.record().len() >= RECORD_BYTES {
                self.write(metadata.record())?;
                metadata.clear();
            }
        }
        self.write(metadata.record())?;
        let mut exemplars = ExemplarEncoder::default();
        for (series, exemplar) in &needed.exemplars {
            exemplars.push(*series, exemplar.timestamp, exemplar.value, &exemplar.labels);
            if exemplars.record().len() >= RECORD_BYTES {
                self.write(exemplars.record())?;
                exemplars.clear();
            }
        }
        self.write(exemplars.record())?;
        self.file.append(&self.framed)?;
        self.file.sync()
    }

    fn flush(&mut self) -> io::Result<()> {
        macro_rules! flush {
            ($($encoder:ident),*) => {
                $(
                    let encoder = std::mem::take(&mut self.$encoder);
                    self.write(encoder.record())?;
                    self.$encoder = encoder;
                    self.$encoder.clear();
                )*
            };
        }
        flush!(series, samples, histograms, tombstones);
        self.kind = None;
        Ok(())
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        if record.is_empty() {
            return Ok(());
        }
        let bound = FrameWriter::framed_bytes_max(record.len()) as u64;
        if self.frames.position() > 0 && self.frames.position() + bound > self.checkpoint.segment_bytes_max {
            self.file.append(&self.framed)?;
            self.framed.clear();
            self.file.sync()?;
            self.number += 1;
            self.file = self.checkpoint.disk.create(&segment_path(self.directory, self.number))?;
            self.frames.go_back(0);
        }
        self.frames.frame(record, &mut self.framed);
        if self.framed.len() >= APPEND_BYTES {
            self.file.append(&self.framed)?;
            self.framed.clear();
        }
        Ok(())
    }
}

impl Needed {
    fn has(&self, series: WalRef) -> bool {
        self.series.binary_search(&series).is_ok()
    }
}

/// When records of metadata and exemplars are ended.
const RECORD_BYTES: usize = 64 << 10;

/// Written at once.
const APPEND_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
