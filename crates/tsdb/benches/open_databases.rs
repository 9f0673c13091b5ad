//! What a database costs that is open and has little to do: memory, time to open and to close.
//!
//! `cargo bench -p tsdb --bench open_databases [-- DATABASES SERIES]`. Each database gets ten samples of each series, 15 s apart.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "real time is what is measured")]

mod machine;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use machine::{Files, RunningClock, Usage, wait};
use model::{Labels, TimestampMs};
use storage::Storage;
use tsdb::{Db, Engine, EngineSettings, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let (databases, series) = (numbers.next().unwrap_or(1000), numbers.next().unwrap_or(100));
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(RunningClock(Instant::now()));
    let engine = Engine::start(Arc::new(Files), clock, EngineSettings::default()).unwrap();
    let open_all = || -> Vec<Arc<Db>> {
        let open =
            |number: usize| Db::open(&engine, &directory.path().join(number.to_string()), Settings::default()).unwrap();
        let opened: Vec<Arc<Db>> = (0..databases).map(open).collect();
        opened.iter().for_each(|db| db.wait_ready().unwrap());
        opened
    };
    let name = format!("open_databases/{databases}");
    let told = |what: &str, start: &(Usage, Instant)| {
        let kilobytes = Usage::now().rss.saturating_sub(start.0.rss) as f64 / databases as f64 / 1000.0;
        println!("{name}_{what}: {:.3} s, {kilobytes:.1} kB each", start.1.elapsed().as_secs_f64());
    };

    let start = (Usage::now(), Instant::now());
    let opened = open_all();
    told("made", &start);
    opened.iter().for_each(|db| write(db, series));
    told(&format!("x_{series}_series"), &start);
    let closing = (Usage::now(), Instant::now());
    opened.iter().for_each(|db| db.close().unwrap());
    drop(opened);
    told("closed", &closing);

    let start = (Usage::now(), Instant::now());
    let opened = open_all();
    told(&format!("x_{series}_series_opened"), &start);
    assert!(opened.iter().all(|db| db.stats().series == series as u64));
    assert!(threads() < 32, "their number does not depend on that of databases");
}

fn write(db: &Db, series: usize) {
    for step in 0..10 {
        let at = TimestampMs(1_700_000_000_000 + step * 15_000);
        let mut appender = db.appender(at);
        for number in 0..series {
            let labels = Labels::from_pairs([
                ("__name__", format!("node_subsystem_{}_total", number / 4)),
                ("cpu", (number % 4).to_string()),
                ("instance", "10.1.0.1:9100".into()),
                ("job", "node-exporter".into()),
            ]);
            let labels = labels.unwrap();
            let key = labels.as_packed();
            let series = appender.resolve(key).unwrap_or_else(|| appender.series(Some(key), &labels).unwrap());
            appender.append(series, at, (number as i64 * step) as f64).unwrap();
        }
        wait(appender.commit()).unwrap();
    }
}

fn threads() -> usize {
    std::fs::read_dir(Path::new("/proc/self/task")).unwrap().count()
}
