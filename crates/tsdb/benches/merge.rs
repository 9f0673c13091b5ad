//! What merging three blocks takes beside writes that go on: memory, bytes read and written, and how long writers wait.
//!
//! `cargo bench -p tsdb --bench merge [-- SERIES SCRAPES]`. Eight hours of so many scrapes go to four blocks of two hours, the
//! first three of which are merged into one while requests of 2,000 series come one after the other, at most a hundred a
//! second. Files are read, not mapped.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "real time is what is measured")]

mod fleet;
mod machine;
mod node_exporter;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use environment::UnixTime;
use fleet::{Cost, Load};
use machine::{Files, RunningClock, Usage};
use model::TimestampMs;
use tsdb::{Db, Engine, EngineSettings, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let series = numbers.next().unwrap_or(100_000);
    let scrapes = numbers.next().unwrap_or(480);
    let name = format!("merge/{series}_series_x_{scrapes}");
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(RunningClock(Instant::now()));
    let engine = Engine::start(Arc::new(Files), clock, EngineSettings::default()).unwrap();
    let load = Load::new(series);
    let mut writer = Writer { load: &load, next: 0 };
    let before = Usage::now().rss;
    {
        // The largest range is a tenth of the retention: blocks stay as they are.
        let db = open(
            &engine,
            directory.path(),
            Settings { retention: Duration::from_secs(20 * 3600), ..Settings::default() },
        );
        for scrape in 0..scrapes {
            load.scrape_at(&db, START.plus(scrape as i64 * 8 * HOUR_MS / scrapes as i64), scrape);
        }
        // The last block is due when the head is half a range longer.
        load.scrape_at(&db, START.plus(HOURS_LOADED * HOUR_MS), scrapes);
        let begun = Instant::now();
        while db.stats().blocks < 4 {
            assert!(begun.elapsed() < Duration::from_secs(300), "four blocks are written: {:?}", db.stats());
            std::thread::sleep(Duration::from_millis(50));
        }
        let stats = db.stats();
        println!("{name}: {} blocks of {} MB", stats.blocks, stats.block_bytes >> 20);
        let mut waits: Vec<Duration> = (0..500).map(|_| writer.write(&db)).collect();
        println!("{name}: writers wait {} without a merge", percentiles(&mut waits));
        db.close().unwrap();
    }

    let db = open(&engine, directory.path(), Settings::default());
    let (usage, io, begun) = (Usage::now(), Io::now(), Instant::now());
    let (mut most, mut waits) = (usage.rss, Vec::new());
    let written = db.stats().wal_bytes;
    std::thread::scope(|scope| {
        let merging = scope.spawn(|| db.maintain(UnixTime::from_millis(START.0 as u64)).unwrap());
        while !merging.is_finished() {
            waits.push(writer.write(&db));
            most = most.max(Usage::now().rss);
        }
    });
    assert_eq!(db.stats().compactions, 1);
    let (io, log) = (Io::now().since(&io), db.stats().wal_bytes - written);
    let megabytes = |bytes: usize| bytes.saturating_sub(before) >> 20;
    println!("{name}: {} MB at its start, {} MB at most", megabytes(usage.rss), megabytes(most));
    println!("{name}: {} MB read, {} MB written beside the log", io.read >> 20, (io.written - log) >> 20);
    println!("{name}: {:.2} CPU s with {} requests", Cost::since(&(usage, begun)).cpu, waits.len());
    println!("{name}: writers wait {} beside it", percentiles(&mut waits));
    db.close().unwrap();
}

fn open(engine: &Arc<Engine>, directory: &Path, settings: Settings) -> Arc<Db> {
    let db = Db::open(engine, directory, settings).unwrap();
    db.wait_ready().unwrap();
    db
}

/// Sends request after request, each later than what was loaded.
struct Writer<'a> {
    load: &'a Load,
    next: usize,
}

impl Writer<'_> {
    /// One request, and how long it waited; then a while passes.
    fn write(&mut self, db: &Db) -> Duration {
        let chunks = self.load.series.len().div_ceil(2000);
        let (scrape, request) = (self.next / chunks, self.next % chunks);
        self.next += 1;
        let at = START.plus(HOURS_LOADED * HOUR_MS + (scrape as i64 + 1) * 1000);
        let begun = Instant::now();
        fleet::send(db, at, scrape, request, self.load.series.chunks(2000).nth(request).unwrap());
        let waited = begun.elapsed();
        std::thread::sleep(Duration::from_millis(10).saturating_sub(waited));
        waited
    }
}

fn percentiles(waits: &mut [Duration]) -> String {
    waits.sort_unstable();
    let of = |fraction: f64| waits[((waits.len() - 1) as f64 * fraction) as usize].as_secs_f64() * 1e3;
    format!("p50 {:.2}, p99 {:.2}, at most {:.2} ms", of(0.5), of(0.99), of(1.0))
}

/// Bytes that this process read and wrote, from the page cache or not.
struct Io {
    read: u64,
    written: u64,
}

impl Io {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/self/io").unwrap();
        let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap();
        Self { read: of("rchar:"), written: of("wchar:") }
    }

    fn since(&self, before: &Self) -> Self {
        Self { read: self.read - before.read, written: self.written - before.written }
    }
}

/// At the edge of a range of six hours.
const START: TimestampMs = TimestampMs(1_700_000_000_000 / (6 * HOUR_MS) * (6 * HOUR_MS));
const HOUR_MS: i64 = 3_600_000;
/// From the start on until the fourth block is due.
const HOURS_LOADED: i64 = 9;
