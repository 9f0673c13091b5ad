//! Whole databases: what queries find stays what it was, whatever is merged, deleted, copied, interrupted.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use environment::{Disk, FileKind, UnixTime};
use model::{Labels, MatchOp, Matcher, TimestampMs};
use storage::{Batch, Queryable as _, SelectHints, Storage as _, TimeRange};
use testkit::{Fault, ManualClock, MemoryDisk};
use tsdb_format::block::Ulid;
use tsdb_format::block::meta::{BlockMeta, BlockStats};

use super::merge_blocks::is_late;
use super::{BlockWriter, ChunkCutter, Origin};
use crate::{Db, Engine, Settings};

mod lasting;

const DIRECTORY: &str = "w";
const HOUR: i64 = 3_600_000;

/// Series by a number and their samples.
type Content = BTreeMap<i64, BTreeMap<i64, i64>>;

/// A database without threads, on a disk in memory.
struct Opened {
    engine: Arc<Engine>,
    db: Arc<Db>,
    clock: ManualClock,
}

fn empty_disk() -> MemoryDisk {
    let disk = MemoryDisk::new();
    disk.create_directory(Path::new(DIRECTORY)).unwrap();
    disk
}

fn open_at(disk: &MemoryDisk, directory: &str, settings: Settings) -> Opened {
    let clock = ManualClock::new(UnixTime::from_secs(1000 * 3600));
    let engine = Engine::manual(Arc::new(disk.clone()), Arc::new(clock.clone()));
    let db = Db::open(&engine, Path::new(directory), settings).unwrap();
    Opened { engine, db, clock }
}

fn open(disk: &MemoryDisk) -> Opened {
    open_at(disk, DIRECTORY, Settings::default())
}

impl Opened {
    /// Polls a future, and lets the engine work while it waits.
    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(value) => return value,
                Poll::Pending => assert!(self.engine.run_pending(), "waits for nothing"),
            }
        }
    }

    /// Appends samples in order of time, a batch a minute, as one scrape after the other.
    fn append(&self, content: &Content) {
        let mut by_time = BTreeMap::<i64, Vec<(i64, i64)>>::new();
        for (number, samples) in content {
            samples.iter().for_each(|(at, value)| by_time.entry(*at).or_default().push((*number, *value)));
        }
        for (at, samples) in by_time {
            let mut appender = self.db.appender(TimestampMs(at));
            for (number, value) in samples {
                let series = appender.series(None, &labels(number)).unwrap();
                appender.append(series, TimestampMs(at), value as f64).unwrap();
            }
            assert_eq!(self.run(appender.commit()).unwrap().rejected, []);
        }
    }

    fn maintain(&self) {
        self.db.maintain(self.clock_now()).unwrap();
    }

    fn clock_now(&self) -> UnixTime {
        use environment::Clock as _;
        self.clock.now()
    }

    fn content(&self) -> Content {
        let querier = self.db.querier(TimeRange::ALL);
        let mut set = self.run(querier.select(&[], SelectHints::samples(TimeRange::ALL))).unwrap();
        let (mut found, mut batch) = (Content::new(), Batch::default());
        while let Some(mut series) = set.next().unwrap() {
            let number = series.labels.get("number").unwrap().parse().unwrap();
            let samples: &mut BTreeMap<i64, i64> = found.entry(number).or_default();
            while series.samples.next_batch(&mut batch).unwrap() {
                samples.extend(batch.timestamps.iter().zip(&batch.floats).map(|(at, value)| (at.0, *value as i64)));
            }
        }
        found.retain(|_, samples| !samples.is_empty());
        found
    }

    fn metas(&self) -> Vec<BlockMeta> {
        self.db.shared().blocks.all().iter().map(|block| block.meta().clone()).collect()
    }
}

fn labels(number: i64) -> Labels {
    Labels::from_pairs([("__name__", "m".to_owned()), ("number", format!("{number:03}"))]).unwrap()
}

fn named(number: i64) -> Matcher {
    Matcher::new(MatchOp::Equal, "number", &format!("{number:03}")).unwrap()
}

