//! Our log read by Prometheus 2.42, and its log read by us.
//!
//! Needs `promtool`, which `scripts/peers` fetches (`make test` does).
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[allow(dead_code, reason = "shared by several tests, which use different parts")]
#[path = "engine/support.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use environment::Disk;
use model::{Counts, Exemplar, Metadata, NativeHistogram, Span, TimestampMs, stale_nan};
use storage::Storage;
use support::{DIRECTORY, Value, commit, labels, open_with, select_all, settings, wait};
use testkit::MemoryDisk;
use tsdb::Settings;

#[test]
fn promtool_reads_what_we_write_and_mend() {
    let small = Settings { segment_bytes_max: 100_000, ..settings() };
    let mut disk = MemoryDisk::new();
    for start in 0..4 {
        let db = open_with(&disk, small.clone());
        (start * 50..start * 50 + 50).for_each(|scrape| write(&db, scrape));
        // Each start finds what another kind of end left: a clean one, a torn tail, damage.
        disk = disk.after_process_crash();
        let last = disk.paths().into_iter().rfind(|path| path.parent().unwrap().ends_with("wal")).unwrap();
        let mut bytes = disk.read(&last).unwrap();
        match start {
            0 => {}
            1 => bytes.extend_from_within(..1000),
            2 => bytes.truncate(bytes.len() - 5),
            _ => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
        }
        disk.put(last, bytes);
    }
    let db = open_with(&disk, small);
    assert!(db.recovery().damage.len() == 1, "{:?}", db.recovery());
    assert!(disk.paths().len() > 5, "several segments: {:?}", disk.paths());
    db.close().unwrap();

    let directory = tempfile::tempdir().unwrap();
    for path in disk.paths().iter().filter(|path| path.parent().unwrap().ends_with("wal")) {
        let copy = directory.path().join(path.strip_prefix(DIRECTORY).unwrap());
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::write(copy, disk.read(path).unwrap()).unwrap();
    }
    let found = dump(directory.path());
    let mut expected = BTreeSet::new();
    for (labels, samples) in select_all(&db) {
        let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        for (at, value) in samples {
            // promtool 2.42 does not print histograms; it still has to read past them.
            if let Value::Float(bits) = value {
                expected.insert(format!("{{{}}} {} {at}", pairs.join(", "), f64::from_bits(bits)));
            }
        }
    }
    assert!(expected.len() > 10_000);
    assert!(
        found == expected,
        "promtool differs in {:?}",
        found.symmetric_difference(&expected).take(5).collect::<Vec<_>>()
    );
}

#[test]
fn we_read_the_log_of_a_killed_prometheus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/wal_segment/good_prometheus_2_42");
    let disk = MemoryDisk::new();
    disk.create_directory(&Path::new(DIRECTORY).join("wal")).unwrap();
    disk.put(Path::new(DIRECTORY).join("wal/00000000"), std::fs::read(corpus).unwrap());
    let db = open_with(&disk, settings());
    let found = select_all(&db);
    assert_eq!((db.recovery().samples, found.len()), (29, 29));
    let up = labels(&[("__name__", "up"), ("instance", "127.0.0.1:19743"), ("job", "self")]);
    assert!(found.contains(&(up, vec![(1_795_416_484_669, 1.0.into())])));
}

/// One scrape of 60 series of floats and two of histograms, with an exemplar and metadata.
fn write(db: &tsdb::Db, scrape: i64) {
    let at = 1_700_000_000_000 + scrape * 15_000;
    let mut all = Vec::new();
    for number in 0..60 {
        let series = labels(&[("__name__", "m"), ("job", "remora"), ("number", &format!("{number:02} é"))]);
        let value = if scrape % 60 == number { stale_nan() } else { (scrape * number * 7919 % 10_007) as f64 };
        all.push((series, Value::from(value)));
    }
    for float in [false, true] {
        let series = labels(&[("__name__", "h"), ("float", &float.to_string())]);
        all.push((series, Value::Histogram(Arc::new(histogram(scrape, float)))));
    }
    let samples: Vec<_> = all.iter().map(|(labels, value)| (labels, at, value.clone())).collect();
    assert!(commit(db, &samples).unwrap().rejected.is_empty());

    let mut appender = db.appender(TimestampMs(at));
    let series = appender.series(None, &all[0].0).unwrap();
    let exemplar = Exemplar { labels: labels(&[("trace_id", "abc")]), timestamp: TimestampMs(at), value: 1.0 };
    appender.append_exemplar(series, exemplar).unwrap();
    appender.set_metadata("m", Metadata { help: format!("Since {}.", scrape / 20), ..Metadata::default() });
    wait(appender.commit()).unwrap();
}

fn histogram(scrape: i64, float: bool) -> NativeHistogram {
    let total = scrape * 2 + 4;
    let (low, high) = (scrape + 1, scrape + 3);
    NativeHistogram {
        schema: 2,
        sum: scrape as f64,
        zero_threshold: 0.001,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        counts: if float {
            let positive = vec![low as f64, high as f64];
            Counts::Float { count: total as f64, zero_count: 0.0, positive, negative: vec![] }
        } else {
            Counts::Integer { count: total as u64, zero_count: 0, positive: vec![low, high - low], negative: vec![] }
        },
        ..NativeHistogram::stale()
    }
}

/// Lines of `promtool tsdb dump`.
fn dump(directory: &Path) -> BTreeSet<String> {
    let promtool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/bin/promtool");
    assert!(promtool.exists(), "{} is missing: run scripts/peers (make test does)", promtool.display());
    let output = Command::new(promtool).args(["tsdb", "dump"]).arg(directory).output().unwrap();
    let (text, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !errors.contains("err"), "{errors}");
    text.lines().map(str::to_owned).collect()
}
