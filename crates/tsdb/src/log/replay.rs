//! Reading the log back into a head, and mending what a crash or a bad disk left.
//!
//! A *torn tail* is what remains of a write that nobody got an answer for: damage at the very end of the last segment.
//! It is cut off, so that the next start reads the segment as whole. *Damage* anywhere else is named, copied to
//! `set-aside/`, and the segment is rewritten without it: the next start (ours or a Prometheus') finds a clean log.
//! Records behind the damage are kept.
//!
//! A series whose record is there comes into the head with its first sample only. So a record written for a batch that
//! was never finished, or for metadata alone, leaves nothing behind.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use environment::{Disk, FileKind};
use hashbrown::HashMap;
use model::{Exemplar, Labels, LabelsBuilder, Metadata, NativeHistogram};
use tsdb_format::wal::frame::{CorruptLog, FrameReader, FrameWriter};
use tsdb_format::wal::record::{CorruptRecord, Record, WalRef};

use crate::db::OpenError;
use crate::head::{Head, HeadSample, Lookup, Verdict};
use crate::stats::Counters;

/// What opening found in the log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovery {
    /// Segments read.
    pub segments: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Samples and histograms put into the head.
    pub samples: u64,
    /// Samples that were there already.
    pub repeated: u64,
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

/// What the committer goes on with.
pub(crate) struct Replayed {
    /// The number of the next segment, which does not exist or is empty.
    pub(crate) next_segment: u64,
    /// References of the series in the head, by slot.
    pub(crate) refs: Vec<WalRef>,
    /// References of metric families with metadata.
    pub(crate) metadata_refs: HashMap<String, WalRef>,
    /// The first reference never used.
    pub(crate) next_ref: u64,
    pub(crate) recovery: Recovery,
}

/// Reads the log in `directory/wal` into an empty head, and mends it.
pub(crate) fn replay(
    disk: &dyn Disk,
    directory: &Path,
    head: &Head,
    counters: &Counters,
) -> Result<Replayed, OpenError> {
    let wal = directory.join("wal");
    let mut replay = Replay::new(head, counters);
    let segments = segments(disk, &wal)?;
    let last = segments.last().map(|(number, _)| *number);
    for (number, path) in &segments {
        let bytes = disk.read(path).map_err(OpenError::at("read", path))?;
        replay.recovery.segments += 1;
        replay.recovery.bytes += bytes.len() as u64;
        let holes = replay.segment(path, &bytes);
        mend(disk, directory, path, &bytes, holes, Some(*number) == last, &mut replay.recovery)?;
        // A start without a write leaves an empty segment: it is used again.
        if bytes.is_empty() && Some(*number) == last {
            return Ok(replay.finish(*number));
        }
    }
    Ok(replay.finish(last.map_or(0, |last| last + 1)))
}

/// Bytes of a segment that hold no record.
struct Hole {
    start: usize,
    end: usize,
    error: CorruptLog,
}

fn segments(disk: &dyn Disk, wal: &Path) -> Result<Vec<(u64, PathBuf)>, OpenError> {
    let mut segments = Vec::new();
    for (path, kind) in disk.list(wal).map_err(OpenError::at("list", wal))? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if kind != FileKind::File {
            continue;
        }
        if name.ends_with(REPAIR) {
            // Left by a start that died while mending; the segment itself is still there.
            disk.remove_file(&path).map_err(OpenError::at("remove", &path))?;
        } else if name.len() == 8
            && let Ok(number) = name.parse()
        {
            segments.push((number, path));
        }
    }
    segments.sort();
    Ok(segments)
}

struct Replay<'h> {
    head: &'h Head,
    counters: &'h Counters,
    series: References,
    refs: Vec<WalRef>,
    metadata_refs: HashMap<String, WalRef>,
    next_ref: u64,
    builder: LabelsBuilder,
    lookup: Lookup,
    samples: Vec<HeadSample>,
    histograms: Vec<Arc<NativeHistogram>>,
    recovery: Recovery,
}

impl<'h> Replay<'h> {
    fn new(head: &'h Head, counters: &'h Counters) -> Self {
        Self {
            head,
            counters,
            series: References::default(),
            refs: Vec::new(),
            metadata_refs: HashMap::new(),
            next_ref: 1,
            builder: LabelsBuilder::default(),
            lookup: Lookup::default(),
            samples: Vec::new(),
            histograms: Vec::new(),
            recovery: Recovery::default(),
        }
    }

    fn finish(self, next_segment: u64) -> Replayed {
        Replayed {
            next_segment,
            refs: self.refs,
            metadata_refs: self.metadata_refs,
            next_ref: self.next_ref,
            recovery: self.recovery,
        }
    }