fn write_block(
    disk: &MemoryDisk,
    number: u64,
    range: std::ops::Range<i64>,
    origin: Origin,
    content: &Content,
) -> String {
    let ulid = Ulid::new(number, 0);
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut writer = BlockWriter::create(&disk, Path::new(DIRECTORY), ulid).unwrap();
    let mut cutter = ChunkCutter::default();
    for (number, samples) in content {
        cutter.clear();
        samples.iter().for_each(|(at, value)| cutter.push_float(TimestampMs(*at), *value as f64));
        cutter.seal();
        writer.push(&labels(*number), &cutter.chunks().collect::<Vec<_>>()).unwrap();
    }
    let meta = writer.finish(origin, range.start * HOUR..range.end * HOUR).unwrap();
    meta.unwrap().ulid
}

/// Samples of some series, one a minute in these hours.
fn minutes(series: std::ops::Range<i64>, hours: std::ops::Range<i64>, value: i64) -> Content {
    let samples = || (hours.start * 60..hours.end * 60).map(|minute| (minute * 60_000 + 7, value + minute)).collect();
    series.map(|number| (number, samples())).collect()
}

fn add(to: &mut Content, content: &Content) {
    for (number, samples) in content {
        let series = to.entry(*number).or_default();
        for (at, value) in samples {
            series.entry(*at).or_insert(*value);
        }
    }
}

/// Blocks of two hours from 0 to 10, and one of late samples from 3 to 5 with other series and, in a part, other values.
fn five_and_a_late_one(disk: &MemoryDisk) -> Content {
    let mut all = Content::new();
    for (index, start) in (0..10).step_by(2).enumerate() {
        let content = minutes(index as i64..10, start..start + 2, 0);
        write_block(disk, index as u64 + 1, start..start + 2, Origin::new_samples(), &content);
        add(&mut all, &content);
    }
    let late = minutes(8..12, 3..5, 100_000);
    write_block(disk, 100, 2..6, Origin::out_of_order(), &late);
    add(&mut all, &late);
    all
}

fn block_directories(disk: &MemoryDisk) -> Vec<PathBuf> {
    let listed = disk.list(Path::new(DIRECTORY)).unwrap().into_iter();
    let is_block = |path: &PathBuf| path.file_name().unwrap().len() >= 26;
    listed.filter(|(path, kind)| *kind == FileKind::Directory && is_block(path)).map(|(path, _)| path).collect()
}

#[test]
fn merging_changes_no_answer() {
    let disk = empty_disk();
    let expected = five_and_a_late_one(&disk);
    let opened = open(&disk);
    assert!(opened.content() == expected);
    opened.maintain();
    let metas = opened.metas();
    let ranges: Vec<_> = metas.iter().map(|meta| (meta.min_time / HOUR, meta.max_time / HOUR)).collect();
    assert_eq!(ranges, [(0, 6), (6, 8), (8, 10)]);
    assert!(opened.content() == expected);

    let merged = &metas[0];
    let in_range = |at: &&i64| **at < 6 * HOUR;
    let samples: usize = expected.values().map(|samples| samples.keys().filter(in_range).count()).sum();
    let stats = BlockStats { num_chunks: merged.stats.num_chunks, ..merged.stats };
    let samples = samples as u64;
    assert_eq!(merged.stats, BlockStats { num_samples: samples, num_float_samples: samples, num_series: 12, ..stats });
    let name = |number| Ulid::new(number, 0).to_string();
    assert_eq!(merged.compaction.sources, [1, 2, 3, 100].map(name));
    // First the ones that overlapped, into (2, 6); then those that fill six hours.
    assert_eq!((merged.compaction.level, merged.compaction.parents.len()), (3, 2));
    assert_eq!(opened.db.stats().compaction_conflicts, 2 * 120, "series 8 and 9, of two hours");
    assert_eq!(opened.db.stats().compactions, 2);
    assert!(merged.compaction.hints.is_empty());

    opened.db.shared().blocks.remove_retired().unwrap();
    assert_eq!(block_directories(&disk).len(), 3, "{:?}", block_directories(&disk));
    drop(opened);
    assert!(open(&disk).content() == expected);
}

