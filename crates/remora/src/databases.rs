//! The databases of all workspaces: each open for as long as its workspace exists.
//!
//! What is wanted of a workspace's database (open, closed, removed) follows the catalogue; what is done about it is done by
//! one thread at a time per workspace, which goes on until what is wanted is so. A database that cannot be opened is tried
//! again; meanwhile its workspace has no storage, and edges answer that it is not available.
//! Invariants: a directory has one open database at most; it is removed only after its database was closed, and only when
//! its workspace was purged.

mod opener;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use catalog::{Change, Observer, Snapshot};
use environment::Clock;
use model::AccountId;
use parking_lot::Mutex;
use storage::{BoxFuture, NoStorage, Purpose, Storage, Workspaces};
use tsdb::Db;

pub(crate) use opener::Opener;

/// Databases by workspace.
pub(crate) struct Databases {
    /// Changed under the lock of `places` only, so that both fit together; read without.
    open: ArcSwap<HashMap<AccountId, Arc<Db>>>,
    places: Mutex<Places>,
    opener: Opener,
}

#[derive(Default)]
struct Places {
    by_account: HashMap<AccountId, Place>,
    /// Nothing is opened any more.
    ending: bool,
}

/// What is to be with a workspace's database.
struct Place {
    wanted: Wanted,
    /// A thread is at work on it.
    busy: bool,
    /// Why it could not be done; it is tried again.
    failure: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    Open,
    Closed,
    /// Closed, and the directory gone.
    Removed,
}

/// What is to be done next.
enum Step {
    Open,
    Close(Arc<Db>),
    Remove,
}

