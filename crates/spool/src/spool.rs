//! The queue as its users see it.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use environment::{Clock, Disk, DiskLock, UnixTime};
use parking_lot::Mutex;

use crate::files::Files;
use crate::recovery::recover;
use crate::shared::{Look, Shared};
use crate::syncer::Syncer;
use crate::{Appended, Counts, Entry, EntryId, Ledger, NewEntry, Outcome, Refusal, Settings, open, ring};

/// An open queue. Cheap to clone; all clones are one queue. Its I/O happens on a thread of its own, so that nobody who
/// waits for it blocks.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    threads: Mutex<Threads>,
}

/// Ends with the last clone of the queue.
pub(crate) struct Threads {
    pub(crate) writer: Option<JoinHandle<io::Result<()>>>,
    pub(crate) reader: Option<JoinHandle<()>>,
    pub(crate) syncer: Option<(Arc<Syncer>, JoinHandle<()>)>,
    pub(crate) lock: Option<Box<dyn DiskLock>>,
}

/// What opening found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovery {
    /// Entries that wait to be sent.
    pub entries: u64,
    /// Bytes of the segments.
    pub bytes: u64,
    /// Bytes at the end of the log that a crash cut off; nothing of them had been answered.
    pub torn_bytes: u64,
    /// Copies of damaged files, for people to look at.
    pub set_aside: Vec<PathBuf>,
}

/// Why a queue cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error("the queue in {0:?} is in use by another process: end that one, or give this one a directory of its own")]
    InUse(PathBuf),
    /// The directory cannot be made or used.
    #[error("cannot use {path:?} for the queue: {error}; give a directory that this user may write to")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// There is no queue.
    #[error("there is no queue in {0:?}; give the directory that the sidecar writes to")]
    None(PathBuf),
    /// What is there cannot be read.
    #[error("cannot read the queue's {path:?}: {error}; mend the disk or its permissions, or give another directory")]
    Read {
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// No thread can be started.
    #[error("cannot start a thread for the queue: {0}")]
    Thread(#[source] io::Error),
}

/// Why a request was not kept. Its sender is to keep it and try again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Over the bound of bytes.
    #[error("the queue is full: {bytes} of {bytes_max} bytes")]
    Full {
        /// In use.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// The disk does not take it: full, read-only, broken. Tried again with the next request.
    #[error("the queue cannot be written: {0}")]
    Disk(Arc<str>),
    /// The queue is closing.
    #[error("the queue is closing")]
    Closing,
}

/// Why an entry cannot be read back.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// Its bytes are damaged; it can only be settled as [`crate::Rejection::Damaged`].
    #[error("entry {0:?} is damaged on disk")]
    Damaged(EntryId),
    /// It could not be read now.
    #[error("the queue cannot be read: {0}")]
    Disk(Arc<str>),
    /// It is settled already.
    #[error("entry {0:?} is settled")]
    Settled(EntryId),
}

/// Sizes and counters for metrics.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Entries that are not settled.
    pub entries: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// When the oldest entry that is not settled was received.
    pub oldest: Option<UnixTime>,
    /// Segments on disk.
    pub segments: u64,
    /// Requests kept since the start.
    pub appends: u64,
    /// Requests refused for want of room since the start.
    pub pushed_back: u64,
    /// Requests refused because the disk failed since the start.
    pub append_errors: u64,
    /// Times that the log was forced to the disk since the start.
    pub syncs: u64,
    /// What the disk said when it failed last; none once it takes requests again.
    pub disk_error: Option<Arc<str>>,
    /// Damaged files set aside since the start.
    pub set_aside: u64,
    /// Refused series in the ring.
    pub refusals: u64,
}

