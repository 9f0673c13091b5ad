//! Samples from elsewhere → blocks of a database that is not open.
//!
//! Samples come in any order. They are collected until they take as much memory as is allowed, then one block is written
//! for each range of time that they touch; ranges that are touched again get more blocks, which the database merges later. What
//! is in the database already counts: an imported sample never replaces a stored one.
//!
//! A block's name holds a hash of its content. So an import that is repeated, after a crash or by mistake, finds the blocks
//! that it made before (also inside of those that they were merged into) and leaves them alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use environment::{Clock, Disk, DiskLock};
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use model::{Labels, NativeHistogram, TimestampMs};
use tsdb_format::block::Ulid;
use tsdb_format::chunk::same_observations;
use xxhash_rust::xxh3::Xxh3;

use super::OfflineError;
use super::list::blocks_in;
use super::view::lock;
use crate::compaction::{BlockRanges, BlockWriter, ChunkCutter, Origin};
use crate::settings::Settings;

/// What became of samples.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImportReport {
    /// Samples given.
    pub samples: u64,
    /// Samples written into new blocks.
    pub written: u64,
    /// Samples that came twice and were the same.
    pub duplicates: u64,
    /// Samples whose time came before with another value; the first counts.
    pub conflicts: u64,
    /// Samples in blocks that an earlier import wrote.
    pub known: u64,
    /// Samples older than the retention, which the database will remove.
    pub expired: u64,
    /// Names of new blocks.
    pub blocks: Vec<String>,
}

/// Imports into one database, which stays locked until it is dropped.
pub struct Importer {
    pub(super) disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    pub(super) directory: PathBuf,
    ranges: BlockRanges,
    oldest_kept: TimestampMs,
    now: TimestampMs,
    /// Hashes in the names of the blocks that there are, and of those that they were merged of.
    known: BTreeSet<String>,
    series: HashMap<Labels, Vec<(TimestampMs, Imported)>>,
    bytes: usize,
    bytes_max: usize,
    report: ImportReport,
    _lock: Option<Box<dyn DiskLock>>,
}

#[derive(Clone)]
enum Imported {
    Float(f64),
    Histogram(Arc<NativeHistogram>),
}

impl Imported {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(left), Self::Float(right)) => left.to_bits() == right.to_bits(),
            (Self::Histogram(left), Self::Histogram(right)) => same_observations(left, right),
            _ => false,
        }
    }
}

impl Importer {
    /// An import into the database in `directory`, which is made if it is not there. `bytes_max`: memory for samples.
    ///
    /// # Errors
    /// When a program has the database open, or the disk does not do its part.
    pub fn new(
        disk: &Arc<dyn Disk>,
        clock: &Arc<dyn Clock>,
        directory: &Path,
        settings: &Settings,
        bytes_max: usize,
    ) -> Result<Self, OfflineError> {
        disk.create_directory(directory).map_err(OfflineError::at("make", directory))?;
        let held = lock(&**disk, directory)?;
        let mut known = BTreeSet::new();
        for block in blocks_in(&**disk, directory)?.into_iter().filter_map(|found| found.block.ok()) {
            known.extend(
                block.meta.compaction.sources.iter().chain([&block.meta.ulid]).filter_map(|ulid| hash_of(ulid)),
            );
        }
        let now = TimestampMs(clock.now().as_millis());
        let retention = i64::try_from(settings.retention.as_millis()).unwrap_or(i64::MAX);
        Ok(Self {
            disk: Arc::clone(disk),
            clock: Arc::clone(clock),
            directory: directory.to_path_buf(),
            ranges: BlockRanges::new(settings),
            oldest_kept: TimestampMs(now.0.saturating_sub(retention)),
            now,
            known,
            series: HashMap::new(),
            bytes: 0,
            bytes_max,
            report: ImportReport::default(),
            _lock: held,
        })
    }

    /// Adds a sample.
    ///
    /// # Errors
    /// When blocks had to be written and could not be.
    pub fn push_float(&mut self, labels: &Labels, at: TimestampMs, value: f64) -> Result<(), OfflineError> {
        self.push(labels, at, Imported::Float(value))
    }