#[test]
fn late_blocks_are_merged_where_nothing_else_comes() {
    let disk = empty_disk();
    let mut expected = Content::new();
    for number in 1..=5 {
        let late = minutes(0..4, 2..4, number * 100_000);
        write_block(&disk, number as u64, 2..4, Origin::out_of_order(), &late);
        add(&mut expected, &late);
    }
    let opened = open(&disk);
    assert!(opened.content() == expected);
    opened.maintain();
    let metas = opened.metas();
    assert!(metas.len() == 1 && is_late(&metas[0]), "{metas:?}");
    assert!(opened.content() == expected, "the first stored value");

    // Where the head has samples, they wait until it is written out.
    let more = minutes(0..4, 3..4, 900_000);
    write_block(&disk, 6, 3..4, Origin::out_of_order(), &more);
    let opened = open_again(opened, &disk);
    let mut live = minutes(0..4, 990..991, 0);
    opened.append(&live);
    opened.maintain();
    assert_eq!(opened.metas().len(), 2);
    let later = minutes(0..4, 991..994, 0);
    opened.append(&later);
    add(&mut live, &later);
    opened.maintain();
    add(&mut expected, &live);
    assert!(opened.content() == expected);
    assert_eq!(opened.metas().iter().map(|meta| meta.min_time / HOUR).collect::<Vec<_>>(), [2, 990]);
}

#[test]
fn deleted_samples_stay_deleted_and_leave() {
    let disk = empty_disk();
    let mut expected = five_and_a_late_one(&disk);
    let opened = open(&disk);
    let hours = |start: i64, end: i64| TimeRange { start: TimestampMs(start * HOUR), end: TimestampMs(end * HOUR) };
    let deleted = opened.db.delete(&[named(9)], hours(1, 5)).unwrap();
    assert_eq!(deleted.tombstones, 4, "in each of the first three blocks, and in the late one");
    opened.db.delete(&[named(3)], TimeRange::ALL).unwrap();
    opened.db.delete(&[named(77)], TimeRange::ALL).unwrap();
    expected.get_mut(&9).unwrap().retain(|at, _| !(HOUR..=5 * HOUR).contains(at));
    expected.remove(&3);
    assert!(opened.content() == expected);

    let again = open_again(opened, &disk);
    assert!(again.content() == expected);
    assert_eq!(again.metas().iter().map(|meta| meta.stats.num_tombstones).collect::<Vec<_>>(), [2, 2, 1, 2, 1, 0]);
    again.db.clean_tombstones().unwrap();
    assert!(again.content() == expected);
    assert!(again.db.shared().blocks.all().iter().all(|block| block.deletions().is_empty()));
    let samples: u64 = again.metas().iter().map(|meta| meta.stats.num_samples).sum();
    again.maintain();
    assert!(again.content() == expected);
    assert!(samples >= expected.values().map(|samples| samples.len() as u64).sum());

    again.db.delete(&[], TimeRange::ALL).unwrap();
    assert_eq!(again.content(), Content::new());
    again.db.clean_tombstones().unwrap();
    assert!(block_directories(&disk).is_empty());
}

#[test]
fn writes_and_queries_do_not_wait_for_blocks_to_be_written() {
    let disk = empty_disk();
    let mut expected = five_and_a_late_one(&disk);
    let opened = open(&disk);
    let mut minute = 990 * HOUR / 60_000;
    let mut append_hours = |expected: &mut Content, hours: i64| {
        for _ in 0..hours * 60 {
            let content =
                (0..12).map(|number| (number, BTreeMap::from([(minute * 60_000, minute + number)]))).collect();
            opened.append(&content);
            add(expected, &content);
            minute += 1;
        }
    };
    // First merges alone are due, then the head's first block.
    for (name, hours_before) in [("a merge", 0), ("the head", 3)] {
        append_hours(&mut expected, hours_before);
        disk.hold("/chunks/");
        let (held, content) = std::thread::scope(|scope| {
            let round = scope.spawn(|| opened.maintain());
            let held = disk.wait_until_held();
            append_hours(&mut expected, 1);
            let (held, content) = (held && !round.is_finished(), opened.content());
            disk.go_on();
            (held, content)
        });
        assert!(held, "{name} was to wait");
        assert!(content == expected, "{name}");
        assert!(opened.content() == expected, "{name}");
    }
    opened.maintain();
    assert_eq!((opened.db.stats().compactions, opened.db.stats().maintenance_failures), (2, 0));
    assert_eq!(opened.metas().last().unwrap().min_time, 990 * HOUR);
    assert!(opened.content() == expected);
}

