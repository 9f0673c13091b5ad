//! Opening and closing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use environment::Disk;
use model::{LabelsBuilder, Matcher, Metadata, TimestampMs};
use parking_lot::Mutex;
use storage::{Appender, CommitError, Querier, Queryable, Storage, TimeRange};

use crate::admission::Admission;
use crate::appender::BatchAppender;
use crate::committer::{Committer, Shared};
use crate::head::{SeriesExemplars, matching};
use crate::log::{Log, Recovery, Syncer, replay};
use crate::querier::HeadQuerier;
use crate::settings::{Settings, WalSync};
use crate::stats::Stats;

/// One workspace's database.
///
/// Owns its directory (nobody else may have it open) and its threads, which end with [`Db::close`] or when it is dropped.
pub struct Db {
    shared: Arc<Shared>,
    recovery: Recovery,
    threads: Mutex<Threads>,
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
    /// No thread could be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

impl OpenError {
    pub(crate) fn at(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Disk { action, path: path.to_path_buf(), source }
    }
}

#[derive(Default)]
struct Threads {
    syncer: Option<(Arc<Syncer>, JoinHandle<()>)>,
    committer: Option<JoinHandle<()>>,
}

impl Db {
    /// Opens the database in `directory`, creating it if it is not there, and reads its log into memory. What a crash
    /// left is mended; see [`Db::recovery`]. Blocks.
    ///
    /// # Errors
    /// [`OpenError`] when the disk does not do its part. Damaged content is not an error.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path, settings: Settings) -> Result<Arc<Self>, OpenError> {
        let wal = directory.join("wal");
        disk.create_directory(&wal).map_err(OpenError::at("create", &wal))?;
        let shared = Arc::new(Shared::new(settings));
        let mut replayed = replay(&*disk, directory, &shared.head, &shared.counters)?;
        let number = replayed.next_segment;
        tell(&replayed.recovery, directory);
        shared.counters.wal_segment.set(number);

        let mut threads = Threads::default();
        let mut watching = None;
        if let WalSync::Interval(interval) = shared.settings.wal_sync {
            let syncer = Arc::new(Syncer::default());
            watching = Some(Arc::clone(&syncer));
            threads.syncer = Some((Arc::clone(&syncer), spawn_syncer(&shared, syncer, interval)?));
        }
        let log = Log::create(disk, &wal, number, shared.settings.segment_bytes_max, watching);
        let log = log.map_err(OpenError::at("create a segment in", &wal)).inspect_err(|_| threads.stop())?;
        let admission = Admission::after(&mut replayed, &shared.head);
        let committer = Committer { shared: Arc::clone(&shared), log, admission };
        let committer = Builder::new().name("tsdb-commit".into()).spawn(move || committer.run());
        threads.committer = Some(committer.map_err(OpenError::Thread).inspect_err(|_| threads.stop())?);
        Ok(Arc::new(Self { shared, recovery: replayed.recovery, threads: Mutex::new(threads) }))
    }

    /// Takes no more batches, commits those that wait, syncs the log, ends the threads. Blocks. Reading goes on.
    ///
    /// # Errors
    /// When the log could not be written or synced, now or earlier.
    pub fn close(&self) -> Result<(), CommitError> {
        self.shared.queue.close();
        self.threads.lock().stop();
        self.shared.failure().map_or(Ok(()), Err)
    }

    /// What opening found in the log.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        Stats {
            series: u64::from(self.shared.head.series_count()),
            wal_failed: self.shared.failure().is_some(),
            series_cache_bytes: self.shared.keys.bytes() as u64,
            ..self.shared.counters.snapshot()
        }
    }

    /// Metric families and what they say about themselves, sorted by name.
    pub fn metadata(&self) -> Vec<(String, Metadata)> {
        let metadata = self.shared.head.metadata.read();
        metadata.iter().map(|(name, metadata)| (name.clone(), metadata.clone())).collect()
    }

    /// Exemplars in `range` of the series that meet all matchers, sorted by labels.
    pub fn exemplars(&self, matchers: &[Matcher], range: TimeRange) -> Vec<SeriesExemplars> {
        let head = &self.shared.head;
        let slots = matching(&mut head.index.read(), matchers);
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

impl Storage for Db {
    fn appender(&self, now: TimestampMs) -> Box<dyn Appender> {
        Box::new(BatchAppender::new(Arc::clone(&self.shared), now))
    }
}

impl Queryable for Db {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        Box::new(HeadQuerier::new(Arc::clone(&self.shared), range))
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.threads.lock().stop();
    }
}

impl Threads {
    /// Ends the threads. The committer first: it still has batches to write. A thread that panicked has said so already.
    fn stop(&mut self) {
        if let Some(committer) = self.committer.take() {
            let _ = committer.join();
        }
        if let Some((syncer, thread)) = self.syncer.take() {
            syncer.stop();
            let _ = thread.join();
        }
    }
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

fn spawn_syncer(
    shared: &Arc<Shared>,
    syncer: Arc<Syncer>,
    interval: std::time::Duration,
) -> Result<JoinHandle<()>, OpenError> {
    let shared = Arc::clone(shared);
    let run = move || {
        if let Err(error) = syncer.run(interval, &shared.counters) {
            shared.fail(format!("sync: {error}"));
        }
    };
    Builder::new().name("tsdb-sync".into()).spawn(run).map_err(OpenError::Thread)
}
