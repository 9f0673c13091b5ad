//! Random batches, restarts and selectors, against maps that do the same in the plainest way.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Counts, Labels, MatchOp, Matcher, NativeHistogram, Span, TimestampMs, stale_nan};
use proptest::prelude::*;
use storage::{AppendError, ElementKind, TimeRange};
use testkit::MemoryDisk;
use tsdb::{Settings, WalSync};

use crate::support::{Value, commit, labels, open_with, select, settings};

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(usize, i64, TestValue)>),
    Restart,
    Select(Vec<(usize, usize, usize)>, i64, i64),
}

#[derive(Clone, Debug)]
enum TestValue {
    Float(f64),
    /// Count, extra bucket, float.
    Histogram(u8, bool, bool),
}

impl TestValue {
    fn value(&self) -> Value {
        match self {
            Self::Float(value) => Value::from(*value),
            Self::Histogram(count, wide, float) => Value::Histogram(Arc::new(histogram(*count, *wide, *float))),
        }
    }
}

fn histogram(count: u8, wide: bool, float: bool) -> NativeHistogram {
    let buckets = if wide { vec![i64::from(count), 1 - i64::from(count)] } else { vec![i64::from(count)] };
    let total = u64::from(count) + u64::from(wide);
    let absolute = if wide { vec![f64::from(count), 1.0] } else { vec![f64::from(count)] };
    NativeHistogram {
        sum: f64::from(count) * 1.5,
        positive_spans: vec![Span { offset: 3, length: buckets.len() as u32 }],
        counts: if float {
            Counts::Float { count: total as f64, zero_count: 0.0, positive: absolute, negative: vec![] }
        } else {
            Counts::Integer { count: total, zero_count: 0, positive: buckets, negative: vec![] }
        },
        ..NativeHistogram::stale()
    }
}

/// As the engine tells samples apart: histograms by observations.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Histogram(left), Value::Histogram(right)) => tsdb_format::chunk::same_observations(left, right),
        (left, right) => left == right,
    }
}

fn all_series() -> Vec<Labels> {
    let mut all = Vec::new();
    for name in ["a", "b"] {
        for x in ["", "1", "2", "12"] {
            for y in ["", "z"] {
                all.push(labels(&[("__name__", name), ("x", x), ("y", y)]));
            }
        }
    }
    all
}

fn matchers() -> Vec<Vec<Matcher>> {
    let of = |name: &str| {
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        let values = ["", "1", "z", "a", "1.*", ".*", ".+", "|2", "none"];
        let pairs = ops.iter().flat_map(|op| values.iter().map(move |value| (*op, *value)));
        pairs.map(|(op, value)| Matcher::new(op, name, value).unwrap()).collect()
    };
    ["__name__", "x", "y", "absent"].map(of).into()
}

#[derive(Default)]
struct Model(BTreeMap<Labels, BTreeMap<i64, Value>>);

impl Model {
    fn append(&mut self, labels: &Labels, at: i64, value: &Value) -> Result<(), AppendError> {
        let samples = self.0.entry(labels.clone()).or_default();
        match samples.get(&at) {
            Some(stored) if same(stored, value) => Ok(()),
            Some(_) => Err(AppendError::DuplicateTimestamp { at: TimestampMs(at) }),
            None => {
                samples.insert(at, value.clone());
                Ok(())
            }
        }
    }

    fn select(&self, matchers: &[Matcher], range: TimeRange) -> Vec<(Labels, Vec<(i64, Value)>)> {
        let meets = |labels: &Labels| matchers.iter().all(|matcher| matcher.matches_labels(labels));
        let inside = |samples: &BTreeMap<i64, Value>| -> Vec<_> {
            samples.range(range.start.0..=range.end.0).map(|(at, value)| (*at, value.clone())).collect()
        };
        let series = self.0.iter().filter(|(labels, _)| meets(labels));
        series.map(|(labels, samples)| (labels.clone(), inside(samples))).filter(|(_, s)| !s.is_empty()).collect()
    }
}

