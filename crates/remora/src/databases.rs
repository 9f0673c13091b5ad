//! The databases of all workspaces: opened when they are asked for, closed when nobody has used them for a while.
//!
//! What is wanted of a workspace's database (available, closed, removed) follows the catalogue; what is done about it is done
//! by one task at a time per workspace, which goes on until what is wanted is so. A database that cannot be opened is tried
//! again, later each time; meanwhile whoever asks for it is told why there is none.
//! Invariants: a directory has one open database at most; a database that somebody holds is closed only when its workspace
//! goes or everything ends; a directory is removed only after its database was closed, and only when its workspace was purged.

mod open;
mod opener;
mod place;
mod rest;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use catalog::{Change, Observer, Snapshot};
use model::AccountId;
use parking_lot::Mutex;
use storage::{BoxFuture, NoStorage, Purpose, Storage, Workspaces};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tsdb::SelectionCacheStats;

pub(crate) use open::Open;
pub(crate) use opener::Opener;
use place::{Failure, Place, State, Step, Wanted};
pub(crate) use rest::Resting;

/// Databases by workspace.
pub(crate) struct Databases {
    places: Mutex<Places>,
    opener: Opener,
    resting: Resting,
    /// Databases that may be opened at the same time: each reads its log into memory of its own.
    opening: Semaphore,
    pub(crate) counts: Counts,
}

#[derive(Default)]
struct Places {
    by_account: HashMap<AccountId, Place>,
    /// Nothing is opened any more.
    ending: bool,
}

/// What was done since the start.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) opened: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) opening_nanoseconds: AtomicU64,
    pub(crate) visits: AtomicU64,
}

impl Databases {
    /// The databases of the workspaces of `catalog`, none of them open.
    pub(crate) fn new(catalog: &Snapshot, opener: Opener, resting: Resting) -> Arc<Self> {
        let accounts = catalog.workspaces().values().map(|workspace| workspace.account_id);
        let by_account = accounts.map(|account| (account, Place::new(Wanted::Available))).collect();
        let opening = Semaphore::new(opener.opened_at_once());
        let places = Mutex::new(Places { by_account, ending: false });
        Arc::new(Self { places, opener, resting, opening, counts: Counts::default() })
    }

    /// Removes what a crash left of purged workspaces. For the start, when everything that is declared has been made.
    ///
    /// # Errors
    /// When the data directory cannot be read or changed.
    pub(crate) fn tidy(&self, catalog: &Snapshot) -> anyhow::Result<()> {
        self.opener.tidy(catalog)
    }

    /// All that are open, by workspace.
    pub(crate) fn all(&self) -> Vec<(AccountId, Arc<Open>)> {
        let places = self.places.lock();
        let open = places.by_account.iter().filter_map(|(account, place)| Some((*account, Arc::clone(place.open()?))));
        let mut all: Vec<_> = open.collect();
        drop(places);
        all.sort_by_key(|(account, _)| *account);
        all
    }

    /// How many workspaces there are, open or not.
    pub(crate) fn count(&self) -> usize {
        self.places.lock().by_account.len()
    }

    /// What became of the selections of blocks that are kept, for all databases.
    pub(crate) fn selection_cache(&self) -> SelectionCacheStats {
        self.opener.engine.selection_cache()
    }

    /// Workspaces that take no samples though they should, with the reason.
    pub(crate) fn failures(&self) -> Vec<(AccountId, String)> {
        let of = |(account, place): (&AccountId, &Place)| Some((*account, place.failure.as_ref()?.reason.to_string()));
        let mut failures: Vec<_> = self.places.lock().by_account.iter().filter_map(of).collect();
        for (account, open) in self.all() {
            if open.db.stats().wal_failed {
                failures.push((account, "its write-ahead log cannot be written".to_owned()));
            }
        }
        failures.sort_by_key(|(account, _)| *account);
        failures
    }

    /// Tries again, for ever, what failed and was asked for.
    pub(crate) async fn keep_trying(self: Arc<Self>) {
        loop {
            self.opener.clock.sleep(RETRY_INTERVAL).await;
            let now = self.opener.clock.monotonic();
            let due: Vec<AccountId> = {
                let places = self.places.lock();
                places.by_account.iter().filter(|(_, place)| place.is_due(now)).map(|(account, _)| *account).collect()
            };
            for account in due {
                self.start_work(account);
            }
        }
    }

    /// Commits what waits and syncs; opens nothing afterwards.
    ///
    /// # Errors
    /// The first database whose log cannot be written; the others are closed all the same.
    pub(crate) async fn close(self: &Arc<Self>) -> anyhow::Result<()> {
        self.places.lock().ending = true;
        while let Some(changed) = self.busy_one() {
            changed.await;
        }
        let databases = Arc::clone(self);
        spawn_blocking(move || databases.opener.close_all(databases.all())).await.context("closing panicked")?
    }

