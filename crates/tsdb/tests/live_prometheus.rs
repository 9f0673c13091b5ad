//! Whole data directories, carried from a running Prometheus 2.42 to us and from us to one.
//!
//! Needs `prometheus`, which `scripts/peers` fetches (`make test` does).
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "live_prometheus/process.rs"]
mod process;
#[allow(dead_code, reason = "shared by several tests, which use different parts")]
#[path = "engine/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use environment::{Disk, UnixTime};
use model::{Counts, Exemplar, Metadata, NativeHistogram, Span, TimestampMs};
use process::{Prometheus, now_ms};
use storage::{Queryable as _, Storage};
use support::{DIRECTORY, Value, commit, labels, open_with, select_all, settings, wait};
use testkit::MemoryDisk;
use tsdb::{Db, Settings};

/// Series by their labels as text; of each the times and values of floats, and the times of histograms.
type Dump = BTreeMap<String, BTreeMap<i64, Option<u64>>>;

#[test]
#[expect(clippy::disallowed_methods, reason = "Prometheus scrapes in the system's time")]
fn we_open_the_directory_of_a_prometheus() {
    let (target, scrapes) = serve_metrics();
    let directory = tempfile::tempdir().unwrap();
    let mut prometheus = Prometheus::start(directory.path(), Some(target));
    // Chunks are full after about 120 scrapes.
    for _ in 0..600 {
        thread::sleep(Duration::from_millis(50));
        if scrapes.load(Ordering::Relaxed) > 300 {
            break;
        }
    }
    let expected = prometheus.dump();
    let exemplars = prometheus.get("/api/v1/query_exemplars?query=requests_total&start=0&end=9999999999");
    prometheus.kill();
    let killed = open_what_it_left(&directory.path().join("data"), &expected);
    assert!(exemplars.contains("trace-1"), "{exemplars}");
    let matcher = model::Matcher::new(model::MatchOp::Equal, "__name__", "requests_total").unwrap();
    let known = killed.exemplars(&[vec![matcher]], storage::TimeRange::ALL);
    assert!(known.iter().any(|series| series.exemplars.len() > 5));
    assert!(killed.metadata().is_empty(), "2.42 logs none unless it is told to");

    // Ended in order, it also leaves its full chunks.
    let mut prometheus = Prometheus::start(directory.path(), None);
    let expected = prometheus.dump();
    prometheus.end();
    let ended = open_what_it_left(&directory.path().join("data"), &expected);
    let recovery = ended.recovery();
    assert!(recovery.head_chunks > 3 && recovery.repeated > 120, "{recovery:?}");
}

/// Opens a copy of a directory, which must have all that is expected, and goes on with it.
fn open_what_it_left(directory: &Path, expected: &Dump) -> Arc<Db> {
    let disk = MemoryDisk::new();
    carry_in(&disk, directory, Path::new(DIRECTORY));
    let db = open_with(&disk, late_settings());
    let recovery = db.recovery();
    assert!(
        recovery.damage.is_empty() && recovery.unreadable_records == 0 && recovery.without_series == 0,
        "{recovery:?}"
    );
    assert!(recovery.out_of_order > 10, "{recovery:?}");
    let found = dump(&db);
    assert!(expected.len() > 100, "{} series", expected.len());
    for (series, samples) in expected {
        let found = found.get(series).unwrap_or_else(|| panic!("{series} is missing"));
        for (at, value) in samples {
            assert_eq!(found.get(at), Some(value), "{series} at {at}");
        }
    }
    let series = labels(&[("__name__", "requests_total"), ("instance", "x"), ("job", "y")]);
    commit(&db, &[(&series, now_ms(), 1.0.into())]).unwrap();
    let before = dump(&db);
    db.close().unwrap();
    assert!(dump(&open_with(&disk.after_process_crash(), late_settings())) == before);
    db
}