fn open_again(opened: Opened, disk: &MemoryDisk) -> Opened {
    opened.db.close().unwrap();
    drop(opened);
    open(disk)
}

#[test]
fn whatever_fails_or_crashes_the_answers_stay() {
    let template = empty_disk();
    let mut expected = five_and_a_late_one(&template);
    // A start leaves files of the log; what is to fail comes after.
    drop(open_again(open(&template), &template));
    let range = TimeRange { start: TimestampMs(HOUR), end: TimestampMs(7 * HOUR) };
    let before = expected.clone();
    expected.get_mut(&9).unwrap().retain(|at, _| !range.contains(TimestampMs(*at)));
    let mut faults = 0;
    for at in 0.. {
        let disk = template.after_process_crash();
        let opened = open(&disk);
        opened.db.wait_ready().unwrap();
        let fault = Fault { at: disk.changes() + at, error: io::ErrorKind::StorageFull, torn: 7, lasting: at % 2 == 1 };
        disk.inject(fault);
        let deleted = opened.db.delete(&[named(9)], range).is_ok();
        opened.maintain();
        let content = opened.content();
        assert!(content == expected || (!deleted && matches_between(&content, &before, &expected)), "fault at {at}");
        let is_over = disk.changes() <= fault.at;

        // A crash here, of either kind.
        for crashed in [disk.after_process_crash(), disk.after_power_cut(|_| 0)] {
            crashed.heal();
            let content = open(&crashed).content();
            assert!(
                content == expected || (!deleted && matches_between(&content, &before, &expected)),
                "crash after the fault at {at}, deleted: {deleted}, {:?}",
                block_directories(&crashed)
            );
        }

        // The disk is well again.
        disk.heal();
        opened.db.delete(&[named(9)], range).unwrap();
        opened.clock.advance(std::time::Duration::from_secs(600));
        opened.maintain();
        assert!(opened.content() == expected, "after the fault at {at}");
        opened.maintain();
        assert_eq!(opened.metas().len(), 3, "after the fault at {at}");
        assert_eq!(block_directories(&disk).len(), 3, "after the fault at {at}: {:?}", block_directories(&disk));
        if is_over {
            break;
        }
        faults += 1;
    }
    assert!(faults > 60, "{faults}");
}

/// Whether each series is as it was before the deletion or without some of what was to be deleted.
fn matches_between(content: &Content, before: &Content, after: &Content) -> bool {
    content.iter().all(|(number, samples)| samples.iter().all(|(at, value)| before[number].get(at) == Some(value)))
        && after.iter().all(|(number, samples)| samples.keys().all(|at| content[number].contains_key(at)))
}

#[test]
fn a_damaged_block_is_not_merged_and_not_lost() {
    let disk = empty_disk();
    let expected = five_and_a_late_one(&disk);
    let name = Ulid::new(100, 0).to_string();
    let path = Path::new(DIRECTORY).join(&name).join("chunks/000001");
    let mut bytes = disk.read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.put(&path, bytes);
    let opened = open(&disk);
    opened.maintain();
    assert!(opened.db.stats().maintenance_failures > 0);
    let late = opened.metas().into_iter().find(|meta| meta.ulid == name).unwrap();
    assert_eq!(late.compaction.parents, []);
    assert_eq!(opened.content()[&0], expected[&0]);
    // Nothing is tried in vain again, also after a start.
    let failures = opened.db.stats().maintenance_failures;
    opened.maintain();
    assert_eq!(opened.db.stats().maintenance_failures, failures);
    let opened = open_again(opened, &disk);
    assert!(opened.metas().iter().any(|meta| meta.ulid == name && meta.compaction.failed));
    opened.maintain();
    assert_eq!(opened.db.stats().maintenance_failures, 0);
}

