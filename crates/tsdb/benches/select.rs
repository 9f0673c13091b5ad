//! What queries cost inside the database: matching labels, listing names and values, walking series and samples; of a head
//! and of a block with the same series.
//!
//! `cargo bench -p tsdb --bench select [-- SERIES SCRAPES [ROWS]]`; the last is a part of the names of rows to run. 15 labels
//! a series, a sample each 15 s, one thread, of whose processor time the mean is shown.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod node_exporter;

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use environment::{Disk, UnixTime};
use model::{Labels, MatchOp, Matcher, TimestampMs};
use storage::{Batch, Querier, Queryable as _, SelectHints, Storage as _, TimeRange};
use testkit::{ManualClock, MemoryDisk};
use tsdb::{BlockChunk, BlockWriter, Db, Engine, Origin, Settings};
use tsdb_format::block::Ulid;
use tsdb_format::chunk::{ChunkEncoding, XorChunk};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let series = numbers.next().unwrap_or(100_000);
    let scrapes = numbers.next().unwrap_or(40);
    let series: Vec<Labels> = (0..series).map(labels).collect();
    for (kind, disk) in [("head", MemoryDisk::new()), ("block", MemoryDisk::new())] {
        let clock = ManualClock::new(UnixTime::from_secs(START_MS / 1000));
        let directory = Path::new("w");
        disk.create_directory(directory).unwrap();
        if kind == "block" {
            write_block(&disk, directory, &series, scrapes);
        }
        let engine = Engine::manual(Arc::new(disk), Arc::new(clock));
        let db = Db::open(&engine, directory, Settings::default()).unwrap();
        db.wait_ready().unwrap();
        if kind == "head" {
            (0..scrapes).for_each(|scrape| append(&engine, &db, &series, scrape));
        }
        let mut rows =
            std::env::args().skip(1).filter(|argument| argument.parse::<usize>().is_err() && argument != "--bench");
        let run = Run {
            db,
            rows: rows.next_back().unwrap_or_default(),
            name: format!("select/{kind}_{}_series_x_{scrapes}", series.len()),
            scrapes,
        };
        run.texts();
        run.labels();
        run.samples();
        run.newest();
    }
}

struct Run {
    db: Arc<Db>,
    name: String,
    scrapes: usize,
    rows: String,
}

impl Run {
    fn texts(&self) {
        let querier = self.db.querier(TimeRange::ALL);
        let one = [Matcher::equal("__name__", "node_subsystem_7_operations_total")];
        self.time("label_names", || ready(querier.label_names(&[], 0)).unwrap().len());
        self.time("label_names_of_a_metric", || ready(querier.label_names(&one, 0)).unwrap().len());
        for name in ["job", "__name__", "pod"] {
            self.time(&format!("label_values_{name}"), || ready(querier.label_values(name, &[], 0)).unwrap().len());
        }
        self.time("label_values_pod_of_a_metric", || ready(querier.label_values("pod", &one, 0)).unwrap().len());
        self.time("series_of_a_metric", || self.walk(&*querier, &one, SelectHints::series_only(TimeRange::ALL)).0);
    }

