use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use environment::UnixTime;
use model::{Labels, TimestampMs};
use storage::{BoxFuture, CommitError, Committed, Storage as _};
use testkit::{Fault, ManualClock, MemoryDisk};

use super::*;
use crate::{Db, Settings, WalSync};

struct Manual {
    disk: MemoryDisk,
    clock: ManualClock,
    engine: Arc<Engine>,
}

impl Manual {
    fn new() -> Self {
        let (disk, clock) = (MemoryDisk::new(), ManualClock::new(UnixTime::from_secs(1_700_000_000)));
        let engine = Engine::manual(Arc::new(disk.clone()), Arc::new(clock.clone()));
        Self { disk, clock, engine }
    }

    fn open(&self, name: &str, settings: Settings) -> Arc<Db> {
        let db = Db::open(&self.engine, Path::new(name), settings).unwrap();
        db.wait_ready().unwrap();
        db
    }

    fn run_all(&self) {
        while self.engine.run_pending() {}
    }
}

type Commit = BoxFuture<'static, Result<Committed, CommitError>>;

fn commit(db: &Db, at: i64) -> Commit {
    let mut appender = db.appender(TimestampMs(at));
    let series = appender.series(None, &Labels::from_pairs([("__name__", "up")]).unwrap()).unwrap();
    appender.append(series, TimestampMs(at), 1.0).unwrap();
    appender.commit()
}

fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn interval(seconds: u64) -> Settings {
    Settings { wal_sync: WalSync::Interval(Duration::from_secs(seconds)), ..Settings::default() }
}

#[test]
fn batches_that_wait_share_a_write_and_databases_take_turns() {
    let manual = Manual::new();
    let (left, right) = (manual.open("left", interval(3600)), manual.open("right", interval(3600)));
    manual.run_all();
    let mut commits: Vec<Commit> = (0..3).map(|at| commit(&left, at)).collect();
    commits.push(commit(&right, 0));
    assert!(commits.iter_mut().all(|commit| poll(commit).is_none()), "nobody commits by himself");
    assert!(manual.engine.run_pending());
    assert_eq!((left.stats().wal_writes, left.stats().commits, right.stats().commits), (1, 3, 0));
    assert!(manual.engine.run_pending());
    assert_eq!(right.stats().commits, 1);
    assert!(commits.iter_mut().all(|commit| poll(commit).is_some_and(|committed| committed.unwrap().samples == 1)));
}

#[test]
fn logs_are_synced_when_their_interval_has_passed_since_the_first_write() {
    let manual = Manual::new();
    let (quick, slow) = (manual.open("quick", interval(1)), manual.open("slow", interval(10)));
    let synced = |db: &Db| db.stats().wal_syncs;
    let before = (synced(&quick), synced(&slow));
    let syncs = || (synced(&quick) - before.0, synced(&slow) - before.1);
    for (step, expected) in [(0, (0, 0)), (1, (1, 0)), (1, (2, 0)), (7, (3, 0)), (1, (4, 1))] {
        manual.clock.advance(Duration::from_secs(step));
        manual.run_all();
        assert_eq!(syncs(), expected);
        let mut commits = [commit(&quick, syncs().0 as i64), commit(&slow, syncs().0 as i64)];
        manual.run_all();
        assert!(commits.iter_mut().all(|commit| poll(commit).is_some()));
    }
    quick.close().unwrap();
    slow.close().unwrap();
    manual.clock.advance(Duration::from_secs(100));
    let at_the_end = syncs();
    manual.run_all();
    assert_eq!(syncs(), at_the_end, "what is closed is not synced again");
}

#[test]
fn a_panic_stops_the_database_it_comes_from_alone() {
    let manual = Manual::new();
    let clock = Arc::new(BrokenClock { clock: manual.clock.clone(), ..BrokenClock::default() });
    let engine = Engine::manual(Arc::new(manual.disk.clone()), Arc::clone(&clock) as _);
    let manual = Manual { engine, ..manual };
    let (broken, whole) = (manual.open("broken", interval(3600)), manual.open("whole", interval(3600)));
    let work = manual.engine.work();
    work.background.push(Urgency::Slow, Box::new(|| panic!("on purpose")));
    let went_on = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&went_on);
    work.background.push(Urgency::Slow, Box::new(move || flag.store(true, Ordering::Relaxed)));
    manual.run_all();
    assert!(went_on.load(Ordering::Relaxed), "the thread goes on");

    let mut lost = commit(&broken, 1);
    let mut kept = commit(&whole, 1);
    clock.breaks.store(true, Ordering::Relaxed);
    manual.run_all();
    assert!(!clock.breaks.load(Ordering::Relaxed), "the first commit asks for the time");
    assert!(matches!(poll(&mut lost), Some(Err(CommitError::Closing))), "whoever waits is answered");
    assert_eq!(poll(&mut kept).unwrap().unwrap().samples, 1);
    let mut after = commit(&broken, 2);
    manual.run_all();
    assert!(matches!(poll(&mut after), Some(Err(CommitError::Log(_)))), "what its memory holds is unknown");
    assert!(broken.stats().wal_failed && !whole.stats().wal_failed);
    assert!(broken.close().is_err() && whole.close().is_ok());
}

