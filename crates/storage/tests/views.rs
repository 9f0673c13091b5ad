//! Views over several: what they show is what one store with everything in it would show.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use model::{Exemplar, Labels, MatchOp, Matcher, Metadata, TimestampMs};
use storage::{
    Batch, BoxFuture, Labelled, Merged, Querier, QueryError, Queryable, SelectHints, SeriesSet, Storage as _, TimeRange,
};
use testkit::series_store::{SeriesStore, StoredValue};

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("stores in memory do not wait"),
    }
}

fn store(lines: &str) -> Arc<dyn Queryable> {
    let store = SeriesStore::new();
    store.load(1000, lines).unwrap();
    Arc::new(store)
}

fn matcher(op: MatchOp, name: &str, value: &str) -> Matcher {
    Matcher::new(op, name, value).unwrap()
}

/// A selection as lines: labels, then samples as `seconds:value`.
fn select(view: &dyn Queryable, matchers: &[Matcher], limit: usize) -> Vec<String> {
    let querier = view.querier(TimeRange::ALL);
    let hints = SelectHints { limit, ..SelectHints::samples(TimeRange::ALL) };
    let mut set = now(querier.select(matchers, hints)).unwrap();
    let mut lines = Vec::new();
    let mut last: Option<Labels> = None;
    while let Some(mut series) = set.next().unwrap() {
        assert!(last.as_ref().is_none_or(|last| *last < series.labels), "{last:?} before {}", series.labels);
        let (mut line, mut batch, mut newest) = (series.labels.to_string(), Batch::default(), TimestampMs::MIN);
        while series.samples.next_batch(&mut batch).unwrap() {
            assert!(!batch.is_empty() && (batch.floats.is_empty() || batch.histograms.is_empty()), "{batch:?}");
            for (index, at) in batch.timestamps.iter().enumerate() {
                assert!(*at > newest, "times rise");
                newest = *at;
                match batch.floats.get(index) {
                    Some(value) => line.push_str(&format!(" {}:{value}", at.0 / 1000)),
                    None => line.push_str(&format!(" {}:h{:?}", at.0 / 1000, batch.histograms[index].sum)),
                }
            }
        }
        last = Some(series.labels);
        lines.push(line);
    }
    lines
}

#[test]
fn series_of_several_are_one_and_the_first_counts() {
    let first = store("up{job=\"a\"} 1 _ 3 _ _ _\nonly{first=\"1\"} 1");
    let second = store("up{job=\"a\"} _ 2 30 4 _ 6\nup{job=\"b\"} 7\n");
    let third = store("a 0\nup{job=\"a\"} 100 _ 300 _ 5 60");
    let expected = ["a 0:0", "only{first=\"1\"} 0:1", "up{job=\"a\"} 0:1 1:2 2:3 3:4 4:5 5:6", "up{job=\"b\"} 0:7"];
    let merged = Merged::new(vec![first, second, third]);
    assert_eq!(select(&merged, &[], 0), expected);
    assert_eq!(select(&merged, &[], 3), expected[..3]);
    assert_eq!(select(&merged, &[matcher(MatchOp::Equal, "job", "b")], 0), expected[3..]);
    let querier = merged.querier(TimeRange::ALL);
    assert_eq!(now(querier.label_names(&[], 0)).unwrap(), ["__name__", "first", "job"]);
    assert_eq!(now(querier.label_names(&[], 2)).unwrap(), ["__name__", "first"]);
    assert_eq!(now(querier.label_values("job", &[], 0)).unwrap(), ["a", "b"]);
    assert_eq!(now(querier.label_values("job", &[], 1)).unwrap(), ["a"]);
    assert!(select(&Merged::new(Vec::new()), &[], 0).is_empty());
}

#[test]
fn floats_and_histograms_take_turns() {
    let histogram = "{{schema:0 sum:7 count:1 buckets:[1]}}";
    let first = store(&format!("m 0 {histogram} _ 3 {histogram} _"));
    let second = store(&format!("m {histogram} 1 2 _ _ {histogram}"));
    let expected = "m 0:0 1:h7.0 2:2 3:3 4:h7.0 5:h7.0";
    assert_eq!(select(&Merged::new(vec![first, second]), &[], 0), [expected]);
}

