//! A range query must give at each step what an instant query gives at that time.
//!
//! That is the definition; evaluation goes the other way round, series by series over all steps, with cursors, sliding
//! windows, held rows and series put together from parts. Data are random: irregular times, gaps, staleness markers,
//! resets, NaN, series that change their name.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use environment::Rng;
use model::{Labels, TimestampMs, stale_nan};
use promql::{Engine, EngineOptions, EvalTime, SampleValue, Value};
use promql_syntax::{Options, parse_expr};
use testkit::SeededRng;
use testkit::series_store::{SeriesStore, StoredValue, labels};

const QUERIES: &[&str] = &[
    "a",
    "a offset 1m",
    "a offset -1m",
    "{__name__=~'a|b', host='1'}",
    "rate(a[1m])",
    "increase(a[3m7s] offset 20s)",
    "irate(a[1m])",
    "delta(a[45s])",
    "idelta(a[45s])",
    "deriv(a[2m])",
    "predict_linear(a[2m], 60)",
    "changes(a[2m])",
    "resets(a[2m])",
    "avg_over_time(a[90s])",
    "min_over_time(a[90s])",
    "max_over_time(a[90s])",
    "sum_over_time(a[90s])",
    "count_over_time(a[90s])",
    "quantile_over_time(0.3, a[90s])",
    "stddev_over_time(a[90s])",
    "last_over_time(a[20s])",
    "first_over_time(a[20s])",
    "mad_over_time(a[90s])",
    "ts_of_max_over_time(a[90s])",
    "ts_of_min_over_time(a[90s])",
    "ts_of_first_over_time(a[90s])",
    "ts_of_last_over_time(a[90s])",
    "stdvar_over_time(a[90s])",
    "present_over_time(a[20s])",
    "double_exponential_smoothing(a[2m], 0.3, 0.6)",
    "rate(a[1m] anchored)",
    "increase(a[1m] anchored offset 20s)",
    "delta(a[45s] anchored)",
    "changes(a[2m] anchored)",
    "resets(a[2m] anchored)",
    "rate(a[1m] smoothed)",
    "increase(a[50s] smoothed offset 20s)",
    "delta(a[45s] smoothed)",
    "a smoothed",
    "a smoothed offset 1m",
    "a smoothed @ 300",
    "start_timestamp(a)",
    "absent_over_time(a{host='1'}[11s])",
    "absent(a{host='1'})",
    "timestamp(a)",
    "timestamp(abs(a))",
    "abs({__name__=~'a|b', host='1'})",
    "-a",
    "round(a, 5)",
    "clamp(a, scalar(b{host='2'}), 50)",
    "minute(a)",
    "hour()",
    "a > 20",
    "20 < bool a",
    "a % 7 == 3 or b",
    "a and on (host) b",
    "a unless on (host) b > 30",
    "a or ignoring (zone) b",
    "a + on (host) b",
    "a * on (zone) group_left (host) c",
    "c - on (zone) group_right (note) a",
    "sum by (zone) (a)",
    "avg without (host) (a)",
    "min(a)",
    "max by (host) (a)",
    "count(a)",
    "group by (zone) (b)",
    "stddev(a)",
    "stdvar by (zone) (a)",
    "quantile by (zone) (0.4, a)",
    "topk(2, a)",
    "bottomk by (zone) (1, a)",
    "count_values('value', a % 3)",
    "label_replace(a, 'host', 'h$1', 'host', '(.*)')",
    "label_join(b, 'all', '-', 'host', 'zone')",
    "scalar(b{host='2'})",
    "vector(time())",
    "max_over_time(rate(a[1m])[3m:20s])",
    "sum_over_time((a > 20)[2m3s:7s] offset 13s)",
    "avg_over_time(abs({__name__=~'a|b', host='1'})[2m:15s])",
    "sum by (zone) (rate(a[1m])) / on (zone) group_left sum by (zone) (rate(a[2m]))",
    "a - a @ 300",
    "sum_over_time(a[1m] @ 300)",
    "max_over_time(a[2m:10s] @ 400 offset 1m)",
    "timestamp(a @ 300)",
    "predict_linear(a[2m] @ 300, 60)",
    "quantile_over_time(scalar(b{host='2'}) / 100, a[90s] @ 300)",
    "quantile_over_time(scalar(b{host='2'}) / 100, a[90s:7s] @ 300)",
    "max_over_time(rate(a[1m] smoothed)[3m:20s])",
    "histogram_quantile(0.7, sum by (le, zone) (rate(bucket[2m])))",
];

const END: i64 = 600_000;

