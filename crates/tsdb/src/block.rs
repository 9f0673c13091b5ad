//! Blocks: immutable files with the samples of a range of time.
//!
//! [`Block::open`] reads `meta.json`, the deletions and what tells that index and chunk files are whole (lengths, the index'
//! table of contents with its checksum, the chunk files' headers): a few hundred bytes. The index is opened with the first
//! use and let go of when the block rests, since a process has tens of thousands of blocks and uses few of them at a time.
//! Everything else is verified when it is first touched: symbols and the table of postings with the index, lists and
//! series with each read, a chunk with its first.
//!
//! Damage is told once in the log and counted, and what is damaged is left out: a chunk, a series, the block. It never
//! fails a query. [`Blocks`] is the set of a database's blocks.
//!
//! Not here: writing and merging blocks, choosing which to merge or remove.

mod counters;
mod delete;
mod error;
mod joined;
mod loaded;
mod local;
mod prefetch;
mod select;
mod series;
mod series_set;
mod set;
mod source;
mod tombstones;
mod verified;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{Matcher, TimestampMs};
use parking_lot::Mutex;
use storage::{BoxFuture, QueryError, TimeRange};
use tsdb_format::block::index;
use tsdb_format::block::meta::{self, BlockMeta};
use tsdb_format::block::{CorruptBlock, Ulid, segment};

use crate::part::{Part, SeriesSource, Want};

pub(crate) use counters::BlockCounters;
pub(crate) use error::BlockError;
pub use joined::SelectionCacheStats;
pub(crate) use joined::{JoinCache, select_joined};
use loaded::Loaded;
pub(crate) use local::LocalBlock;
use series::{BlockSeries, BlockWalk};
pub(crate) use set::Blocks;
pub(crate) use source::{BlockPart, BlockSource};
pub(crate) use tombstones::Deletions;

/// One block, open for reading. Files stay where they are as long as somebody holds it; see [`Blocks::remove_retired`].
pub(crate) struct Block {
    ulid: Ulid,
    meta: BlockMeta,
    source: Arc<dyn BlockSource>,
    bytes: u64,
    deletions: arc_swap::ArcSwap<Deletions>,
    loaded: Mutex<Option<Arc<Loaded>>>,
    /// Used since [`Block::rest`] was last called.
    used: AtomicBool,
    /// The index turned out to be damaged.
    broken: AtomicBool,
    counters: Arc<BlockCounters>,
}

impl Block {
    /// Opens a block: see the module's text for what is looked at.
    ///
    /// # Errors
    /// [`BlockError`], which tells damage from a store that does not answer and from blocks that hold no raw samples.
    pub(crate) fn open(source: Arc<dyn BlockSource>, counters: &Arc<BlockCounters>) -> Result<Arc<Self>, BlockError> {
        let read_whole = |part| {
            let whole = source.len(part).and_then(|length| source.read(part, 0..length));
            whole.map_err(BlockError::reading(&*source, part))
        };
        let corrupt = |error| BlockError::corrupt(&*source, error);
        let meta = meta::decode(&read_whole(BlockPart::Meta)?).map_err(corrupt)?;
        if let Some(resolution) = meta.downsampled_to_ms() {
            return Err(BlockError::Downsampled { block: source.name().into(), seconds: resolution / 1000 });
        }
        let no_name = |_| corrupt(CorruptBlock { part: "meta.json", offset: 0, what: "its name is no ULID" });
        let ulid = meta.ulid.parse().map_err(no_name)?;
        let deletions = match read_whole(BlockPart::Tombstones) {
            Ok(file) => Deletions::new(&tsdb_format::block::tombstones::decode(&file).map_err(corrupt)?),
            Err(BlockError::Missing { .. }) => Deletions::default(),
            Err(error) => return Err(error),
        };
        let bytes = check_files(&*source)?;
        Ok(Arc::new(Self {
            ulid,
            meta,
            bytes,
            deletions: arc_swap::ArcSwap::from_pointee(deletions),
            loaded: Mutex::default(),
            used: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            counters: Arc::clone(counters),
            source,
        }))
    }

    pub(crate) fn ulid(&self) -> Ulid {
        self.ulid
    }

    /// The blocks that it was merged of; itself is none of them.
    pub(crate) fn parents(&self) -> impl Iterator<Item = Ulid> {
        let parents = self.meta().compaction.parents.iter().filter_map(|parent| parent.ulid.parse().ok());
        parents.filter(|ulid| *ulid != self.ulid())
    }

    /// Its `meta.json`.
    pub(crate) fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// Bytes of its index and chunks.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The closed range of time that its samples are in.
    pub(crate) fn range(&self) -> TimeRange {
        TimeRange { start: TimestampMs(self.meta.min_time), end: TimestampMs(self.meta.max_time - 1) }
    }

    /// What orders blocks by when their samples were first stored: the oldest block that went into this one.
    pub(crate) fn first_stored(&self) -> Ulid {
        let sources = self.meta.compaction.sources.iter().filter_map(|source| source.parse().ok());
        sources.min().unwrap_or(self.ulid)
    }

    /// Ranges that are deleted though the chunks still hold them.
    pub(crate) fn deletions(&self) -> Arc<Deletions> {
        self.deletions.load_full()
    }

    /// Makes selections from now on see these deletions. The caller has written the file.
    pub(crate) fn set_deletions(&self, deletions: Deletions) {
        self.deletions.store(Arc::new(deletions));
    }