impl Databases {
    /// Opens the database of every workspace of `catalog`, several at a time. Blocks while logs are replayed.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub(crate) fn open(catalog: &Snapshot, opener: Opener) -> anyhow::Result<Arc<Self>> {
        let opened = opener.open_all(catalog)?;
        let place = |account: &AccountId| (*account, Place { wanted: Wanted::Open, busy: false, failure: None });
        let places = Places { by_account: opened.keys().map(place).collect(), ending: false };
        Ok(Arc::new(Self { open: ArcSwap::from_pointee(opened), places: Mutex::new(places), opener }))
    }

    /// Removes what a crash left of purged workspaces. For the start, when everything that is declared has been made.
    ///
    /// # Errors
    /// When the data directory cannot be read or changed.
    pub(crate) fn tidy(&self, catalog: &Snapshot) -> anyhow::Result<()> {
        self.opener.tidy(catalog)
    }

    /// All that are open.
    pub(crate) fn all(&self) -> Vec<(AccountId, Arc<Db>)> {
        self.open.load().iter().map(|(account, db)| (*account, Arc::clone(db))).collect()
    }

    /// Workspaces that take no samples though they should, with the reason.
    pub(crate) fn failures(&self) -> Vec<(AccountId, String)> {
        let of = |(account, place): (&AccountId, &Place)| Some((*account, place.failure.clone()?));
        let mut failures: Vec<_> = self.places.lock().by_account.iter().filter_map(of).collect();
        for (account, db) in self.all() {
            if db.stats().wal_failed {
                failures.push((account, "its write-ahead log cannot be written".to_owned()));
            }
        }
        failures.sort_by_key(|(account, _)| *account);
        failures
    }

    /// Tries again, for ever, what failed.
    pub(crate) async fn keep_trying(self: Arc<Self>, clock: Arc<dyn Clock>) {
        loop {
            clock.sleep(RETRY_INTERVAL).await;
            for (account, _) in self.failures() {
                self.start_work(account);
            }
        }
    }

    /// Commits what waits and syncs; opens nothing afterwards. Blocks.
    ///
    /// # Errors
    /// The first database whose log cannot be written; the others are closed all the same.
    pub(crate) fn close(&self) -> anyhow::Result<()> {
        self.places.lock().ending = true;
        let closed: Vec<_> = self.all().into_iter().map(|(account, db)| (account, db.close())).collect();
        for (account, result) in closed {
            result.with_context(|| format!("the workspace {account} was not closed well"))?;
        }
        Ok(())
    }

    fn want(self: &Arc<Self>, account: AccountId, wanted: Wanted) {
        let is_new = {
            let mut places = self.places.lock();
            let is_new = !places.by_account.contains_key(&account);
            let place = places.by_account.entry(account).or_insert(Place { wanted, busy: false, failure: None });
            place.wanted = wanted;
            is_new
        };
        if is_new && wanted == Wanted::Open && self.opener.is_new(account) {
            // Before its PUT is answered: whoever made a workspace can write to it with the next request.
            tokio::task::block_in_place(|| self.work(account));
        } else {
            self.start_work(account);
        }
    }

    fn start_work(self: &Arc<Self>, account: AccountId) {
        let databases = Arc::clone(self);
        // Nobody waits for it: the catalogue says what is to be, and the next start would do the same.
        let _detached = self.opener.runtime.spawn_blocking(move || databases.work(account));
    }

    /// Does what is wanted, until it is so or fails. Blocks.
    fn work(&self, account: AccountId) {
        match self.places.lock().by_account.get_mut(&account) {
            Some(place) if !place.busy => place.busy = true,
            // Whoever is at work sees what is wanted now.
            _ => return,
        }
        while let Some(step) = self.next_step(account) {
            if let Err(error) = self.take(account, step) {
                let failure = format!("{error:#}");
                tracing::error!(workspace = %account, error = failure, "A workspace is not available; tried again");
                if let Some(place) = self.places.lock().by_account.get_mut(&account) {
                    place.failure = Some(failure);
                    place.busy = false;
                }
                return;
            }
        }
    }

    /// What is to be done next; nothing, and nobody is at work any more, when everything is as wanted.
    fn next_step(&self, account: AccountId) -> Option<Step> {
        let mut places = self.places.lock();
        let ending = places.ending;
        let place = places.by_account.get_mut(&account)?;
        let open = self.open.load().get(&account).cloned();
        match (place.wanted, open) {
            _ if ending => {}
            (Wanted::Open, None) => return Some(Step::Open),
            (Wanted::Open, Some(_)) => {}
            (_, Some(db)) => return Some(Step::Close(db)),
            (Wanted::Removed, None) => return Some(Step::Remove),
            (Wanted::Closed, None) => {
                places.by_account.remove(&account);
                return None;
            }
        }
        (place.busy, place.failure) = (false, None);
        None
    }

    fn take(&self, account: AccountId, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Open => {
                let db = self.opener.open(account)?;
                let places = self.places.lock();
                if !places.ending {
                    self.change_open(|open| drop(open.insert(account, Arc::clone(&db))));
                }
            }
            Step::Close(db) => {
                let places = self.places.lock();
                self.change_open(|open| drop(open.remove(&account)));
                drop(places);
                // Requests under way hold it and read on; what they write from now on is answered as not stored.
                if let Err(error) = db.close() {
                    tracing::warn!(workspace = %account, %error, "A workspace was not closed well");
                }
            }
            Step::Remove => {
                self.opener.remove(account)?;
                if let Some(place) = self.places.lock().by_account.get_mut(&account)
                    && place.wanted == Wanted::Removed
                {
                    place.wanted = Wanted::Closed;
                }
            }
        }
        Ok(())
    }

    /// Called with the lock on `places` only.
    fn change_open(&self, change: impl Fn(&mut HashMap<AccountId, Arc<Db>>)) {
        let mut open = HashMap::clone(&self.open.load());
        change(&mut open);
        self.open.store(Arc::new(open));
    }
}

/// What the catalogue's changes mean for the databases.
pub(crate) struct FollowCatalog(pub(crate) Arc<Databases>);

impl Observer for FollowCatalog {
    fn changed(&self, now: &Arc<Snapshot>, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Workspace(account) if now.workspace_by_account(*account).is_some() => {
                    self.0.want(*account, Wanted::Open);
                }
                Change::Workspace(account) => self.0.want(*account, Wanted::Closed),
                Change::Purged(account) => self.0.want(*account, Wanted::Removed),
                _ => {}
            }
        }
    }
}

impl Workspaces for Databases {
    fn storage(&self, workspace: AccountId, _: Purpose) -> BoxFuture<'_, Result<Arc<dyn Storage>, NoStorage>> {
        let open = self.open.load().get(&workspace).map(|db| Arc::clone(db) as Arc<dyn Storage>);
        Box::pin(std::future::ready(open.ok_or(NoStorage::Unknown(workspace))))
    }
}

/// Time between two tries to open or remove what could not be.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
