//! Blocks we write, read by others: promtool 2.42 and `tests/data/tsdbfmt.py`, which checks what promtool does not (every
//! checksum, orders, times of chunks, completeness of postings).
//!
//! Needs `promtool`, which `scripts/peers` fetches (`make test` does), and `python3`.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use environment::Disk;
use model::{CUSTOM_BUCKETS_SCHEMA, Counts, Labels, NativeHistogram, ResetHint, Span, TimestampMs, stale_nan};
use testkit::MemoryDisk;
use tsdb::{BlockChunk, BlockWriter, Origin};
use tsdb_format::block::Ulid;
use tsdb_format::chunk::{ChunkEncoding, HistogramChunk, XorChunk};

#[test]
fn others_read_what_we_write() {
    let mut floats = BTreeSet::new();
    let directory = write_block(|writer| {
        for pod in 0..40 {
            let name = Labels::from_pairs([("__name__", "requests_total"), ("pod", &format!("web-{pod:03}"))]).unwrap();
            let chunks: Vec<XorChunk> = (0..3).map(|part| float_chunk(pod, part, &name, &mut floats)).collect();
            let chunks: Vec<BlockChunk<'_>> = chunks.iter().map(of_floats).collect();
            writer.push(&name, &chunks).unwrap();
        }
        for (place, kind) in ["counter", "float", "gauge", "stale"].into_iter().enumerate() {
            let labels = Labels::from_pairs([("__name__", "seconds"), ("kind", &format!("{place}-{kind}"))]).unwrap();
            writer.push(&labels, &[of_histograms(&histogram_chunk(kind))]).unwrap();
        }
    });
    let block = blocks_in(directory.path()).pop().unwrap();
    let checked = run(Command::new("python3").arg(checker()).arg("block").arg(&block).arg("--dump"));
    assert_eq!(lines_of(&checked, "requests_total"), floats);
    for arguments in [&["list"][..], &["analyze", "--extended"]] {
        let told = run(Command::new(promtool()).arg("tsdb").args(arguments).arg(directory.path()));
        assert!(told.contains(block.file_name().unwrap().to_str().unwrap()), "{told}");
    }
    let dumped = run(Command::new(promtool()).args(["tsdb", "dump"]).arg(directory.path()));
    assert_eq!(lines_of(&dumped, "requests_total"), floats);
}

#[test]
fn custom_buckets_are_where_newer_readers_look_for_them() {
    // A Prometheus 2.42 does not know them.
    let directory = write_block(|writer| {
        let labels = Labels::from_pairs([("__name__", "seconds"), ("kind", "custom")]).unwrap();
        writer.push(&labels, &[of_histograms(&histogram_chunk("custom"))]).unwrap();
    });
    let block = blocks_in(directory.path()).pop().unwrap();
    let checked = run(Command::new("python3").arg(checker()).arg("block").arg(&block).arg("--dump"));
    assert_eq!(checked.lines().filter(|line| line.contains("'schema': -53")).count(), 60, "{checked}");
    let last = checked.lines().rfind(|line| line.contains("seconds")).unwrap();
    assert!(
        last.contains("'pb': [59, 60, 178]") && last.contains("'cv': [0.005, 0.01, 0.1, 2.5, 1000000000.0]"),
        "{last}"
    );
}

/// A data directory with the block that `push` fills.
fn write_block(push: impl FnOnce(&mut BlockWriter)) -> tempfile::TempDir {
    let disk = MemoryDisk::new();
    let parent = Path::new("db");
    disk.create_directory(parent).unwrap();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut writer = BlockWriter::create(&shared, parent, Ulid::new(1_700_000_000_000, 7)).unwrap();
    push(&mut writer);
    writer.finish(Origin::new_samples(), START..START + 7_200_000).unwrap().unwrap();

    let directory = tempfile::tempdir().unwrap();
    for path in disk.paths() {
        let copy = directory.path().join(path.strip_prefix(parent).unwrap());
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::write(copy, disk.read(&path).unwrap()).unwrap();
    }
    // promtool wants a log.
    std::fs::create_dir(directory.path().join("wal")).unwrap();
    directory
}

