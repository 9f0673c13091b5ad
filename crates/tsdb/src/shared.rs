//! What everybody who works on one database shares: appenders, queriers, commits, maintenance.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use environment::{Clock, Disk};
use model::TimestampMs;
use parking_lot::Mutex;
use storage::CommitError;

use crate::batch::BatchSeries;
use crate::block::Blocks;
use crate::committer::{Queue, Writer};
use crate::compaction::{BlockRanges, UlidSource};
use crate::engine::{Task, Urgency, Work, contained};
use crate::head::Head;
use crate::head_chunks::HeadChunks;
use crate::key_cache::KeyCache;
use crate::log::{Recovery, Syncer, WriteError};
use crate::maintenance::{self, Maintenance};
use crate::ooo::Ooo;
use crate::readiness::{Readiness, logged_from};
use crate::settings::{Settings, WalSync};
use crate::stats::Counters;

/// See the module's text. The order of locks: `maintenance`, then the writer, then those of the head.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) directory: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The engine, without its threads.
    pub(crate) work: Arc<Work>,
    pub(crate) head: Head,
    pub(crate) ooo: Ooo,
    pub(crate) blocks: Blocks,
    /// Names for new blocks.
    pub(crate) ulids: UlidSource,
    pub(crate) keys: KeyCache,
    pub(crate) counters: Counters,
    pub(crate) queue: Queue,
    /// Whether the log has been read.
    pub(crate) readiness: Readiness,
    /// Before it, the logs that are to be read hold nothing that is not in blocks.
    pub(crate) logged_from: TimestampMs,
    pub(crate) recovery: OnceLock<Recovery>,
    /// Full chunks of the head on disk; there once the log has been read.
    pub(crate) head_chunks: OnceLock<HeadChunks>,
    /// Held by what changes files other than by appending to a log: maintenance, deletions, snapshots.
    pub(crate) maintenance: Mutex<Maintenance>,
    /// Who syncs the log between commits; nobody where each commit does.
    pub(crate) wal_syncer: Option<Arc<Syncer>>,
    /// The same for the log of samples out of order.
    pub(crate) wbl_syncer: Option<Arc<Syncer>>,
    /// There once the log has been read.
    writer: OnceLock<Mutex<Writer>>,
    sync_waits: AtomicBool,
    maintenance_waits: AtomicBool,
    /// How many commits there were when [`Shared::rest`] was called last.
    commits_seen: AtomicU64,
    /// The number of the timer that counts: others before it have been replaced.
    maintenance_timer: AtomicU64,
    stopping: AtomicBool,
    /// Why the log is not written any more.
    failed: OnceLock<Arc<str>>,
    /// The last write to a log did not succeed.
    is_refused: AtomicBool,
}

impl Shared {
    pub(crate) fn new(work: &Arc<Work>, directory: &Path, mut settings: Settings, blocks: Blocks) -> Self {
        settings.series_max = settings.series_max.min(BatchSeries::NEW - 1);
        let interval = matches!(settings.wal_sync, WalSync::Interval(_));
        Self {
            directory: directory.to_path_buf(),
            disk: Arc::clone(&work.disk),
            clock: Arc::clone(&work.clock),
            work: Arc::clone(work),
            logged_from: logged_from(&*work.disk, directory, &blocks),
            head: Head::new(settings.exemplars_max, settings.block_range_ms),
            ooo: Ooo::new(BlockRanges::new(&settings), settings.out_of_order_bytes_max),
            ulids: UlidSource::new(Arc::clone(&work.clock), directory, blocks.all().iter().map(|b| b.ulid()).max()),
            blocks,
            keys: KeyCache::new(settings.series_cache_bytes_max),
            counters: Counters::default(),
            queue: Queue::default(),
            readiness: Readiness::default(),
            recovery: OnceLock::new(),
            head_chunks: OnceLock::new(),
            maintenance: Mutex::default(),
            wal_syncer: interval.then(Arc::default),
            wbl_syncer: interval.then(Arc::default),
            writer: OnceLock::new(),
            sync_waits: AtomicBool::new(false),
            maintenance_waits: AtomicBool::new(false),
            commits_seen: AtomicU64::new(0),
            maintenance_timer: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            failed: OnceLock::new(),
            is_refused: AtomicBool::new(false),
            settings,
        }
    }

    /// Does something while nothing else changes the head or the logs. Commits wait meanwhile: keep it short.
    ///
    /// # Panics
    /// When the database is not ready.
    pub(crate) fn with_writer<T>(&self, act: impl FnOnce(&mut Writer) -> T) -> T {
        act(&mut self.writer.get().expect("only a database that is ready is written to").lock())
    }

