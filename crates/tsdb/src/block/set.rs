//! The blocks of one database.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use environment::{Disk, FileKind};
use parking_lot::Mutex;
use storage::TimeRange;
use tsdb_format::block::Ulid;

use super::counters::BlockCounters;
use super::error::BlockError;
use super::local::LocalBlock;
use super::{Block, is_missing};
use crate::part::Part as _;
use crate::stats::Stats;

/// All blocks of a database that are open for queries.
///
/// A list that was taken is one state: a merge appears and its parents disappear in one step. Directories of replaced blocks
/// are removed when nobody reads them any more.
pub(crate) struct Blocks {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    current: ArcSwap<Vec<Arc<Block>>>,
    /// Replaced, and perhaps still read.
    retired: Mutex<Vec<Arc<Block>>>,
    counters: Arc<BlockCounters>,
    /// Blocks whose writing failed, and perhaps removing what there was of them. None of them was ever shown.
    failed: Mutex<BTreeSet<Ulid>>,
}

impl Blocks {
    /// Opens all blocks in `directory`, which must exist, after removing what a crash left of unfinished ones, and of those
    /// whose merge is there. Damaged blocks are set aside.
    ///
    /// # Errors
    /// When the disk does not answer: see [`BlockError::Unreadable`]. What is damaged is no error.
    pub(crate) fn open(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self, BlockError> {
        let blocks = Self {
            directory: directory.to_path_buf(),
            current: ArcSwap::default(),
            retired: Mutex::default(),
            counters: Arc::default(),
            failed: Mutex::default(),
            disk,
        };
        let listed = blocks.disk.list(directory).map_err(failed("list", directory))?;
        let mut found = Vec::new();
        for (path, kind) in listed {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if kind != FileKind::Directory {
                continue;
            }
            if is_leftover(name) {
                tracing::info!(directory = %path.display(), "removed what a crash left of an unfinished block");
                blocks.remove(&path)?;
            } else if name.parse::<Ulid>().is_ok() {
                found.extend(blocks.open_found(&path)?);
            }
        }
        blocks.start_with(found)?;
        Ok(blocks)
    }

    /// A set without blocks, which looks at nothing and mends nothing.
    pub(crate) fn without_any(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
            current: ArcSwap::default(),
            retired: Mutex::default(),
            counters: Arc::default(),
            disk,
            failed: Mutex::default(),
        }
    }

    /// The blocks now, in order of the start of their ranges.
    pub(crate) fn all(&self) -> Arc<Vec<Arc<Block>>> {
        self.current.load_full()
    }

    /// Those that may have samples in `range`, in the order in which their samples were first stored.
    pub(crate) fn in_range(&self, range: TimeRange) -> Vec<Arc<Block>> {
        let current = self.current.load();
        let mut blocks: Vec<Arc<Block>> = current.iter().filter(|block| block.overlaps(range)).cloned().collect();
        blocks.sort_by_key(|block| (block.first_stored(), block.ulid()));
        blocks
    }

    /// The statistics with what is to be said of blocks.
    pub(crate) fn stats(&self, stats: Stats) -> Stats {
        let (current, counters) = (self.current.load(), &self.counters);
        Stats {
            blocks: current.len() as u64,
            block_bytes: current.iter().map(|block| block.bytes()).sum(),
            blocks_set_aside: counters.set_aside.get(),
            blocks_broken: counters.broken_blocks.get(),
            block_bad_chunks: counters.corrupt_chunks.get(),
            block_bad_series: counters.corrupt_series.get(),
            ..stats
        }
    }

    /// What went wrong with blocks.
    pub(crate) fn counters(&self) -> &Arc<BlockCounters> {
        &self.counters
    }

    /// Where a block of this name stands.
    pub(crate) fn path_of(&self, ulid: Ulid) -> PathBuf {
        self.directory.join(ulid.to_string())
    }

    /// Opens a block whose directory stands finished under its name, without showing it to anybody yet.
    ///
    /// # Errors
    /// [`BlockError`].
    pub(crate) fn open_block(&self, ulid: Ulid) -> Result<Arc<Block>, BlockError> {
        Block::open(Arc::new(LocalBlock::new(Arc::clone(&self.disk), &self.path_of(ulid))), &self.counters)
    }

