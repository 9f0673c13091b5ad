use std::path::PathBuf;

use catalog::{Actor, GroupSpec, Precondition, Store, StoreSettings, WorkspaceSpec, WorkspaceStorage};
use environment::Clock as _;
use host::{HostClock, HostDisk, HostRng};
use model::{Labels, ResourceId, TimestampMs};
use quota::Quotas;
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};
use tsdb::{Engine, EngineSettings};

use super::*;
use crate::data_directory::DataDirectory;
use crate::settings::StorageSettings;

const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g";

/// A catalogue in memory and the databases that follow it.
struct Bench {
    runtime: Runtime,
    directory: TempDir,
    quotas: Arc<Quotas>,
    store: Store,
    databases: Arc<Databases>,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let (directory, quotas) = (tempfile::tempdir().unwrap(), Arc::new(Quotas::default()));
        let clock = Arc::new(HostClock::new());
        let store = Store::open(":memory:".as_ref(), clock, Arc::new(HostRng), StoreSettings::default());
        let store = runtime.block_on(store).unwrap();
        runtime.block_on(store.put_subscription(&actor(), uuid::Uuid::nil(), "s")).unwrap();
        let group = GroupSpec { location: "local".to_owned(), ..GroupSpec::default() };
        runtime.block_on(store.put_group(&actor(), &GROUP.parse().unwrap(), group, Precondition::None)).unwrap();
        let databases = open(&store, directory.path().to_owned(), &quotas, runtime.handle());
        store.observe(Arc::new(FollowCatalog(Arc::clone(&databases))));
        Self { runtime, directory, quotas, store, databases }
    }

    fn put(&self, name: &str) -> AccountId {
        self.put_as(name, None)
    }

    fn put_as(&self, name: &str, account_id: Option<AccountId>) -> AccountId {
        let (actor, id) = (actor(), id(name));
        let spec = WorkspaceSpec { location: "local".to_owned(), account_id, ..WorkspaceSpec::default() };
        let put = self.store.put_workspace(&actor, &id, spec, Precondition::None);
        self.runtime.block_on(put).unwrap().resource.account_id
    }

    fn delete(&self, name: &str, purge: bool) {
        let (actor, id) = (actor(), id(name));
        let deleted = self.store.delete_workspace(&actor, &id, Precondition::None, purge);
        self.runtime.block_on(deleted).unwrap().unwrap();
    }

    fn storage(&self, account: AccountId) -> Option<Arc<dyn Storage>> {
        self.find(account).ok()
    }

    fn find(&self, account: AccountId) -> Result<Arc<dyn Storage>, NoStorage> {
        let databases = OnDemand(Arc::clone(&self.databases));
        self.runtime.block_on(databases.storage(account, Purpose::Write))
    }

    fn is_open(&self, account: AccountId) -> bool {
        self.databases.all().iter().any(|(open, _)| *open == account)
    }

    fn write(&self, storage: &Arc<dyn Storage>, value: f64) -> Result<(), storage::CommitError> {
        let labels = Labels::from_pairs([("__name__", "m")]).unwrap();
        let now = TimestampMs(HostClock::new().now().as_millis());
        let mut appender = storage.appender(now);
        let series = appender.series(None, &labels).unwrap();
        appender.append(series, now, value).unwrap();
        self.runtime.block_on(appender.commit()).map(drop)
    }

    fn close(&self) {
        self.runtime.block_on(self.databases.close()).unwrap();
    }

    /// Lets go of what nobody used for so long, as if that time had passed.
    fn idle_for(&self, span: Duration, kept_open: Option<AccountId>) {
        let later = HostClock::new().monotonic().plus(span);
        for account in self.databases.leave_idle(later, kept_open) {
            self.databases.start_work(account);
        }
    }

    fn path(&self, account: AccountId) -> PathBuf {
        self.directory.path().join("workspaces").join(account.to_string())
    }
}

fn open(store: &Store, directory: PathBuf, quotas: &Arc<Quotas>, runtime: &Handle) -> Arc<Databases> {
    let clock = Arc::new(HostClock::new());
    let opener = Opener {
        directory: Arc::new(DataDirectory::take(directory, &HostDisk).unwrap()),
        disk: Arc::new(HostDisk),
        engine: Engine::start(Arc::new(HostDisk), Arc::clone(&clock) as _, EngineSettings::default()).unwrap(),
        settings: StorageSettings::default(),
        catalog: store.catalog(),
        quotas: Arc::clone(quotas),
        clock,
        runtime: runtime.clone(),
    };
    Databases::new(&store.catalog().snapshot(), opener, Resting::default())
}

fn actor() -> Actor {
    Actor::program("test")
}