    /// Adds a native histogram.
    ///
    /// # Errors
    /// As for [`push_float`](Self::push_float).
    pub fn push_histogram(
        &mut self,
        labels: &Labels,
        at: TimestampMs,
        histogram: Arc<NativeHistogram>,
    ) -> Result<(), OfflineError> {
        self.bytes += HISTOGRAM_BYTES;
        self.push(labels, at, Imported::Histogram(histogram))
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// As for [`push_float`](Self::push_float).
    pub fn finish(mut self) -> Result<ImportReport, OfflineError> {
        self.flush()?;
        Ok(std::mem::take(&mut self.report))
    }

    /// Whether a block of this name, or one that it was merged into, is here.
    pub(super) fn knows(&self, ulid: &str) -> bool {
        hash_of(ulid).is_some_and(|hash| self.known.contains(&hash))
    }

    fn push(&mut self, labels: &Labels, at: TimestampMs, value: Imported) -> Result<(), OfflineError> {
        self.report.samples += 1;
        self.report.expired += u64::from(at < self.oldest_kept);
        let samples = match self.series.entry_ref(labels) {
            EntryRef::Occupied(entry) => entry.into_mut(),
            EntryRef::Vacant(entry) => {
                self.bytes += SERIES_BYTES + labels.as_packed().len();
                entry.insert_entry(Vec::new()).into_mut()
            }
        };
        let before = samples.capacity();
        samples.push((at, value));
        self.bytes += (samples.capacity() - before) * size_of::<(TimestampMs, Imported)>();
        if self.bytes >= self.bytes_max { self.flush() } else { Ok(()) }
    }

    /// Writes blocks of what was collected.
    fn flush(&mut self) -> Result<(), OfflineError> {
        let mut series: Vec<(Labels, Vec<(TimestampMs, Imported)>)> = self.series.drain().collect();
        self.bytes = 0;
        series.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let mut extents = BTreeMap::new();
        for (_, samples) in &mut series {
            self.put_in_order(samples);
            let mut rest = samples.as_slice();
            while let Some((at, _)) = rest.first() {
                let range = self.ranges.range_of(*at, self.now);
                rest = &rest[rest.partition_point(|(at, _)| at.0 < range.end)..];
                extents.insert(range.start, range.end);
            }
        }
        for (start, end) in extents {
            self.write(&series, start, end)?;
        }
        Ok(())
    }

    /// Sorts samples by time, each time once.
    fn put_in_order(&mut self, samples: &mut Vec<(TimestampMs, Imported)>) {
        // Stable: of one time the first that came counts.
        samples.sort_by_key(|(at, _)| *at);
        let report = &mut self.report;
        samples.dedup_by(|(at, value), (before, kept)| {
            let same_time = at == before;
            if same_time && value.is_same(kept) {
                report.duplicates += 1;
            } else if same_time {
                report.conflicts += 1;
            }
            same_time
        });
    }

    fn write(
        &mut self,
        series: &[(Labels, Vec<(TimestampMs, Imported)>)],
        start: i64,
        end: i64,
    ) -> Result<(), OfflineError> {
        let within = |samples: &'_ [(TimestampMs, Imported)]| {
            let first = samples.partition_point(|(at, _)| at.0 < start);
            first..samples.partition_point(|(at, _)| at.0 < end)
        };
        let mut hash = Xxh3::new();
        let mut count = 0;
        for (labels, samples) in series {
            let samples = &samples[within(samples)];
            if !samples.is_empty() {
                hash.update(labels.as_packed());
                count += samples.len() as u64;
            }
            for (at, value) in samples {
                hash.update(&at.0.to_le_bytes());
                match value {
                    Imported::Float(value) => hash.update(&value.to_bits().to_le_bytes()),
                    Imported::Histogram(histogram) => hash.update(format!("{histogram:?}").as_bytes()),
                }
            }
        }
        let milliseconds = u64::try_from(self.clock.now().as_millis()).unwrap_or_default();
        let ulid = Ulid::new(milliseconds, hash.digest128());
        if self.knows(&ulid.to_string()) {
            self.report.known += count;
            return Ok(());
        }
        let mut writer = BlockWriter::create(&self.disk, &self.directory, ulid)?;
        let mut cutter = ChunkCutter::default();
        for (labels, samples) in series {
            cutter.clear();
            for (at, value) in &samples[within(samples)] {
                match value {
                    Imported::Float(value) => cutter.push_float(*at, *value),
                    Imported::Histogram(histogram) => cutter.push_histogram(*at, Arc::clone(histogram)),
                }
            }
            cutter.seal();
            let chunks: Vec<_> = cutter.chunks().collect();
            writer.push(labels, &chunks)?;
        }
        // The hint keeps these times from being taken for how far the head was written out.
        if let Some(meta) = writer.finish(Origin::out_of_order(), start..end)? {
            self.report.written += meta.stats.num_samples;
            self.known.extend(hash_of(&meta.ulid));
            self.report.blocks.push(meta.ulid);
        }
        Ok(())
    }
}

/// The part of a block's name that is no time.
fn hash_of(ulid: &str) -> Option<String> {
    ulid.get(TIME_CHARACTERS..).map(str::to_owned)
}

const TIME_CHARACTERS: usize = 10;

/// Of a series, beside its labels and samples.
const SERIES_BYTES: usize = 120;

/// Of a native histogram, about.
const HISTOGRAM_BYTES: usize = 600;
