//! Late samples on their way into blocks: what they are found as before, while and after, crashes, and a year of history.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use environment::{Disk, FileKind, UnixTime};
use model::{Labels, MatchOp, Matcher, TimestampMs};
use proptest::prelude::*;
use storage::{AppendError, CommitError, Committed, Storage, TimeRange};
use testkit::{ManualClock, MemoryDisk};
use tsdb::{Db, Engine, Settings, WalSync};

use crate::support::{DIRECTORY, Value, labels, select, select_all};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Two years after the epoch.
const NOW: i64 = 730 * DAY;

/// A database without threads: everything happens when [`Opened::run`] says so.
struct Opened {
    engine: Arc<Engine>,
    clock: ManualClock,
    db: Arc<Db>,
}

impl Opened {
    fn new(disk: &MemoryDisk, settings: Settings) -> Self {
        let clock = ManualClock::new(UnixTime::from_millis(NOW as u64));
        let engine = Engine::manual(Arc::new(disk.clone()), Arc::new(clock.clone()));
        let db = Db::open(&engine, Path::new(DIRECTORY), settings).unwrap();
        let opened = Self { engine, clock, db };
        opened.run();
        opened.db.wait_ready().unwrap();
        opened
    }

    fn run(&self) {
        while self.engine.run_pending() {}
    }

    /// Lets time pass, and what is due with it.
    fn rest(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.run();
    }

    fn commit(&self, samples: &[(&Labels, i64, Value)]) -> Result<Committed, CommitError> {
        let mut appender = self.db.appender(TimestampMs(NOW));
        for (labels, at, value) in samples {
            let series = match appender.resolve(labels.as_packed()) {
                Some(series) => series,
                None => appender.series(Some(labels.as_packed()), labels).unwrap(),
            };
            let Value::Float(bits) = value else { panic!("floats do here") };
            appender.append(series, TimestampMs(*at), f64::from_bits(*bits)).unwrap();
        }
        let committed = appender.commit();
        // One group and no more: what it asks to be done is done by whoever runs it.
        let mut committed = std::pin::pin!(committed);
        loop {
            if let Some(answer) = poll_once(committed.as_mut()) {
                return answer;
            }
            assert!(self.engine.run_pending(), "somebody answers");
        }
    }
}

fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(answer) => Some(answer),
        std::task::Poll::Pending => None,
    }
}

fn settings() -> Settings {
    Settings { wal_sync: WalSync::Interval(Duration::from_secs(3600)), ..Settings::default() }
}