fn id(name: &str) -> ResourceId {
    format!("{GROUP}/providers/Microsoft.Monitor/accounts/{name}").parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "threads of their own do the work that is waited for")]
fn eventually<T>(probe: impl Fn() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(found) = probe() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited in vain");
}

#[test]
fn a_workspace_can_be_written_to_as_soon_as_it_is_made() {
    let bench = Bench::new();
    let account = bench.put("one");
    let storage = bench.storage(account).expect("it is open when its PUT is answered");
    bench.write(&storage, 1.0).unwrap();
    assert!(bench.databases.failures().is_empty());
    assert!(bench.storage("14e21a3b-a68e-4626-873e-6539bd54fc63".parse().unwrap()).is_none());
}

#[test]
fn a_deleted_workspace_is_closed_kept_and_brought_back() {
    let bench = Bench::new();
    let account = bench.put("one");
    let storage = bench.storage(account).unwrap();
    bench.write(&storage, 1.0).unwrap();
    bench.delete("one", false);
    eventually(|| bench.storage(account).is_none().then_some(()));
    // A request that held it when it was closed: what it still writes is not acknowledged.
    eventually(|| bench.write(&storage, 2.0).err());
    assert!(bench.path(account).exists());
    drop(storage);
    bench.runtime.block_on(bench.store.restore_workspace(&actor(), account)).unwrap();
    let storage = eventually(|| bench.storage(account));
    assert_eq!(bench.databases.all()[0].1.db.stats().series, 1);
    // What was active before it was deleted is so again.
    let active = bench.quotas.workspace(account);
    eventually(|| (active.active_series().active(HostClock::new().monotonic()) == 1).then_some(()));
    bench.write(&storage, 3.0).unwrap();
}

#[test]
fn a_purged_workspace_leaves_nothing() {
    let bench = Bench::new();
    let (now, later) = (bench.put("now"), bench.put("later"));
    let storage = bench.storage(now).unwrap();
    bench.write(&storage, 1.0).unwrap();
    bench.delete("now", true);
    eventually(|| (!bench.path(now).exists()).then_some(()));
    bench.delete("later", false);
    bench.runtime.block_on(bench.store.purge_workspace(&actor(), later)).unwrap();
    eventually(|| bench.databases.places.lock().by_account.is_empty().then_some(()));
    let left: Vec<_> = std::fs::read_dir(bench.directory.path().join("workspaces")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_a_crash_left_of_a_purged_workspace_is_removed() {
    let bench = Bench::new();
    let kept = bench.put("kept");
    bench.storage(kept).unwrap();
    bench.delete("kept", false);
    let left = bench.path("14e21a3b-a68e-4626-873e-6539bd54fc63".parse().unwrap()).with_extension("purged");
    let strange = bench.directory.path().join("workspaces/strange");
    std::fs::create_dir_all(left.join("wal")).unwrap();
    std::fs::create_dir_all(&strange).unwrap();
    bench.databases.tidy(&bench.store.catalog().snapshot()).unwrap();
    assert!(!left.exists() && strange.exists() && bench.path(kept).exists());
}

#[test]
fn changes_that_follow_each_other_quickly_end_where_the_last_one_wants() {
    let bench = Bench::new();
    let account = bench.put("one");
    for _ in 0..20 {
        bench.delete("one", false);
        bench.runtime.block_on(bench.store.restore_workspace(&actor(), account)).unwrap();
    }
    let storage = eventually(|| bench.storage(account));
    eventually(|| {
        bench.write(&storage, 1.0).ok().or_else(|| {
            // Closed while it was waited for: the last one stays.
            bench.storage(account).and_then(|storage| bench.write(&storage, 1.0).ok())
        })
    });
    bench.delete("one", false);
    eventually(|| bench.storage(account).is_none().then_some(()));
}

#[test]
fn a_workspace_that_cannot_be_opened_is_told_of_and_tried_again() {
    let bench = Bench::new();
    let account: AccountId = "14e21a3b-a68e-4626-873e-6539bd54fc63".parse().unwrap();
    std::fs::create_dir_all(bench.path(account).parent().unwrap()).unwrap();
    std::fs::write(bench.path(account), "no directory").unwrap();
    bench.put_as("one", Some(account));
    let Err(NoStorage::Failed { reason, retry_after, .. }) = bench.find(account) else { panic!("it cannot be opened") };
    assert!(reason.contains("cannot create") && retry_after <= Duration::from_secs(1), "{reason}");
    assert_eq!(bench.databases.failures(), [(account, reason.to_string())]);
    let again = bench.find(account).err();
    assert!(matches!(again, Some(NoStorage::Failed { .. })), "told at once until the wait is over: {again:?}");
    assert_eq!(bench.databases.counts.failed.load(Ordering::Relaxed), 1);
    std::fs::remove_file(bench.path(account)).unwrap();
    eventually(|| bench.storage(account));
    assert!(bench.databases.failures().is_empty());
}

#[test]
fn nothing_is_opened_once_it_ends() {
    let bench = Bench::new();
    bench.put("one");
    bench.close();
    let late = bench.put("late");
    assert!(bench.storage(late).is_none());
}

#[test]
fn after_a_start_workspaces_are_opened_when_they_are_asked_for() {
    let bench = Bench::new();
    let accounts: Vec<AccountId> = (0..20).map(|number| bench.put(&format!("w{number}"))).collect();
    for account in &accounts {
        bench.write(&bench.storage(*account).unwrap(), 1.0).unwrap();
    }
    bench.close();
    let directory = tempfile::tempdir().unwrap();
    std::fs::rename(bench.directory.path().join("workspaces"), directory.path().join("workspaces")).unwrap();
    let again = open(&bench.store, directory.path().to_owned(), &bench.quotas, bench.runtime.handle());
    assert!(again.all().is_empty() && again.count() == accounts.len());
    let found = bench.runtime.block_on(again.find(accounts[3], Purpose::Read)).unwrap();
    assert_eq!(again.all().iter().map(|(account, _)| *account).collect::<Vec<_>>(), [accounts[3]]);
    bench.runtime.block_on(found.db.ready()).unwrap();
    assert_eq!(found.db.stats().series, 1);
}

#[test]
fn many_who_ask_at_the_same_time_get_the_same_database() {
    let bench = Bench::new();
    let account = bench.put("one");
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let databases = Arc::clone(&bench.databases);
            bench.runtime.spawn(async move { databases.find(account, Purpose::Write).await.unwrap() })
        })
        .collect();
    let found: Vec<_> = asked.into_iter().map(|task| bench.runtime.block_on(task).unwrap()).collect();
    assert!(found.iter().all(|open| Arc::ptr_eq(open, &found[0])));
    assert_eq!(bench.databases.counts.opened.load(Ordering::Relaxed), 1);
}