#[test]
fn prometheus_opens_our_directory() {
    let disk = MemoryDisk::new();
    let db = open_with(&disk, Settings { segment_bytes_max: 30_000, ..late_settings() });
    // Over five hours and a half: the first of them go to blocks.
    let start = now_ms() / 7_200_000 * 7_200_000 - 5 * 3_600_000;
    for step in 0..500 {
        write(&db, start, step);
        if step % 50 == 49 {
            // What was written to blocks is cut off the head by the next round.
            for _ in 0..2 {
                db.maintain(UnixTime::from_millis((start + step * STEP_MS) as u64)).unwrap();
            }
        }
    }
    let expected = dump(&db);
    let stats = db.stats();
    assert!(stats.out_of_order_samples > 0, "{stats:?}");
    db.close().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    carry_out(&disk, Path::new(DIRECTORY), &data);
    let names: Vec<String> = disk.paths().iter().map(|path| path.display().to_string()).collect();
    for part in ["/wal/checkpoint.", "/wal/0", "/wbl/0", "/chunks_head/0", "/meta.json"] {
        assert!(names.iter().any(|name| name.contains(part)), "{part} is missing of {names:?}");
    }
    assert!(!names.iter().any(|name| name.ends_with("/wal/00000000")), "{names:?}");

    let prometheus = Prometheus::start(directory.path(), None);
    let mut found = prometheus.dump();
    // Histograms of other kinds than those that 2.42 knows are ours alone.
    found.retain(|series, _| !series.starts_with("up"));
    let log = prometheus.log();
    for word in ["level=error", "orrupt", "nknown series", "level=warn"] {
        assert!(!log.contains(word), "{word}: {log}");
    }
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (series, samples) in &expected {
        assert!(found[series] == *samples, "{series}: {:?} {:?}", found[series].len(), samples.len());
    }
}

#[test]
fn prometheus_answers_the_same_from_what_we_merge_and_delete() {
    let disk = MemoryDisk::new();
    let db = open_with(&disk, late_settings());
    // Which blocks are merged depends on where in the largest ranges the data lie: always from their twelfth hour on.
    let start = (now_ms() / LARGEST_RANGE_MS - 2) * LARGEST_RANGE_MS + 12 * 3_600_000;
    let at = |hours: i64| TimestampMs(start + hours * 3_600_000);
    let maintain = || db.maintain(UnixTime::from_millis(now_ms() as u64)).unwrap();
    for step in 0..20 * 60 {
        write_each_minute(&db, start, step);
        if step % 150 == 149 {
            maintain();
        }
    }
    let levels = |data: &Path| {
        let metas = blocks_in(data).into_iter().map(|block| std::fs::read_to_string(block.join("meta.json")).unwrap());
        let levels =
            metas.map(|meta| serde_json::from_str::<serde_json::Value>(&meta).unwrap()["compaction"]["level"].as_u64());
        levels.map(Option::unwrap).collect::<Vec<_>>()
    };
    let compare = || {
        let expected = dump(&db);
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        carry_out(&disk, Path::new(DIRECTORY), &data);
        for block in blocks_in(&data) {
            check_block(&block);
        }
        let levels = levels(&data);
        let prometheus = Prometheus::start(directory.path(), None);
        let mut found = prometheus.dump();
        found.retain(|_, samples| !samples.is_empty());
        let log = prometheus.log();
        for word in ["level=error", "orrupt", "level=warn"] {
            assert!(!log.contains(word), "{word}: {log}");
        }
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (series, samples) in &expected {
            let other = &found[series];
            let differ = samples.iter().find(|(at, value)| other.get(at) != Some(value));
            assert!(other == samples, "{series}: {} and {} samples, {differ:?}", other.len(), samples.len());
        }
        (expected, levels)
    };
    let (all, levels) = compare();
    assert!(levels.iter().any(|level| *level > 1), "{levels:?}");

    // Deleted, in blocks and in the head, and hidden only.
    let named = |value: &str| vec![model::Matcher::new(model::MatchOp::Equal, "number", value).unwrap()];
    let float = model::Matcher::new(model::MatchOp::Equal, "float", "true").unwrap();
    let deleted = db.delete(&named("03 é"), storage::TimeRange { start: at(3), end: at(12) }).unwrap();
    assert!(deleted.tombstones > 1, "{deleted:?}");
    let deleted = db.delete(&[float], storage::TimeRange { start: at(0), end: at(19) }).unwrap();
    assert!(deleted.tombstones > 1 && deleted.head_series == 1, "{deleted:?}");
    db.delete(&named("05 é"), storage::TimeRange::ALL).unwrap();
    let (hidden, _) = compare();
    assert!(hidden.len() == all.len() - 1);

    // Taken out, and merged once more.
    db.clean_tombstones().unwrap();
    maintain();
    for step in 20 * 60..21 * 60 {
        write_each_minute(&db, start, step);
    }
    maintain();
    let (gone, _) = compare();
    for (series, samples) in &hidden {
        assert!(samples.iter().all(|(at, value)| gone[series].get(at) == Some(value)), "{series}");
    }
    assert_eq!((db.stats().maintenance_failures, db.stats().compaction_conflicts), (0, 0));
}

/// What [`write`] writes every ten seconds, a minute apart.
fn write_each_minute(db: &Db, start: i64, step: i64) {
    write(db, start + step * (60_000 - STEP_MS), step);
}

/// Directories of blocks.
fn blocks_in(data: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let mut blocks: Vec<_> = entries.filter(|path| path.join("meta.json").exists()).collect();
    blocks.sort();
    blocks
}