    /// Takes in all records of a segment; returns where there are none.
    fn segment(&mut self, path: &Path, bytes: &[u8]) -> Vec<Hole> {
        let mut reader = FrameReader::new(bytes);
        let mut holes: Vec<Hole> = Vec::new();
        let mut open: Option<(usize, CorruptLog)> = None;
        loop {
            match reader.next_record() {
                Ok(Some(record)) => {
                    self.record(path, record);
                    if let Some((start, error)) = open.take() {
                        holes.push(Hole { start, end: reader.start(), error });
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    open.get_or_insert((reader.good(), error));
                    if !reader.resync() {
                        break;
                    }
                }
            }
        }
        holes.extend(open.map(|(start, error)| Hole { start, end: bytes.len(), error }));
        holes
    }

    fn record(&mut self, path: &Path, record: &[u8]) {
        let taken = self.take(record);
        let appended = self.head.append(&self.samples, &self.histograms);
        self.samples.clear();
        self.histograms.clear();
        self.recovery.samples += appended.floats + appended.histograms;
        self.recovery.repeated += appended.stale;
        self.counters.chunks.add(appended.chunks);
        self.counters.sealed_chunk_bytes.add(appended.sealed_bytes);
        if let Err(error) = taken {
            self.recovery.unreadable_records += 1;
            tracing::warn!(file = %path.display(), %error, "a record of the write-ahead log cannot be read; it is left out");
        }
    }

    fn take(&mut self, record: &[u8]) -> Result<(), CorruptRecord> {
        match Record::decode(record)? {
            Record::Series(series) => {
                for series in series {
                    let series = series?;
                    let labels = series.labels.to_labels(&mut self.builder);
                    let labels =
                        labels.map_err(|_| CorruptRecord { offset: 0, what: "labels that are no label set" })?;
                    self.next_ref = self.next_ref.max(series.series.0.saturating_add(1));
                    self.series.set(series.series, Reference::Labels(labels));
                }
            }
            Record::Samples(samples) => {
                for sample in samples {
                    let sample = sample?;
                    if let Some(slot) = self.slot(sample.series) {
                        let value = sample.value.to_bits();
                        self.samples.push(HeadSample { slot, is_histogram: false, at: sample.timestamp, value });
                    }
                }
            }
            Record::Histograms(histograms) => {
                for sample in histograms {
                    let sample = sample?;
                    if let Some(slot) = self.slot(sample.series) {
                        let value = self.histograms.len() as u64;
                        self.histograms.push(Arc::new(sample.histogram));
                        self.samples.push(HeadSample { slot, is_histogram: true, at: sample.timestamp, value });
                    }
                }
            }
            Record::Exemplars(exemplars) => {
                for exemplar in exemplars {
                    let logged = exemplar?;
                    let labels = logged.labels.to_labels(&mut self.builder);
                    let labels =
                        labels.map_err(|_| CorruptRecord { offset: 0, what: "labels that are no label set" })?;
                    if let Some(slot) = self.slot(logged.series) {
                        let exemplar = Exemplar { labels, timestamp: logged.timestamp, value: logged.value };
                        let mut ring = self.head.exemplars.lock();
                        if ring.judge(slot, &exemplar, std::iter::empty()) == Verdict::Add {
                            ring.add(slot, exemplar);
                        }
                    }
                }
            }
            Record::Metadata(metadata) => {
                for metadata in metadata {
                    let metadata = metadata?;
                    self.metadata(metadata.series, metadata.metadata);
                }
            }
            // Nothing here writes deletions yet.
            Record::Tombstones(_) => {}
            Record::Unknown(_) => return Err(CorruptRecord { offset: 0, what: "a type of record that is not known" }),
        }
        Ok(())
    }

    fn metadata(&mut self, series: WalRef, metadata: Metadata) {
        let name = match self.series.get(series) {
            Some(Reference::Labels(labels)) => labels.metric_name().to_owned(),
            Some(Reference::Slot(slot)) => {
                self.head.index.read().labels(*slot, &mut self.builder).metric_name().to_owned()
            }
            None => {
                self.recovery.without_series += 1;
                return;
            }
        };
        self.metadata_refs.insert(name.clone(), series);
        self.head.metadata.write().insert(name, metadata);
    }

    /// The slot of a reference that has a sample.
    fn slot(&mut self, series: WalRef) -> Option<u32> {
        let labels = match self.series.get(series) {
            Some(Reference::Slot(slot)) => return Some(*slot),
            Some(Reference::Labels(labels)) => labels.clone(),
            None => {
                self.recovery.without_series += 1;
                return None;
            }
        };
        let found = self.head.index.read().find(&labels, &mut self.lookup);
        let slot = found.unwrap_or_else(|| {
            self.refs.push(series);
            self.head.add_series(&labels)
        });
        self.refs[slot as usize] = series;
        self.series.set(series, Reference::Slot(slot));
        Some(slot)
    }
}

/// What a reference stands for: a series of the head, or one without samples so far.
enum Reference {
    Slot(u32),
    Labels(Labels),
}

/// References by number: nearly always counted up from one, so a vector; others (of a log written elsewhere) in a map.
#[derive(Default)]
struct References {
    dense: Vec<Option<Reference>>,
    sparse: HashMap<u64, Reference>,
}

impl References {
    fn get(&self, series: WalRef) -> Option<&Reference> {
        let dense = usize::try_from(series.0).ok().and_then(|index| self.dense.get(index));
        dense.and_then(Option::as_ref).or_else(|| self.sparse.get(&series.0))
    }