    /// The index and chunks, opened now if they are not.
    pub(crate) fn load(&self) -> Result<Arc<Loaded>, BlockError> {
        self.used.store(true, Ordering::Relaxed);
        let mut loaded = self.loaded.lock();
        if let Some(loaded) = &*loaded {
            return Ok(Arc::clone(loaded));
        }
        let opened = Arc::new(Loaded::open(&self.source, self.meta.index_version(), &self.counters)?);
        Ok(Arc::clone(loaded.insert(opened)))
    }

    /// Lets go of index and mappings unless they were used since the last call. Those who read go on reading.
    pub(crate) fn rest(&self) {
        if !self.used.swap(false, Ordering::Relaxed) && self.loaded.lock().take().is_some() {
            self.source.release();
        }
    }

    fn is_loaded(&self) -> bool {
        self.loaded.lock().is_some()
    }

    /// Whether somebody reads it, apart from those who hold the block itself.
    fn is_read(&self) -> bool {
        self.loaded.lock().as_ref().is_some_and(|loaded| Arc::strong_count(loaded) > 1)
    }

    /// Whether the index and all its series can be read. Reads all of the index. One that is not stays in use: queries leave out
    /// what is damaged of it, and that alone.
    pub(crate) fn is_sound(&self) -> bool {
        matches!(self.usable(), Ok(Some(loaded)) if read_all(&loaded).is_ok())
    }

    /// The same for a block whose samples are somewhere else, too: one that is not sound is not used any more.
    pub(crate) fn is_sound_or_broken_off(&self) -> bool {
        self.reading(false, |loaded| read_all(loaded).map(|()| true)).unwrap_or(false)
    }

    /// Whether its index turned out to be damaged: nothing of it can be read.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// What can be read of it; `None` when it is broken, of which the log was told.
    fn usable(&self) -> Result<Option<Arc<Loaded>>, QueryError> {
        if self.is_broken() {
            return Ok(None);
        }
        match self.load() {
            Ok(loaded) => Ok(Some(loaded)),
            Err(error) if error.is_damage() => {
                self.break_off(&error);
                Ok(None)
            }
            Err(error) => Err(QueryError::Unavailable(error.to_string().into())),
        }
    }

    fn break_off(&self, error: &BlockError) {
        if !self.broken.swap(true, Ordering::Relaxed) {
            tracing::error!(block = self.source.name(), %error, "a block is damaged and left out of all answers");
            self.counters.broken_blocks.add(1);
        }
    }

    /// Does something with the index; damage found in it is told, and `otherwise` counts.
    fn reading<T>(
        &self,
        otherwise: T,
        read: impl FnOnce(&Arc<Loaded>) -> Result<T, CorruptBlock>,
    ) -> Result<T, QueryError> {
        let Some(loaded) = self.usable()? else { return Ok(otherwise) };
        read(&loaded).or_else(|error| {
            self.break_off(&BlockError::corrupt(&*self.source, error));
            Ok(otherwise)
        })
    }
}

impl Part for Block {
    fn overlaps(&self, range: TimeRange) -> bool {
        let own = self.range();
        own.start <= range.end && range.start <= own.end
    }

    fn prefetch<'a>(&'a self, matchers: &'a [Matcher], range: TimeRange, want: Want) -> BoxFuture<'a, ()> {
        if self.source.is_remote() {
            Box::pin(self.bring_near(matchers, range, want))
        } else {
            Box::pin(std::future::ready(()))
        }
    }

    fn select(&self, matchers: &[Matcher], range: TimeRange, want: Want) -> Result<Box<dyn SeriesSource>, QueryError> {
        let series = self.reading(None, |loaded| {
            let selection = select::matching(loaded, matchers)?;
            Ok(Some(BlockSeries::new(BlockWalk::new(loaded, self.deletions(), range, want), selection)))
        })?;
        Ok(Box::new(series))
    }

    fn may_have_label(&self, name: &str) -> bool {
        match self.usable() {
            Ok(Some(loaded)) => loaded.index.label_values(name).next().is_some(),
            _ => true,
        }
    }

    fn label_names(&self, matchers: &[Matcher], _range: TimeRange) -> Result<Vec<String>, QueryError> {
        self.reading(Vec::new(), |loaded| select::label_names(loaded, matchers))
    }

    fn label_values(&self, name: &str, matchers: &[Matcher], _range: TimeRange) -> Result<Vec<String>, QueryError> {
        self.reading(Vec::new(), |loaded| select::label_values(loaded, name, matchers))
    }
}

fn read_all(loaded: &Loaded) -> Result<(), CorruptBlock> {
    loaded.index.all_postings()?.iter().try_for_each(|series| loaded.index.series(series).map(drop))
}

/// Checks what tells that index and chunk files are whole; returns how long they are together.
fn check_files(source: &dyn BlockSource) -> Result<u64, BlockError> {
    let corrupt = |error| BlockError::corrupt(source, error);
    let reading = |part| BlockError::reading(source, part);
    let length = source.len(BlockPart::Index).map_err(reading(BlockPart::Index))?;
    let tail = length.saturating_sub(index::TOC_BYTES as u64)..length;
    let tail = source.read(BlockPart::Index, tail).map_err(reading(BlockPart::Index))?;
    index::check_toc(&tail, length).map_err(corrupt)?;
    let mut bytes = length;
    for segment in 0..source.segments().map_err(reading(BlockPart::Chunks(0)))? {
        let part = BlockPart::Chunks(segment);
        let length = source.len(part).map_err(reading(part))?;
        let head = source.read(part, 0..length.min(segment::HEADER_BYTES as u64)).map_err(reading(part))?;
        segment::check_header(&head).map_err(corrupt)?;
        bytes += length;
    }
    Ok(bytes)
}

/// The store does not answer, as opposed to: it has no such thing.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests;