    /// Ends its wait when what one of those that are at work does is done.
    fn busy_one(&self) -> Option<impl Future<Output = ()> + use<>> {
        let places = self.places.lock();
        places.by_account.values().find(|place| place.busy).map(Place::changed)
    }

    /// An open database; opens it if it is not. The wait is bounded.
    pub(crate) async fn find(self: &Arc<Self>, account: AccountId, purpose: Purpose) -> Result<Arc<Open>, NoStorage> {
        let deadline = self.opener.clock.sleep(OPENING_WAIT_MAX);
        tokio::pin!(deadline);
        loop {
            let changed = match self.look(account, purpose) {
                Ok(open) => return Ok(open),
                Err(Missing::For(reason)) => return Err(reason),
                Err(Missing::Until(changed)) => changed,
            };
            tokio::select! {
                () = changed => {}
                () = &mut deadline => return Err(NoStorage::Opening(account)),
            }
        }
    }

    /// The database if it is open, else what to wait for. Starts opening it.
    fn look(self: &Arc<Self>, account: AccountId, purpose: Purpose) -> Result<Arc<Open>, Missing> {
        let mut places = self.places.lock();
        // Read under the lock: not before a failure that is seen here, or its wait would look longer than it is.
        let now = self.opener.clock.monotonic();
        if places.ending {
            return Err(Missing::For(NoStorage::Ending));
        }
        let place = places.by_account.get_mut(&account).filter(|place| place.wanted == Wanted::Available);
        let Some(place) = place else { return Err(Missing::For(NoStorage::Unknown(account))) };
        place.needed = true;
        place.used_at = now;
        if let Some(open) = place.open()
            && (purpose == Purpose::Read || open.is_writable())
        {
            return Ok(Arc::clone(open));
        }
        if let Some(failure) = place.failure.as_ref().filter(|failure| now < failure.retry_at) {
            let (reason, retry_after) = (Arc::clone(&failure.reason), failure.retry_at.since(now));
            return Err(Missing::For(NoStorage::Failed { workspace: account, reason, retry_after }));
        }
        let changed = place.changed();
        let is_idle = !place.busy;
        drop(places);
        if is_idle {
            self.start_work(account);
        }
        Err(Missing::Until(Box::pin(changed)))
    }

    /// Copies a workspace's database to a directory that does not exist yet, while it is in use.
    ///
    /// # Errors
    /// When it cannot be copied though it is open.
    pub(crate) async fn snapshot(self: &Arc<Self>, account: AccountId, to: &Path) -> anyhow::Result<Snapshotted> {
        if self.opener.is_new(account) {
            return Ok(Snapshotted::Empty);
        }
        let open = match self.find(account, Purpose::Write).await {
            Ok(open) => open,
            Err(reason) => return Ok(Snapshotted::NotOpen(reason)),
        };
        let to = to.to_owned();
        let copied = spawn_blocking(move || open.db.snapshot(&to)).await.context("copying panicked")?;
        copied.with_context(|| format!("the workspace {account}"))?;
        Ok(Snapshotted::Yes)
    }

    fn want(self: &Arc<Self>, account: AccountId, wanted: Wanted) {
        let mut places = self.places.lock();
        let place = places.by_account.entry(account).or_insert_with(|| Place::new(wanted));
        place.wanted = wanted;
        drop(places);
        self.start_work(account);
    }

    /// Closes a database that was opened with other settings than it is to have. Who asks for it next gets it with those.
    fn follow_settings(&self, account: AccountId) {
        let settings = self.opener.settings(account);
        if let Some(place) = self.places.lock().by_account.get_mut(&account) {
            place.reopen = place.open().is_some_and(|open| open.settings != settings);
        }
    }

    fn start_work(self: &Arc<Self>, account: AccountId) {
        // Nobody waits for it: the catalogue says what is to be, and whoever needs a database asks for it again.
        let _detached = self.opener.runtime.spawn(Arc::clone(self).work(account));
    }

    /// Does what is wanted, until it is so or fails.
    async fn work(self: Arc<Self>, account: AccountId) {
        match self.places.lock().by_account.get_mut(&account) {
            Some(place) if !place.busy => place.busy = true,
            // Whoever is at work sees what is wanted now.
            _ => return,
        }
        while let Some(step) = self.next_step(account) {
            if let Err(error) = self.take(account, step).await {
                self.fail(account, &error);
                return;
            }
        }
    }

