//! A recorder over a real database: what it recorded is found again, to the last drop, after crashes and full disks.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use catalog::{Catalog, Envelope, Profile, Snapshot, Workspace, WorkspaceLimits, WorkspaceStorage};
use environment::{Clock, UnixTime};
use model::AccountId;
use platform_metrics::{
    Aggregation, Filter, Interval, Parts, Query, Recorded, Recorder, Resource, ResourceType, definition, read,
    until_next_minute,
};
use quota::{Dropped, EventReason, Quotas};
use storage::{BoxFuture, NoStorage, Purpose, Storage, Workspaces};
use testkit::{ManualClock, MemoryDisk};
use tsdb::{Db, Engine, EngineSettings, Settings};

/// One process: a database on a disk, quotas that count from zero, a recorder.
struct Process {
    clock: ManualClock,
    open: Open,
    quotas: Arc<Quotas>,
    recorder: Recorder,
}

/// The system workspace's database, which may be opened again.
#[derive(Clone)]
struct Open(Arc<Mutex<Arc<Db>>>);

impl Open {
    fn db(&self) -> Arc<Db> {
        Arc::clone(&self.0.lock().expect("no test panics with it"))
    }

    fn again(&self, disk: &MemoryDisk) {
        // It says that its log cannot be written.
        let _ = self.db().close();
        *self.0.lock().expect("no test panics with it") = open(disk);
    }
}

impl Workspaces for Open {
    fn storage(&self, workspace: AccountId, _: Purpose) -> BoxFuture<'_, Result<Arc<dyn Storage>, NoStorage>> {
        let storage = (workspace == account(1)).then(|| self.db() as Arc<dyn Storage>);
        Box::pin(std::future::ready(storage.ok_or(NoStorage::Unknown(workspace))))
    }
}

fn open(disk: &MemoryDisk) -> Arc<Db> {
    let clock = ManualClock::new(environment::UnixTime::from_secs(0));
    let engine = Engine::start(Arc::new(disk.clone()), Arc::new(clock), EngineSettings::default()).expect("it starts");
    let db = Db::open(&engine, Path::new("system"), Settings::default()).expect("it opens");
    db.wait_ready().expect("its log can be read");
    db
}

impl Process {
    fn start(disk: &MemoryDisk, clock: &ManualClock) -> Self {
        let open = Open(Arc::new(Mutex::new(open(disk))));
        let catalog = Snapshot::new([workspace(1, "system"), workspace(2, "fleet")], [], []).expect("it fits together");
        let quotas = Arc::new(Quotas::default());
        let recorder = Recorder::new(Parts {
            quotas: Arc::clone(&quotas),
            catalog: Arc::new(Catalog::new(catalog)),
            workspaces: Arc::new(open.clone()),
            system: account(1),
        });
        Self { clock: clock.clone(), open, quotas, recorder }
    }

    fn drop_events(&self, count: u64) -> u64 {
        self.quotas.workspace(account(2)).dropped(Dropped::Event(EventReason::OldData), count);
        count
    }

    /// Sleeps until a minute begins and records the one before.
    fn minute(&mut self) -> Recorded {
        self.clock.advance(until_next_minute(self.clock.now()));
        wait(self.recorder.record(self.clock.now(), self.clock.monotonic()))
    }

    /// All drops by minute, as the metrics API tells them.
    fn history(&self) -> Vec<Option<f64>> {
        let definition = definition(ResourceType::Workspace, "EventsDropped").expect("it is in the table");
        let query = Query {
            definition,
            interval: Interval::MINUTE,
            start: UnixTime::from_secs(START),
            end: self.clock.now(),
            filter: Filter::parse("Reason eq 'OldData'", definition).expect("it is a filter"),
        };
        let series =
            wait(read(&*self.open.db(), &Resource::Workspace(&workspace(2, "fleet")), &query)).expect("it is read");
        series.iter().flat_map(|one| one.data.iter().map(|point| point.get(Aggregation::Total))).collect()
    }

    fn total(&self) -> u64 {
        self.history().into_iter().flatten().sum::<f64>() as u64
    }
}

fn account(number: u8) -> AccountId {
    format!("00000000-0000-0000-0000-0000000000{number:02}").parse().expect("a GUID")
}

fn workspace(number: u8, name: &str) -> Workspace {
    let id = format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Monitor/accounts/{name}");
    Workspace {
        envelope: Envelope::of(id.parse().expect("a resource id")),
        account_id: account(number),
        handle: name.to_owned(),
        profile: Profile::Strict,
        public_network_access: true,
        limits: WorkspaceLimits::default(),
        storage: WorkspaceStorage::default(),
        default_rule: None,
        default_endpoint: None,
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park_timeout(Duration::from_secs(30));
    }
}

const START: i64 = 1_800_000_000 / 60 * 60;

#[test]
fn history_survives_the_death_of_processes() {
    let (mut disk, clock) = (MemoryDisk::new(), ManualClock::new(UnixTime::from_secs(START + 7)));
    let mut counted = 0;
    for life in 1..=4 {
        let mut process = Process::start(&disk, &clock);
        for minute in 0..5 {
            counted += process.drop_events(life * 10 + minute);
            // In their first minute, later lives find it recorded by the one before, which ended in it.
            let expected = if life > 1 && minute == 0 { "NotAfter" } else { "Stored" };
            let recorded = process.minute();
            assert!(format!("{recorded:?}").starts_with(expected), "{recorded:?} in minute {minute} of life {life}");
        }
        counted += process.drop_events(life);
        clock.advance(Duration::from_secs(20));
        wait(process.recorder.finish(clock.now(), clock.monotonic()));
        assert_eq!(process.total(), counted);
        disk = disk.after_process_crash();
    }
    let history = Process::start(&disk, &clock).history();
    // Each minute that ended one life belongs to it: the counts of the next one's first half are in the minute after.
    let first: Vec<Option<f64>> = [10, 11, 12, 13, 14, 1].map(|count| Some(f64::from(count))).into();
    assert_eq!(history[..6], first);
    assert_eq!(history[6], Some(20.0 + 21.0));
    assert!(history.iter().all(Option::is_some), "no gaps: {history:?}");
}

#[test]
fn a_full_disk_loses_and_doubles_nothing() {
    let (disk, clock) = (MemoryDisk::new(), ManualClock::new(UnixTime::from_secs(START)));
    let mut process = Process::start(&disk, &clock);
    let mut counted = 0;
    for round in 0..6 {
        counted += process.drop_events(100 + round);
        assert!(matches!(process.minute(), Recorded::Stored { refused: 0, .. }), "round {round}");
        // Torn at different places of the log's record.
        let used: usize = disk.paths().iter().map(|path| disk_len(&disk, path)).sum();
        disk.set_capacity(Some(used + usize::try_from(round * 17).expect("it is small")));
        for _ in 0..2 {
            counted += process.drop_events(1 + round);
            assert!(matches!(process.minute(), Recorded::Unwritten(_)), "round {round}");
        }
        disk.set_capacity(None);
        // A database whose log cannot be written takes nothing until it is opened again, and finds part of the record.
        process.open.again(&disk);
        assert!(matches!(process.minute(), Recorded::Stored { refused: 0, .. }), "round {round}");
        assert_eq!(process.total(), counted, "round {round}");
    }
}

fn disk_len(disk: &MemoryDisk, path: &Path) -> usize {
    use environment::Disk as _;
    disk.read(path).map_or(0, |bytes| bytes.len())
}
