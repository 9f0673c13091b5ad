//! Opening and closing a workspace's database, and taking its directory away.

use std::io;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Context;
use catalog::{Catalog, Snapshot};
use environment::{Clock, Disk};
use ingest::refill_active_series;
use model::{AccountId, TimestampMs};
use quota::Quotas;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tsdb::{Db, Engine, Settings};

use super::Open;
use crate::data_directory::DataDirectory;
use crate::settings::StorageSettings;

/// Opens and closes databases in the data directory, which it keeps taken.
pub(crate) struct Opener {
    pub(crate) directory: Arc<DataDirectory>,
    pub(crate) disk: Arc<dyn Disk>,
    /// Runs the databases.
    pub(crate) engine: Arc<Engine>,
    /// As the installation is set.
    pub(crate) settings: StorageSettings,
    /// What workspaces have of their own.
    pub(crate) catalog: Arc<Catalog>,
    /// Series that were active before are so again.
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where waiting is done, and threads that may block are had from.
    pub(crate) runtime: Handle,
}

impl Opener {
    /// How many may be opened at the same time: opening waits for the disk more than it computes.
    pub(super) fn opened_at_once(&self) -> usize {
        thread::available_parallelism().map_or(1, NonZero::get) * OPENED_AT_ONCE_PER_PROCESSOR
    }

    /// Opens one, or makes it. What is in blocks can be read then; see [`Opener::prepare`] for the rest. Blocks.
    pub(super) fn open(&self, account: AccountId) -> anyhow::Result<Arc<Open>> {
        let (directory, settings) = (self.directory.workspace(account), self.settings(account));
        let db = Db::open(&self.engine, &directory, settings.clone())?;
        Ok(Arc::new(Open::new(db, settings)))
    }

    /// Settings of a workspace's database as they are now.
    pub(super) fn settings(&self, account: AccountId) -> Settings {
        let own = self.catalog.snapshot().workspace_by_account(account).map(|workspace| workspace.storage);
        self.settings.of_database(&own.unwrap_or_default())
    }

    /// Waits until what was written before is known, to the limits, too.
    pub(super) async fn prepare(&self, account: AccountId, db: &Arc<Db>) -> anyhow::Result<()> {
        db.ready().await?;
        let (db, quota) = (Arc::clone(db), self.quotas.workspace(account));
        let (now, monotonic) = (TimestampMs(self.clock.now().as_millis()), self.clock.monotonic());
        let runtime = self.runtime.clone();
        let refill = move || runtime.block_on(refill_active_series(&*db, quota.active_series(), now, monotonic));
        // A crash makes no series new. Data that cannot be read are found out by whoever asks for them; here it only means
        // that series count as new.
        if let Err(error) = spawn_blocking(refill).await.context("counting active series panicked")? {
            tracing::warn!(workspace = %account, %error, "Active series are not known; they count as new");
        }
        Ok(())
    }

    /// Does what is due for a database.
    pub(super) async fn maintain(&self, account: AccountId, open: Arc<Open>) {
        let now = self.clock.now();
        // What failed of it the database tells itself.
        if let Ok(Err(error)) = spawn_blocking(move || open.db.maintain(now)).await {
            tracing::debug!(workspace = %account, %error, "A workspace at rest was not seen to");
        }
    }

    /// Closes all of these, several at a time: closing waits for the disk. Blocks.
    pub(super) fn close_all(&self, open: Vec<(AccountId, Arc<Open>)>) -> anyhow::Result<()> {
        let next = AtomicUsize::new(0);
        let close_rest = || -> anyhow::Result<()> {
            let mut first = Ok(());
            while let Some((account, open)) = open.get(next.fetch_add(1, Ordering::Relaxed)) {
                let closed = open.db.close().with_context(|| format!("the workspace {account} was not closed well"));
                first = first.and(closed);
            }
            first
        };
        thread::scope(|scope| {
            let threads = self.opened_at_once().min(open.len());
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(close_rest)).collect();
            let ended: Vec<_> = running.into_iter().map(|thread| thread.join().expect("closing panicked")).collect();
            ended.into_iter().collect()
        })
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