fn names(disk: &MemoryDisk, directory: &str) -> Vec<String> {
    let entries = disk.list(&Path::new(DIRECTORY).join(directory)).unwrap();
    entries.iter().map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// Blocks of the database, with the range that each one tells.
fn blocks(disk: &MemoryDisk) -> Vec<(i64, i64)> {
    let entries = disk.list(Path::new(DIRECTORY)).unwrap();
    let directories = entries.iter().filter(|(_, kind)| *kind == FileKind::Directory);
    let metas = directories.filter_map(|(path, _)| disk.read(&path.join("meta.json")).ok());
    let mut ranges: Vec<(i64, i64)> = metas
        .map(|meta| {
            let meta = tsdb_format::block::meta::decode(&meta).unwrap();
            assert_eq!(meta.compaction.hints, ["from-out-of-order"]);
            (meta.min_time, meta.max_time)
        })
        .collect();
    ranges.sort_unstable();
    ranges
}

fn float(value: i64) -> Value {
    Value::from(value as f64)
}

#[test]
fn late_samples_become_blocks_and_their_log_goes() {
    let disk = MemoryDisk::new();
    let opened = Opened::new(&disk, settings());
    let (a, b) = (labels(&[("a", "1")]), labels(&[("b", "1")]));
    opened.commit(&[(&a, NOW, float(1))]).unwrap();
    opened.commit(&[(&a, NOW - 100 * DAY, float(2)), (&b, NOW - 200 * DAY, float(3))]).unwrap();
    opened.commit(&[(&a, NOW - 100 * DAY + 1, float(4))]).unwrap();
    let expected = select_all(&opened.db);
    assert_eq!(names(&disk, "wbl"), ["00000000"]);
    opened.rest(599);
    assert_eq!((blocks(&disk).len(), opened.db.stats().out_of_order_samples), (0, 3));

    opened.rest(120);
    assert_eq!((blocks(&disk).len(), opened.db.stats().out_of_order_flushes), (2, 1));
    let stats = opened.db.stats();
    assert_eq!((stats.out_of_order_samples, stats.out_of_order_ranges, stats.out_of_order_appended), (0, 0, 3));
    assert_eq!(names(&disk, "wbl"), ["00000001"]);
    assert_eq!(select_all(&opened.db), expected);
    let restarted = Opened::new(&disk.after_power_cut(|_| 0), settings());
    assert!(select_all(&restarted.db).iter().all(|(labels, samples)| {
        let all = &expected.iter().find(|(other, _)| other == labels).unwrap().1;
        samples.iter().all(|sample| all.contains(sample))
    }));
    let restarted = Opened::new(&disk.after_process_crash(), settings());
    assert_eq!(select_all(&restarted.db), expected);

    // A sender that did not hear the answer repeats itself; another value for a stored time loses, and is counted.
    assert_eq!(opened.commit(&[(&a, NOW - 100 * DAY, float(2))]).unwrap().samples, 1);
    assert_eq!(opened.commit(&[(&b, NOW - 200 * DAY, float(99))]).unwrap().samples, 1);
    assert_eq!(select_all(&opened.db), expected);
    assert_eq!(opened.db.stats().query_conflicts, 1);
    opened.rest(700);
    assert_eq!(select_all(&opened.db), expected);
}

#[test]
fn a_batch_sent_twice_is_taken_alike_wherever_its_samples_are() {
    let disk = MemoryDisk::new();
    let opened = Opened::new(&disk, settings());
    let series = labels(&[("a", "1")]);
    opened.commit(&[(&series, NOW, float(1))]).unwrap();
    let batch: Vec<_> = (0..300).map(|step| (&series, NOW - 300 * DAY + step * DAY / 4, float(step))).collect();
    let mut expected = None;
    for round in 0..5 {
        let committed = opened.commit(&batch).unwrap();
        assert_eq!((committed.samples, committed.rejected.len()), (300, 0), "round {round}");
        let found = select_all(&opened.db);
        assert_eq!(expected.get_or_insert_with(|| found.clone()), &found);
        match round {
            // In memory, in blocks, half in memory, after a restart.
            1 | 3 => opened.rest(700),
            2 => opened.commit(&batch[100..200]).map(drop).unwrap(),
            _ => {}
        }
    }
    let stats = opened.db.stats();
    assert_eq!(stats.query_conflicts, 0);
    assert!(stats.duplicates >= 600, "{}", stats.duplicates);
}

#[test]
fn a_crash_between_blocks_and_log_leaves_each_sample_once() {
    let (a, b) = (labels(&[("a", "1")]), labels(&[("b", "1")]));
    let work = |opened: &Opened| {
        for number in 0..8 {
            let samples = [(&a, NOW - number * 30 * DAY, float(number)), (&b, NOW - number * 30 * DAY, float(-number))];
            opened.commit(&samples)?;
        }
        opened.rest(700);
        Ok::<_, CommitError>(())
    };
    let healthy = MemoryDisk::new();
    let opened = Opened::new(&healthy, settings());
    let before = healthy.changes();
    work(&opened).unwrap();
    let (expected, changes) = (select_all(&opened.db), healthy.changes());
    assert!(changes > before + 50, "the flush makes many changes");
    for at in before..changes {
        let disk = MemoryDisk::new();
        let opened = Opened::new(&disk, settings());
        let fault = testkit::Fault { at, error: std::io::ErrorKind::Other, torn: 0, lasting: true };
        disk.inject(fault);
        let answered = work(&opened).is_ok();
        if !answered {
            continue;
        }
        assert_eq!(select_all(&opened.db), expected, "reads go on, change {at}");
        let restarted = Opened::new(&disk.after_process_crash(), settings());
        assert_eq!(select_all(&restarted.db), expected, "change {at}");
        restarted.rest(700);
        assert_eq!(select_all(&restarted.db), expected, "change {at}, written out");
        assert_eq!(restarted.db.stats().query_conflicts, 0);
        assert_eq!(restarted.db.stats().out_of_order_samples, 0, "change {at}");
    }
}

#[test]
fn a_year_of_history_becomes_few_blocks() {
    let disk = MemoryDisk::new();
    let opened = Opened::new(&disk, settings());
    let series: Vec<Labels> =
        (0..200).map(|number| labels(&[("__name__", "old"), ("number", &format!("{number:03}"))])).collect();
    let mut model: BTreeMap<usize, BTreeMap<i64, i64>> = BTreeMap::new();
    let live = |opened: &Opened, at: i64| opened.commit(&[(&series[0], at, float(0))]).map(drop);
    for minute in 0..60 {
        live(&opened, NOW - HOUR + minute * 60_000).unwrap();
        model.entry(0).or_default().insert(NOW - HOUR + minute * 60_000, 0);
    }
    let mut busy = 0;
    for step in 0..365 * 4 {
        let at = NOW - 366 * DAY + step * DAY / 4;
        let batch: Vec<_> =
            series.iter().enumerate().map(|(number, labels)| (labels, at, float(step + number as i64))).collect();
        loop {
            match opened.commit(&batch) {
                Ok(committed) => {
                    assert_eq!((committed.samples, committed.rejected.len()), (200, 0));
                    break;
                }
                Err(CommitError::Busy(_)) => {
                    busy += 1;
                    opened.run();
                }
                Err(error) => panic!("{error}"),
            }
        }
        for number in 0..series.len() {
            model.entry(number).or_default().insert(at, step + number as i64);
        }
    }
    opened.rest(700);
    assert_eq!(opened.db.stats().out_of_order_samples, 0);
    let made = blocks(&disk);
    // Eighteen of twenty days, and smaller ones towards yesterday; a range that was open when a flush came has two.
    assert!((17..=30).contains(&made.len()), "{} blocks, {busy} times busy: {made:?}", made.len());
    assert!(busy <= 3, "{busy}");
    for restart in [false, true] {
        let restarted = restart.then(|| Opened::new(&disk.after_process_crash(), settings()));
        let db = &restarted.as_ref().unwrap_or(&opened).db;
        let found = select_all(db);
        assert_eq!(found.len(), 200);
        for (number, (labels, samples)) in found.iter().enumerate() {
            assert_eq!(labels, &series[number]);
            let expected: Vec<_> = model[&number].iter().map(|(at, value)| (*at, float(*value))).collect();
            assert_eq!(samples, &expected, "series {number}");
        }
    }
    let range = TimeRange { start: TimestampMs(NOW - 100 * DAY), end: TimestampMs(NOW - 99 * DAY) };
    assert_eq!(select(&opened.db, &[], range)[7].1.len(), 5);
}

#[test]
fn the_range_beyond_the_last_waits_for_blocks() {
    let disk = MemoryDisk::new();
    let opened = Opened::new(&disk, settings());
    let series = labels(&[("a", "1")]);
    opened.commit(&[(&series, NOW, float(0))]).unwrap();
    // Twenty days and six hours each.
    let range = |number: i64| NOW - 500 * DAY + number * 486 * HOUR;
    for number in 0..20 {
        opened.commit(&[(&series, range(number), float(number))]).unwrap();
    }
    let over = [(&series, NOW + 1, float(1)), (&series, range(20), float(20)), (&series, range(3) + 1, float(3))];
    let before = select_all(&opened.db);
    assert!(matches!(opened.commit(&over), Err(CommitError::Busy(_))));
    assert_eq!(select_all(&opened.db), before);
    opened.run();
    assert_eq!((blocks(&disk).len(), opened.db.stats().out_of_order_flushes), (20, 1));
    assert_eq!(opened.commit(&over).unwrap().samples, 3);
    assert_eq!(select_all(&opened.db)[0].1.len(), before[0].1.len() + 3);
    // One batch by itself may span more.
    opened.rest(700);
    let wide: Vec<_> = (0..24).map(|number| (&series, range(number) + 7, float(number))).collect();
    assert_eq!(opened.commit(&wide).unwrap().samples, 24);
}

#[test]
fn late_samples_are_deleted_for_good_and_can_be_written_again() {
    let disk = MemoryDisk::new();
    let opened = Opened::new(&disk, settings());
    let series = labels(&[("a", "1")]);
    opened.commit(&[(&series, NOW, float(0))]).unwrap();
    let late = |days: i64| NOW - days * DAY;
    opened
        .commit(&[(&series, late(100), float(1)), (&series, late(90), float(2)), (&series, late(80), float(3))])
        .unwrap();
    let matcher = Matcher::new(MatchOp::Equal, "a", "1").unwrap();
    let range = TimeRange { start: TimestampMs(late(100)), end: TimestampMs(late(85)) };
    opened.db.delete(std::slice::from_ref(&matcher), range).unwrap();
    let left = [(late(80), float(3)), (NOW, float(0))];
    assert_eq!(select_all(&opened.db)[0].1, left);
    opened.rest(700);
    let restarted = Opened::new(&disk.after_process_crash(), settings());
    assert_eq!(select_all(&restarted.db)[0].1, left);
    restarted.commit(&[(&series, late(90), float(7))]).unwrap();
    assert_eq!(select_all(&restarted.db)[0].1, [(late(90), float(7)), left[0].clone(), left[1].clone()]);
    restarted.rest(700);
    assert_eq!(select_all(&restarted.db)[0].1.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// First stored, first served: whatever the order, the repeats, the flushes and the restarts.
    #[test]
    fn the_first_stored_value_wins(
        steps in prop::collection::vec(
            prop_oneof![
                6 => (0usize..4, 0i64..300, -7i64..7, 1i64..60, 0i64..3)
                    .prop_map(|(series, start, step, count, value)| Some((series, start, step, count, value))),
                1 => Just(None),
            ],
            1..25,
        ),
        restarts in prop::collection::vec(any::<bool>(), 25),
    ) {
        let all: Vec<Labels> = (0..4).map(|number| labels(&[("a", &number.to_string())])).collect();
        let mut model: BTreeMap<usize, BTreeMap<i64, i64>> = BTreeMap::new();
        let mut contested: BTreeSet<(usize, i64)> = BTreeSet::new();
        let mut disk = MemoryDisk::new();
        let mut opened = Opened::new(&disk, settings());
        for (step, restart) in steps.iter().zip(restarts) {
            match step {
                Some((series, start, step, count, value)) => {
                    let times = (0..*count).map(|index| NOW - (start + index * step).rem_euclid(400) * DAY - index % 3 * HOUR);
                    let samples: Vec<_> = times.map(|at| (&all[*series], at, float(*value))).collect();
                    let committed = match opened.commit(&samples) {
                        Err(CommitError::Busy(_)) => {
                            opened.run();
                            opened.commit(&samples).unwrap()
                        }
                        answer => answer.unwrap(),
                    };
                    let refused: Vec<_> = committed.rejected.iter().map(|rejection| match rejection.error {
                        AppendError::DuplicateTimestamp { at } => at.0,
                        ref other => panic!("{other}"),
                    }).collect();
                    for (_, at, _) in &samples {
                        let stored = *model.entry(*series).or_default().entry(*at).or_insert(*value);
                        // In memory the conflict is seen; in a block it is not looked for, so that a value that lost to one
                        // there may be in memory, and the right one be refused for it.
                        if stored != *value {
                            contested.insert((*series, *at));
                        }
                        prop_assert!(!refused.contains(at) || contested.contains(&(*series, *at)));
                    }
                }
                None if restart => {
                    disk = disk.after_process_crash();
                    opened = Opened::new(&disk, settings());
                }
                None => opened.rest(700),
            }
            let found = select_all(&opened.db);
            let expected: Vec<_> = model.iter().map(|(series, samples)| {
                (all[*series].clone(), samples.iter().map(|(at, value)| (*at, float(*value))).collect::<Vec<_>>())
            }).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
