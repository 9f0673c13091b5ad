//! Opening a workspace's database, and taking its directory away.

use std::collections::HashMap;
use std::io;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Context;
use catalog::Snapshot;
use environment::{Clock, Disk};
use ingest::refill_active_series;
use model::{AccountId, TimestampMs};
use parking_lot::Mutex;
use quota::Quotas;
use tokio::runtime::Handle;
use tsdb::{Db, Engine, Settings};

use crate::data_directory::DataDirectory;

/// Opens databases in the data directory, which it keeps taken.
pub(crate) struct Opener {
    pub(crate) directory: Arc<DataDirectory>,
    pub(crate) disk: Arc<dyn Disk>,
    /// Runs the databases.
    pub(crate) engine: Arc<Engine>,
    pub(crate) settings: Settings,
    /// Series that were active before are so again.
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where waiting is done, and threads that may block are had from.
    pub(crate) runtime: Handle,
}

impl Opener {
    /// Opens one, or makes it. Blocks while its log is replayed.
    pub(super) fn open(&self, account: AccountId) -> anyhow::Result<Arc<Db>> {
        let path = self.directory.workspace(account);
        let db = Db::open(&self.engine, &path, self.settings.clone())
            .with_context(|| format!("cannot open the workspace {account}"))?;
        db.wait_ready().with_context(|| format!("cannot open the workspace {account}"))?;
        let stats = db.stats();
        if stats.series > 0 {
            self.refill(account, &db);
        }
        tracing::debug!(workspace = %account, series = stats.series, chunks = stats.chunks, "Workspace opened");
        Ok(db)
    }

    /// A crash makes no series new. Data that cannot be read are found out by whoever asks for them; here it only means that
    /// series count as new.
    fn refill(&self, account: AccountId, db: &Db) {
        let quota = self.quotas.workspace(account);
        let now = TimestampMs(self.clock.now().as_millis());
        let refilled = refill_active_series(db, quota.active_series(), now, self.clock.monotonic());
        if let Err(error) = self.runtime.block_on(refilled) {
            tracing::warn!(workspace = %account, %error, "Active series are not known; they count as new");
        }
    }

    /// Opens those of all workspaces, several at a time: opening waits for the disk more than it computes.
    pub(super) fn open_all(&self, catalog: &Snapshot) -> anyhow::Result<HashMap<AccountId, Arc<Db>>> {
        let accounts: Vec<AccountId> = catalog.workspaces().values().map(|workspace| workspace.account_id).collect();
        let (next, opened) = (AtomicUsize::new(0), Mutex::new(HashMap::with_capacity(accounts.len())));
        let open_rest = || -> anyhow::Result<()> {
            while let Some(account) = accounts.get(next.fetch_add(1, Ordering::Relaxed)) {
                let db = self.open(*account).with_context(|| {
                    let workspace = catalog.workspace_by_account(*account);
                    format!("workspace {:?}", workspace.map_or("", |workspace| &workspace.handle))
                })?;
                opened.lock().insert(*account, db);
            }
            Ok(())
        };
        let started = self.clock.monotonic();
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (processors * OPENED_AT_ONCE_PER_PROCESSOR).min(accounts.len());
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(open_rest)).collect();
            // All of them end before an error is told: none works on the directory any more then.
            let ended: Vec<_> = running.into_iter().map(|thread| thread.join().expect("opening panicked")).collect();
            ended.into_iter().collect::<anyhow::Result<()>>()
        })?;
        let milliseconds = self.clock.monotonic().since(started).as_millis();
        tracing::info!(workspaces = accounts.len(), milliseconds, "Workspaces opened");
        Ok(opened.into_inner())
    }

    /// Whether a workspace has no data yet, so that opening it takes no time.
    pub(super) fn is_new(&self, account: AccountId) -> bool {
        matches!(self.disk.list(&self.directory.workspace(account)), Err(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Removes a workspace's directory; one that is not there is fine. It is renamed first, so that what a crash leaves of it
    /// is never taken for a database.
    pub(super) fn remove(&self, account: AccountId) -> anyhow::Result<()> {
        let path = self.directory.workspace(account);
        let purged = path.with_extension(PURGED);
        match self.disk.rename(&path, &purged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot rename {}", path.display()));
            }
            _ => {}
        }
        self.remove_purged(&purged)
    }

    /// Removes what a crash left of purged workspaces, and tells of directories that are no workspace's.
    pub(super) fn tidy(&self, catalog: &Snapshot) -> anyhow::Result<()> {
        let workspaces = self.directory.workspaces();
        let entries = match self.disk.list(&workspaces) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.with_context(|| format!("cannot read {}", workspaces.display()))?,
        };
        for (path, _) in entries {
            if path.extension().is_some_and(|extension| extension == PURGED) {
                self.remove_purged(&path)?;
                continue;
            }
            let account = path.file_name().and_then(|name| name.to_str()?.parse::<AccountId>().ok());
            let known = |account: AccountId| {
                catalog.workspace_by_account(account).is_some() || catalog.deleted_workspaces().contains_key(&account)
            };
            if !account.is_some_and(known) {
                // Perhaps of a settings file that is not this one: nobody's data are removed on a guess.
                tracing::warn!(directory = %path.display(), "No workspace has these data; remove them if nobody needs them");
            }
        }
        Ok(())
    }

    fn remove_purged(&self, path: &Path) -> anyhow::Result<()> {
        match self.disk.remove_directory(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Ends the names of directories that are being removed.
const PURGED: &str = "purged";

/// More do not help a disk; each replays its log in memory of its own.
const OPENED_AT_ONCE_PER_PROCESSOR: usize = 4;
