use catalog::{Actor, StoreSettings};
use host::{HostClock, HostDisk, HostRng};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tsdb::{Engine, EngineSettings};

use super::*;
use crate::databases::{FollowCatalog, Opener, Resting};
use crate::settings::StorageSettings;

/// A data directory with a catalogue, and a place for backups.
struct Bench {
    runtime: Runtime,
    directory: TempDir,
    store: Arc<Store>,
    backups: Backups,
}

impl Bench {
    fn new() -> Self {
        let (runtime, directory) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let data = DataDirectory::take(directory.path().join("data"), &HostDisk).unwrap();
        HostDisk.create_directory(data.catalog().parent().unwrap()).unwrap();
        let clock = Arc::new(HostClock::new());
        let store = Arc::new(open(&runtime, &data.catalog()));
        let actor = Actor::program("test");
        runtime.block_on(store.put_subscription(&actor, uuid::Uuid::nil(), "s")).unwrap();
        let place = directory.path().join("backups");
        let data = Arc::new(data);
        let opener = Opener {
            directory: Arc::clone(&data),
            disk: Arc::new(HostDisk),
            engine: Engine::start(Arc::new(HostDisk), clock.clone(), EngineSettings::default()).unwrap(),
            settings: StorageSettings::default(),
            catalog: store.catalog(),
            quotas: Arc::default(),
            clock: clock.clone(),
            runtime: runtime.handle().clone(),
        };
        let databases = Databases::new(&store.catalog().snapshot(), opener, Resting::default());
        store.observe(Arc::new(FollowCatalog(Arc::clone(&databases))));
        let backups = Backups::new(place, Arc::clone(&store), data, databases, Arc::new(HostDisk), clock);
        Self { runtime, directory, store, backups }
    }

    fn make(&self, name: &str) -> Result<Backup, AdministrationError> {
        self.runtime.block_on(self.backups.backup(name))
    }

    fn restore(&self, name: &str, to: &Path) -> anyhow::Result<(u64, u64)> {
        restore(&self.directory.path().join("backups").join(name), to.to_owned(), &HostDisk)
    }
}

fn open(runtime: &Runtime, path: &Path) -> Store {
    let (clock, settings) = (Arc::new(HostClock::new()), StoreSettings::default());
    runtime.block_on(Store::open(path, clock, Arc::new(HostRng), settings)).unwrap()
}

#[test]
fn a_backup_is_listed_once_it_is_whole_and_can_be_restored() {
    let bench = Bench::new();
    assert_eq!(bench.runtime.block_on(bench.backups.backups()), Ok(Vec::new()));
    std::fs::create_dir_all(bench.directory.path().join("backups/other.partial")).unwrap();
    std::fs::create_dir_all(bench.directory.path().join("backups/not-ours")).unwrap();
    std::fs::write(bench.directory.path().join("data/installation.json"), "{}").unwrap();
    let made = bench.make("monday").unwrap();
    assert!(made.bytes > 0 && made.path.ends_with("/backups/monday"), "{made:?}");
    assert_eq!(bench.runtime.block_on(bench.backups.backups()), Ok(vec![made]));
    assert_eq!(bench.make("monday"), Err(AdministrationError::Exists("monday".to_owned())));

    let to = bench.directory.path().join("restored");
    bench.restore("monday", &to).unwrap();
    assert_eq!(std::fs::read_to_string(to.join("installation.json")).unwrap(), "{}");
    let store = open(&bench.runtime, &to.join("catalog/catalog.db"));
    assert_eq!(
        store.catalog().snapshot().subscriptions().len(),
        bench.store.catalog().snapshot().subscriptions().len()
    );
    // A data directory that is used is not written over.
    let error = bench.restore("monday", &to).unwrap_err().to_string();
    assert!(error.contains("is not empty"), "{error}");
}

#[test]
fn what_was_restored_in_part_is_not_used() {
    let bench = Bench::new();
    let to = bench.directory.path().join("restored");
    let data = DataDirectory::take(to.clone(), &HostDisk).unwrap();
    data.mark_incomplete(&HostDisk).unwrap();
    drop(data);
    let error = DataDirectory::take(to, &HostDisk).err().unwrap().to_string();
    assert!(error.contains("in part only"), "{error}");
}

#[test]
fn only_backups_are_restored() {
    let bench = Bench::new();
    let to = bench.directory.path().join("restored");
    let error = bench.restore("none", &to).unwrap_err().to_string();
    assert!(error.contains("is no backup") && !to.exists(), "{error}");
    bench.make("newer").unwrap();
    let manifest = bench.directory.path().join("backups/newer/backup.json");
    let text = std::fs::read_to_string(&manifest).unwrap().replace("\"version\": 1", "\"version\": 2");
    std::fs::write(&manifest, text).unwrap();
    let error = bench.restore("newer", &to).unwrap_err().to_string();
    assert!(error.contains("newer remora"), "{error}");
}

#[test]
fn names_are_plain() {
    for (name, fine) in [
        ("monday", true),
        ("2026-11-23_12.30", true),
        ("", false),
        (".", false),
        ("..", false),
        ("a/b", false),
        ("a b", false),
        ("x.partial", false),
        (&"a".repeat(65), false),
    ] {
        assert_eq!(is_name(name), fine, "{name:?}");
    }
}

#[test]
fn one_at_a_time_and_nothing_is_left_of_what_failed() {
    let bench = Bench::new();
    let making = bench.backups.making.try_lock().unwrap();
    assert_eq!(bench.make("second"), Err(AdministrationError::Busy));
    drop(making);
    std::fs::write(bench.directory.path().join("backups"), "no directory").unwrap();
    let error = bench.make("third").unwrap_err().to_string();
    assert!(error.contains("cannot read") || error.contains("was not made"), "{error}");
    std::fs::remove_file(bench.directory.path().join("backups")).unwrap();
    bench.make("third").unwrap();
}
