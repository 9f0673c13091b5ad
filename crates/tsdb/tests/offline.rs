//! Directories looked at, copied from and added to without opening their databases.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[allow(dead_code, reason = "shared by several tests, which use different parts")]
#[path = "engine/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use environment::{Clock, Disk};
use model::{Counts, Labels, NativeHistogram, ResetHint, Span, TimestampMs};
use proptest::prelude::*;
use storage::{Batch, TimeRange};
use support::{DIRECTORY, RunningClock, Value, commit, labels, open_with, select_all};
use testkit::MemoryDisk;
use tsdb::Settings;
use tsdb::offline::{
    AnalysisOptions, Importer, Logs, Offline, OfflineError, analyze, export, import_directory, list, verify,
};

const NOW: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

type Content = Vec<(Labels, Vec<(i64, Value)>)>;

fn clock() -> Arc<dyn Clock> {
    Arc::new(RunningClock::new())
}

fn shared(disk: &MemoryDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn offline(disk: &MemoryDisk, directory: &str) -> Offline {
    Offline::open(&shared(disk), &clock(), Path::new(directory), Logs::Read).unwrap()
}

fn content(offline: &Offline) -> Content {
    let mut set = offline.select(&[], TimeRange::ALL).unwrap();
    let (mut found, mut batch) = (Vec::new(), Batch::default());
    while let Some(mut series) = set.next().unwrap() {
        let mut samples = Vec::new();
        while series.samples.next_batch(&mut batch).unwrap() {
            let floats = batch.floats.iter().map(|value| Value::from(*value));
            let histograms = batch.histograms.iter().map(|histogram| Value::Histogram(Arc::clone(histogram)));
            samples.extend(batch.timestamps.iter().map(|at| at.0).zip(floats.chain(histograms)));
        }
        found.push((series.labels, samples));
    }
    without_hints(found)
}

/// What is known of resets depends on where chunks begin.
fn without_hints(mut content: Content) -> Content {
    for (_, value) in content.iter_mut().flat_map(|(_, samples)| samples) {
        if let Value::Histogram(histogram) = value {
            Arc::make_mut(histogram).reset_hint = ResetHint::Unknown;
        }
    }
    content
}

fn histogram(count: u64) -> Value {
    Value::Histogram(Arc::new(NativeHistogram {
        schema: 0,
        zero_threshold: 0.0,
        sum: count as f64,
        reset_hint: ResetHint::NotReset,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Integer { count, zero_count: 0, positive: vec![count as i64], negative: Vec::new() },
    }))
}

/// A closed database with samples in order, late ones and histograms.
fn filled() -> (MemoryDisk, Content) {
    let disk = MemoryDisk::new();
    let db = open_with(&disk, Settings { out_of_order_window: None, ..support::settings() });
    let (up, down, wide) = (
        labels(&[("__name__", "up"), ("job", "a")]),
        labels(&[("__name__", "up"), ("job", "b")]),
        labels(&[("__name__", "wide")]),
    );
    for step in 0..300 {
        let at = NOW + step * 15_000;
        commit(
            &db,
            &[(&up, at, (step as f64).into()), (&down, at, 1.0.into()), (&wide, at, histogram(step as u64 + 1))],
        )
        .unwrap();
    }
    for step in 0..50 {
        commit(&db, &[(&up, NOW - 30 * HOUR + step * 60_000, (step as f64).into())]).unwrap();
    }
    let stored = without_hints(select_all(&db));
    db.close().unwrap();
    (disk, stored)
}

#[test]
fn what_is_read_offline_is_what_the_database_has() {
    let (disk, stored) = filled();
    let before = disk.paths();
    let offline = offline(&disk, DIRECTORY);
    assert_eq!(content(&offline), stored);
    let times = offline.times().unwrap();
    assert_eq!((times.start, times.end), (TimestampMs(NOW - 30 * HOUR), TimestampMs(NOW + 299 * 15_000)));
    assert_eq!(disk.paths(), before, "nothing is made or removed");
}

#[test]
fn damage_is_told_and_not_touched() {
    let (disk, stored) = filled();
    let wal = disk.paths().into_iter().rfind(|path| path.parent().unwrap().ends_with("wal")).unwrap();
    let mut bytes = disk.read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.put(wal.clone(), bytes.clone());
    let offline = offline(&disk, DIRECTORY);
    assert_eq!(offline.recovery().damage.len(), 1);
    assert!(content(&offline).len() <= stored.len());
    assert_eq!(disk.read(&wal).unwrap(), bytes);
    drop(offline);
    let verified = verify(&shared(&disk), &clock(), Path::new(DIRECTORY), &()).unwrap();
    assert!(verified.findings.iter().any(|finding| finding.file == wal && finding.offset.is_some()), "{verified:?}");
}

#[test]
fn an_open_database_is_refused_but_for_its_blocks() {
    let (disk, _) = filled();
    let db = open_with(&disk, support::settings());
    let refused = Offline::open(&shared(&disk), &clock(), Path::new(DIRECTORY), Logs::Read).err();
    assert!(matches!(refused, Some(OfflineError::InUse(_))), "{refused:?}");
    let refused = Importer::new(&shared(&disk), &clock(), Path::new(DIRECTORY), &Settings::default(), 1 << 20).err();
    assert!(matches!(refused, Some(OfflineError::InUse(_))), "{refused:?}");
    Offline::open(&shared(&disk), &clock(), Path::new(DIRECTORY), Logs::Leave).unwrap();
    assert_eq!(verify(&shared(&disk), &clock(), Path::new(DIRECTORY), &()).unwrap().segments, None);
    db.close().unwrap();
}

#[test]
fn what_is_exported_and_imported_again_is_the_same() {
    let (disk, stored) = filled();
    let exported = export(&offline(&disk, DIRECTORY), &clock(), Path::new("out"), &[], TimeRange::ALL, &()).unwrap();
    let samples: usize = stored.iter().map(|(_, samples)| samples.len()).sum();
    assert_eq!((exported.samples, exported.conflicts), (samples as u64, 0));
    let verified = verify(&shared(&disk), &clock(), Path::new("out"), &()).unwrap();
    assert_eq!((verified.findings.as_slice(), verified.samples), (&[][..], samples as u64));
    assert_eq!(content(&offline(&disk, "out")), stored);

    // Blocks are copied, what is in a log is written; both once.
    for from in ["out", DIRECTORY] {
        let to = format!("into-{}", from.replace('/', "-"));
        for round in 0..2 {
            let mut importer =
                Importer::new(&shared(&disk), &clock(), Path::new(&to), &Settings::default(), 1 << 20).unwrap();
            let copied = import_directory(&mut importer, &clock(), Path::new(from), &()).unwrap();
            let report = importer.finish().unwrap();
            assert!(copied.damaged.is_empty());
            let (expected, known) = if from == "out" { (exported.blocks.len(), report.known) } else { (0, 0) };
            match round {
                0 => assert_eq!((copied.copied.len(), report.known), (expected, known)),
                _ => assert_eq!((copied.copied.len(), copied.known as usize, report.written), (0, expected, 0)),
            }
        }
        assert_eq!(content(&offline(&disk, &to)), stored, "{from}");
    }
    // The database itself takes them up, and goes on from there.
    let moved = MemoryDisk::new();
    moved.create_directory(Path::new(DIRECTORY)).unwrap();
    let mut importer =
        Importer::new(&shared(&moved), &clock(), Path::new(DIRECTORY), &Settings::default(), 1 << 20).unwrap();
    for (labels, samples) in &stored {
        for (at, value) in samples {
            match value {
                Value::Float(bits) => importer.push_float(labels, TimestampMs(*at), f64::from_bits(*bits)).unwrap(),
                Value::Histogram(one) => importer.push_histogram(labels, TimestampMs(*at), Arc::clone(one)).unwrap(),
            }
        }
    }
    importer.finish().unwrap();
    let db = open_with(&moved, support::settings());
    assert_eq!(without_hints(select_all(&db)), stored);
}

#[test]
fn series_and_labels_are_counted() {
    let (disk, _) = filled();
    let options = AnalysisOptions { limit: 2, chunks: true };
    let found = analyze(&offline(&disk, DIRECTORY), &[], TimeRange::ALL, options, &()).unwrap();
    assert_eq!((found.series, found.label_names, found.label_pairs, found.labels), (3, 2, 4, 5));
    assert_eq!(found.samples, Some(950));
    assert_eq!(found.chunk_fill.unwrap().iter().sum::<u64>(), found.chunks);
    let metrics: Vec<(&str, u64)> = found.metrics.iter().map(|one| (one.name.as_str(), one.count)).collect();
    assert_eq!(metrics, [("up", 2), ("wide", 1)]);
    let pairs: Vec<(&str, f64)> = found.pairs.iter().map(|one| (one.value.as_str(), one.count)).collect();
    assert_eq!(pairs, [("up", 2.0), ("wide", 1.0)]);
    // Those without late samples miss most of the time.
    assert!(found.churn_pairs[0].count > 0.9, "{:?}", found.churn_pairs);
}

#[test]
fn blocks_that_are_none_are_listed_as_such() {
    let disk = MemoryDisk::new();
    let block = Path::new("d/01JFJBS3YP1SHZ3PJQ6HK76EC3");
    disk.create_directory(block).unwrap();
    disk.put(block.join("meta.json"), b"{}".to_vec());
    let found = list(&disk, Path::new("d")).unwrap();
    assert!(found.len() == 1 && found[0].block.is_err());
    let offline = offline(&disk, "d");
    assert_eq!(offline.unreadable().len(), 1);
    assert!(content(&offline).is_empty());
    let empty = Offline::open(&shared(&disk), &clock(), block, Logs::Read).err();
    assert!(matches!(empty, Some(OfflineError::NoDatabase(_))), "{empty:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Samples in any order and of any age come out sorted, the first of each time.
    #[test]
    fn whatever_is_imported_is_there_once(
        samples in proptest::collection::vec((0..4_u8, -2000..2000_i64, 0..3_i32), 0..120),
        small in any::<bool>(),
    ) {
        let disk = MemoryDisk::new();
        let memory = if small { 16_384 } else { 1 << 20 };
        let mut expected: BTreeMap<(u8, i64), f64> = BTreeMap::new();
        for _ in 0..2 {
            let mut importer = Importer::new(&shared(&disk), &clock(), Path::new("d"), &Settings::default(), memory).unwrap();
            for (series, hours, value) in &samples {
                let set = labels(&[("__name__", "m"), ("s", &series.to_string())]);
                importer.push_float(&set, TimestampMs(NOW + hours * HOUR), f64::from(*value)).unwrap();
                expected.entry((*series, *hours)).or_insert(f64::from(*value));
            }
            let report = importer.finish().unwrap();
            prop_assert_eq!(report.samples, report.written + report.known + report.duplicates + report.conflicts);
        }
        if samples.is_empty() {
            return Ok(());
        }
        let mut found = BTreeMap::new();
        for (set, values) in content(&offline(&disk, "d")) {
            let series: u8 = set.get("s").unwrap().parse().unwrap();
            for (at, value) in values {
                let Value::Float(bits) = value else { panic!("only floats were given") };
                found.insert((series, (at - NOW) / HOUR), f64::from_bits(bits));
            }
        }
        prop_assert_eq!(found, expected);
        prop_assert!(verify(&shared(&disk), &clock(), Path::new("d"), &()).unwrap().findings.is_empty());
    }
}