    /// What is to be done next; nothing, and nobody is at work any more, when everything is as wanted.
    fn next_step(&self, account: AccountId) -> Option<Step> {
        let mut places = self.places.lock();
        let now = self.opener.clock.monotonic();
        let ending = places.ending;
        let place = places.by_account.get_mut(&account)?;
        let step = if ending { None } else { place.next_step(now) };
        if step.is_none() {
            place.busy = false;
            place.tell();
            if place.is_over() {
                places.by_account.remove(&account);
            }
        }
        step
    }

    fn fail(&self, account: AccountId, error: &anyhow::Error) {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        let reason: Arc<str> = format!("{error:#}").into();
        let mut places = self.places.lock();
        let Some(place) = places.by_account.get_mut(&account) else { return };
        let failure = Failure::after(place.failure.as_ref(), Arc::clone(&reason), self.opener.clock.monotonic());
        let again_in = failure.wait.as_secs();
        place.failure = Some(failure);
        place.busy = false;
        place.tell();
        drop(places);
        tracing::error!(workspace = %account, %reason, again_in, "A workspace is not available; tried again");
    }

    async fn take(self: &Arc<Self>, account: AccountId, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Open => self.open(account).await,
            Step::Close(open) => {
                self.counts.closed.fetch_add(1, Ordering::Relaxed);
                // Requests under way hold it and read on; what they write from now on is answered as not stored.
                let closed = spawn_blocking(move || open.db.close()).await.context("closing panicked")?;
                if let Err(error) = closed {
                    tracing::warn!(workspace = %account, %error, "A workspace was not closed well");
                }
                self.change(account, |place| place.state = State::Closed);
                tracing::debug!(workspace = %account, "Workspace closed");
                Ok(())
            }
            Step::Remove => {
                let databases = Arc::clone(self);
                spawn_blocking(move || databases.opener.remove(account)).await.context("removing panicked")??;
                self.change(account, |place| {
                    if place.wanted == Wanted::Removed {
                        place.wanted = Wanted::Closed;
                    }
                });
                Ok(())
            }
        }
    }

    async fn open(self: &Arc<Self>, account: AccountId) -> anyhow::Result<()> {
        let begun = self.opener.clock.monotonic();
        let _one_of_few = self.opening.acquire().await.context("the semaphore is never closed")?;
        let databases = Arc::clone(self);
        let opened = spawn_blocking(move || databases.opener.open(account)).await.context("opening panicked")?;
        let open = match opened {
            Ok(open) => open,
            Err(error) => {
                self.change(account, |place| place.state = State::Closed);
                return Err(error);
            }
        };
        self.change(account, |place| (place.state, place.failure) = (State::Open(Arc::clone(&open)), None));
        let prepared = self.opener.prepare(account, &open.db).await;
        if let Err(error) = prepared {
            self.change(account, |place| place.state = State::Closed);
            let _said_already = spawn_blocking(move || open.db.close()).await;
            return Err(error);
        }
        open.set_writable();
        let taken = self.opener.clock.monotonic().since(begun);
        self.counts.opened.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
        self.counts.opening_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.change(account, |_| ());
        // They may have changed while it was opened.
        self.follow_settings(account);
        tracing::debug!(workspace = %account, milliseconds = taken.as_millis(), "Workspace opened");
        Ok(())
    }

    /// Changes a place and tells those who wait.
    fn change(&self, account: AccountId, change: impl FnOnce(&mut Place)) {
        if let Some(place) = self.places.lock().by_account.get_mut(&account) {
            change(place);
            place.tell();
        }
    }
}

/// What became of a snapshot.
pub(crate) enum Snapshotted {
    Yes,
    /// The workspace has no data yet.
    Empty,
    NotOpen(NoStorage),
}

/// Why there is no database now.
enum Missing {
    For(NoStorage),
    /// There may be one when this ends.
    Until(BoxFuture<'static, ()>),
}

/// What the catalogue's changes mean for the databases.
pub(crate) struct FollowCatalog(pub(crate) Arc<Databases>);

impl Observer for FollowCatalog {
    fn changed(&self, now: &Arc<Snapshot>, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Workspace(account) if now.workspace_by_account(*account).is_some() => {
                    self.0.follow_settings(*account);
                    self.0.want(*account, Wanted::Available);
                }
                Change::Workspace(account) => self.0.want(*account, Wanted::Closed),
                Change::Purged(account) => self.0.want(*account, Wanted::Removed),
                _ => {}
            }
        }
    }
}

/// The databases as edges see them.
pub(crate) struct OnDemand(pub(crate) Arc<Databases>);

impl Workspaces for OnDemand {
    fn storage(&self, workspace: AccountId, purpose: Purpose) -> BoxFuture<'_, Result<Arc<dyn Storage>, NoStorage>> {
        Box::pin(async move { Ok(self.0.find(workspace, purpose).await? as Arc<dyn Storage>) })
    }
}

/// For how long a request waits for a database that is being opened.
const OPENING_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often it is looked for failures that may be tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
