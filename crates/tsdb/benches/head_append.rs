//! What the way of a sample from its encoded labels into log and head costs: CPU seconds per million samples, and memory
//! per series. Then the same for a year of history, which comes after newer samples and goes to blocks.
//!
//! `cargo bench -p tsdb --bench head_append [-- SERIES SCRAPES]`. Four senders, requests of 2,000 series with one sample
//! each, 15 labels a series, log on the disk under the temporary directory.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "real time is what is measured")]

mod machine;

use std::sync::Arc;
use std::time::{Duration, Instant};

use machine::{Files, RunningClock, Usage, wait};
use model::{Labels, MatchOp, Matcher, TimestampMs};
use storage::{CommitError, Storage, TimeRange};
use tsdb::{Db, Engine, EngineSettings, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let series = numbers.next().unwrap_or(100_000);
    let scrapes = numbers.next().unwrap_or(40);
    let directory = tempfile::tempdir().unwrap();
    let engine =
        Engine::start(Arc::new(Files), Arc::new(RunningClock(Instant::now())), EngineSettings::default()).unwrap();
    let open = || {
        let db = Db::open(&engine, directory.path(), Settings::default()).unwrap();
        db.wait_ready().unwrap();
        db
    };

    let load = Load::new(series);
    let before = Usage::now();
    let db = open();
    let first = load.scrape(&db, 0);
    println!("head_append/{series}_series_first_sight: {}", first.per_million(series));
    println!("head_append/{series}_series_first_sight: {} B/series", (Usage::now().rss - before.rss) / series);
    let mut total = Cost::default();
    for scrape in 1..scrapes {
        total.add(load.scrape(&db, scrape));
    }
    println!("head_append/{series}_series_x_{scrapes}: {}", total.per_million(series * (scrapes - 1)));
    println!("head_append/{series}_series_x_{scrapes}: {} B/series", (Usage::now().rss - before.rss) / series);
    let stats = db.stats();
    println!(
        "  log {} MB in {} writes for {} commits, {} syncs, cache hits {} misses {}",
        stats.wal_bytes >> 20,
        stats.wal_writes,
        stats.commits,
        stats.wal_syncs,
        stats.series_cache_hits,
        stats.series_cache_misses
    );
    db.close().unwrap();
    drop(db);

    let start = (Usage::now(), Instant::now());
    let db = open();
    let samples = db.recovery().samples;
    let replay = Cost { cpu: Usage::now().cpu - start.0.cpu, wall: start.1.elapsed().as_secs_f64() };
    println!("head_append/{series}_series_x_{scrapes}_replay: {samples} samples in {:.3} s", replay.wall);
    println!("head_append/{series}_series_x_{scrapes}_replay: {}", replay.per_million(samples as usize));
    drop(db);
    backfill(&engine, &load, scrapes);
}

/// A year in as many steps as there were scrapes, all of it older than the one sample that each series has.
fn backfill(engine: &Arc<Engine>, load: &Load, steps: usize) {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(engine, directory.path(), Settings::default()).unwrap();
    db.wait_ready().unwrap();
    load.scrape(&db, 0);
    let (before, mut total) = (Usage::now(), Cost::default());
    let mut memory = 0;
    for step in 0..steps {
        let ago = YEAR_MS - step as i64 * (YEAR_MS / steps as i64);
        total.add(load.scrape_at(&db, scraped_at(0).plus(-ago), step));
        memory = memory.max(Usage::now().rss.saturating_sub(before.rss));
    }
    let start = (Usage::now(), Instant::now());
    // A deletion of nothing has what is left in memory written out.
    let range = TimeRange { start: TimestampMs(0), end: scraped_at(0) };
    db.delete(&[Matcher::new(MatchOp::Equal, "none", "none").unwrap()], range).unwrap();
    total.add(Cost { cpu: Usage::now().cpu - start.0.cpu, wall: start.1.elapsed().as_secs_f64() });
    let (series, stats) = (load.series.len(), db.stats());
    let samples = stats.out_of_order_appended as usize;
    println!("head_append/{series}_series_x_{steps}_backfill: {}", total.per_million(samples));
    println!(
        "  {samples} samples, {} blocks, {} flushes, {} times busy, at most {} MB more memory",
        stats.blocks,
        stats.out_of_order_flushes,
        stats.busy,
        memory >> 20
    );
}