#[test]
fn blocks_go_by_age_and_by_size() {
    let day = std::time::Duration::from_secs(24 * 3600);
    for (settings, kept) in [
        (Settings { retention: day / 24 * 25, ..Settings::default() }, vec![(0, 2), (2, 4), (20, 22), (24, 26)]),
        (Settings { retention: day, ..Settings::default() }, vec![(2, 4), (20, 22), (24, 26)]),
        (Settings { retention: day / 24 * 2, ..Settings::default() }, vec![(24, 26)]),
        (Settings { retention_bytes: Some(6_000), ..Settings::default() }, vec![(20, 22), (24, 26)]),
    ] {
        let disk = empty_disk();
        for (number, start) in [0, 2, 20, 24].into_iter().enumerate() {
            let content = minutes(0..10, start..start + 2, 0);
            write_block(&disk, number as u64 + 1, start..start + 2, Origin::new_samples(), &content);
        }
        let opened = open_at(&disk, DIRECTORY, Settings { block_range_ms: 3 * HOUR * 24 * 10, ..settings });
        opened.maintain();
        let left: Vec<_> = opened.metas().iter().map(|meta| (meta.min_time / HOUR, meta.max_time / HOUR)).collect();
        assert_eq!(left, kept);
        assert_eq!(block_directories(&disk).len(), kept.len());
    }
}

#[test]
fn a_snapshot_opens_as_a_database() {
    let disk = empty_disk();
    let expected = five_and_a_late_one(&disk);
    let opened = open(&disk);
    opened.db.delete(&[named(2)], TimeRange::ALL).unwrap();
    opened.db.snapshot(Path::new("copy")).unwrap();
    assert!(opened.db.snapshot(Path::new("copy")).is_err(), "it is there already");
    opened.maintain();
    opened.db.delete(&[], TimeRange::ALL).unwrap();
    let copy = open_at(&disk, "copy", Settings::default());
    let mut without = expected;
    without.remove(&2);
    assert!(copy.content() == without);
}

fn ranges(opened: &Opened) -> Vec<(i64, i64)> {
    opened.metas().iter().map(|meta| (meta.min_time / HOUR, meta.max_time / HOUR)).collect()
}

#[test]
fn old_samples_move_from_the_head_to_blocks() {
    let disk = empty_disk();
    let opened = open(&disk);
    let mut expected = minutes(0..10, 0..10, 0);
    // A series that ends, so that its slot dies.
    add(&mut expected, &minutes(10..11, 0..3, 0));
    opened.append(&expected);
    opened.maintain();
    assert_eq!(ranges(&opened), [(0, 6), (6, 8)]);
    assert!(opened.content() == expected);
    // Nobody reads the head, so what is in blocks has gone from it.
    opened.maintain();
    assert_eq!(opened.db.shared().head.time_range().unwrap().start.0, 8 * HOUR);
    assert_eq!(opened.db.stats().series, 10);
    assert!(opened.content() == expected);
    let late = minutes(20..22, 1..2, 0);
    opened.append(&late);
    add(&mut expected, &late);
    assert!(opened.content() == expected);

    for crashed in [disk.after_process_crash(), disk.after_power_cut(|unsynced| unsynced)] {
        assert!(open(&crashed).content() == expected);
    }
    let opened = open_again(opened, &disk);
    assert!(opened.content() == expected);
    let more = minutes(0..10, 10..15, 0);
    opened.append(&more);
    add(&mut expected, &more);
    opened.maintain();
    opened.maintain();
    assert!(opened.content() == expected);
}

