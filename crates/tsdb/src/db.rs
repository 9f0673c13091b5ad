//! Opening and closing.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use environment::{Disk, DiskLock};
use model::{LabelsBuilder, Matcher, Metadata, TimestampMs};
use parking_lot::Mutex;
use storage::{
    Administer, Appender, CommitError, LeftOut, Querier, Queryable, SeriesExemplars, Statistics, Storage, TimeRange,
};

use crate::admission::Admission;
use crate::appender::BatchAppender;
use crate::block::Blocks;
use crate::committer::{Shared, Writer};
use crate::engine::{Engine, Urgency, contained};
use crate::head::matching_dead_or_alive;
use crate::head_chunks::HeadChunks;
use crate::log::{Late, Log, Mend, Recovery, Replaying, Syncer, in_order_end};
use crate::maintenance;
use crate::querier::DbQuerier;
use crate::readiness::Ready;
use crate::settings::Settings;
use crate::stats::Stats;

/// One workspace's database.
///
/// Owns its directory: a lock in it keeps others out until [`Db::close`], or until it is dropped. What is to be done for it is
/// done by its engine's threads.
pub struct Db {
    pub(crate) shared: Arc<Shared>,
    engine: Arc<Engine>,
    /// `None` once it is closed.
    lock: Mutex<Option<Box<dyn DiskLock>>>,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory cannot be used.
    #[error("cannot {action} {} (check the disk and the permissions of the data directory)", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody has it open.
    #[error("{} is in use by another process, or opened twice in this one", path.display())]
    InUse {
        /// The file that is locked.
        path: PathBuf,
    },
    /// The disk did not let the blocks be looked at.
    #[error("cannot open the blocks (check the disk and the permissions of the data directory)")]
    Blocks(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Reading the log did not come to its end.
    #[error("reading the log of {} failed for a reason that the program's log tells", path.display())]
    Failed {
        /// The database's directory.
        path: PathBuf,
    },
    /// No thread could be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

impl OpenError {
    pub(crate) fn at(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Disk { action, path: path.to_path_buf(), source }
    }
}

impl Db {
    /// Opens the database in `directory`, creating it if it is not there. Returns when the blocks can be read; the log is read
    /// in the background, see [`Db::ready`]. What a crash left is mended; see [`Db::recovery`]. Blocks.
    ///
    /// # Errors
    /// [`OpenError`] when the disk does not do its part, or another process has the database open. Damaged content is not
    /// an error.
    pub fn open(engine: &Arc<Engine>, directory: &Path, settings: Settings) -> Result<Arc<Self>, OpenError> {
        let disk = &engine.work().disk;
        make_directory(&**disk, directory)?;
        let lock = lock(&**disk, directory)?;
        let blocks = Blocks::open(Arc::clone(disk), directory).map_err(|error| OpenError::Blocks(Box::new(error)))?;
        let shared = Arc::new(Shared::new(engine.work(), directory, settings, blocks));
        let opening = Arc::clone(&shared);
        engine.work().background.push(Urgency::Urgent, Box::new(move || opening.read_log()));
        Ok(Arc::new(Self { shared, engine: Arc::clone(engine), lock: Mutex::new(Some(lock)) }))
    }

    /// Resolves when the log has been read: until then commits and queries that touch the head wait.
    ///
    /// # Errors
    /// Why the log could not be read; the database takes no samples then.
    pub fn ready(&self) -> impl Future<Output = Result<(), Arc<OpenError>>> + Send + 'static {
        Ready(Arc::clone(&self.shared))
    }

    /// [`Db::ready`], blocking.
    ///
    /// # Errors
    /// As [`Db::ready`].
    pub fn wait_ready(&self) -> Result<(), Arc<OpenError>> {
        self.shared.readiness.wait(self.engine.work().helper())
    }

    /// Whether the log has been read.
    pub fn is_ready(&self) -> bool {
        matches!(self.shared.readiness.outcome(), Some(Ok(())))
    }

    /// Takes no more batches, commits those that wait, syncs the log, gives the directory back. Blocks. Reading goes on.
    ///
    /// # Errors
    /// When the log could not be written or synced, now or earlier.
    pub fn close(&self) -> Result<(), CommitError> {
        let shared = &self.shared;
        // Held to the end, so that of two who close the second returns when it is done, too.
        let mut lock = self.lock.lock();
        if lock.is_some() {
            shared.queue.close();
            shared.stop();
            if self.wait_ready().is_ok() {
                shared.queue.wait_idle(self.engine.work().helper());
                // A round of maintenance under way comes to an end, and none begins after it.
                let _held = shared.maintenance.lock();
                // What no commit has synced; often nothing, which makes closing quick.
                shared.sync_logs();
            }
            lock.take();
        }
        shared.failure().map_or(Ok(()), Err)
    }

    /// What opening found in the log; nothing until the database is ready.
    pub fn recovery(&self) -> &Recovery {
        static UNREAD: LazyLock<Recovery> = LazyLock::new(Recovery::default);
        self.shared.recovery.get().unwrap_or(&UNREAD)
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        Stats {
            series: u64::from(self.shared.head.series_count()),
            wal_failed: self.shared.refuses(),
            series_cache_bytes: self.shared.keys.bytes() as u64,
            out_of_order_samples: self.shared.ooo.samples(),
            out_of_order_bytes: self.shared.ooo.bytes() as u64,
            out_of_order_ranges: self.shared.ooo.open_ranges().len() as u64,
            ..self.shared.blocks.stats(self.shared.counters.snapshot())
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Storage for Db {
    fn administration(&self) -> Option<&dyn Administer> {
        Some(self)
    }

    fn statistics(&self, limit: usize) -> Option<Statistics> {
        let chunks = self.shared.counters.snapshot().chunks;
        Some(Statistics { chunks, ..self.shared.head.statistics(limit) })
    }

    fn appender(&self, now: TimestampMs) -> Box<dyn Appender> {
        Box::new(BatchAppender::new(Arc::clone(&self.shared), now))
    }
}

impl Queryable for Db {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        Box::new(DbQuerier::new(Arc::clone(&self.shared), range))
    }

    fn querier_with(&self, range: TimeRange, left_out: Arc<LeftOut>) -> Box<dyn Querier> {
        Box::new(DbQuerier::new(Arc::clone(&self.shared), range).telling(left_out))
    }

    fn metadata(&self) -> Vec<(String, Metadata)> {
        let metadata = self.shared.head.metadata.read();
        metadata.iter().map(|(name, metadata)| (name.clone(), metadata.clone())).collect()
    }

    fn exemplars(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        let head = &self.shared.head;
        let _held = head.generation();
        // Exemplars of series whose samples have gone to blocks are still here.
        let slots = selectors.iter().map(|matchers| matching_dead_or_alive(&mut head.index.read(), matchers));
        let slots = slots.reduce(|all, more| all | more).unwrap_or_default();
        let mut builder = LabelsBuilder::default();
        let mut found = Vec::new();
        for slot in slots {
            let exemplars = head.exemplars.lock().of(slot, range);
            if !exemplars.is_empty() {
                found.push(SeriesExemplars { labels: head.index.read().labels(slot, &mut builder), exemplars });
            }
        }
        found.sort_by(|left, right| left.labels.cmp(&right.labels));
        found
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // Whoever wants to know how it went calls it himself.
        let _ = self.close();
    }
}

impl Shared {
    /// Reads the log, in the background, and lets those go on who wait for it.
    fn read_log(self: Arc<Self>) {
        let mut outcome = Err(OpenError::Failed { path: self.directory.clone() });
        contained("reading a log", || outcome = self.replay());
        let outcome = outcome.map_err(Arc::new);
        match &outcome {
            Ok(()) => {
                self.start_committing();
                self.maintain_after(maintenance::INTERVAL);
            }
            Err(error) => {
                let source = std::error::Error::source(error).map(|source| format!(": {source}"));
                self.fail(format!("{error}{}", source.unwrap_or_default()));
                self.queue.refuse(&self.failure().expect("it was just set"));
            }
        }
        self.readiness.set(outcome);
    }

    fn replay(&self) -> Result<(), OpenError> {
        let (wal, wbl) = (self.directory.join("wal"), self.directory.join("wbl"));
        make_directory(&*self.disk, &wal)?;
        make_directory(&*self.disk, &wbl)?;
        let from = in_order_end(&self.blocks.all());
        let (head_chunks, loaded) = HeadChunks::open(&self.disk, &self.directory, from, Mend::Yes)?;
        let replaying = Replaying {
            disk: &*self.disk,
            directory: &self.directory,
            head: &self.head,
            counters: &self.counters,
            from,
            head_chunks: loaded,
            late: Some(Late { ooo: &self.ooo, now: self.clock.monotonic() }),
            workers: self.work.replay_threads,
            mend: Mend::Yes,
        };
        let mut replayed = replaying.run()?;
        self.head.freeze_before(from);
        if let Some(until) = replayed.deleted_until {
            head_chunks.pause(until);
        }
        let _ = self.head_chunks.set(head_chunks);
        tell(&replayed.recovery, &self.directory);
        self.counters.wal_segment.set(replayed.next_segment);
        let log = self.start_log(&wal, replayed.next_segment, &self.wal_syncer)?;
        let log = log.after(std::mem::take(&mut replayed.closed));
        let late_log = self.start_log(&wbl, replayed.next_late_segment, &self.wbl_syncer)?;
        let admission = Admission::after(&mut replayed, &self.head);
        let _ = self.recovery.set(replayed.recovery);
        self.set_writer(Writer::new(log, late_log, admission));
        Ok(())
    }

    fn start_log(&self, directory: &Path, number: u64, syncer: &Option<Arc<Syncer>>) -> Result<Log, OpenError> {
        let (disk, segment_bytes_max) = (Arc::clone(&self.disk), self.settings.segment_bytes_max);
        let log = Log::create(disk, directory, number, segment_bytes_max, syncer.clone());
        log.map_err(OpenError::at("create a segment in", directory))
    }
}

/// Makes a directory whose name survives a power cut, also where an earlier start died before it did.
fn make_directory(disk: &dyn Disk, directory: &Path) -> Result<(), OpenError> {
    disk.create_directory(directory).map_err(OpenError::at("create", directory))?;
    let parent = directory.parent().unwrap_or(Path::new(""));
    disk.sync_directory(parent).map_err(OpenError::at("sync", parent))
}

fn lock(disk: &dyn Disk, directory: &Path) -> Result<Box<dyn DiskLock>, OpenError> {
    let path = directory.join("lock");
    disk.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse { path },
        _ => OpenError::at("lock", &path)(error),
    })
}

fn tell(recovery: &Recovery, directory: &Path) {
    tracing::debug!(directory = %directory.display(), ?recovery, "read the write-ahead log");
    if recovery.without_series > 0 {
        tracing::warn!(
            directory = %directory.display(), samples = recovery.without_series,
            "the write-ahead log holds samples whose series it does not name; they are left out"
        );
    }
}