#[test]
fn a_round_of_maintenance_that_panics_is_not_the_last() {
    let manual = Manual::new();
    let clock = Arc::new(BrokenClock { clock: manual.clock.clone(), ..BrokenClock::default() });
    let engine = Engine::manual(Arc::new(manual.disk.clone()), Arc::clone(&clock) as _);
    let manual = Manual { engine, ..manual };
    let db = manual.open("w", interval(1));
    clock.breaks_now.store(true, Ordering::Relaxed);
    let mut rounds = Vec::new();
    for _ in 0..4 {
        manual.clock.advance(Duration::from_secs(61));
        manual.run_all();
        rounds.push(clock.asked.load(Ordering::Relaxed));
    }
    assert!(
        !clock.breaks_now.load(Ordering::Relaxed) && rounds.is_sorted_by(|before, after| before < after),
        "{rounds:?}"
    );
    db.close().unwrap();
}

/// Panics once when it is asked for the time.
struct BrokenClock {
    clock: ManualClock,
    breaks: AtomicBool,
    /// The same for the wall clock.
    breaks_now: AtomicBool,
    /// How often the wall clock was asked.
    asked: AtomicUsize,
}

impl Default for BrokenClock {
    fn default() -> Self {
        let clock = ManualClock::new(UnixTime::EPOCH);
        Self { clock, breaks: AtomicBool::new(false), breaks_now: AtomicBool::new(false), asked: AtomicUsize::new(0) }
    }
}

impl Clock for BrokenClock {
    fn now(&self) -> UnixTime {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert!(!self.breaks_now.swap(false, Ordering::Relaxed), "on purpose");
        self.clock.now()
    }

    fn monotonic(&self) -> environment::Monotonic {
        assert!(!self.breaks.swap(false, Ordering::Relaxed), "on purpose");
        self.clock.monotonic()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(span)
    }
}

#[test]
fn a_full_disk_refuses_with_the_reason_until_it_has_room() {
    let manual = Manual::new();
    for every_commit in [false, true] {
        let settings =
            if every_commit { Settings { wal_sync: WalSync::EveryCommit, ..interval(1) } } else { interval(1) };
        let db = manual.open(if every_commit { "each" } else { "interval" }, settings.clone());
        let answer = |at| {
            let mut commit = commit(&db, at);
            manual.run_all();
            poll(&mut commit).unwrap()
        };
        answer(1).unwrap();
        manual.disk.set_capacity(Some(0));
        for at in 2..5 {
            let Err(CommitError::Log(reason)) = answer(at) else { panic!("there is no room") };
            assert!(reason.contains("write to") && reason.contains("wal"), "{reason}");
            assert!(db.stats().wal_failed);
        }
        manual.disk.set_capacity(None);
        assert_eq!(answer(5).unwrap().samples, 1, "without a restart");
        assert!(!db.stats().wal_failed);
        db.close().unwrap();
        let again = manual.open(if every_commit { "each" } else { "interval" }, settings);
        assert_eq!(again.recovery().samples, 2, "what was refused has not happened: {:?}", again.recovery());
        assert!(again.recovery().damage.is_empty() && again.recovery().torn_bytes == 0);
    }
}

#[test]
fn what_cannot_be_read_is_told_to_all_who_wait() {
    let manual = Manual::new();
    let db = manual.open("w", interval(1));
    poll(&mut commit(&db, 1));
    db.close().unwrap();
    let db = Db::open(&manual.engine, Path::new("w"), interval(1)).unwrap();
    manual.disk.inject_read(Fault { at: 0, error: io::ErrorKind::Other, torn: 0, lasting: true });
    let mut waiting = commit(&db, 2);
    let mut ready = Box::pin(db.ready());
    assert!(poll(&mut ready).is_none() && poll(&mut waiting).is_none());
    manual.run_all();
    assert!(poll(&mut ready).unwrap().is_err() && !db.is_ready());
    assert!(matches!(poll(&mut waiting), Some(Err(CommitError::Log(_)))));
    assert!(matches!(poll(&mut commit(&db, 3)), Some(Err(CommitError::Log(_)))));
    assert!(db.close().is_err());
}

#[test]
fn a_directory_is_open_once() {
    let manual = Manual::new();
    let db = manual.open("w", interval(1));
    let path = PathBuf::from("w/lock");
    let refused = Db::open(&manual.engine, Path::new("w"), interval(1)).err();
    assert!(matches!(refused, Some(OpenError::InUse { path: locked }) if locked == path));
    db.close().unwrap();
    manual.open("w", interval(1)).close().unwrap();
}

#[test]
fn slow_work_leaves_a_thread_to_what_is_urgent() {
    let (disk, clock) = (MemoryDisk::new(), ManualClock::new(UnixTime::EPOCH));
    let settings = EngineSettings { commit_threads: 1, background_threads: 3, ..EngineSettings::default() };
    let engine = Engine::start(Arc::new(disk), Arc::new(clock), settings).unwrap();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (told, done) = std::sync::mpsc::channel();
    let gate = Arc::new(parking_lot::RwLock::new(()));
    let closed = gate.write();
    for _ in 0..10 {
        let (running, most, gate, told) = (running.clone(), most.clone(), gate.clone(), told.clone());
        let slow = move || {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            drop(gate.read());
            running.fetch_sub(1, Ordering::SeqCst);
            told.send("slow").unwrap();
        };
        engine.work().background.push(Urgency::Slow, Box::new(slow));
    }
    let told_urgent = told.clone();
    engine.work().background.push(Urgency::Urgent, Box::new(move || told_urgent.send("urgent").unwrap()));
    assert_eq!(done.recv().unwrap(), "urgent", "though slow work came first and fills its threads");
    drop(closed);
    assert!((0..10).all(|_| done.recv().unwrap() == "slow"));
    assert_eq!(most.load(Ordering::SeqCst).min(2), most.load(Ordering::SeqCst), "one of three is kept free");
}