impl Spool {
    /// Opens the queue in `directory`, which is made if need be and taken for this process alone.
    ///
    /// # Errors
    /// [`OpenError`]. Damaged segments are no error: what can be read of them is kept, the file is set aside.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        directory: &Path,
        settings: Settings,
    ) -> Result<(Self, Recovery), OpenError> {
        let opened = open::open(disk, clock, directory, settings)?;
        let (shared, recovery) = (Arc::clone(&opened.shared), opened.recovery.clone());
        let threads = opened.start_threads().map_err(OpenError::Thread)?;
        Ok((Self(Arc::new(Inner { shared, threads: Mutex::new(threads) })), recovery))
    }

    /// As [`Spool::open`], without threads: whoever calls does the work on the disk before the call returns. What happens
    /// then depends on the calls and the clock alone, so that a simulation takes the same course every time.
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub fn open_without_threads(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        directory: &Path,
        settings: Settings,
    ) -> Result<(Self, Recovery), OpenError> {
        let opened = open::open(disk, clock, directory, settings)?;
        let (shared, recovery) = (Arc::clone(&opened.shared), opened.recovery.clone());
        let threads = opened.work_inline();
        Ok((Self(Arc::new(Inner { shared, threads: Mutex::new(threads) })), recovery))
    }

    /// Keeps a request. Requests that are appended at the same time are kept in the order of the calls. Dropping the future
    /// does not take the request back.
    ///
    /// # Errors
    /// [`AppendError`]; then nothing of the request is kept.
    pub fn append(
        &self,
        entry: NewEntry,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send + 'static + use<> {
        let begun = self.0.shared.begin_append(entry);
        self.0.shared.work_inline();
        async { begun?.await.unwrap_or(Err(AppendError::Closing)) }
    }

    /// The first entry after `after` (from the oldest if none) that is not settled, once there is one. `None` when the queue
    /// is closing.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] names the entry: settle it and go on behind it. [`ReadError::Disk`]: try again later.
    pub fn next(
        &self,
        after: Option<EntryId>,
    ) -> impl Future<Output = Result<Option<Entry>, ReadError>> + Send + 'static + use<> {
        let shared = Arc::clone(&self.0.shared);
        async move {
            loop {
                let look = shared.look(after);
                shared.work_inline();
                match look {
                    Look::Ready(entry) => return Ok(Some(entry)),
                    Look::Closing => return Ok(None),
                    Look::Wait(waiting) => {
                        waiting.await;
                    }
                    Look::Read(waiting) => match waiting.await {
                        // It was settled meanwhile, so the next one is wanted.
                        Some(Err(ReadError::Settled(_))) => {}
                        Some(read) => return read.map(Some),
                        None => return Ok(None),
                    },
                }
            }
        }
    }

    /// Records what became of an entry. The ledger knows at once; the log is written soon, before the entry's bytes can go.
    /// An entry that is settled already stays as it is.
    ///
    /// # Panics
    /// When the outcome does not add up to the entry's tally.
    pub fn settle(&self, id: EntryId, outcome: Outcome) {
        self.0.shared.settle(id, outcome);
        self.0.shared.work_inline();
    }

    /// The tally of an entry that is not settled.
    pub fn tally(&self, id: EntryId) -> Option<Counts> {
        let state = self.0.shared.state.lock();
        state.segments.find(id).map(|place| state.segments.meta(place).tally())
    }

    /// Adds to the ring; the oldest go when it is full. Best effort: a full disk costs the ring, not the queue.
    pub fn refuse(&self, refusal: Refusal) {
        self.0.shared.refuse(refusal);
        self.0.shared.work_inline();
    }

    /// The account at this moment.
    pub fn ledger(&self) -> Ledger {
        self.0.shared.state.lock().totals.ledger()
    }

    /// Sizes and counters.
    pub fn stats(&self) -> Stats {
        let shared = &self.0.shared;
        let (now, steady) = (shared.clock.now(), shared.steady_ms());
        let mut state = shared.state.lock();
        let oldest = state.segments.next_unsettled(None).map(|place| {
            let age = steady.saturating_sub(state.segments.meta(place).waiting_since);
            now.minus(std::time::Duration::from_millis(age))
        });
        Stats {
            entries: state.unsettled,
            bytes: state.bytes,
            oldest,
            segments: state.segments.0.len() as u64,
            appends: state.counters.appends,
            pushed_back: state.counters.pushed_back,
            append_errors: state.counters.append_errors,
            syncs: shared.syncs.load(Ordering::Relaxed),
            disk_error: state.disk_error.clone(),
            set_aside: state.counters.set_aside,
            refusals: shared.refusals.load(Ordering::Relaxed),
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.0.shared.state.lock().settings.clone()
    }

    /// Changes bounds while running; `sync` stays as it was opened with.
    pub fn set_bounds(&self, settings: Settings) {
        let mut state = self.0.shared.state.lock();
        state.settings = Settings { sync: state.settings.sync, ..settings };
    }

    /// Takes no more requests, writes what waits, syncs (unless never), stops the threads. Blocks.
    ///
    /// # Errors
    /// What the disk says.
    pub fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

impl Inner {
    fn close(&self) -> io::Result<()> {
        let shared = &self.shared;
        let mut threads = self.threads.lock();
        if threads.lock.is_none() {
            return Ok(());
        }
        let mut state = shared.state.lock();
        state.closing = true;
        let waiting = state.take_waiting();
        drop(state);
        drop(waiting);
        shared.writer_wake.notify_all();
        shared.reader_wake.notify_all();
        let mut result = shared.finish_inline().unwrap_or(Ok(()));
        if let Some(writer) = threads.writer.take() {
            result = writer.join().unwrap_or_else(|_| Err(io::Error::other("the queue's writer panicked")));
        }
        if let Some(reader) = threads.reader.take() {
            let _ = reader.join();
        }
        if let Some((syncer, thread)) = threads.syncer.take() {
            syncer.stop();
            let _ = thread.join();
            syncer.round(shared);
            if result.is_ok() && shared.synced.load(Ordering::Acquire) < shared.written() {
                let error = shared.state.lock().disk_error.clone();
                result = Err(io::Error::other(error.as_deref().unwrap_or("the queue could not be synced").to_owned()));
            }
        }
        threads.lock = None;
        result
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the queue could not be closed well");
        }
    }
}

/// Reads the account of a queue without opening it, also while a process has it open.
///
/// # Errors
/// [`OpenError`] when there is no queue in `directory` or it cannot be read.
pub fn read_ledger(disk: &dyn Disk, directory: &Path) -> Result<Ledger, OpenError> {
    let files = Files::new(directory);
    let mut tries = 0;
    loop {
        tries += 1;
        match recover(disk, &files) {
            Ok(recovered) => return Ok(recovered.totals.ledger()),
            Err((path, error)) if error.kind() == io::ErrorKind::NotFound => {
                if path == files.log() {
                    return Err(OpenError::None(directory.to_path_buf()));
                }
                // A segment went between listing and reading.
                if tries == READ_TRIES {
                    return Err(OpenError::Read { path, error });
                }
            }
            Err((path, error)) => return Err(OpenError::Read { path, error }),
        }
    }
}

/// Reads the ring of refused series, oldest first, also while a process has the queue open.
///
/// # Errors
/// [`OpenError`] when there is no queue in `directory` or it cannot be read.
pub fn read_refusals(disk: &dyn Disk, directory: &Path) -> Result<Vec<Refusal>, OpenError> {
    let files = Files::new(directory);
    if disk.list(&files.log()).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(OpenError::None(directory.to_path_buf()));
    }
    ring::read(disk, &files).map_err(|(path, error)| OpenError::Read { path, error })
}

const READ_TRIES: u32 = 100;

#[cfg(test)]
mod tests;
