//! All of a database for reading: its blocks, and what its logs hold.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use environment::{Clock, Disk, DiskLock};
use model::{Matcher, TimestampMs};
use storage::{Querier as _, SelectHints, SeriesSet, TimeRange};
use tsdb_format::block::Ulid;

use super::OfflineError;
use super::list::list;
use crate::block::{Block, Blocks, LocalBlock};
use crate::engine::Engine;
use crate::head::HeadPart;
use crate::head_chunks::LoadedChunks;
use crate::log::{Late, Mend, Recovery, Replaying};
use crate::part::Part;
use crate::querier::DbQuerier;
use crate::settings::Settings;
use crate::shared::Shared;

/// Whether samples that are in no block yet are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logs {
    /// The logs are read, and the directory is locked meanwhile.
    Read,
    /// Blocks alone.
    Leave,
}

/// A database that is read and not opened.
pub struct Offline {
    pub(super) shared: Arc<Shared>,
    unreadable: Vec<(PathBuf, String)>,
    recovery: Recovery,
    _lock: Option<Box<dyn DiskLock>>,
}

impl Offline {
    /// Reads what is in `directory`.
    ///
    /// # Errors
    /// When it holds no database, its logs are asked for and a program has it open, or the disk does not do its part. Damage
    /// is no error: see [`Offline::unreadable`] and [`Offline::recovery`].
    pub fn open(
        disk: &Arc<dyn Disk>,
        clock: &Arc<dyn Clock>,
        directory: &Path,
        logs: Logs,
    ) -> Result<Self, OfflineError> {
        let found = list(&**disk, directory)?;
        let has_log = disk.list(&directory.join("wal")).is_ok();
        let lock = if logs == Logs::Read { lock_to_read(&**disk, directory)? } else { None };
        let set = Blocks::without_any(Arc::clone(disk), directory);
        let (mut blocks, mut unreadable) = (Vec::new(), Vec::new());
        for one in found {
            match Block::open(Arc::new(LocalBlock::new(Arc::clone(disk), &one.path)), set.counters()) {
                Ok(block) => blocks.push(block),
                Err(error) => unreadable.push((one.path, describe(&error))),
            }
        }
        set.publish(without_merged(&blocks), &[]);
        let engine = Engine::manual(Arc::clone(disk), Arc::clone(clock));
        let shared = Arc::new(Shared::new(engine.work(), directory, Settings::default(), set));
        let mut recovery = Recovery::default();
        if logs == Logs::Read && has_log {
            recovery = replay(&shared, &**clock)
                .map_err(|source| OfflineError::Logs { path: directory.to_path_buf(), source: Box::new(source) })?;
        }
        shared.readiness.set(Ok(()));
        Ok(Self { shared, unreadable, recovery, _lock: lock })
    }

    /// Blocks that cannot be opened, with the reasons.
    pub fn unreadable(&self) -> &[(PathBuf, String)] {
        &self.unreadable
    }

    /// What the logs turned out to be like.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Chunks and series that turned out to be damaged and were left out, so far.
    pub fn left_out(&self) -> u64 {
        let blocks = self.shared.blocks.counters();
        blocks.corrupt_chunks.get() + blocks.corrupt_series.get() + blocks.broken_blocks.get()
    }

    /// The series that meet all matchers with their samples in `range`, in order of labels, each once.
    ///
    /// # Errors
    /// When the disk does not do its part.
    pub fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Box<dyn SeriesSet>, OfflineError> {
        let querier = DbQuerier::new(Arc::clone(&self.shared), range);
        Ok(at_once(querier.select(matchers, SelectHints::samples(range)))?)
    }

    /// The first and the last time of which there may be samples; `None` for an empty database.
    pub fn times(&self) -> Option<TimeRange> {
        let blocks = self.shared.blocks.all();
        let (mut start, mut end) = (TimestampMs::MAX, TimestampMs::MIN);
        for own in blocks.iter().map(|block| block.range()).chain(self.head_range()) {
            (start, end) = (start.min(own.start), end.max(own.end));
        }
        (start <= end).then_some(TimeRange { start, end })
    }

    /// Everything that has samples in `range`, first stored first.
    pub(super) fn parts(&self, range: TimeRange) -> Vec<Arc<dyn Part>> {
        let blocks = self.shared.blocks.in_range(range);
        let mut parts: Vec<Arc<dyn Part>> = blocks.into_iter().map(|block| block as Arc<dyn Part>).collect();
        parts.extend(self.head().filter(|head| head.overlaps(range)));
        parts
    }

    /// What the logs hold.
    pub(super) fn head(&self) -> Option<Arc<dyn Part>> {
        Some(Arc::new(HeadPart::new(&self.shared)))
    }

    fn head_range(&self) -> Option<TimeRange> {
        let mut found: Option<TimeRange> = None;
        // Ends are found by halving: whether there are samples in a range is all that the head tells of itself.
        let head = self.head()?;
        if head.overlaps(TimeRange::ALL) {
            let first = first_where(|end| head.overlaps(TimeRange { start: TimestampMs::MIN, end }));
            let last = first_where(|start| !head.overlaps(TimeRange { start, end: TimestampMs::MAX }));
            found = Some(TimeRange { start: first, end: last.plus(-1) });
        }
        found
    }
}

/// The first time for which something holds that holds from there on.
fn first_where(holds: impl Fn(TimestampMs) -> bool) -> TimestampMs {
    let (mut low, mut high) = (i128::from(i64::MIN), i128::from(i64::MAX));
    while low < high {
        let middle = (low + high).div_euclid(2);
        if holds(TimestampMs(middle as i64)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    TimestampMs(low as i64)
}

/// Blocks but those whose merge is there, which a crash may have left.
fn without_merged(blocks: &[Arc<Block>]) -> Vec<Arc<Block>> {
    let parents: Vec<Ulid> = blocks
        .iter()
        .flat_map(|block| block.meta().compaction.parents.iter().map(|parent| (block.ulid(), parent)))
        .filter_map(|(own, parent)| parent.ulid.parse().ok().filter(|ulid| *ulid != own))
        .collect();
    blocks.iter().filter(|block| !parents.contains(&block.ulid())).cloned().collect()
}

fn replay(shared: &Arc<Shared>, clock: &dyn Clock) -> Result<Recovery, crate::OpenError> {
    let replaying = Replaying {
        disk: &*shared.disk,
        directory: &shared.directory,
        head: &shared.head,
        counters: &shared.counters,
        from: TimestampMs::MIN,
        // The log has what they hold.
        head_chunks: LoadedChunks::default(),
        late: Some(Late { ooo: &shared.ooo, now: clock.monotonic() }),
        workers: 0,
        mend: Mend::No,
    };
    Ok(replaying.run()?.recovery)
}

/// Takes the lock of a database if it has one: whoever has it open has made it.
fn lock_to_read(disk: &dyn Disk, directory: &Path) -> Result<Option<Box<dyn DiskLock>>, OfflineError> {
    match disk.open_read(&directory.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => lock(disk, directory),
    }
}

/// Takes the lock of a database. On a disk that takes no writes nobody can have it open.
pub(super) fn lock(disk: &dyn Disk, directory: &Path) -> Result<Option<Box<dyn DiskLock>>, OfflineError> {
    let path = directory.join("lock");
    match disk.lock(&path) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Err(OfflineError::InUse(directory.to_path_buf())),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Ok(None),
            _ => Err(OfflineError::at("lock", &path)(error)),
        },
    }
}

fn describe(error: &crate::block::BlockError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

/// The outcome of a future that has nothing to wait for: everything is on this machine, and read.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a database that is read from the local disk waits for nothing"),
    }
}