/// Numbers without a pattern that are the same every time.
struct Lots(u64);

impl Lots {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn merging_long_series_is_as_inserting_them_into_one() {
    for seed in 0..30 {
        let mut lots = Lots(seed);
        let labels = Labels::from_pairs([("__name__", "m")]).unwrap();
        let stores: Vec<SeriesStore> = (0..1 + lots.below(4)).map(|_| SeriesStore::new()).collect();
        let mut expected = BTreeMap::new();
        for (index, store) in stores.iter().enumerate() {
            // From a sample now and then to one nearly everywhere, and long runs of one alone.
            let (one_in, start) = (1 + lots.below(20), lots.below(1000));
            for second in start..start + 1200 {
                if lots.below(one_in) == 0 {
                    let value = (index * 10_000) as f64 + second as f64;
                    store.insert(&labels, TimestampMs(second as i64 * 1000), StoredValue::Float(value));
                    expected.entry(second).or_insert(value);
                }
            }
        }
        let members = stores.into_iter().map(|store| Arc::new(store) as Arc<dyn Queryable>).collect();
        let samples: String = expected.iter().map(|(second, value)| format!(" {second}:{value}")).collect();
        assert_eq!(select(&Merged::new(members), &[], 0), [format!("m{samples}")], "seed {seed}");
    }
}

#[test]
fn one_label_more_keeps_the_order_and_the_meaning() {
    let pairs = ["a", "b", "exported_m", "m", "n", "z"];
    for seed in 0..200 {
        let mut lots = Lots(seed);
        let store = SeriesStore::new();
        let mut raw = BTreeSet::new();
        for _ in 0..lots.below(40) {
            let chosen: Vec<(&str, String)> = pairs
                .iter()
                .filter_map(|name| match lots.below(3) {
                    0 => Some((*name, lots.below(2).to_string())),
                    _ => None,
                })
                .collect();
            raw.insert(Labels::from_pairs(chosen).unwrap());
        }
        for labels in raw.iter().filter(|labels| !labels.is_empty()) {
            store.insert(labels, TimestampMs(0), StoredValue::Float(1.0));
        }
        let shown: BTreeSet<Labels> = raw
            .iter()
            .filter(|labels| !labels.is_empty())
            .map(|labels| {
                let mut pairs: Vec<(String, String)> = Vec::new();
                for (name, value) in labels {
                    let name = match name {
                        "m" if labels.get("exported_m").is_some() => "exported_exported_m",
                        "m" => "exported_m",
                        other => other,
                    };
                    pairs.push((name.to_owned(), value.to_owned()));
                }
                pairs.push(("m".to_owned(), "w".to_owned()));
                Labels::from_pairs(pairs).unwrap()
            })
            .collect();
        let view = Labelled::new(Arc::new(store), "m", "w");
        for matchers in [
            vec![],
            vec![matcher(MatchOp::Equal, "m", "w")],
            vec![matcher(MatchOp::Regex, "m", "x|y")],
            vec![matcher(MatchOp::Equal, "exported_m", "1")],
            vec![matcher(MatchOp::NotEqual, "exported_exported_m", ""), matcher(MatchOp::NotEqual, "m", "")],
            vec![matcher(MatchOp::Equal, "a", "1"), matcher(MatchOp::Equal, "exported_m", "")],
        ] {
            let met: Vec<&Labels> =
                shown.iter().filter(|labels| matchers.iter().all(|one| one.matches_labels(labels))).collect();
            let expected: Vec<String> = met.iter().map(|labels| format!("{labels} 0:1")).collect();
            assert_eq!(select(&view, &matchers, 0), expected, "seed {seed}, {matchers:?}");
            assert_eq!(select(&view, &matchers, 2).len(), expected.len().min(2));
            let querier = view.querier(TimeRange::ALL);
            let names: BTreeSet<&str> = met.iter().flat_map(|labels| labels.iter()).map(|(name, _)| name).collect();
            assert_eq!(now(querier.label_names(&matchers, 0)).unwrap(), names.into_iter().collect::<Vec<_>>());
            for name in ["a", "m", "exported_m", "exported_exported_m"] {
                let values: BTreeSet<&str> = met.iter().filter_map(|labels| labels.get(name)).collect();
                let found = now(querier.label_values(name, &matchers, 0)).unwrap();
                assert_eq!(found, values.into_iter().collect::<Vec<_>>(), "seed {seed}, {name}, {matchers:?}");
            }
        }
    }
}

/// A store that cannot be read.
struct Broken;

impl Queryable for Broken {
    fn querier(&self, _range: TimeRange) -> Box<dyn Querier> {
        Box::new(Self)
    }
}

impl Querier for Broken {
    fn select<'a>(
        &'a self,
        _matchers: &'a [Matcher],
        _hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        Box::pin(ready(Err(QueryError::Unavailable("closed".into()))))
    }