#[test]
fn readers_keep_what_they_began_to_read() {
    let disk = empty_disk();
    let opened = open(&disk);
    let expected = minutes(0..10, 0..10, 0);
    opened.append(&expected);
    let querier = opened.db.querier(TimeRange::ALL);
    let mut set = opened.run(querier.select(&[], SelectHints::samples(TimeRange::ALL))).unwrap();
    opened.maintain();
    opened.maintain();
    let (mut samples, mut batch) = (0, Batch::default());
    while let Some(mut series) = set.next().unwrap() {
        while series.samples.next_batch(&mut batch).unwrap() {
            samples += batch.len();
        }
    }
    assert_eq!(samples, 10 * 10 * 60);
    assert_eq!(opened.db.shared().head.time_range().unwrap().start.0, 7);
    drop((set, querier));
    opened.maintain();
    assert_eq!(opened.db.shared().head.time_range().unwrap().start.0, 8 * HOUR);
}

#[test]
fn a_year_of_history_makes_few_blocks() {
    let disk = empty_disk();
    let opened = open_at(&disk, DIRECTORY, Settings { future_max: std::time::Duration::MAX, ..Settings::default() });
    let hourly = |hours: std::ops::Range<i64>| hours.map(|hour| (hour * HOUR + 5, hour)).collect();
    let expected = Content::from([(1, hourly(-8760..10)), (2, hourly(-8760..-8700))]);
    opened.append(&expected);
    opened.maintain();
    assert!((18..=24).contains(&opened.metas().len()), "{:?}", ranges(&opened));
    assert!(opened.content() == expected);
}

#[test]
fn late_samples_are_deleted() {
    let disk = empty_disk();
    let opened = open(&disk);
    let mut expected = minutes(0..4, 0..10, 0);
    opened.append(&expected);
    opened.maintain();
    let late = minutes(1..6, 2..4, 0);
    opened.append(&late);
    add(&mut expected, &late);
    assert!(opened.content() == expected);
    let range = TimeRange { start: TimestampMs(3 * HOUR), end: TimestampMs(9 * HOUR) };
    opened.db.delete(&[named(1)], range).unwrap();
    opened.db.delete(&[named(5)], range).unwrap();
    for number in [1, 5] {
        expected.get_mut(&number).unwrap().retain(|at, _| !range.contains(TimestampMs(*at)));
    }
    assert!(opened.content() == expected);
    for crashed in [disk.after_process_crash(), disk.after_power_cut(|unsynced| unsynced)] {
        assert!(open(&crashed).content() == expected);
    }
    let again = minutes(5..6, 3..4, 5);
    opened.append(&again);
    add(&mut expected, &again);
    assert!(opened.content() == expected);
}

#[test]
fn samples_in_memory_are_deleted_and_may_come_again() {
    let disk = empty_disk();
    let opened = open(&disk);
    let mut expected = minutes(0..6, 0..10, 0);
    opened.append(&expected);
    opened.maintain();
    let hours = |start: i64, end: i64| TimeRange { start: TimestampMs(start * HOUR), end: TimestampMs(end * HOUR) };
    // In blocks and in the head, at its end, all of a series, nothing.
    for (number, range, head) in
        [(1, hours(5, 9), 1), (2, hours(9, 12), 1), (3, TimeRange::ALL, 1), (4, hours(11, 12), 0)]
    {
        assert_eq!(opened.db.delete(&[named(number)], range).unwrap().head_series, head, "{number}");
        expected.get_mut(&number).unwrap().retain(|at, _| !range.contains(TimestampMs(*at)));
        expected.retain(|_, samples| !samples.is_empty());
        assert!(opened.content() == expected, "{number}");
    }
    let again = |expected: &Content| {
        for crashed in [disk.after_process_crash(), disk.after_power_cut(|unsynced| unsynced)] {
            assert!(open(&crashed).content() == *expected);
        }
    };
    again(&expected);
    // The same times with other values, and later ones.
    let more = minutes(1..4, 9..12, 7);
    opened.append(&more.iter().map(|(number, samples)| (*number, samples.clone())).filter(|(n, _)| *n > 1).collect());
    for (number, samples) in more.iter().filter(|(number, _)| **number > 1) {
        expected.entry(*number).or_default().extend(samples);
    }
    assert!(opened.content() == expected);
    again(&expected);
    opened.maintain();
    opened.maintain();
    assert!(opened.content() == expected);
    let opened = open_again(opened, &disk);
    assert!(opened.content() == expected);
}