    fn set(&mut self, series: WalRef, reference: Reference) {
        match usize::try_from(series.0) {
            Ok(index) if index < self.dense.len() + DENSE_GAP_MAX => {
                if index >= self.dense.len() {
                    self.dense.resize_with(index + 1, || None);
                }
                self.sparse.remove(&series.0);
                self.dense[index] = Some(reference);
            }
            _ => {
                self.sparse.insert(series.0, reference);
            }
        }
    }
}

/// Cuts a torn tail; rewrites a segment with other damage without it.
fn mend(
    disk: &dyn Disk,
    directory: &Path,
    path: &Path,
    bytes: &[u8],
    holes: Vec<Hole>,
    is_last: bool,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    let Some(end) = holes.last() else { return Ok(()) };
    if is_last && holes.len() == 1 && end.error.cut && end.end == bytes.len() {
        let torn = bytes.len() - end.start;
        tracing::warn!(
            file = %path.display(), offset = end.start, bytes = torn,
            "the write-ahead log ends in an unfinished write, which nobody got an answer for; it is cut off"
        );
        recovery.torn_bytes += torn as u64;
        return cut(disk, path, end.start).map_err(OpenError::at("cut", path));
    }
    for hole in &holes {
        let damage = set_aside(disk, directory, path, bytes, hole)?;
        tracing::error!(
            file = %path.display(), offset = damage.offset, bytes = damage.bytes, error = %hole.error,
            set_aside = %damage.set_aside.display(),
            "the write-ahead log is damaged; the bytes are set aside and the rest is kept"
        );
        if recovery.damage.len() < DAMAGE_LISTED_MAX {
            recovery.damage.push(damage);
        } else {
            recovery.more_damage += 1;
        }
    }
    rewrite(disk, path, bytes).map_err(OpenError::at("rewrite", path))
}

fn cut(disk: &dyn Disk, path: &Path, length: usize) -> io::Result<()> {
    let mut file = disk.open_append(path)?;
    file.truncate(length as u64)?;
    file.sync()
}

fn set_aside(disk: &dyn Disk, directory: &Path, path: &Path, bytes: &[u8], hole: &Hole) -> Result<Damage, OpenError> {
    let into = directory.join("set-aside");
    disk.create_directory(&into).map_err(OpenError::at("create", &into))?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let copy = into.join(format!("wal-{name}-at-{}", hole.start));
    let write = || {
        let mut file = disk.create(&copy)?;
        file.append(&bytes[hole.start..hole.end])?;
        file.sync()?;
        disk.sync_directory(&into)
    };
    match write() {
        Ok(()) => {}
        // A start before this one died between setting aside and mending.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(OpenError::at("write", &copy)(error)),
    }
    Ok(Damage {
        file: path.to_path_buf(),
        offset: hole.start as u64,
        bytes: (hole.end - hole.start) as u64,
        what: hole.error.what.to_owned(),
        set_aside: copy,
    })
}

/// Replaces the segment by one with its good records only.
fn rewrite(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mended = path.with_file_name(format!("{name}{REPAIR}"));
    let mut file = disk.create(&mended)?;
    let (mut reader, mut frames, mut framed) = (FrameReader::new(bytes), FrameWriter::new(0), Vec::new());
    loop {
        let damaged = match reader.next_record() {
            Ok(Some(record)) => {
                frames.frame(record, &mut framed);
                false
            }
            Ok(None) => break,
            Err(_) => true,
        };
        if damaged && !reader.resync() {
            break;
        }
        if framed.len() > REWRITE_BYTES {
            file.append(&framed)?;
            framed.clear();
        }
    }
    file.append(&framed)?;
    file.sync()?;
    disk.rename(&mended, path)?;
    disk.sync_directory(path.parent().unwrap_or(Path::new("")))
}

const REPAIR: &str = ".repair";
const DAMAGE_LISTED_MAX: usize = 100;
const REWRITE_BYTES: usize = 1 << 20;

/// How far a reference may lie beyond those before it to be kept in the vector.
const DENSE_GAP_MAX: usize = 1 << 16;