/// Reads all of a block with a reader that is not ours.
fn check_block(block: &Path) {
    let checker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tsdbfmt.py");
    let output = std::process::Command::new("python3").arg(checker).arg("block").arg(block).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", block.display());
}

const STEP_MS: i64 = 40_000;
/// 2 h · 3³.
const LARGEST_RANGE_MS: i64 = 54 * 3_600_000;

fn late_settings() -> Settings {
    Settings { out_of_order_window: None, ..settings() }
}

/// Each step 20 floats and two histograms, an exemplar, metadata, and one sample that comes late.
fn write(db: &Db, start: i64, step: i64) {
    let at = start + step * STEP_MS;
    let mut all = Vec::new();
    for number in 0..20 {
        let series = labels(&[("__name__", "m"), ("number", &format!("{number:02} é"))]);
        all.push((series, Value::from((step * number * 7919 % 10_007) as f64)));
    }
    for float in [false, true] {
        let series = labels(&[("__name__", "h"), ("float", &float.to_string())]);
        all.push((series, Value::Histogram(Arc::new(histogram(step, float)))));
    }
    let mut samples: Vec<_> = all.iter().map(|(labels, value)| (labels, at, value.clone())).collect();
    let late = labels(&[("__name__", "late")]);
    samples.push((&late, at, 1.0.into()));
    if step > 0 {
        samples.push((&late, at - 15_000, step as f64 * 0.5 + 0.25).into_sample());
    }
    assert!(commit(db, &samples).unwrap().rejected.is_empty());
    let mut appender = db.appender(TimestampMs(at));
    let series = appender.series(None, &all[0].0).unwrap();
    let exemplar = Exemplar { labels: labels(&[("trace_id", "abc")]), timestamp: TimestampMs(at), value: 1.0 };
    appender.append_exemplar(series, exemplar).unwrap();
    appender.set_metadata("m", Metadata { help: format!("Since {}.", step / 20), ..Metadata::default() });
    wait(appender.commit()).unwrap();
}

trait IntoSample<'a> {
    fn into_sample(self) -> (&'a model::Labels, i64, Value);
}

impl<'a> IntoSample<'a> for (&'a model::Labels, i64, f64) {
    fn into_sample(self) -> (&'a model::Labels, i64, Value) {
        (self.0, self.1, self.2.into())
    }
}

fn histogram(step: i64, float: bool) -> NativeHistogram {
    let (low, high) = (step + 1, step + 3);
    NativeHistogram {
        schema: 2,
        sum: step as f64,
        zero_threshold: 0.001,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        counts: if float {
            let positive = vec![low as f64, high as f64];
            Counts::Float { count: (low + high) as f64, zero_count: 0.0, positive, negative: vec![] }
        } else {
            let count = (low + high) as u64;
            Counts::Integer { count, zero_count: 0, positive: vec![low, high - low], negative: vec![] }
        },
        ..NativeHistogram::stale()
    }
}

/// All samples of ours.
fn dump(db: &Db) -> Dump {
    let mut dump = Dump::new();
    for (labels, samples) in select_all(db) {
        let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let samples = samples.into_iter().map(|(at, value)| match value {
            Value::Float(bits) => (at, Some(process::bits_of(f64::from_bits(bits)))),
            Value::Histogram(_) => (at, None),
        });
        dump.insert(process::name_of(pairs), samples.collect());
    }
    dump
}

/// A target with a counter (with exemplars) and a series whose times go back now and then.
fn serve_metrics() -> (u16, Arc<AtomicI64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let scrapes = Arc::new(AtomicI64::new(0));
    let counted = Arc::clone(&scrapes);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let scrape = counted.fetch_add(1, Ordering::Relaxed);
            let now = now_ms();
            let late = if scrape % 3 == 2 { now - 60_000 } else { now };
            let body = format!(
                "# TYPE requests counter\nrequests_total {scrape} # {{trace_id=\"trace-{scrape}\"}} 1 {}.{:03}\n\
                 # TYPE late gauge\nlate {scrape} {}.{:03}\n# TYPE steady gauge\nsteady {}\n# EOF\n",
                now / 1000,
                now % 1000,
                late / 1000,
                late % 1000,
                (scrape as f64).sin(),
            );
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    (port, scrapes)
}

fn carry_in(disk: &MemoryDisk, from: &Path, to: &Path) {
    disk.create_directory(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            carry_in(disk, &path, &to);
        } else if path.is_file() {
            disk.put(to, std::fs::read(&path).unwrap());
        }
    }
}

fn carry_out(disk: &MemoryDisk, from: &Path, to: &Path) {
    for path in disk.paths().iter().filter(|path| path.starts_with(from)) {
        let to = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, disk.read(path).unwrap()).unwrap();
    }
}