#[test]
fn what_nobody_uses_is_closed_and_opened_again() {
    let bench = Bench::new();
    let (used, held, kept) = (bench.put("used"), bench.put("held"), bench.put("kept"));
    let holding = bench.storage(held).unwrap();
    for account in [used, kept] {
        bench.write(&bench.storage(account).unwrap(), 1.0).unwrap();
    }
    bench.idle_for(Duration::from_secs(29 * 60), Some(kept));
    assert!(bench.is_open(used), "it was used half an hour ago");
    let after = Duration::from_secs(31 * 60);
    bench.idle_for(after, Some(kept));
    eventually(|| (!bench.is_open(used)).then_some(()));
    assert!(bench.is_open(held) && bench.is_open(kept));
    bench.write(&holding, 1.0).unwrap();
    drop(holding);
    bench.idle_for(after, None);
    eventually(|| bench.databases.all().is_empty().then_some(()));
    assert!(bench.databases.failures().is_empty());

    let storage = bench.storage(used).unwrap();
    assert_eq!(bench.databases.all()[0].1.db.stats().series, 1);
    bench.write(&storage, 2.0).unwrap();
}

#[test]
fn who_asks_while_it_is_closed_waits_and_gets_it() {
    let bench = Bench::new();
    let account = bench.put("one");
    for round in 0..50 {
        bench.write(&bench.storage(account).unwrap(), f64::from(round)).unwrap();
        bench.idle_for(Duration::from_secs(3600), None);
    }
    assert!(bench.databases.failures().is_empty());
}

#[test]
fn a_database_follows_its_workspaces_settings() {
    let bench = Bench::new();
    let account = bench.put("one");
    bench.write(&bench.storage(account).unwrap(), 1.0).unwrap();
    let days =
        |retention_days| WorkspaceStorage { retention_days: Some(retention_days), ..WorkspaceStorage::default() };
    let retention = || bench.databases.all().first().map(|(_, open)| open.settings.retention);
    assert_eq!(retention(), Some(StorageSettings::default().retention));
    for (storage, expected) in
        [(days(7), Duration::from_secs(7 * 86_400)), (days(0), StorageSettings::default().retention)]
    {
        let spec = WorkspaceSpec { location: "local".to_owned(), storage, ..WorkspaceSpec::default() };
        bench.runtime.block_on(bench.store.put_workspace(&actor(), &id("one"), spec, Precondition::None)).unwrap();
        eventually(|| {
            bench.storage(account)?;
            (retention() == Some(expected)).then_some(())
        });
    }
    assert_eq!(bench.databases.all()[0].1.db.stats().series, 1);
}
