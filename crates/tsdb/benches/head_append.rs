//! What the way of a sample from its encoded labels into log and head costs: CPU seconds per million samples, and memory
//! per series. Then the same for a year of history, which comes after newer samples and goes to blocks.
//!
//! `cargo bench -p tsdb --bench head_append [-- SERIES SCRAPES]`. Four senders, requests of 2,000 series with one sample
//! each, 15 labels a series, log on the disk under the temporary directory.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "real time is what is measured")]

mod fleet;
mod machine;
mod node_exporter;

use std::sync::Arc;
use std::time::Instant;

use fleet::{Cost, Load, scraped_at};
use machine::{Files, RunningClock, Usage};
use model::{MatchOp, Matcher, TimestampMs};
use storage::TimeRange;
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
    let replay = Cost::since(&start);
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
    total.add(Cost::since(&start));
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

const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;
