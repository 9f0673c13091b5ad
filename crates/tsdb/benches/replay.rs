//! What a start costs whose log is long: seconds of the processor and of the clock, memory, a start after the other.
//!
//! `cargo bench -p tsdb --bench replay [-- SERIES SCRAPES STARTS]`. Memory is what the process has more than before the first write.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "real time is what is measured")]

mod fleet;
mod machine;
mod node_exporter;

use std::sync::Arc;
use std::time::Instant;

use fleet::{Cost, Load};
use machine::{Files, RunningClock, Usage};
use tsdb::{Db, Engine, EngineSettings, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let series = numbers.next().unwrap_or(100_000);
    let scrapes = numbers.next().unwrap_or(90);
    let starts = numbers.next().unwrap_or(5);
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(RunningClock(Instant::now()));
    let engine = Engine::start(Arc::new(Files), clock, EngineSettings::default()).unwrap();
    let open = || {
        let db = Db::open(&engine, directory.path(), Settings::default()).unwrap();
        db.wait_ready().unwrap();
        db
    };

    let load = Load::new(series);
    let before = Usage::now().rss;
    let db = open();
    for scrape in 0..scrapes {
        load.scrape(&db, scrape);
    }
    let name = format!("replay/{series}_series_x_{scrapes}");
    println!("{name}: {} MB written, a log of {} MB", (Usage::now().rss - before) >> 20, db.stats().wal_bytes >> 20);
    db.close().unwrap();
    drop(db);

    for _ in 0..starts {
        let start = (Usage::now(), Instant::now());
        let db = open();
        let cost = Cost::since(&start);
        assert_eq!(db.recovery().samples as usize, series * scrapes, "every sample is read");
        println!("{name}: {:.3} CPU s, {:.3} s, {} MB", cost.cpu, cost.wall, (Usage::now().rss - before) >> 20);
    }
}