    /// Selections of labels alone: matching, sorting, and the labels of what is found.
    fn labels(&self) {
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        let querier = self.db.querier(TimeRange::ALL);
        type Row = (&'static str, &'static [(&'static str, MatchOp, &'static str)]);
        let rows: &[Row] = &[
            (
                "equal_3",
                &[
                    ("__name__", Equal, "node_subsystem_7_operations_total"),
                    ("job", Equal, "node-exporter"),
                    ("cpu", Equal, "1"),
                ],
            ),
            (
                "one_series",
                &[
                    ("__name__", Equal, "node_subsystem_7_operations_total"),
                    ("host", Equal, "host-3.example.internal"),
                    ("cpu", Equal, "1"),
                ],
            ),
            // Intersections alone: long lists, and no series to walk over.
            ("intersect_2_quarters", &[("cpu", Equal, "1"), ("mode", Equal, "idle")]),
            (
                "intersect_all_and_quarters",
                &[("job", Equal, "node-exporter"), ("cpu", Equal, "1"), ("mode", Equal, "idle")],
            ),
            (
                "intersect_a_metric_and_a_host",
                &[
                    ("__name__", Equal, "node_subsystem_7_operations_total"),
                    ("host", Equal, "host-3.example.internal"),
                    ("cpu", Equal, "0"),
                    ("mode", Equal, "idle"),
                ],
            ),
            (
                "alternation",
                &[("__name__", Regex, "node_subsystem_7_operations_total|node_subsystem_9_operations_total|none")],
            ),
            ("prefix", &[("__name__", Regex, "node_subsystem_11.*")]),
            ("prefix_of_many_values", &[("pod", Regex, "node-exporter-3c.*")]),
            ("contains", &[("pod", Regex, ".*3c6e.*")]),
            ("automaton", &[("pod", Regex, "node-exporter-[0-9]c[a-f].*e")]),
            (
                "not_regex",
                &[("__name__", Equal, "node_subsystem_7_operations_total"), ("pod", NotRegex, "node-exporter-[0-7].*")],
            ),
            ("not_equal", &[("__name__", Equal, "node_subsystem_7_operations_total"), ("mode", NotEqual, "user")]),
            ("nothing", &[("__name__", Equal, "none")]),
            ("all", &[("__name__", Regex, ".+")]),
        ];
        for (name, matchers) in rows {
            let matchers: Vec<_> =
                matchers.iter().map(|(name, op, value)| Matcher::new(*op, name, value).unwrap()).collect();
            let hints = SelectHints::series_only(TimeRange::ALL);
            self.time(&format!("labels_{name}"), || self.walk(&*querier, &matchers, hints.clone()).0);
        }
    }

    fn samples(&self) {
        let metric = [Matcher::equal("__name__", "node_subsystem_7_operations_total")];
        let all = [Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap()];
        let end = TimestampMs(START_MS + self.scrapes as i64 * STEP_MS);
        let instant = TimeRange { start: end.plus(-300_000), end };
        for (name, matchers, range) in [
            ("instant_of_a_metric", &metric[..], instant),
            ("instant_of_all", &all[..], instant),
            ("range_of_a_metric", &metric[..], TimeRange::ALL),
            ("range_of_all", &all[..], TimeRange::ALL),
        ] {
            let querier = self.db.querier(range);
            let hints = SelectHints::samples(range);
            let (series, samples) = self.walk(&*querier, matchers, hints.clone());
            let time = self.time(name, || self.walk(&*querier, matchers, hints.clone()).0);
            if time.is_zero() {
                continue;
            }
            let nanos = time.as_nanos() as f64;
            println!("  {:.0} ns a series, {:.1} ns a sample", nanos / series as f64, nanos / samples as f64);
        }
    }

    /// What aggregations ask for: of each series the newest sample, and one label.
    fn newest(&self) {
        let all = [Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap()];
        let end = TimestampMs(START_MS + self.scrapes as i64 * STEP_MS);
        let range = TimeRange { start: end.plus(-300_000), end };
        let querier = self.db.querier(range);
        for (name, any_order) in [("newest_of_all_in_order", false), ("newest_of_all_in_any_order", true)] {
            let labels = Some(["__name__".to_owned()].into());
            let hints = SelectHints { newest_only: true, labels, any_order, ..SelectHints::samples(range) };
            self.time(name, || self.walk(&*querier, &all, hints.clone()).0);
        }
    }

    /// Series and samples of a selection, all of them looked at.
    fn walk(&self, querier: &dyn Querier, matchers: &[Matcher], hints: SelectHints) -> (usize, usize) {
        let labels_only = hints.series_only;
        let mut set = ready(querier.select(matchers, hints)).unwrap();
        let (mut series, mut samples, mut batch, mut sum) = (0, 0, Batch::default(), 0.0);
        while let Some(mut one) = set.next().unwrap() {
            series += 1;
            while !labels_only && one.samples.next_batch(&mut batch).unwrap() {
                samples += batch.len();
                sum += batch.floats.iter().sum::<f64>();
            }
        }
        std::hint::black_box(sum);
        (series, samples)
    }