    /// Shows new blocks and hides those they replace, in one step. Queries begun before go on with what they have.
    pub(crate) fn publish(&self, new: Vec<Arc<Block>>, replaced: &[Ulid]) {
        // One writer at a time: two lists made from the same one would lose one's change.
        let mut retired = self.retired.lock();
        let current = self.current.load();
        let (gone, mut next): (Vec<_>, Vec<_>) =
            current.iter().cloned().partition(|block| replaced.contains(&block.ulid()));
        next.extend(new);
        next.sort_by_key(|block| (block.range().start, block.range().end, block.ulid()));
        retired.extend(gone);
        self.current.store(Arc::new(next));
    }

    /// Writing a block failed: there may be something of it, perhaps under its name.
    pub(crate) fn expect_leftovers(&self, ulid: Ulid) {
        self.failed.lock().insert(ulid);
    }

    /// Removes what is left of blocks whose writing failed. Called while none is written.
    ///
    /// # Errors
    /// When a directory cannot be removed; it is tried again with the next call.
    pub(crate) fn remove_leftovers(&self) -> Result<(), BlockError> {
        let mut unfinished = self.failed.lock();
        if unfinished.is_empty() {
            return Ok(());
        }
        for (path, _) in self.disk.list(&self.directory).map_err(failed("list", &self.directory))? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if is_leftover(name) || name.parse().is_ok_and(|ulid| unfinished.contains(&ulid)) {
                self.remove(&path)?;
            }
        }
        unfinished.clear();
        Ok(())
    }

    /// Removes a block that was opened and never published.
    ///
    /// # Errors
    /// When its directory cannot be removed; it is tried again.
    pub(crate) fn discard(&self, block: &Block) -> Result<(), BlockError> {
        self.remove(&self.path_of(block.ulid())).inspect_err(|_| self.expect_leftovers(block.ulid()))
    }

    /// Removes the directories of replaced blocks that nobody reads any more; returns how many are still read.
    ///
    /// # Errors
    /// When a directory cannot be removed; it is tried again with the next call.
    pub(crate) fn remove_retired(&self) -> Result<usize, BlockError> {
        let mut retired = self.retired.lock();
        let mut kept: BTreeSet<Ulid> = BTreeSet::new();
        let mut index = 0;
        while let Some(block) = retired.get(index) {
            // Nobody can come to it any more but those who hold it, or something loaded of it. A merge stays as long as one of
            // its parents: after a crash it alone says that they are not to be used.
            let is_read = Arc::strong_count(block) > 1 || block.is_read();
            if is_read || block.parents().any(|parent| kept.contains(&parent)) {
                kept.insert(block.ulid());
                index += 1;
                continue;
            }
            self.remove(&self.path_of(block.ulid()))?;
            retired.remove(index);
        }
        Ok(retired.len())
    }

    /// Takes blocks whose index turned out to be damaged out of the set and moves them out of the way.
    ///
    /// # Errors
    /// When a directory cannot be moved.
    pub(crate) fn set_broken_aside(&self) -> Result<(), BlockError> {
        let current = self.all();
        let broken: Vec<Ulid> = current.iter().filter(|block| block.is_broken()).map(|block| block.ulid()).collect();
        for ulid in broken {
            self.set_aside(&self.path_of(ulid))?;
            let retired = self.retired.lock();
            let next = self.current.load().iter().filter(|block| block.ulid() != ulid).cloned().collect();
            self.current.store(Arc::new(next));
            drop(retired);
        }
        Ok(())
    }

    /// Lets go of indexes and mappings of blocks that were not used since the last call.
    pub(crate) fn rest(&self) {
        self.all().iter().for_each(|block| block.rest());
    }

    /// Opens a directory that is named like a block. Damaged ones are set aside.
    fn open_found(&self, path: &Path) -> Result<Option<Arc<Block>>, BlockError> {
        let source = Arc::new(LocalBlock::new(Arc::clone(&self.disk), path));
        match Block::open(source, &self.counters) {
            Ok(block) => Ok(Some(block)),
            Err(error @ BlockError::Downsampled { .. }) => {
                tracing::warn!(%error, "a block is left out of all answers");
                Ok(None)
            }
            Err(error) if error.is_damage() => {
                // Blocks get their name when they are whole, and lose it before they are removed. So without a description
                // and samples this is a rest of somebody else's removal; with either it is somebody's data.
                if self.is_empty_shell(path) {
                    tracing::info!(directory = %path.display(), "removed what was left of a removed block");
                    self.remove(path)?;
                } else {
                    tracing::error!(%error, "a block is damaged, set aside and left out of all answers");
                    self.counters.broken_blocks.add(1);
                    self.set_aside(path)?;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn is_empty_shell(&self, path: &Path) -> bool {
        let lacks = |name| self.disk.open_read(&path.join(name)).is_err_and(|error| is_missing(&error));
        lacks("meta.json") && (lacks("index") || lacks("chunks/000001"))
    }

    /// The first list: without blocks whose merge is there.
    fn start_with(&self, found: Vec<Arc<Block>>) -> Result<(), BlockError> {
        let names: BTreeSet<Ulid> = found.iter().map(|block| block.ulid()).collect();
        let mut merged = BTreeSet::new();
        for block in &found {
            let parents: Vec<Ulid> = block.parents().filter(|ulid| names.contains(ulid)).collect();
            // The parents are all there is if the merge cannot be read.
            if !parents.is_empty() && block.is_sound_or_broken_off() {
                tracing::info!(block = %block.ulid(), ?parents, "removes blocks that a crash left though they are merged");
                merged.extend(parents);
            }
        }
        self.publish(found, &[]);
        self.publish(Vec::new(), &merged.into_iter().collect::<Vec<_>>());
        self.set_broken_aside()?;
        self.remove_retired().map(drop)
    }

    /// Removes a block's directory. It loses its name first, so that half of it is never taken for a block.
    fn remove(&self, path: &Path) -> Result<(), BlockError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut doomed = path.to_path_buf();
        if !is_leftover(name) {
            doomed = self.directory.join(format!("{name}{DELETION_SUFFIX}"));
            match self.disk.rename(path, &doomed) {
                // An earlier try came as far as this.
                Err(error) if is_missing(&error) => {}
                renamed => renamed.map_err(failed("rename", path))?,
            }
            self.disk.sync_directory(&self.directory).map_err(failed("sync", &self.directory))?;
        }
        match self.disk.remove_directory(&doomed) {
            Err(error) if is_missing(&error) => Ok(()),
            removed => removed.map_err(failed("remove", &doomed)),
        }
    }

    /// Moves a directory to where damaged ones are kept for somebody to look at.
    fn set_aside(&self, path: &Path) -> Result<(), BlockError> {
        let aside = self.directory.join(SET_ASIDE);
        self.disk.create_directory(&aside).map_err(failed("create", &aside))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // A restored copy of a block may be damaged again.
        let mut names = std::iter::once(name.to_owned()).chain((1..).map(|number| format!("{name}.{number}")));
        let free = names.find(|name| self.disk.list(&aside.join(name)).is_err());
        let to = aside.join(free.expect("there is always another number"));
        self.disk.rename(path, &to).map_err(failed("rename", path))?;
        self.disk.sync_directory(&self.directory).map_err(failed("sync", &self.directory))?;
        self.counters.set_aside.add(1);
        Ok(())
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BlockError {
    let path = path.to_path_buf();
    move |source| BlockError::Directory { action, path, source }
}

/// Whether a directory is what a crash left of making or removing a block, by us or by Prometheus.
fn is_leftover(name: &str) -> bool {
    let Some((ulid, suffix)) = name.split_once('.') else { return false };
    ulid.parse::<Ulid>().is_ok() && (suffix == "tmp" || suffix.starts_with("tmp-for-"))
}

/// Where damaged blocks go, in the database's directory.
pub(crate) const SET_ASIDE: &str = "set-aside";
const DELETION_SUFFIX: &str = ".tmp-for-deletion";