/// Ten minutes of random series.
fn random_store(rng: &impl Rng) -> SeriesStore {
    let store = SeriesStore::new();
    for host in ["1", "2", "3", "4"] {
        let zone = if host < "3" { "x" } else { "y" };
        // One host's series goes by another name in the middle.
        let renamed = (host == "1").then(|| (below(rng, END as u64)) as i64);
        for name in ["a", "b"] {
            let mut value = below(rng, 100) as f64;
            let mut at = below(rng, 60_000) as i64;
            while at <= END {
                let hidden = renamed.is_some_and(|moment| (name == "a") == (at >= moment));
                if !hidden {
                    let series = labels(&[("__name__", name), ("host", host), ("zone", zone)]);
                    store.insert(&series, TimestampMs(at), StoredValue::Float(step(rng, &mut value)));
                }
                at += 1 + below(rng, if below(rng, 20) == 0 { 400_000 } else { 20_000 }) as i64;
            }
        }
    }
    for zone in ["x", "y"] {
        let series = labels(&[("__name__", "c"), ("zone", zone), ("note", zone), ("host", "of-zone")]);
        for at in (0..=END).step_by(30_000) {
            store.insert(&series, TimestampMs(at), StoredValue::Float(below(rng, 5) as f64));
        }
        let mut counts = [0.0; 3];
        for at in (0..=END).step_by(15_000) {
            let mut total = 0.0;
            for (le, count) in ["1", "5", "+Inf"].into_iter().zip(&mut counts) {
                *count += below(rng, 4) as f64;
                total += *count;
                let series = labels(&[("__name__", "bucket"), ("le", le), ("zone", zone)]);
                store.insert(&series, TimestampMs(at), StoredValue::Float(total));
            }
        }
    }
    store
}

fn step(rng: &impl Rng, value: &mut f64) -> f64 {
    match below(rng, 12) {
        0 => return stale_nan(),
        1 => return f64::NAN,
        2 => *value = 0.0,
        _ => *value += below(rng, 10) as f64,
    }
    *value
}

fn below(rng: &impl Rng, bound: u64) -> u64 {
    rng.next_u64() % bound
}

/// Bits of the value by time and labels.
type Found = BTreeMap<(i64, String), String>;

fn evaluate(store: &SeriesStore, options: EngineOptions, query: &str, time: EvalTime) -> Result<Found, String> {
    let expr = parse_expr(query, Options::all()).unwrap();
    let prepared = now(Engine::new(options).prepare(store, &expr, time)).map_err(|error| error.to_string())?;
    let value = prepared.evaluate(&|| None).map_err(|error| error.to_string())?.value;
    let mut found = Found::new();
    let mut add = |labels: &Labels, at: TimestampMs, value: f64| {
        let before = found.insert((at.0, labels.to_string()), format!("{value}"));
        assert_eq!(before, None, "{query} gives {labels} twice at {at}");
    };
    match value {
        Value::Scalar(point) => add(&Labels::empty(), point.timestamp, point.value),
        Value::Vector(samples) => {
            for sample in samples {
                let SampleValue::Float(value) = sample.value else { panic!("no histograms here") };
                add(&sample.labels, sample.timestamp, value);
            }
        }
        Value::Matrix(series) => {
            for series in series {
                series.floats.iter().for_each(|point| add(&series.labels, point.timestamp, point.value));
            }
        }
        Value::String { .. } => panic!("no strings here"),
    }
    Ok(found)
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory does not wait"),
    }
}

#[test]
fn range_queries_are_instant_queries_at_each_step() {
    let mut answered = 0;
    for seed in 0..12 {
        let store = random_store(&SeededRng::new(seed));
        let options = EngineOptions {
            delayed_name_removal: seed % 2 == 1,
            lookback_delta_ms: 70_000,
            ..EngineOptions::default()
        };
        let (start, step_ms) = (-20_000, 13_000);
        for query in QUERIES {
            let time = EvalTime::Range { start: TimestampMs(start), end: TimestampMs(END + 60_000), step_ms };
            let Ok(over_steps) = evaluate(&store, options, query, time) else {
                // Some data make label sets equal: then an instant query must fail, too.
                let fails = |at: i64| evaluate(&store, options, query, EvalTime::Instant(TimestampMs(at))).is_err();
                assert!(
                    (start..=END + 60_000).step_by(step_ms as usize).any(fails),
                    "only the range query fails: {query}"
                );
                continue;
            };
            let mut at_each_step = Found::new();
            for at in (start..=END + 60_000).step_by(step_ms as usize) {
                let instant = evaluate(&store, options, query, EvalTime::Instant(TimestampMs(at)));
                at_each_step.extend(instant.unwrap_or_else(|error| panic!("seed {seed}: {query} at {at}: {error}")));
            }
            assert_eq!(over_steps, at_each_step, "seed {seed}: {query}");
            answered += usize::from(!over_steps.is_empty());
        }
    }
    assert!(answered > 10 * QUERIES.len(), "{answered} answers are too few to tell anything");
}
