use std::sync::Arc;

use model::{Labels, LabelsBuilder, NativeHistogram};
use proptest::prelude::*;
use testkit::{Fault, MemoryDisk};

use super::*;
use crate::log::Log;
use crate::stats::Counters;

const WAL: &str = "wal";

fn labels(number: u64) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("number", &number.to_string())]).unwrap()
}

/// All records of a log as text, in the order in which replay reads them.
fn records(disk: &MemoryDisk) -> Vec<String> {
    let listing = Listing::of(disk, Path::new(WAL)).unwrap();
    let mut found = Vec::new();
    for segment in listing.checkpoint_files.iter().chain(&listing.segments) {
        let mut reader = FrameReader::new(Sequential::open(disk, &segment.path).unwrap());
        while let Some(record) = reader.next_record().unwrap() {
            describe(record, &mut found);
        }
    }
    found
}

fn describe(record: &[u8], found: &mut Vec<String>) {
    let mut builder = LabelsBuilder::default();
    match Record::decode(record).unwrap() {
        Record::Series(items) => found.extend(items.map(|item| {
            let item = item.unwrap();
            format!("series {} {}", item.series.0, item.labels.to_labels(&mut builder).unwrap())
        })),
        Record::Samples(items) => found.extend(items.map(|item| {
            let item = item.unwrap();
            format!("sample {} {} {}", item.series.0, item.timestamp.0, item.value)
        })),
        Record::Histograms(items) => found.extend(items.map(|item| {
            let item = item.unwrap();
            format!("histogram {} {} {}", item.series.0, item.timestamp.0, item.histogram.is_float())
        })),
        Record::Exemplars(items) => found.extend(items.map(|item| {
            let item = item.unwrap();
            format!("exemplar {} {}", item.series.0, item.timestamp.0)
        })),
        Record::Metadata(items) => found.extend(items.map(|item| {
            let item = item.unwrap();
            format!("metadata {} {}", item.series.0, item.metadata.help)
        })),
        Record::Tombstones(items) => found.extend(items.map(|item| {
            let item = item.unwrap();
            format!("tombstone {} {} {}", item.series.0, item.start.0, item.end.0)
        })),
        Record::Markers(_) | Record::Unknown(_) => panic!("nobody wrote it"),
    }
}

/// Four segments, of the times 0.., 100.., 200.. and 300.. The last one is open.
fn written() -> (MemoryDisk, Log) {
    let disk = MemoryDisk::new();
    disk.create_directory(Path::new(WAL)).unwrap();
    let mut log = Log::create(Arc::new(disk.clone()), Path::new(WAL), 0, 1 << 20, None).unwrap();
    let counters = Counters::default();
    for segment in 0..4 {
        let at = TimestampMs(segment * 100);
        let mut series = SeriesEncoder::default();
        series.push(WalRef(segment as u64 + 1), &labels(segment as u64 + 1));
        log.push(series.record());
        let (mut samples, mut tombstones) = (SampleEncoder::default(), TombstoneEncoder::default());
        for reference in 1..=segment as u64 + 1 {
            samples.push(WalRef(reference), TimestampMs(at.0 + reference as i64), reference as f64);
        }
        log.push(samples.record());
        for float in [false, true] {
            let mut histograms = HistogramEncoder::default();
            let stale = NativeHistogram::stale();
            let counts = model::Counts::Float { count: 0.0, zero_count: 0.0, positive: vec![], negative: vec![] };
            let histogram = if float { NativeHistogram { counts, ..stale } } else { stale };
            histograms.push(WalRef(1), TimestampMs(at.0 + 50 + i64::from(float)), &histogram);
            log.push(histograms.record());
        }
        tombstones.push(WalRef(1), TimestampMs(at.0), TimestampMs(at.0 + 1));
        log.push(tombstones.record());
        let (mut metadata, mut exemplars) = (MetadataEncoder::default(), ExemplarEncoder::default());
        metadata.push(WalRef(1), &Metadata { help: format!("help {segment}"), ..Metadata::default() });
        log.push(metadata.record());
        exemplars.push(WalRef(1), at, 1.0, &Labels::empty());
        log.push(exemplars.record());
        log.write(&counters).unwrap();
        log.cover(TimestampMs(at.0 + 51));
        if segment < 3 {
            log.cut(&counters).unwrap();
        }
    }
    (disk, log)
}

fn needed(from: i64, series: &[u64]) -> Needed {
    let exemplar = |at| Exemplar { labels: Labels::empty(), timestamp: TimestampMs(at), value: 1.0 };
    Needed {
        from: TimestampMs(from),
        series: series.iter().copied().map(WalRef).collect(),
        metadata: vec![(WalRef(1), Metadata { help: "help 3".to_owned(), ..Metadata::default() })],
        exemplars: vec![(WalRef(1), exemplar(200)), (WalRef(1), exemplar(300))],
    }
}

fn write(disk: &MemoryDisk, upto: u64, needed: Needed) -> Result<(), CheckpointError> {
    Checkpoint { disk, directory: Path::new(WAL), upto, segment_bytes_max: 1 << 20 }.write(needed)
}

fn names(disk: &MemoryDisk) -> Vec<String> {
    disk.paths().iter().map(|path| path.strip_prefix(WAL).unwrap().display().to_string()).collect()
}

