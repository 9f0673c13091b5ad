//! What is taken and what is refused.

use model::{Exemplar, Matcher, Metadata, MetricType, TimestampMs, stale_nan};
use storage::{AppendError, ElementKind, Queryable as _, Storage, TimeRange};
use testkit::MemoryDisk;
use tsdb::Settings;

use crate::support::{Value, append, commit, labels, open, open_with, select, select_all, settings, wait};

#[test]
fn samples_are_found_again_also_after_a_crash() {
    let disk = MemoryDisk::new();
    let db = open(&disk);
    let (up, down) = (labels(&[("__name__", "up"), ("job", "a")]), labels(&[("__name__", "down"), ("job", "a")]));
    let committed = commit(&db, &[(&up, 1000, 1.0.into()), (&down, 1000, 2.0.into()), (&up, 2000, stale_nan().into())]);
    assert_eq!(committed.unwrap().samples, 3);
    let expected =
        vec![(down, vec![(1000, 2.0.into())]), (up.clone(), vec![(1000, 1.0.into()), (2000, stale_nan().into())])];
    assert_eq!(select_all(&db), expected);
    let crashed = open(&disk.after_process_crash());
    assert_eq!(select_all(&crashed), expected);
    assert_eq!(crashed.recovery().samples, 3);
    assert_eq!(append(&crashed, &up, 3000, 5.0), None);
    db.close().unwrap();
    assert_eq!(select_all(&open(&disk.after_power_cut(|_| 0))), expected, "closing syncs");
}

#[test]
fn reasons_to_refuse_are_told_apart() {
    let db = open(&MemoryDisk::new());
    let series = labels(&[("__name__", "up")]);
    for at in 0..500 {
        assert_eq!(append(&db, &series, at * 1000, at as f64), None);
    }
    let at = TimestampMs;
    let table = [
        (499_000, 499.0, None),
        (499_000, 1.0, Some(AppendError::DuplicateTimestamp { at: at(499_000) })),
        (3000, 3.0, None),
        (3000, 4.0, Some(AppendError::DuplicateTimestamp { at: at(3000) })),
        (3500, 3.0, Some(AppendError::OutOfOrder { at: at(3500), newest: at(499_000) })),
        (-1, 3.0, Some(AppendError::OutOfOrder { at: at(-1), newest: at(499_000) })),
    ];
    for (at, value, expected) in table {
        assert_eq!(append(&db, &series, at, value), expected, "{at} {value}");
    }
    let stats = db.stats();
    assert_eq!((stats.samples_appended, stats.duplicates), (500, 2));
    assert_eq!((stats.rejected.duplicate_timestamp, stats.rejected.out_of_order), (2, 2));
    assert_eq!(select_all(&db)[0].1.len(), 500);
}

#[test]
fn samples_of_one_batch_are_compared_with_each_other() {
    let db = open(&MemoryDisk::new());
    let (a, b) = (labels(&[("a", "a")]), labels(&[("b", "b")]));
    let batch = [(5, 1.0), (6, 2.0), (5, 1.0), (5, 3.0), (4, 0.0), (6, 2.0), (7, 1.0)];
    let samples: Vec<_> =
        batch.iter().flat_map(|&(at, value)| [(&a, at, Value::from(value)), (&b, at, value.into())]).collect();
    let committed = commit(&db, &samples).unwrap();
    assert_eq!(committed.samples, 10);
    let errors: Vec<_> =
        committed.rejected.iter().filter(|rejection| rejection.labels == a).map(|rejection| &rejection.error).collect();
    let at = TimestampMs;
    let expected =
        [&AppendError::DuplicateTimestamp { at: at(5) }, &AppendError::OutOfOrder { at: at(4), newest: at(6) }];
    assert_eq!(errors, expected);
    assert_eq!(select_all(&db)[0].1, [(5, 1.0.into()), (6, 2.0.into()), (7, 1.0.into())]);
}

#[test]
fn the_future_is_limited() {
    let db = open(&MemoryDisk::new());
    let mut appender = db.appender(TimestampMs(1_000_000));
    let series = appender.series(None, &labels(&[("a", "b")])).unwrap();
    appender.append(series, TimestampMs(1_600_000), 1.0).unwrap();
    let error = appender.append(series, TimestampMs(1_600_001), 1.0).unwrap_err();
    assert_eq!(error, AppendError::TooFarAhead { at: TimestampMs(1_600_001), newest: TimestampMs(1_600_000) });
    assert_eq!(wait(appender.commit()).unwrap().samples, 1);
}