    fn label_names<'a>(
        &'a self,
        _matchers: &'a [Matcher],
        _limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(ready(Err(QueryError::Unavailable("closed".into()))))
    }

    fn label_values<'a>(
        &'a self,
        _name: &'a str,
        _matchers: &'a [Matcher],
        _limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(ready(Err(QueryError::Unavailable("closed".into()))))
    }
}

#[test]
fn a_part_is_never_shown_as_all() {
    let merged = Merged::new(vec![store("up 1"), Arc::new(Broken)]);
    let querier = merged.querier(TimeRange::ALL);
    assert!(now(querier.select(&[], SelectHints::samples(TimeRange::ALL))).is_err());
    assert!(now(querier.label_names(&[], 0)).is_err());
    assert!(now(querier.label_values("job", &[], 0)).is_err());
}

#[test]
fn exemplars_and_metadata_of_several_are_listed_once() {
    let store = |help: &str, exemplars: &[(&str, i64)]| -> Arc<dyn Queryable> {
        let store = SeriesStore::new();
        let mut appender = store.appender(TimestampMs(0));
        appender.set_metadata("x", Metadata { help: help.to_owned(), ..Metadata::default() });
        for (job, at) in exemplars {
            let labels = Labels::from_pairs([("__name__", "x"), ("job", *job)]).unwrap();
            let series = appender.series(None, &labels).unwrap();
            let exemplar = Exemplar { labels: Labels::empty(), timestamp: TimestampMs(*at), value: 1.0 };
            appender.append_exemplar(series, exemplar).unwrap();
        }
        now(appender.commit()).unwrap();
        Arc::new(store)
    };
    let list = |view: &dyn Queryable, selectors: &[Vec<Matcher>]| {
        let found = view.exemplars(selectors, TimeRange { start: TimestampMs(1), end: TimestampMs(9) });
        let times = |series: &storage::SeriesExemplars| {
            series.exemplars.iter().map(|exemplar| exemplar.timestamp.0).collect::<Vec<_>>()
        };
        found.iter().map(|series| format!("{} {:?}", series.labels, times(series))).collect::<Vec<_>>()
    };
    let (eu, us) = (store("one", &[("a", 1), ("a", 5), ("b", 10)]), store("two", &[("a", 3), ("c", 4)]));
    let merged = Merged::new(vec![Arc::clone(&eu), Arc::clone(&us), us]);
    let helps: Vec<_> = merged.metadata().into_iter().map(|(name, metadata)| (name, metadata.help)).collect();
    assert_eq!(helps, [("x".to_owned(), "one".to_owned()), ("x".to_owned(), "two".to_owned())]);
    let all = [vec![matcher(MatchOp::Equal, "__name__", "x")], vec![matcher(MatchOp::Equal, "job", "a")]];
    assert_eq!(list(&merged, &all), [r#"x{job="a"} [1, 3, 3, 5]"#, r#"x{job="c"} [4, 4]"#]);
    let labelled = Labelled::new(eu, "job", "eu");
    let moved = [vec![matcher(MatchOp::Equal, "exported_job", "a"), matcher(MatchOp::Equal, "job", "eu")]];
    assert_eq!(list(&labelled, &moved), [r#"x{exported_job="a", job="eu"} [1, 5]"#]);
    assert!(list(&labelled, &[vec![matcher(MatchOp::Equal, "job", "a")]]).is_empty());
}
