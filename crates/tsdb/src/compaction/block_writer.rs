//! Writing a block: series in order of labels, each with its chunks, become a directory.
//!
//! Everything is written below `<ULID>.tmp-for-creation` and synced before the directory gets its name: a block is there
//! whole or not at all. What a crash leaves under the other name is removed when the database is opened.
//!
//! Chunks and series go through to the disk; in memory are the block's texts and what [`IndexWriter`] says, which is little for
//! each series.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use environment::Disk;
use model::{Labels, TimestampMs};
use tsdb_format::block::index::IndexWriter;
use tsdb_format::block::meta::{BlockDescription, BlockMeta, BlockStats, Compaction};
use tsdb_format::block::segment::{Cut, SEGMENT_BYTES_MAX, SegmentWriter};
use tsdb_format::block::{ChunkMeta, Ulid, meta, tombstones};
use tsdb_format::chunk::{ChunkEncoding, CorruptChunk, sample_count};

use super::series_spool::{SeriesEntry, SeriesSpool};
use super::synced_file::SyncedFile;
use super::texts::Texts;

/// A chunk to be stored.
#[derive(Clone, Copy, Debug)]
pub struct BlockChunk<'a> {
    /// Time of its first sample.
    pub start: TimestampMs,
    /// Time of its last one.
    pub end: TimestampMs,
    /// How its samples are packed.
    pub encoding: ChunkEncoding,
    /// Its data, from the number of samples on.
    pub data: &'a [u8],
}

/// What a block is made of, as its `meta.json` tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// 1 for a block of new samples, one more than its parents' highest for a merged one.
    pub level: u32,
    /// The blocks of level 1 that its samples were in first; empty for a block of new samples, which names itself.
    pub sources: Vec<String>,
    /// The blocks that were merged.
    pub parents: Vec<BlockDescription>,
    /// How its samples came, such as [`FROM_OUT_OF_ORDER`].
    pub hints: Vec<String>,
}

impl Origin {
    /// Of new samples.
    pub fn new_samples() -> Self {
        Self { level: 1, sources: Vec::new(), parents: Vec::new(), hints: Vec::new() }
    }

    /// Of samples that came after newer ones of their series.
    pub fn out_of_order() -> Self {
        Self { hints: vec![FROM_OUT_OF_ORDER.to_owned()], ..Self::new_samples() }
    }
}

/// The hint by which Prometheus knows that a block does not say how far the head has been written out.
pub const FROM_OUT_OF_ORDER: &str = "from-out-of-order";

/// Why a block was not written. What there was of it has been removed, as far as the disk let us.
#[derive(Debug, thiserror::Error)]
pub enum WriteBlockError {
    /// The disk did not do its part.
    #[error("cannot {action} {}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was to be stored is no chunk.
    #[error("cannot store a chunk of {labels}")]
    Chunk {
        /// Of which series.
        labels: Labels,
        /// What is wrong with it.
        source: CorruptChunk,
    },
}

impl WriteBlockError {
    fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { action, path: path.to_path_buf(), source }
    }
}

/// Writes one block. Dropped before [`finish`](Self::finish), it removes what it wrote.
pub struct BlockWriter {
    disk: Arc<dyn Disk>,
    /// Where the database's blocks are.
    parent: PathBuf,
    ulid: Ulid,
    /// The directory under its other name.
    directory: PathBuf,
    published: bool,
    segments: SegmentWriter,
    /// Number of the chunk file under way, from 0, and the bytes collected for it.
    number: u32,
    collected: usize,
    segment: SyncedFile,
    texts: Texts,
    spool: SeriesSpool,
    entry: SeriesEntry,
    stats: BlockStats,
    times: Option<(TimestampMs, TimestampMs)>,
}

impl BlockWriter {
    /// Begins a block in the directory `parent`, which exists.
    ///
    /// # Errors
    /// When the disk does not do its part.
    pub fn create(disk: &Arc<dyn Disk>, parent: &Path, ulid: Ulid) -> Result<Self, WriteBlockError> {
        Self::with_segments(disk, parent, ulid, SEGMENT_BYTES_MAX)
    }