#[test]
fn series_are_limited_and_come_to_be_with_a_sample_only() {
    let db = open_with(&MemoryDisk::new(), Settings { series_max: 2, ..settings() });
    let all: Vec<_> = ["a", "b", "c"].iter().map(|value| labels(&[("l", value)])).collect();
    for labels in &all {
        let mut forgotten = db.appender(TimestampMs(0));
        forgotten.series(None, labels).unwrap();
        let mut without_sample = db.appender(TimestampMs(0));
        without_sample.series(None, labels).unwrap();
        wait(without_sample.commit()).unwrap();
    }
    assert_eq!(db.stats().series, 0);
    let mut appender = db.appender(TimestampMs(0));
    let first = appender.series(Some(b"first"), &all[0]).unwrap();
    assert_eq!(appender.series(Some(b"other key"), &all[0]).unwrap(), first);
    appender.series(None, &all[1]).unwrap();
    assert_eq!(appender.series(None, &all[2]).unwrap_err(), AppendError::SeriesLimit { limit: 2 });
    drop(appender);

    // Two batches that both hold the last free place.
    let samples: Vec<_> = all.iter().map(|labels| (labels, 1, Value::from(1.0))).collect();
    let mut one = db.appender(TimestampMs(0));
    let series = one.series(None, &all[2]).unwrap();
    one.append(series, TimestampMs(1), 1.0).unwrap();
    commit(&db, &samples[..2]).unwrap();
    let rejected = wait(one.commit()).unwrap().rejected;
    assert_eq!(rejected[0].error, AppendError::SeriesLimit { limit: 2 });
    assert_eq!(rejected[0].labels, all[2]);
    assert_eq!(db.stats().series, 2);
}

#[test]
fn keys_save_the_lookup() {
    let db = open(&MemoryDisk::new());
    let series = labels(&[("a", "b")]);
    assert_eq!(append(&db, &series, 1, 1.0), None);
    assert!(db.appender(TimestampMs(0)).resolve(series.as_packed()).is_some());
    assert!(db.appender(TimestampMs(0)).resolve(b"another").is_none());
    let stats = db.stats();
    assert_eq!((stats.series_cache_hits, stats.series_cache_misses), (1, 2));
    assert!(stats.series_cache_bytes > 0);
}

#[test]
fn exemplars_and_metadata_are_kept_in_the_log() {
    let disk = MemoryDisk::new();
    let db = open(&disk);
    let series = labels(&[("__name__", "x_bucket")]);
    let metadata = |help: &str| Metadata { metric_type: MetricType::Histogram, help: help.into(), unit: "s".into() };
    let exemplar = |at, value| Exemplar { labels: labels(&[("trace_id", "t")]), timestamp: TimestampMs(at), value };
    for help in ["First.", "Second.", "Second."] {
        let mut appender = db.appender(TimestampMs(0));
        appender.set_metadata("x", metadata(help));
        wait(appender.commit()).unwrap();
    }
    let mut appender = db.appender(TimestampMs(0));
    let reference = appender.series(None, &series).unwrap();
    appender.append(reference, TimestampMs(5), 1.0).unwrap();
    for (at, value) in [(4, 1.0), (5, 1.0), (5, 1.0), (3, 2.0)] {
        appender.append_exemplar(reference, exemplar(at, value)).unwrap();
    }
    let committed = wait(appender.commit()).unwrap();
    assert_eq!(committed.exemplars, 3);
    let error = AppendError::OutOfOrderExemplar { at: TimestampMs(3), newest: TimestampMs(5) };
    assert_eq!((&committed.rejected[0].error, committed.rejected[0].kind), (&error, ElementKind::Exemplar));
    for db in [db, open(&disk.after_process_crash())] {
        assert_eq!(db.metadata(), [("x".to_owned(), metadata("Second."))]);
        let found = db.exemplars(&[vec![Matcher::equal("__name__", "x_bucket")]], TimeRange::ALL);
        let times: Vec<_> = found[0].exemplars.iter().map(|exemplar| exemplar.timestamp.0).collect();
        assert_eq!((found.len(), &found[0].labels, times), (1, &series, vec![4, 5]));
        assert!(db.exemplars(&[vec![Matcher::equal("__name__", "x")]], TimeRange::ALL).is_empty());
        assert_eq!(db.stats().series, 1, "metadata make no series");
        assert!(select(&db, &[Matcher::equal("__name__", "x")], TimeRange::ALL).is_empty());
    }
}

