//! The databases of all workspaces, open for as long as the service runs.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use catalog::Snapshot;
use environment::Disk;
use model::AccountId;
use storage::{Storage, Workspaces};
use tsdb::{Db, Settings};

use crate::data_directory::DataDirectory;

/// Open databases by workspace. Keeps the data directory taken.
pub(crate) struct Databases {
    by_account: HashMap<AccountId, Arc<Db>>,
    _directory: Arc<DataDirectory>,
}

impl Databases {
    /// Opens the database of every workspace of `catalog`. Blocks while logs are replayed.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub(crate) fn open(
        catalog: &Snapshot,
        directory: &Arc<DataDirectory>,
        disk: &Arc<dyn Disk>,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let mut by_account = HashMap::new();
        for workspace in catalog.workspaces() {
            let path = directory.workspace(workspace.account_id);
            let db = Db::open(Arc::clone(disk), &path, settings.clone())
                .with_context(|| format!("cannot open the workspace {:?}", workspace.handle))?;
            let stats = db.stats();
            tracing::info!(
                workspace = workspace.handle,
                series = stats.series,
                chunks = stats.chunks,
                "Workspace opened"
            );
            by_account.insert(workspace.account_id, db);
        }
        Ok(Self { by_account, _directory: Arc::clone(directory) })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (AccountId, &Arc<Db>)> {
        self.by_account.iter().map(|(account, db)| (*account, db))
    }

    /// Commits what waits and syncs. Blocks.
    ///
    /// # Errors
    /// The first database whose log cannot be written; the others are closed all the same.
    pub(crate) fn close(&self) -> anyhow::Result<()> {
        let closed: Vec<_> = self.iter().map(|(account, db)| (account, db.close())).collect();
        for (account, result) in closed {
            result.with_context(|| format!("the workspace {account} was not closed well"))?;
        }
        Ok(())
    }
}

impl Workspaces for Databases {
    fn storage(&self, workspace: AccountId) -> Option<Arc<dyn Storage>> {
        self.by_account.get(&workspace).map(|db| Arc::clone(db) as Arc<dyn Storage>)
    }
}