    /// The log has been read: from now on it is written.
    pub(crate) fn set_writer(&self, writer: Writer) {
        assert!(self.writer.set(Mutex::new(writer)).is_ok(), "a database becomes ready once");
    }

    /// Takes no writes from now on: after a failed sync nobody knows what the log holds.
    pub(crate) fn fail(&self, reason: String) {
        tracing::error!(
            directory = %self.directory.display(), reason,
            "the write-ahead log cannot be written; writes are refused until the next start"
        );
        let _ = self.failed.set(reason.into());
    }

    pub(crate) fn failure(&self) -> Option<CommitError> {
        self.failed.get().map(|reason| CommitError::Log(Arc::clone(reason)))
    }

    /// A write to a log did not succeed; says what is answered.
    pub(crate) fn not_written(&self, error: &WriteError) -> CommitError {
        let reason: Arc<str> = error.to_string().into();
        if error.is_final() {
            self.fail(reason.to_string());
        } else if !self.is_refused.swap(true, Ordering::AcqRel) {
            tracing::error!(
                directory = %self.directory.display(), %reason,
                "the write-ahead log cannot be written; writes are refused until it can (is the disk full?)"
            );
        }
        CommitError::Log(reason)
    }

    /// All logs were written.
    pub(crate) fn written(&self) {
        if self.is_refused.load(Ordering::Acquire) {
            self.is_refused.store(false, Ordering::Release);
            tracing::info!(directory = %self.directory.display(), "the write-ahead log is written again");
        }
    }

    /// Whether writes are refused, for good or until the disk has room.
    pub(crate) fn refuses(&self) -> bool {
        self.failed.get().is_some() || self.is_refused.load(Ordering::Acquire)
    }

    /// A log was written to: it is synced when its interval has passed.
    pub(crate) fn logged(self: &Arc<Self>) {
        if let WalSync::Interval(interval) = self.settings.wal_sync
            && !self.sync_waits.swap(true, Ordering::AcqRel)
        {
            self.work.timers.push(self.clock.monotonic().plus(interval), Task::Sync, Arc::downgrade(self));
        }
    }

    /// Syncs what was written to the logs.
    pub(crate) fn sync_logs(&self) {
        // First: what is written from here on asks again.
        self.sync_waits.store(false, Ordering::Release);
        // Also after a write failed: what was answered before it is still to survive a power cut.
        // Series are named in the first.
        for syncer in [&self.wal_syncer, &self.wbl_syncer].into_iter().flatten() {
            if let Err(error) = syncer.sync(&self.counters) {
                self.fail(format!("sync: {error}"));
            }
        }
    }

    /// Has a round of maintenance begun soon, unless one waits already.
    pub(crate) fn start_maintenance(self: &Arc<Self>) {
        if self.is_stopping() || self.maintenance_waits.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::clone(self);
        self.work.background.push(Urgency::Slow, Box::new(move || shared.maintain()));
    }

    /// Has the next round of maintenance begun after this time, not when it was to begin before.
    pub(crate) fn maintain_after(self: &Arc<Self>, delay: Duration) {
        let number = self.maintenance_timer.fetch_add(1, Ordering::AcqRel) + 1;
        self.work.timers.push(self.clock.monotonic().plus(delay), Task::Maintain(number), Arc::downgrade(self));
    }

    /// The timer of this number has run out.
    pub(crate) fn maintenance_due(self: &Arc<Self>, number: u64) {
        if self.maintenance_timer.load(Ordering::Acquire) == number {
            self.start_maintenance();
        }
    }

    fn maintain(self: &Arc<Self>) {
        // First: who asks from here on gets a round of his own.
        self.maintenance_waits.store(false, Ordering::Release);
        let mut delay = MAINTENANCE_RETRY;
        // Whoever holds the lock may do so for long; threads are few.
        if let Some(mut held) = self.maintenance.try_lock()
            && !self.is_stopping()
        {
            // Even a panic does not end maintenance for good.
            delay = maintenance::INTERVAL;
            contained("a round of maintenance", || {
                delay = maintenance::round(self, &mut held, self.clock.now());
                self.rest();
            });
        }
        self.maintain_after(delay);
    }

    /// Gives back memory that is kept for the next commit, when none has come since the last call.
    fn rest(&self) {
        let commits = self.counters.commits.get();
        if self.commits_seen.swap(commits, Ordering::AcqRel) == commits {
            self.with_writer(Writer::rest);
        }
    }

    /// The database is being closed: whatever takes long gives up at the next place where it can.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

/// When a round of maintenance that could not begin is tried again.
const MAINTENANCE_RETRY: Duration = Duration::from_secs(5);