#[test]
fn statistics_say_where_cardinality_comes_from() {
    let db = open(&MemoryDisk::new());
    assert_eq!(db.statistics(3), Some(storage::Statistics::default()));
    for (name, instances) in [("x", 3), ("y", 1), ("z", 2)] {
        for instance in 0..instances {
            let series = labels(&[("__name__", name), ("instance", &format!("host-{instance}"))]);
            commit(&db, &[(&series, 5 + instance, 1.0.into())]).unwrap();
        }
    }
    let found = db.statistics(2).unwrap();
    let list = |counts: &[storage::Count]| {
        counts.iter().map(|count| format!("{} {}", count.name, count.count)).collect::<Vec<_>>()
    };
    assert_eq!((found.series, found.label_pairs, found.chunks), (6, 6, 6));
    assert_eq!(found.range, Some(TimeRange { start: TimestampMs(5), end: TimestampMs(7) }));
    assert_eq!(list(&found.series_by_metric_name), ["x 3", "z 2"]);
    assert_eq!(list(&found.values_by_label_name), ["__name__ 3", "instance 3"]);
    assert_eq!(list(&found.bytes_by_label_name), ["instance 36", "__name__ 6"]);
    assert_eq!(list(&found.series_by_label_pair), ["__name__=x 3", "instance=host-0 3"]);
}

#[test]
fn metadata_are_bounded_in_bytes() {
    let disk = MemoryDisk::new();
    let settings = Settings { metadata_bytes_max: 100_000, ..settings() };
    let set = |db: &tsdb::Db, name: &str, help: String| {
        let mut appender = db.appender(TimestampMs(0));
        appender.set_metadata(name, Metadata { help, ..Metadata::default() });
        wait(appender.commit()).unwrap();
    };
    let db = open_with(&disk, settings.clone());
    for index in 0..200 {
        set(&db, &format!("family_{index}"), "h".repeat(4000));
    }
    let kept = db.metadata().len();
    assert!((20..25).contains(&kept), "{kept} are kept");
    assert_eq!(db.stats().metadata_refused, 200 - kept as u64);
    // What is kept can be changed for what fits, and makes room for others; also after a restart.
    drop(db);
    let db = open_with(&disk.after_process_crash(), settings);
    set(&db, "other", "h".repeat(4000));
    assert_eq!(db.metadata().len(), kept);
    set(&db, "family_0", String::new());
    set(&db, "other", "h".repeat(3000));
    assert_eq!((db.metadata().len(), db.metadata()[0].1.help.as_str()), (kept + 1, ""));
}

#[test]
fn a_closed_database_takes_nothing_and_still_answers() {
    let db = open(&MemoryDisk::new());
    let series = labels(&[("a", "b")]);
    assert_eq!(append(&db, &series, 1, 1.0), None);
    db.close().unwrap();
    let refused = commit(&db, &[(&series, 2, 1.0.into())]);
    assert!(matches!(refused, Err(storage::CommitError::Closing)));
    assert_eq!(select_all(&db).len(), 1);
}

#[test]
fn series_are_numbered_alike_by_all_appenders_once_they_are_there() {
    let db = open(&MemoryDisk::new());
    let series: Vec<_> = ["a", "b", "c"].map(|name| labels(&[("__name__", name)])).into();
    let indices = || {
        let mut appender = db.appender(TimestampMs(0));
        let mut index = |labels| {
            let reference = appender.series(None, labels).unwrap();
            appender.index_of(reference)
        };
        series.iter().map(&mut index).collect::<Vec<_>>()
    };
    assert_eq!(indices(), [None, None, None], "asking makes no series");
    commit(&db, &[(&series[0], 1, 1.0.into()), (&series[1], 1, 1.0.into())]).unwrap();
    assert_eq!(indices(), [Some(0), Some(1), None]);
    commit(&db, &[(&series[2], 1, 1.0.into()), (&series[0], 2, 1.0.into())]).unwrap();
    assert_eq!(indices(), [Some(0), Some(1), Some(2)]);
}