fn float_chunk(pod: i64, part: i64, labels: &Labels, expected: &mut BTreeSet<String>) -> XorChunk {
    let mut chunk: Option<XorChunk> = None;
    for index in 0..120 {
        let at = TimestampMs(START + (part * 120 + index) * 15_000 + (index * pod) % 7);
        let value = match index % 10 {
            3 => pod as f64 / 7.0,
            7 => -1e300,
            _ => (index * pod) as f64,
        };
        let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        expected.insert(format!("{{{}}} {:016x} {}", pairs.join(", "), value.to_bits(), at.0));
        match &mut chunk {
            None => chunk = Some(XorChunk::new(at, value)),
            Some(chunk) => chunk.push(at, value),
        }
    }
    chunk.unwrap()
}

fn histogram_chunk(kind: &str) -> HistogramChunk {
    let at = |index: i64| TimestampMs(START + index * 60_000);
    let mut chunk = HistogramChunk::new(at(0), Arc::new(histogram(kind, 0)), false);
    for index in 1..60 {
        chunk.push(at(index), Arc::new(histogram(kind, index))).unwrap();
    }
    chunk
}

fn histogram(kind: &str, index: i64) -> NativeHistogram {
    if kind == "stale" && index > 50 {
        return NativeHistogram { sum: stale_nan(), ..NativeHistogram::stale() };
    }
    let custom = kind == "custom";
    let positive = vec![index, 1, 2 * index];
    let sum = (index * 3 + 1) + (index + 1) + index;
    let counts = match kind {
        "float" => Counts::Float {
            count: sum as f64 * 2.0 + 0.5,
            zero_count: 0.5,
            positive: vec![index as f64, index as f64 + 1.5, 3.0 * index as f64],
            negative: Vec::new(),
        },
        _ => Counts::Integer { count: sum as u64, zero_count: 0, positive, negative: Vec::new() },
    };
    NativeHistogram {
        schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { 3 },
        zero_threshold: if custom { 0.0 } else { 2f64.powi(-128) },
        sum: index as f64 * 1.25,
        reset_hint: if kind == "gauge" { ResetHint::Gauge } else { ResetHint::Unknown },
        positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 2, length: 1 }],
        negative_spans: Vec::new(),
        custom_values: if custom { vec![0.005, 0.01, 0.1, 2.5, 1e9] } else { Vec::new() },
        counts,
    }
}

fn of_floats(chunk: &XorChunk) -> BlockChunk<'_> {
    BlockChunk { start: chunk.start(), end: chunk.newest().0, encoding: ChunkEncoding::Xor, data: chunk.data() }
}

fn of_histograms(chunk: &HistogramChunk) -> BlockChunk<'_> {
    BlockChunk { start: chunk.start(), end: chunk.newest().0, encoding: chunk.encoding(), data: chunk.data() }
}

/// Lines `{labels} value time` of a metric, the value as its bits.
fn lines_of(dump: &str, metric: &str) -> BTreeSet<String> {
    let named = format!("__name__=\"{metric}\"");
    let lines = dump.lines().filter(|line| line.contains(&named));
    lines
        .map(|line| {
            let [at, value, labels] = line.rsplitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
            format!("{labels} {:016x} {at}", value.parse::<f64>().unwrap().to_bits())
        })
        .collect()
}

fn blocks_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.join("meta.json").exists()).collect()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !errors.contains("err"), "{command:?}: {errors}{text}");
    text
}

fn promtool() -> PathBuf {
    let promtool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/bin/promtool");
    assert!(promtool.exists(), "{} is missing: run scripts/peers (make test does)", promtool.display());
    promtool
}

fn checker() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tsdbfmt.py")
}

/// The start of a block of two hours.
const START: i64 = 1_699_999_200_000;
