//! Matchers, ranges, limits and labels.

use model::{Labels, MatchOp, Matcher, TimestampMs};
use storage::{Queryable as _, SelectHints, TimeRange};
use testkit::MemoryDisk;
use tsdb::Db;

use crate::support::{commit, labels, open, select, wait};

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange { start: TimestampMs(start), end: TimestampMs(end) }
}

fn filled() -> std::sync::Arc<Db> {
    let db = open(&MemoryDisk::new());
    let all = [
        labels(&[("__name__", "http"), ("job", "api"), ("code", "200")]),
        labels(&[("__name__", "http"), ("job", "api"), ("code", "404")]),
        labels(&[("__name__", "http"), ("job", "db")]),
        labels(&[("__name__", "up"), ("job", "api")]),
        labels(&[("__name__", "up")]),
    ];
    for (number, labels) in (0..).zip(&all) {
        commit(&db, &[(labels, number * 1000, 1.0.into())]).unwrap();
    }
    db
}

/// `name op value` → which of the series are meant, by number.
#[test]
fn matchers_as_prometheus_means_them() {
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let db = filled();
    type Row = (&'static [(&'static str, MatchOp, &'static str)], &'static [i64]);
    let table: &[Row] = &[
        (&[], &[0, 1, 2, 3, 4]),
        (&[("__name__", Equal, "http")], &[0, 1, 2]),
        (&[("__name__", Equal, "none")], &[]),
        (&[("none", Equal, "a")], &[]),
        (&[("none", Equal, "")], &[0, 1, 2, 3, 4]),
        (&[("none", NotEqual, "")], &[]),
        (&[("none", NotEqual, "a")], &[0, 1, 2, 3, 4]),
        (&[("job", Equal, "")], &[4]),
        (&[("job", NotEqual, "")], &[0, 1, 2, 3]),
        (&[("job", NotEqual, "api")], &[2, 4]),
        (&[("job", Regex, "a.*")], &[0, 1, 3]),
        (&[("job", Regex, ".*")], &[0, 1, 2, 3, 4]),
        (&[("job", Regex, ".+")], &[0, 1, 2, 3]),
        (&[("job", Regex, "api|")], &[0, 1, 3, 4]),
        (&[("job", NotRegex, "a.*")], &[2, 4]),
        (&[("job", NotRegex, "api|")], &[2]),
        (&[("job", NotRegex, ".*")], &[]),
        (&[("job", NotRegex, ".+")], &[4]),
        (&[("code", Regex, "4..")], &[1]),
        (&[("__name__", Equal, "http"), ("code", Equal, "")], &[2]),
        (&[("__name__", Equal, "http"), ("code", NotEqual, "200")], &[1, 2]),
        (&[("__name__", Equal, "http"), ("code", NotEqual, "200"), ("code", NotEqual, "")], &[1]),
        (&[("__name__", Regex, "http|up"), ("job", Equal, "api"), ("code", NotRegex, "2..")], &[1, 3]),
        (&[("job", Equal, "api"), ("job", Equal, "db")], &[]),
    ];
    for (matchers, expected) in table {
        let matchers: Vec<_> =
            matchers.iter().map(|(name, op, value)| Matcher::new(*op, name, value).unwrap()).collect();
        let mut found: Vec<_> = select(&db, &matchers, TimeRange::ALL).iter().map(|(_, s)| s[0].0 / 1000).collect();
        found.sort_unstable();
        assert_eq!(found, *expected, "{matchers:?}");
    }
}

#[test]
fn series_come_sorted_and_each_once() {
    let found: Vec<Labels> = select(&filled(), &[], TimeRange::ALL).into_iter().map(|(labels, _)| labels).collect();
    assert!(found.is_sorted() && found.len() == 5);
}

#[test]
fn ranges_choose_series_and_samples() {
    let db = filled();
    let count = |start, end| select(&db, &[], range(start, end)).len();
    assert_eq!((count(0, 1000), count(1001, 1999), count(4000, 9000), count(4001, 9000)), (2, 0, 1, 0));

    let series = labels(&[("long", "run")]);
    let samples: Vec<_> = (0..1000).map(|step| (&series, step * 15_000, (step as f64).into())).collect();
    commit(&db, &samples).unwrap();
    let matchers = [Matcher::equal("long", "run")];
    for (start, end) in
        [(0, 0), (1, 14_999), (15_000, 3_000_000), (7_200_000, 7_200_000), (-5, i64::MAX), (14_985_000, i64::MAX)]
    {
        let found = select(&db, &matchers, range(start, end));
        let expected: Vec<i64> = (0..1000).map(|step| step * 15_000).filter(|at| (start..=end).contains(at)).collect();
        let found: Vec<i64> = found.iter().flat_map(|(_, samples)| samples.iter().map(|(at, _)| *at)).collect();
        assert_eq!(found, expected, "{start}..={end}");
    }
}

#[test]
fn hints_limit_and_spare_samples() {
    let db = filled();
    let querier = db.querier(TimeRange::ALL);
    let count = |hints: SelectHints| {
        let mut set = wait(querier.select(&[], hints)).unwrap();
        std::iter::from_fn(|| set.next().unwrap()).count()
    };
    assert_eq!(count(SelectHints { limit: 2, ..SelectHints::samples(TimeRange::ALL) }), 2);
    assert_eq!(count(SelectHints::series_only(range(3000, 9000))), 2);
    assert_eq!(count(SelectHints::samples(range(9000, 3000))), 0);
}

#[test]
fn label_names_and_values() {
    let db = filled();
    let querier = db.querier(TimeRange::ALL);
    let api = [Matcher::equal("job", "api")];
    assert_eq!(wait(querier.label_names(&[], 0)).unwrap(), ["__name__", "code", "job"]);
    assert_eq!(wait(querier.label_names(&[], 1)).unwrap(), ["__name__"]);
    assert_eq!(wait(querier.label_names(&[Matcher::equal("job", "db")], 0)).unwrap(), ["__name__", "job"]);
    assert_eq!(wait(querier.label_values("__name__", &[], 0)).unwrap(), ["http", "up"]);
    assert_eq!(wait(querier.label_values("code", &api, 0)).unwrap(), ["200", "404"]);
    assert_eq!(wait(querier.label_values("code", &api, 1)).unwrap(), ["200"]);
    assert_eq!(wait(querier.label_values("none", &api, 0)).unwrap(), [""; 0]);
    let later = db.querier(range(10_000, 20_000));
    assert_eq!(wait(later.label_names(&[], 0)).unwrap(), [""; 0]);
    assert_eq!(wait(later.label_values("job", &[], 0)).unwrap(), [""; 0]);
}