fn assert_same(found: &[(Labels, Vec<(i64, Value)>)], expected: &[(Labels, Vec<(i64, Value)>)]) {
    assert_eq!(found.len(), expected.len());
    for ((labels, samples), (expected_labels, expected_samples)) in found.iter().zip(expected) {
        assert_eq!(labels, expected_labels);
        let times = |samples: &[(i64, Value)]| samples.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        assert_eq!(times(samples), times(expected_samples), "{labels}");
        for ((at, value), (_, expected)) in samples.iter().zip(expected_samples) {
            assert!(same(value, expected), "{labels} at {at}: {value:?} instead of {expected:?}");
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let time = prop_oneof![6 => (0i64..100).prop_map(|step| step * 15_000), 2 => 0i64..100_000_000, 1 => -1000i64..0];
    let value = prop_oneof![
        4 => (0i32..5).prop_map(|value| TestValue::Float(f64::from(value))),
        1 => Just(TestValue::Float(stale_nan())),
        2 => (0u8..4, any::<bool>(), any::<bool>()).prop_map(|(count, wide, float)| TestValue::Histogram(count, wide, float)),
    ];
    let sample = (0usize..16, time, value);
    // Runs of one series fill chunks and let kinds alternate.
    let run = (0usize..16, 0i64..1000, 1i64..40, 1i64..200_000, any::<bool>()).prop_map(
        |(series, start, count, step, mixed)| {
            (0..count)
                .map(|number| {
                    let value = if mixed && number % 3 == 0 {
                        TestValue::Histogram(number as u8, number > 20, false)
                    } else {
                        TestValue::Float(number as f64)
                    };
                    (series, start * 60_000 + number * step, value)
                })
                .collect::<Vec<_>>()
        },
    );
    let step = prop_oneof![
        4 => prop::collection::vec(sample, 1..20).prop_map(Step::Commit),
        4 => run.prop_map(Step::Commit),
        1 => Just(Step::Restart),
        4 => (prop::collection::vec((0usize..4, 0usize..36, 0usize..1), 0..4), -1000i64..2_000_000, 0i64..100_000_000)
            .prop_map(|(matchers, start, length)| Step::Select(matchers, start, start + length)),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_database_is_a_map_that_survives(steps in steps(), every_commit in any::<bool>(), small in any::<bool>()) {
        let settings = Settings {
            wal_sync: if every_commit { WalSync::EveryCommit } else { settings().wal_sync },
            segment_bytes_max: if small { 2000 } else { 128 << 20 },
            series_cache_bytes_max: if small { 0 } else { 1 << 20 },
            out_of_order_window: None,
            ..settings()
        };
        let (all, patterns) = (all_series(), matchers());
        let mut disk = MemoryDisk::new();
        let mut db = open_with(&disk, settings.clone());
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Commit(samples) => {
                    let samples: Vec<_> = samples.iter().map(|(series, at, value)| (&all[*series], *at, value.value())).collect();
                    let committed = commit(&db, &samples).unwrap();
                    let mut refused = committed.rejected.iter();
                    for (labels, at, value) in &samples {
                        if let Err(error) = model.append(labels, *at, value) {
                            let rejection = refused.next().expect("as many are refused as expected");
                            prop_assert_eq!(&rejection.labels, *labels);
                            prop_assert_eq!(&rejection.error, &error);
                            let kind = match value {
                                Value::Float(_) => ElementKind::Sample,
                                Value::Histogram(_) => ElementKind::Histogram,
                            };
                            prop_assert_eq!(rejection.kind, kind);
                        }
                    }
                    prop_assert!(refused.next().is_none());
                }
                Step::Restart => {
                    disk = if every_commit { disk.after_power_cut(|_| 0) } else { disk.after_process_crash() };
                    db = open_with(&disk, settings.clone());
                    prop_assert!(db.recovery().damage.is_empty() && db.recovery().torn_bytes == 0);
                    assert_same(&select(&db, &[], TimeRange::ALL), &model.select(&[], TimeRange::ALL));
                }
                Step::Select(chosen, start, end) => {
                    let chosen: Vec<_> = chosen.iter().map(|(name, pattern, _)| patterns[*name][*pattern].clone()).collect();
                    let range = TimeRange { start: TimestampMs(start), end: TimestampMs(end) };
                    assert_same(&select(&db, &chosen, range), &model.select(&chosen, range));
                }
            }
        }
        assert_same(&select(&db, &[], TimeRange::ALL), &model.select(&[], TimeRange::ALL));
    }
}
