//! What writing the head's first block takes: memory beside that of the head, and seconds.
//!
//! `cargo bench -p tsdb --bench head_block [-- SERIES SCRAPES]`. The scrapes lie evenly over a bit more than three hours, so that
//! with the last of them a block of two hours is due.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "real time is what is measured")]

mod fleet;
mod machine;
mod node_exporter;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet::{Cost, Load, scraped_at};
use machine::{Files, RunningClock, Usage};
use tsdb::{Db, Engine, EngineSettings, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let series = numbers.next().unwrap_or(1_000_000);
    let scrapes = numbers.next().unwrap_or(12);
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(RunningClock(Instant::now()));
    let engine = Engine::start(Arc::new(Files), clock, EngineSettings::default()).unwrap();
    let db = Db::open(&engine, directory.path(), Settings::default()).unwrap();
    db.wait_ready().unwrap();
    let load = Load::new(series);
    let before = Usage::now().rss;
    let more = |rss: usize| rss.saturating_sub(before) >> 20;
    for scrape in 0..scrapes {
        let at = scraped_at(0).plus(scrape as i64 * SPAN_MS / (scrapes - 1) as i64);
        load.scrape_at(&db, at, scrape);
    }
    let name = format!("head_block/{series}_series_x_{scrapes}");
    let head = Usage::now().rss;
    println!("{name}: {} MB with the head alone", more(head));

    let start = (Usage::now(), Instant::now());
    let mut most = head;
    while db.stats().blocks == 0 {
        assert!(start.1.elapsed() < Duration::from_secs(300), "a block is written");
        std::thread::sleep(Duration::from_millis(20));
        most = most.max(Usage::now().rss);
    }
    println!("{name}: {} MB at most until the block is there, {:.2} CPU s", more(most), Cost::since(&start).cpu);
    db.close().unwrap();
}

/// Half an hour beyond what makes a block due.
const SPAN_MS: i64 = 210 * 60 * 1000;