#[test]
fn what_is_needed_stays_and_the_rest_goes() {
    let (disk, log) = written();
    let times: Vec<_> = log.closed().iter().map(|closed| (closed.number, closed.newest.0)).collect();
    assert_eq!(times, [(0, 51), (1, 151), (2, 251)]);
    write(&disk, 1, needed(102, &[3, 2, 1])).unwrap();
    assert_eq!(names(&disk), ["00000002", "00000003", "checkpoint.00000001/00000000"]);
    let found = records(&disk);
    let old: Vec<&str> =
        found.iter().map(String::as_str).take_while(|text| *text != "series 3 m{number=\"3\"}").collect();
    let expected = [
        "series 1 m{number=\"1\"}",
        "series 2 m{number=\"2\"}",
        "sample 2 102 2",
        "histogram 1 150 false",
        "histogram 1 151 true",
        "metadata 1 help 3",
        "exemplar 1 200",
        "exemplar 1 300",
    ];
    assert_eq!(old, expected);

    // The next one stands for the first, too.
    write(&disk, 2, needed(202, &[2, 3])).unwrap();
    assert_eq!(names(&disk), ["00000003", "checkpoint.00000002/00000000"]);
    let found = records(&disk);
    assert_eq!(found[..2], ["series 2 m{number=\"2\"}", "series 3 m{number=\"3\"}"]);
    assert_eq!(found[2..4], ["sample 2 202 2", "sample 3 203 3"]);
}

#[test]
fn deletions_stay_as_long_as_what_they_delete() {
    let (disk, _log) = written();
    write(&disk, 2, needed(101, &[1])).unwrap();
    let found = records(&disk);
    let tombstones: Vec<_> = found.iter().filter(|text| text.starts_with("tombstone")).collect();
    assert_eq!(tombstones, ["tombstone 1 100 101", "tombstone 1 200 201", "tombstone 1 300 301"]);
    let place = |text: &str| found.iter().position(|found| found == text).unwrap();
    assert!(place("sample 1 101 1") < place("tombstone 1 100 101"), "in their order");
    assert!(place("tombstone 1 100 101") < place("sample 1 201 1"));
}

#[test]
fn a_failure_anywhere_leaves_a_log_that_can_be_read() {
    let (whole, _log) = written();
    let before = records(&whole);
    let done = whole.after_process_crash();
    write(&done, 2, needed(102, &[1, 2, 3])).unwrap();
    let after = records(&done);
    assert_ne!(before, after);
    let changes = done.changes();
    assert!(changes > 8);
    for at in 0..changes {
        for lasting in [false, true] {
            let disk = whole.after_process_crash();
            disk.inject(Fault { at, error: io::ErrorKind::StorageFull, torn: 20, lasting });
            let outcome = write(&disk, 2, needed(102, &[1, 2, 3]));
            let found = records(&disk.after_power_cut(|_| 0));
            assert!(found == before || found == after, "change {at}: {outcome:?} {found:#?}");
            disk.heal();
            write(&disk, 2, needed(102, &[1, 2, 3])).unwrap();
            assert_eq!(names(&disk), names(&done), "change {at}");
        }
    }
}

#[test]
fn damage_keeps_the_log_as_it_is() {
    let (disk, _log) = written();
    let path = Path::new(WAL).join("00000001");
    let mut bytes = disk.read(&path).unwrap();
    bytes[30] ^= 1;
    disk.put(&path, bytes);
    let error = write(&disk, 2, needed(102, &[1])).unwrap_err();
    assert!(matches!(&error, CheckpointError::Damaged { path: damaged, .. } if *damaged == path), "{error}");
    assert_eq!(names(&disk).len(), 4);
}

proptest! {
    /// Of any log, a checkpoint keeps exactly the samples that are asked for, in their order.
    #[test]
    fn samples_are_kept_or_not(
        writes in prop::collection::vec(prop::collection::vec((1u64..9, 0i64..100), 1..30), 1..12),
        from in 0i64..100,
        kept in prop::collection::btree_set(1u64..9, 0..9),
    ) {
        let disk = MemoryDisk::new();
        disk.create_directory(Path::new(WAL)).unwrap();
        let mut log = Log::create(Arc::new(disk.clone()), Path::new(WAL), 0, 600, None).unwrap();
        let counters = Counters::default();
        let mut expected = Vec::new();
        for samples in &writes {
            let mut encoder = SampleEncoder::default();
            for (series, at) in samples {
                encoder.push(WalRef(*series), TimestampMs(*at), *at as f64);
                if *at >= from && kept.contains(series) {
                    expected.push(format!("sample {series} {at} {at}"));
                }
            }
            log.push(encoder.record());
            log.write(&counters).unwrap();
        }
        let last = log.cut(&counters).unwrap();
        let needed = Needed { series: kept.iter().copied().map(WalRef).collect(), ..needed(from, &[]) };
        let needed = Needed { metadata: Vec::new(), exemplars: Vec::new(), ..needed };
        Checkpoint { disk: &disk, directory: Path::new(WAL), upto: last - 1, segment_bytes_max: 300 }.write(needed).unwrap();
        prop_assert_eq!(records(&disk), expected);
    }
}
