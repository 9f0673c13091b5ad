//! Samples older than their series' newest one.

use std::sync::Arc;
use std::time::Duration;

use model::{Counts, NativeHistogram, Span, TimestampMs, stale_nan};
use storage::{AgeLimit, AppendError, CommitError, Storage, TimeRange};
use testkit::MemoryDisk;
use tsdb::Settings;

use crate::support::{Value, append, commit, labels, open_with, select, select_all, settings, wait};

fn late_settings() -> Settings {
    Settings { out_of_order_window: None, ..settings() }
}

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn histogram(count: u8) -> Value {
    Value::Histogram(Arc::new(NativeHistogram {
        sum: f64::from(count),
        positive_spans: vec![Span { offset: 0, length: 1 }],
        counts: Counts::Integer { count: count.into(), zero_count: 0, positive: vec![count.into()], negative: vec![] },
        ..NativeHistogram::stale()
    }))
}

/// What is said of one sample after another: in the head there are samples at 0 h, and each quarter of an hour from 97 h to 100 h.
#[test]
fn verdicts() {
    let at = |time: i64| TimestampMs(time);
    let too_old = |time: i64, oldest: i64| {
        Some(AppendError::TooOld { at: at(time), oldest: at(oldest), limit: AgeLimit::OutOfOrderWindow })
    };
    let out_of_order = |time: i64| Some(AppendError::OutOfOrder { at: at(time), newest: at(100 * HOUR) });
    let other = |time: i64| Some(AppendError::DuplicateTimestamp { at: at(time) });
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    // Window, series, time, value, what is said of it, also after a restart: of what was taken, that it is the same.
    let table = [
        (None, "a", 100 * HOUR, 1.0.into(), None),
        (None, "a", 100 * HOUR, 2.0.into(), other(100 * HOUR)),
        (None, "a", 98 * HOUR, 1.0.into(), None),
        (None, "a", 98 * HOUR, 2.0.into(), other(98 * HOUR)),
        (None, "a", 98 * HOUR + 1, 2.0.into(), None),
        (None, "a", 98 * HOUR + 1, 3.0.into(), other(98 * HOUR + 1)),
        (None, "a", -400 * DAY, 1.0.into(), None),
        (None, "a", -400 * DAY, stale_nan().into(), other(-400 * DAY)),
        (None, "a", -401 * DAY, stale_nan().into(), None),
        (None, "a", 98 * HOUR + 2, histogram(3), None),
        (None, "a", 98 * HOUR + 2, histogram(4), other(98 * HOUR + 2)),
        (None, "a", 98 * HOUR + 2, 3.0.into(), other(98 * HOUR + 2)),
        (None, "a", 98 * HOUR, histogram(3), other(98 * HOUR)),
        (None, "new", 98 * HOUR, 1.0.into(), None),
        (None, "newer", 99 * HOUR, 1.0.into(), None),
        (days(1), "a", 76 * HOUR, 1.0.into(), None),
        (days(1), "a", 76 * HOUR - 1, 1.0.into(), too_old(76 * HOUR - 1, 76 * HOUR)),
        (days(1), "a", 0, 1.0.into(), None),
        (days(1), "a", 0, 2.0.into(), other(0)),
        (days(1), "new", 76 * HOUR, 1.0.into(), None),
        (days(1), "newer", 76 * HOUR - 1, 1.0.into(), too_old(76 * HOUR - 1, 76 * HOUR)),
        (days(0), "a", 98 * HOUR, 1.0.into(), None),
        (days(0), "a", 98 * HOUR, 2.0.into(), other(98 * HOUR)),
        (days(0), "a", 98 * HOUR + 1, 1.0.into(), out_of_order(98 * HOUR + 1)),
        (days(0), "new", 99 * HOUR - 1, 1.0.into(), too_old(99 * HOUR - 1, 99 * HOUR)),
        (days(0), "newer", 99 * HOUR, 1.0.into(), None),
    ];
    for window in [None, days(1), days(0)] {
        let disk = MemoryDisk::new();
        let settings = Settings { out_of_order_window: window, ..settings() };
        let db = open_with(&disk, settings.clone());
        let series = |name: &str| labels(&[("__name__", name)]);
        for quarter in [0].into_iter().chain(4 * 97..=4 * 100) {
            assert_eq!(append(&db, &series("a"), quarter * HOUR / 4, 1.0), None);
        }
        let verdict = |db: &_, name: &str, time: i64, value: &Value| {
            let committed = commit(db, &[(&series(name), time, value.clone())]).unwrap();
            let taken = committed.samples + committed.histograms;
            assert_eq!(taken, 1 - committed.rejected.len() as u64);
            committed.rejected.into_iter().next().map(|rejection| rejection.error)
        };
        let mut series_count = 1;
        for (_, name, time, value, expected) in table.iter().filter(|row| row.0 == window) {
            assert_eq!(&verdict(&db, name, *time, value), expected, "{window:?} {name} at {time}: {value:?}");
            series_count += u64::from(expected.is_none() && *name != "a");
        }
        assert_eq!(db.stats().series, series_count, "what is refused makes no series");
        let (before, appended) = (select_all(&db), db.stats().samples_appended + db.stats().histograms_appended);
        assert_eq!(before.iter().map(|(_, samples)| samples.len() as u64).sum::<u64>(), appended);

        let db = open_with(&disk.after_process_crash(), settings);
        assert_eq!(select_all(&db), before);
        for (_, name, time, value, expected) in table.iter().filter(|row| row.0 == window) {
            assert_eq!(&verdict(&db, name, *time, value), expected, "{window:?} {name} at {time}: {value:?}, again");
        }
        assert_eq!(select_all(&db), before);
        let stats = db.stats();
        assert_eq!(stats.duplicates, table.iter().filter(|row| row.0 == window && row.4.is_none()).count() as u64);
    }
}