    fn time(&self, what: &str, mut act: impl FnMut() -> usize) -> Duration {
        if !format!("{}/{what}", self.name).contains(&self.rows) {
            return Duration::ZERO;
        }
        // For longer when it is looked at alone.
        let budget = Duration::from_millis(if self.rows.is_empty() { 400 } else { 3000 });
        let (begin, mut runs, mut found, mut at_once) = (thread_time(), 0, 0, 1);
        while thread_time() - begin < budget && runs < 1_000_000 {
            (0..at_once).for_each(|_| found = std::hint::black_box(act()));
            runs += at_once;
            // Asking for the time takes some, too.
            at_once = runs;
        }
        let mean = (thread_time() - begin) / runs;
        println!("{}/{what}: {:.3} ms ({found})", self.name, mean.as_secs_f64() * 1e3);
        mean
    }
}

/// Time that this thread has had a processor: others use the machine, too.
fn thread_time() -> Duration {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(schedule.split_whitespace().next().unwrap().parse().unwrap())
}

/// Every series has a pod of its own, so that a label has as many values as there are series.
fn labels(number: usize) -> Labels {
    node_exporter::labels(number, number)
}

fn value(number: usize, scrape: usize) -> f64 {
    match number % 4 {
        0 | 1 => (scrape * 150 + (scrape * number) % 37) as f64,
        2 => 1.0,
        _ => ((scrape * 7919 + number) % 1000) as f64 / 10.0,
    }
}

fn append(engine: &Engine, db: &Db, series: &[Labels], scrape: usize) {
    let at = TimestampMs(START_MS + scrape as i64 * STEP_MS);
    for (request, some) in series.chunks(2000).enumerate() {
        let mut appender = db.appender(at);
        for (number, labels) in some.iter().enumerate() {
            let key = labels.as_packed();
            let series = appender.resolve(key).unwrap_or_else(|| appender.series(Some(key), labels).unwrap());
            appender.append(series, at, value(request * 2000 + number, scrape)).unwrap();
        }
        let mut committing = pin!(appender.commit());
        let committed = loop {
            match committing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(committed) => break committed.unwrap(),
                Poll::Pending => assert!(engine.run_pending()),
            }
        };
        assert_eq!(committed.samples as usize, some.len());
    }
}

fn write_block(disk: &MemoryDisk, directory: &Path, series: &[Labels], scrapes: usize) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut writer = BlockWriter::create(&disk, directory, Ulid::new(1, 0)).unwrap();
    let mut order: Vec<usize> = (0..series.len()).collect();
    order.sort_by(|left, right| series[*left].cmp(&series[*right]));
    for number in order {
        let times: Vec<usize> = (0..scrapes).collect();
        let chunks = times.chunks(120).map(|times| {
            let sample = |scrape: usize| (TimestampMs(START_MS + scrape as i64 * STEP_MS), value(number, scrape));
            let first = sample(times[0]);
            let mut chunk = XorChunk::new(first.0, first.1);
            times[1..].iter().map(|scrape| sample(*scrape)).for_each(|(at, value)| chunk.push(at, value));
            chunk
        });
        let chunks: Vec<XorChunk> = chunks.collect();
        let chunks: Vec<BlockChunk<'_>> = chunks
            .iter()
            .map(|chunk| BlockChunk {
                start: chunk.start(),
                end: chunk.newest().0,
                encoding: ChunkEncoding::Xor,
                data: chunk.data(),
            })
            .collect();
        writer.push(&series[number], &chunks).unwrap();
    }
    writer.finish(Origin::new_samples(), START_MS..START_MS + scrapes as i64 * STEP_MS).unwrap();
}

/// The outcome of a future that never waits here: the log has been read, and blocks are near.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("nothing to wait for"),
    }
}

const START_MS: i64 = 1_700_006_400_000;
const STEP_MS: i64 = 15_000;