/// Encoded labels and labels of every series, as a sender repeats them.
struct Load {
    series: Vec<(Vec<u8>, Labels)>,
}

impl Load {
    fn new(count: usize) -> Self {
        let series = (0..count).map(|number| {
            let (target, metric) = (number / 500, number % 500);
            let labels = Labels::from_pairs([
                ("__name__", format!("node_subsystem_{}_operations_total", metric / 4)),
                ("cluster", "production-west-europe".into()),
                ("container", "node-exporter".into()),
                ("cpu", format!("{}", metric % 4)),
                ("endpoint", "metrics".into()),
                ("environment", "production".into()),
                ("host", format!("host-{target}.example.internal")),
                ("instance", format!("10.1.{}.{}:9100", target / 250, target % 250)),
                ("job", "node-exporter".into()),
                ("mode", ["user", "system", "idle", "iowait"][metric % 4].into()),
                ("namespace", "monitoring".into()),
                ("pod", format!("node-exporter-{:08x}", target.wrapping_mul(2_654_435_761) as u32)),
                ("region", "westeurope".into()),
                ("service", "node-exporter".into()),
                ("team", "platform".into()),
            ]);
            let labels = labels.unwrap();
            // Like a remote-write message: each text with its length, and a few bytes of framing.
            let key = labels.iter().flat_map(|(name, value)| [name, value]).fold(Vec::new(), |mut key, text| {
                key.extend_from_slice(&[0x0a, text.len() as u8 + 4, 0x0a, text.len() as u8]);
                key.extend_from_slice(text.as_bytes());
                key
            });
            (key, labels)
        });
        Self { series: series.collect() }
    }

    /// One sample for every series, from four senders.
    fn scrape(&self, db: &Db, scrape: usize) -> Cost {
        self.scrape_at(db, scraped_at(scrape), scrape)
    }

    fn scrape_at(&self, db: &Db, at: TimestampMs, scrape: usize) -> Cost {
        let start = (Usage::now(), Instant::now());
        let requests: Vec<_> = self.series.chunks(2000).enumerate().collect();
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let requests = &requests;
                scope.spawn(move || {
                    for (request, series) in requests.iter().skip(sender).step_by(SENDERS) {
                        send(db, at, scrape, *request, series);
                    }
                });
            }
        });
        Cost { cpu: Usage::now().cpu - start.0.cpu, wall: start.1.elapsed().as_secs_f64() }
    }
}

fn scraped_at(scrape: usize) -> TimestampMs {
    TimestampMs(1_700_000_000_000 + scrape as i64 * 15_000)
}

fn send(db: &Db, at: TimestampMs, scrape: usize, request: usize, series: &[(Vec<u8>, Labels)]) {
    while let Err(CommitError::Busy(_)) = try_send(db, at, scrape, request, series) {
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn try_send(
    db: &Db,
    at: TimestampMs,
    scrape: usize,
    request: usize,
    series: &[(Vec<u8>, Labels)],
) -> Result<(), CommitError> {
    let mut appender = db.appender(at);
    for (number, (key, labels)) in series.iter().enumerate() {
        let series = appender.resolve(key).unwrap_or_else(|| appender.series(Some(key), labels).unwrap());
        // Half of them counters that rise unevenly, a quarter constant, a quarter gauges.
        let value = match number % 4 {
            0 | 1 => (scrape * 150 + (scrape * number + request) % 37) as f64,
            2 => 1.0,
            _ => ((scrape * 7919 + number) % 1000) as f64 / 10.0,
        };
        appender.append(series, at, value).unwrap();
    }
    let committed = wait(appender.commit())?;
    assert_eq!(committed.samples as usize, series.len());
    Ok(())
}

const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;

const SENDERS: usize = 4;

#[derive(Default)]
struct Cost {
    cpu: f64,
    wall: f64,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.wall += other.wall;
    }

    fn per_million(&self, samples: usize) -> String {
        let millions = samples as f64 / 1e6;
        format!("{:.3} CPU s, {:.3} s per million samples", self.cpu / millions, self.wall / millions)
    }
}