#[test]
fn what_is_older_than_the_retention_is_refused_at_once() {
    let settings = Settings { retention: Duration::from_secs(10 * 86_400), ..settings() };
    let db = open_with(&MemoryDisk::new(), settings);
    let mut appender = db.appender(TimestampMs(100 * DAY));
    let series = appender.series(None, &labels(&[("a", "b")])).unwrap();
    let (at, oldest) = (TimestampMs(90 * DAY - 1), TimestampMs(90 * DAY));
    assert_eq!(appender.append(series, at, 1.0), Err(AppendError::TooOld { at, oldest, limit: AgeLimit::Retention }));
    assert_eq!(appender.append(series, oldest, 1.0), Ok(()));
    assert_eq!(wait(appender.commit()).unwrap().samples, 1);
    assert_eq!(db.stats().rejected.by_reason().iter().find(|(reason, _)| *reason == "too-old"), Some(&("too-old", 1)));
}

#[test]
fn a_batch_that_would_open_too_many_ranges_leaves_nothing_behind() {
    let disk = MemoryDisk::new();
    let db = open_with(&disk, late_settings());
    let (old, live) = (labels(&[("__name__", "old")]), labels(&[("__name__", "live")]));
    assert_eq!(append(&db, &live, 2_600 * HOUR, 1.0), None);
    // Twenty days and six hours each.
    let range = |number: i64| number * 486 * HOUR - 300 * DAY;
    for number in 0..20 {
        assert_eq!(append(&db, &old, range(number), 1.0), None);
    }
    assert_eq!(db.stats().out_of_order_ranges, 20);
    let before = select_all(&db);
    let new = labels(&[("__name__", "new")]);
    let batch =
        [(&live, 2_600 * HOUR + 1, 1.0.into()), (&new, range(-3), 2.0.into()), (&old, range(3) + 1, 1.0.into())];
    match commit(&db, &batch) {
        Err(CommitError::Busy(reason)) => assert!(reason.contains("20 ranges"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!((select_all(&db), db.stats().series, db.stats().busy), (before.clone(), 2, 1));
    // What needs no other range is still taken.
    assert_eq!(append(&db, &live, 2_600 * HOUR + 2, 1.0), None);
    assert_eq!(append(&db, &old, range(3) + 2, 1.0), None);
    let after = select_all(&open_with(&disk.after_process_crash(), late_settings()));
    assert_eq!(after, select_all(&db));
    assert_eq!(after[1].1.len(), before[1].1.len() + 1);
}

#[test]
fn long_runs_of_one_series_in_one_batch_are_compared() {
    let db = open_with(&MemoryDisk::new(), late_settings());
    let series = labels(&[("a", "b")]);
    let float = |at: i64| (&series, at, Value::from(at as f64));
    // In order; late in falling order; everything again.
    let mut batch: Vec<_> = (0..5000).map(|at| float(2 * at)).collect();
    batch.extend((0..5000).rev().map(|at| float(2 * at + 1)));
    batch.extend((0..10_000).map(float));
    batch.extend([(&series, 77, 0.0.into()), (&series, 78, 0.0.into())]);
    let committed = commit(&db, &batch).unwrap();
    assert_eq!((committed.samples, committed.rejected.len()), (20_000, 2));
    let expected: Vec<_> = (0..10_000).map(|at| (at, Value::from(at as f64))).collect();
    assert_eq!(select_all(&db), [(series.clone(), expected.clone())]);
    let range = TimeRange { start: TimestampMs(500), end: TimestampMs(700) };
    assert_eq!(select(&db, &[], range), [(series, expected[500..=700].to_vec())]);
}
