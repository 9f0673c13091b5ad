//! What it costs to keep a request, to hand it out and to settle it, and how soon a queue with a backlog is open again.
//!
//! `cargo bench -p spool --bench append [-- REQUESTS BACKLOG_MIB]`. Requests of 80 kB with 1,900 hashes, four senders, a queue
//! on the disk under the temporary directory; each measurement once with an interval of one second, once never synced.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "real time is what is measured")]

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use environment::{BoxFuture, Clock, Disk, Monotonic, UnixTime};
use remote_write::Version;
use spool::{Appended, Counts, EntryId, NewEntry, Outcome, Settings, Spool, Sync};

mod files;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let requests = numbers.next().unwrap_or(20_000);
    let backlog_mib = numbers.next().unwrap_or(2048);
    for sync in [Sync::Never, Sync::Interval(Duration::from_secs(1))] {
        appended(requests, sync);
        passed_through(requests, sync);
    }
    reopened(backlog_mib);
}

fn settings(sync: Sync) -> Settings {
    Settings { bytes_max: 1 << 40, sync, ..Settings::default() }
}

fn open(directory: &Path, settings: Settings) -> Spool {
    let disk: Arc<dyn Disk> = Arc::new(files::Files);
    Spool::open(disk, Arc::new(RealClock(Instant::now())), directory, settings).unwrap().0
}

/// Requests are kept; nobody takes them.
fn appended(requests: usize, sync: Sync) {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), settings(sync));
    let start = Usage::now();
    send(&spool, requests);
    let cost = start.since();
    println!("append/80_kB_{}: {}", name(sync), cost.per(requests));
    println!("append/80_kB_{}: RSS {} MiB with {} queued", name(sync), Usage::now().rss >> 20, spool.stats().entries);
}

/// Requests are kept, handed out at once, and settled.
fn passed_through(requests: usize, sync: Sync) {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), settings(sync));
    let start = Usage::now();
    std::thread::scope(|scope| {
        scope.spawn(|| send(&spool, requests));
        let mut after: Option<EntryId> = None;
        for _ in 0..requests {
            let entry = wait(spool.next(after)).unwrap().unwrap();
            after = Some(entry.id);
            spool.settle(entry.id, Outcome::delivered(entry.tally));
        }
    });
    println!("pass/80_kB_{}: {}", name(sync), start.since().per(requests));
    println!("pass/80_kB_{}: RSS {} MiB", name(sync), Usage::now().rss >> 20);
    assert_eq!(spool.ledger().queued, Counts::default());
}

/// A queue is left as by a kill, and opened until its first entry is there.
fn reopened(backlog_mib: usize) {
    let directory = tempfile::tempdir().unwrap();
    let requests = (backlog_mib << 20) / (BODY_BYTES + SERIES * 4);
    let copy = directory.path().join("copy");
    {
        let spool = open(&directory.path().join("queue"), settings(Sync::Never));
        send(&spool, requests);
        // While it runs: what a kill leaves is what stands in the files.
        copy_hard(&directory.path().join("queue"), &copy);
    }
    let start = Usage::now();
    let spool = open(&copy, settings(Sync::Never));
    let opened = start.since();
    let entry = wait(spool.next(None)).unwrap().unwrap();
    let first = start.since();
    assert_eq!((entry.id, spool.stats().entries), (EntryId(1), requests as u64));
    println!(
        "reopen/{backlog_mib}_MiB_{requests}_requests: open after {:.1} ms, first entry after {:.1} ms, {:.1} ms CPU, RSS {} MiB",
        opened.wall * 1e3,
        first.wall * 1e3,
        (first.user + first.system) * 1e3,
        Usage::now().rss >> 20
    );
    let start = Usage::now();
    let mut after = None;
    for _ in 0..requests {
        let entry = wait(spool.next(after)).unwrap().unwrap();
        after = Some(entry.id);
        spool.settle(entry.id, Outcome::delivered(entry.tally));
    }
    println!("reopen/{backlog_mib}_MiB_{requests}_requests: read back and settled, {}", start.since().per(requests));
}

/// Finished segments are hard links, the last one a copy.
fn copy_hard(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("log")).unwrap();
    for file in std::fs::read_dir(from.join("log")).unwrap() {
        let file = file.unwrap();
        let target = to.join("log").join(file.file_name());
        if file.path().with_extension("index").exists() {
            std::fs::hard_link(file.path(), target).unwrap();
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}

fn send(spool: &Spool, requests: usize) {
    let series: Arc<[u32]> = (0..SERIES as u32).map(|number| number * 2_000_003).collect();
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let series = Arc::clone(&series);
            scope.spawn(move || {
                let body = Bytes::from((0..BODY_BYTES).map(|at| (at * 7 + sender) as u8).collect::<Vec<_>>());
                let tally = Counts { samples: SERIES as u64, ..Counts::default() };
                for _ in 0..requests / SENDERS + usize::from(sender < requests % SENDERS) {
                    let entry =
                        NewEntry { version: Version::V1, body: body.clone(), tally, series: Arc::clone(&series) };
                    assert!(matches!(wait(spool.append(entry)), Ok(Appended::Kept(_))));
                }
            });
        }
    });
}

fn name(sync: Sync) -> &'static str {
    match sync {
        Sync::Never => "never_synced",
        Sync::Interval(_) => "synced_every_second",
        Sync::EveryRequest => "synced_every_request",
    }
}

const SENDERS: usize = 4;
const SERIES: usize = 1900;
const BODY_BYTES: usize = 80_000;

/// Of this process, as Linux tells it.
struct Usage {
    user: f64,
    system: f64,
    rss: usize,
    at: Instant,
}

struct Cost {
    user: f64,
    system: f64,
    wall: f64,
}

impl Usage {
    fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let seconds = |field: usize| fields[field].parse::<f64>().unwrap() / 100.0;
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
        Self { user: seconds(11), system: seconds(12), rss: pages * 4096, at: Instant::now() }
    }

    fn since(&self) -> Cost {
        let now = Self::now();
        Cost {
            user: now.user - self.user,
            system: now.system - self.system,
            wall: now.at.duration_since(self.at).as_secs_f64(),
        }
    }
}

impl Cost {
    fn per(&self, requests: usize) -> String {
        let each = 1e6 / requests as f64;
        let [user, system, wall] = [self.user, self.system, self.wall].map(|seconds| seconds * each);
        format!("{:.1} µs CPU ({user:.1} user, {system:.1} system), {wall:.1} µs per request", user + system)
    }
}

struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_duration(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_duration(self.0.elapsed())
    }

    fn sleep(&self, _span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
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
        std::thread::park();
    }
}