    fn with_segments(
        disk: &Arc<dyn Disk>,
        parent: &Path,
        ulid: Ulid,
        segment_bytes_max: u64,
    ) -> Result<Self, WriteBlockError> {
        let directory = parent.join(format!("{ulid}{CREATION_SUFFIX}"));
        let chunks = directory.join("chunks");
        let made = disk.create_directory(&chunks).and_then(|()| SyncedFile::create(&**disk, chunks.join(file_name(0))));
        let segment = made.map_err(|error| {
            let _ = disk.remove_directory(&directory);
            WriteBlockError::at("create", &chunks)(error)
        })?;
        Ok(Self {
            disk: Arc::clone(disk),
            parent: parent.to_path_buf(),
            ulid,
            published: false,
            segments: SegmentWriter::new(segment_bytes_max),
            number: 0,
            collected: 0,
            segment,
            texts: Texts::default(),
            spool: SeriesSpool::new(directory.join("series.tmp")),
            entry: SeriesEntry::default(),
            stats: BlockStats::default(),
            times: None,
            directory,
        })
    }

    /// Adds a series with its chunks, which are in order of time and do not overlap; without chunks it is left out.
    ///
    /// # Errors
    /// When the disk does not do its part, or a chunk is none.
    ///
    /// # Panics
    /// When the block is finished: if its series came out of order, or chunks overlapped.
    pub fn push(&mut self, labels: &Labels, chunks: &[BlockChunk<'_>]) -> Result<(), WriteBlockError> {
        let (Some(first), Some(last)) = (chunks.first(), chunks.last()) else { return Ok(()) };
        self.entry.chunks.clear();
        for chunk in chunks {
            self.count(chunk).map_err(|source| WriteBlockError::Chunk { labels: labels.clone(), source })?;
            let reference = self.store(chunk)?;
            self.entry.chunks.push(reference);
        }
        self.entry.labels.clear();
        for (name, value) in labels.iter() {
            self.entry.labels.push((self.texts.number(name), self.texts.number(value)));
        }
        self.stats.num_series += 1;
        self.times = Some(match self.times {
            None => (first.start, last.end),
            Some((start, end)) => (start.min(first.start), end.max(last.end)),
        });
        let Self { disk, spool, entry, directory, .. } = self;
        spool.push(&**disk, entry).map_err(WriteBlockError::at("write series in", directory))
    }

    /// Times of the first and the last sample so far.
    pub fn times(&self) -> Option<(TimestampMs, TimestampMs)> {
        self.times
    }

    /// Ends the block and gives it its name; afterwards it survives a power cut. `range` is what its `meta.json` says: the
    /// times of all samples lie in it, its end itself not. `None` when there are no samples: there is no block then.
    ///
    /// # Errors
    /// When the disk does not do its part; there is no block then, unless not even removing it was possible.
    pub fn finish(mut self, origin: Origin, range: Range<i64>) -> Result<Option<BlockMeta>, WriteBlockError> {
        let Some((first, last)) = self.times else { return Ok(None) };
        assert!(range.start <= first.0 && last.0 < range.end, "samples at {first}..={last} of a block of {range:?}");
        let directory = self.directory.clone();
        self.write_segment()
            .and_then(|()| self.segment.sync())
            .map_err(WriteBlockError::at("write chunks in", &directory))?;
        self.write_index().map_err(WriteBlockError::at("write the index in", &directory))?;
        let meta = self.describe(origin, range);
        self.write_file("tombstones", &tombstones::encode(&[]))?;
        self.write_file("meta.json", &meta::encode(&meta))?;
        for synced in [&directory.join("chunks"), &directory] {
            self.disk.sync_directory(synced).map_err(WriteBlockError::at("sync", synced))?;
        }
        self.publish()?;
        Ok(Some(meta))
    }

    fn count(&mut self, chunk: &BlockChunk<'_>) -> Result<(), CorruptChunk> {
        let samples = u64::from(sample_count(chunk.data)?);
        self.stats.num_chunks += 1;
        self.stats.num_samples += samples;
        match chunk.encoding {
            ChunkEncoding::Histogram | ChunkEncoding::FloatHistogram => self.stats.num_histogram_samples += samples,
            _ => self.stats.num_float_samples += samples,
        }
        Ok(())
    }

    fn store(&mut self, chunk: &BlockChunk<'_>) -> Result<ChunkMeta, WriteBlockError> {
        if self.segments.fits(chunk.data.len()) == Cut::Next {
            self.next_segment().map_err(WriteBlockError::at("write chunks in", &self.directory))?;
        }
        let reference = self.segments.push(chunk.encoding as u8, chunk.data);
        self.collected += chunk.data.len();
        if self.collected >= WRITE_BYTES {
            self.write_segment().map_err(WriteBlockError::at("write chunks in", &self.directory))?;
        }
        Ok(ChunkMeta { min_time: chunk.start, max_time: chunk.end, reference })
    }

    fn write_segment(&mut self) -> io::Result<()> {
        self.collected = 0;
        self.segment.append(&self.segments.take_bytes())
    }

    fn next_segment(&mut self) -> io::Result<()> {
        self.write_segment()?;
        self.segment.sync()?;
        self.segments.cut();
        self.number += 1;
        self.segment = SyncedFile::create(&*self.disk, self.directory.join("chunks").join(file_name(self.number)))?;
        Ok(())
    }

    /// Writes the index from what was spooled: series, then lists of them, for which the spool is read some times over.
    fn write_index(&mut self) -> io::Result<()> {
        let disk = &*self.disk;
        let mut file = SyncedFile::create(disk, self.directory.join("index"))?;
        let sorted = self.texts.sorted();
        let mut index = IndexWriter::new(sorted.iter().map(|number| self.texts.get(*number)));
        let mut numbers = vec![0; sorted.len()];
        (0..).zip(&sorted).for_each(|(symbol, number)| numbers[*number as usize] = symbol);
        drop(sorted);
        let renumber = |labels: &mut Vec<(u32, u32)>| {
            for (name, value) in labels {
                (*name, *value) = (numbers[*name as usize], numbers[*value as usize]);
            }
        };
        let mut series = self.spool.read(disk)?;
        while series.next(&mut self.entry)? {
            renumber(&mut self.entry.labels);
            index.push_numbered(&self.entry.labels, &self.entry.chunks);
            file.append(&index.take_bytes())?;
        }
        file.append(&index.take_bytes())?;
        let mut postings = index.end_series();
        while postings.begin() {
            let mut series = self.spool.read(disk)?;
            while series.next(&mut self.entry)? {
                renumber(&mut self.entry.labels);
                postings.add(&self.entry.labels);
            }
            file.append(&postings.take_bytes())?;
        }
        postings.finish(|piece| file.append(piece))?;
        file.sync()?;
        self.spool.remove_file(disk)
    }

    fn describe(&self, origin: Origin, range: Range<i64>) -> BlockMeta {
        let ulid = self.ulid.to_string();
        let sources = if origin.sources.is_empty() { vec![ulid.clone()] } else { origin.sources };
        BlockMeta {
            ulid,
            min_time: range.start,
            max_time: range.end,
            stats: self.stats,
            compaction: Compaction {
                level: origin.level,
                sources,
                parents: origin.parents,
                hints: origin.hints,
                ..Compaction::default()
            },
            version: 1,
            other: Default::default(),
        }
    }

    fn write_file(&self, name: &str, content: &[u8]) -> Result<(), WriteBlockError> {
        let path = self.directory.join(name);
        let written = SyncedFile::create(&*self.disk, path.clone()).and_then(|mut file| {
            file.append(content)?;
            file.sync()
        });
        written.map_err(WriteBlockError::at("write", &path))
    }

    fn publish(&mut self) -> Result<(), WriteBlockError> {
        let name = self.parent.join(self.ulid.to_string());
        self.disk.rename(&self.directory, &name).map_err(WriteBlockError::at("name", &name))?;
        if let Err(error) = self.disk.sync_directory(&self.parent) {
            // The name may or may not be there after a power cut; nobody may rely on it.
            let _ = self.disk.rename(&name, &self.directory);
            return Err(WriteBlockError::at("sync", &self.parent)(error));
        }
        self.published = true;
        Ok(())
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = self.disk.remove_directory(&self.directory)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(directory = %self.directory.display(), %error, "an unfinished block cannot be removed; the next start does");
        }
    }
}

fn file_name(segment: u32) -> String {
    format!("{:06}", segment + 1)
}

/// Ends the names of blocks that are not finished.
const CREATION_SUFFIX: &str = ".tmp-for-creation";
const WRITE_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
