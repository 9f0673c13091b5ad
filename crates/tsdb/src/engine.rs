//! What all databases of a process share: the disk, the clock, and few threads.
//!
//! Three kinds of work, each with its own queue, so that none waits for a longer one: *commits* ([`commits`], a database with
//! waiting batches stands there once), what is due at a time ([`timers`]: syncs of logs, the next maintenance) and what
//! takes long ([`background`]: replay, maintenance). A database is worked on by one thread per kind at a time. A panic
//! ends the piece of work that it came from, never the thread.
//!
//! Databases hold the engine, the threads hold only what they share ([`Work`]): when the last database and the program
//! have let go, the threads end.

mod background;
mod commits;
mod timers;

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, Builder, JoinHandle};

use environment::{Clock, Disk};
use parking_lot::Mutex;

use self::background::Background;
pub(crate) use self::background::Urgency;
use self::commits::Commits;
pub(crate) use self::timers::Task;
use self::timers::Timers;
use crate::batch::BatchPool;
use crate::block::{JoinCache, SelectionCacheStats};
use crate::db::OpenError;

/// How many threads an [`Engine`] has, whatever the number of databases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EngineSettings {
    /// Threads that write logs and memory, at least 1.
    pub commit_threads: usize,
    /// Threads for replay and maintenance, at least 1. One of them is kept from maintenance while there are others, so that opening
    /// a database never waits for a compaction of another.
    pub background_threads: usize,
    /// Bytes that may be taken by selections of blocks which are kept for queries that ask the same again.
    pub selection_cache_bytes_max: usize,
}

impl Default for EngineSettings {
    /// By the number of processors.
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(2, NonZero::get);
        Self {
            commit_threads: processors.clamp(2, 8),
            background_threads: processors.clamp(2, 4),
            selection_cache_bytes_max: SELECTION_CACHE_BYTES,
        }
    }
}

/// Runs the databases of a process. See the module's text.
pub struct Engine {
    work: Arc<Work>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the threads share with the databases.
pub(crate) struct Work {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pool: BatchPool,
    pub(crate) commits: Commits,
    pub(crate) timers: Timers,
    pub(crate) background: Background,
    /// Selections of blocks of all databases.
    pub(crate) joined: JoinCache,
    /// Threads that help the one that reads a log.
    pub(crate) replay_threads: usize,
    /// Whether nobody but the callers of [`Engine::run_pending`] does it.
    manual: bool,
}

/// What a thread does until the engine ends.
type Body = fn(&Work);

impl Engine {
    /// An engine with threads of its own.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>, settings: EngineSettings) -> Result<Arc<Self>, OpenError> {
        let background_threads = settings.background_threads.max(1);
        let joined = JoinCache::new(settings.selection_cache_bytes_max);
        let engine = Self::new(disk, clock, background_threads, joined, false);
        let bodies: [(&str, usize, Body); 3] = [
            ("tsdb-commit", settings.commit_threads.max(1), |work| work.commits.run()),
            ("tsdb-sync", SYNC_THREADS, |work| work.timers.run(work)),
            ("tsdb-back", background_threads, |work| work.background.run()),
        ];
        for (name, count, body) in bodies {
            for number in 0..count {
                let work = Arc::clone(&engine.work);
                let thread = Builder::new().name(format!("{name}-{number}")).spawn(move || body(&work));
                engine.threads.lock().push(thread.map_err(OpenError::Thread)?);
            }
        }
        Ok(Arc::new(engine))
    }

    /// An engine without threads: nothing happens but in [`Engine::run_pending`] (and in closing a database), in an order that
    /// depends on nothing but what was asked for and the clock.
    pub fn manual(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self::new(disk, clock, 1, JoinCache::new(SELECTION_CACHE_BYTES), true))
    }

    fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        background_threads: usize,
        joined: JoinCache,
        manual: bool,
    ) -> Self {
        let (pool, commits, timers) = (BatchPool::default(), Commits::default(), Timers::default());
        let background = Background::new(background_threads);
        let replay_threads = if manual { 0 } else { background_threads };
        let work = Work { disk, clock, pool, commits, timers, background, joined, replay_threads, manual };
        Self { work: Arc::new(work), threads: Mutex::default() }
    }

    /// What became of the cache of selections, for all databases.
    pub fn selection_cache(&self) -> SelectionCacheStats {
        self.work.joined.stats()
    }

    /// Does the next piece of work that is due, on this thread: a group of one database's batches, a sync, a replay, a round
    /// of maintenance. Says whether there was one. Meant for [`Engine::manual`]; beside threads it helps them.
    pub fn run_pending(&self) -> bool {
        self.work.run_pending()
    }

    pub(crate) fn work(&self) -> &Arc<Work> {
        &self.work
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.work.commits.stop();
        self.work.timers.stop();
        self.work.background.stop();
        for thread in self.threads.get_mut().drain(..) {
            // Panics of the work are caught where it is done; one of the loop itself has said so.
            let _ = thread.join();
        }
    }
}

impl Work {
    pub(crate) fn run_pending(&self) -> bool {
        self.commits.run_one() || self.timers.run_due(self) || self.background.run_one()
    }

    /// For those who wait: how they can do the work themselves, where nobody else does.
    pub(crate) fn helper(&self) -> Option<&Self> {
        self.manual.then_some(self)
    }
}

/// Runs a piece of work; a panic is told and ends it, and nothing else. Says whether it came to its end.
pub(crate) fn contained(what: &'static str, work: impl FnOnce()) -> bool {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    if let Err(panic) = &outcome {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words");
        tracing::error!(what, panic = text, "a part of the database failed; the others go on");
    }
    outcome.is_ok()
}

/// Some 80,000 label sets of 15 labels.
const SELECTION_CACHE_BYTES: usize = 32 << 20;

/// Syncing waits for the disk: several at a time keep many databases' intervals.
const SYNC_THREADS: usize = 4;

#[cfg(test)]
mod tests;
