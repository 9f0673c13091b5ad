//! What a caller of the engine relies on: limits, interrupts, refusals, kinds of errors.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use model::{ErrorKind, Kinded, TimestampMs};
use promql::{Engine, EngineOptions, EvalError, EvalTime, QueryResult, Stop, Value};
use promql_syntax::{Options, ValueType, Variadic, parse_expr};
use testkit::series_store::SeriesStore;

const AT: EvalTime = EvalTime::Instant(TimestampMs(60_000));

fn range(start: i64, end: i64, step_ms: i64) -> EvalTime {
    EvalTime::Range { start: TimestampMs(start), end: TimestampMs(end), step_ms }
}

/// A hundred series, each with a sample every 10 s for ten minutes.
fn store() -> SeriesStore {
    let store = SeriesStore::new();
    for instance in 0..100 {
        store.load(10_000, &format!("up_total{{instance=\"{instance}\"}} 0+{instance}x60")).unwrap();
    }
    store
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory does not wait"),
    }
}

fn query_with(
    options: EngineOptions,
    query: &str,
    time: EvalTime,
    interrupt: &(dyn Fn() -> Option<Stop> + Sync),
) -> Result<QueryResult, EvalError> {
    let expr = parse_expr(query, Options::all()).unwrap();
    now(Engine::new(options).prepare(&store(), &expr, time))?.evaluate(interrupt)
}

fn query(query: &str, time: EvalTime) -> Result<QueryResult, EvalError> {
    query_with(EngineOptions::default(), query, time, &|| None)
}

#[test]
fn values_take_the_shape_that_the_query_asks_for() {
    let cases = [
        ("1 + 1", AT, "scalar"),
        ("\"text\"", AT, "string"),
        ("up_total", AT, "vector"),
        ("up_total[1m]", AT, "matrix"),
        ("up_total[1m:10s]", AT, "matrix"),
        ("1 + 1", range(0, 60_000, 1000), "matrix"),
        ("up_total", range(0, 0, 1000), "matrix"),
        ("absent_metric", range(0, 0, 1000), "matrix"),
    ];
    for (text, time, shape) in cases {
        let found = match query(text, time).unwrap().value {
            Value::Scalar(_) => "scalar",
            Value::String { .. } => "string",
            Value::Vector(_) => "vector",
            Value::Matrix(_) => "matrix",
        };
        assert_eq!(found, shape, "{text}");
    }
}

#[test]
fn matrices_are_sorted_by_labels() {
    let Value::Matrix(series) = query("topk(20, up_total) or up_total", range(0, 60_000, 10_000)).unwrap().value else {
        panic!("a range query gives a matrix");
    };
    assert_eq!(series.len(), 100);
    assert!(series.windows(2).all(|pair| pair[0].labels < pair[1].labels));
    assert!(series.iter().all(|series| series.floats.len() == 7));
}

#[test]
fn times_are_checked() {
    let cases = [
        (range(1, 0, 1), "end timestamp must not be before start time"),
        (range(0, 1, 0), "zero or negative query resolution step widths"),
        (range(0, 11_001, 1), "exceeded maximum resolution of 11000 points"),
        (range(i64::MIN, i64::MAX, 1), "exceeded maximum resolution"),
    ];
    for (time, text) in cases {
        let error = query("vector(1)", time).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    query("vector(1)", range(0, 11_000, 1)).unwrap();
    for text in ["\"text\"", "up_total[1m]"] {
        let error = query(text, range(0, 1, 1)).unwrap_err();
        assert!(error.to_string().starts_with("invalid expression type "), "{error}");
    }
}

#[test]
fn extreme_times_overflow_nothing() {
    for at in [i64::MIN, -1, 0, i64::MAX] {
        for text in [
            "up_total",
            "rate(up_total[1m])",
            "up_total offset 100y",
            "up_total offset -100y",
            "up_total @ 9000000000000",
            "rate(up_total[100y] offset -100y)",
            "max_over_time(up_total[1m:10s] offset -100y)",
            "timestamp(up_total offset 1y)",
        ] {
            query(text, EvalTime::Instant(TimestampMs(at))).unwrap_or_else(|error| panic!("{text} at {at}: {error}"));
        }
    }
}

#[test]
fn every_function_is_evaluated() {
    for function in promql_syntax::functions() {
        let given = match function.variadic {
            Variadic::None => function.arg_types.len(),
            Variadic::UpTo(_) | Variadic::Unbounded => function.arg_types.len() - 1,
        };
        let arguments = function.arg_types[..given].iter().map(|kind| match kind {
            ValueType::Scalar => "0.5",
            ValueType::Vector => "up_total",
            ValueType::Matrix => "up_total[1m]",
            ValueType::String => "\"other\"",
        });
        let text = format!("{}({})", function.name, arguments.collect::<Vec<_>>().join(", "));
        query(&text, AT).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn native_histograms_pass_through() {
    let store = store();
    store.load(10_000, "native {{schema:0 sum:4 count:2 buckets:[2]}}x60\nmixed 1 {{count:1}}x60").unwrap();
    let run = |text: &str| {
        let expr = parse_expr(text, Options::all()).unwrap();
        now(Engine::default().prepare(&store, &expr, AT))?.evaluate(&|| None)
    };
    for text in ["native", "native or up_total", "last_over_time(native[1m])", "count(native)", "histogram_avg(native)"]
    {
        let Value::Vector(samples) = run(text).unwrap().value else { panic!("{text} is a vector") };
        assert!(!samples.is_empty(), "{text}");
    }
    let result = run("rate(mixed[2m])").unwrap();
    assert_eq!(result.value, Value::Vector(Vec::new()));
    let warnings = result.annotations.texts(promql::Severity::Warning, "rate(mixed[2m])");
    assert_eq!(
        warnings,
        ["PromQL warning: encountered a mix of histograms and floats for metric name \"mixed\" (1:6)"]
    );
}

#[test]
fn samples_held_at_a_time_are_bounded() {
    let options = EngineOptions { samples_max: 1000, ..EngineOptions::default() };
    let run = |text: &str, time| query_with(options, text, time, &|| None);
    let steps = range(0, 600_000, 10_000);
    // Of 100 series with 61 steps each: streamed into groups, but not held.
    run("sum(rate(up_total[1m]))", steps).unwrap();
    run("max(sum by (instance) (up_total))", AT).unwrap();
    for text in [
        "up_total",
        "sum by (instance) (up_total)",
        "sum(up_total * on (instance) up_total)",
        "quantile(0.5, up_total)",
        "sum(max_over_time((up_total + 0 or up_total)[5m:5s]))",
    ] {
        let error = run(text, steps).unwrap_err();
        assert!(matches!(error, EvalError::TooManySamples { limit: 1000 }), "{text}: {error:?}");
        assert_eq!(error.kind(), ErrorKind::Unprocessable);
    }
    // A subquery of a million years at a millisecond is refused before anything is allocated.
    for text in ["count_over_time(vector(1)[290y:1ms])", "count_over_time(up_total[290y:1ms])"] {
        assert!(matches!(query(text, AT), Err(EvalError::TooManySamples { .. })), "{text}");
    }
}

#[test]
fn evaluation_ends_when_the_caller_wants() {
    for (stop, kind) in [(Stop::Canceled, ErrorKind::Canceled), (Stop::TimedOut, ErrorKind::Timeout)] {
        let asked = AtomicU32::new(0);
        let interrupt = || (asked.fetch_add(1, Ordering::Relaxed) >= 50).then_some(stop);
        let error = query_with(EngineOptions::default(), "sum(rate(up_total[1m]))", AT, &interrupt).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(asked.into_inner(), 51, "evaluation went on");
    }
}

#[test]
fn prepared_queries_move_to_other_threads() {
    let expr = parse_expr("sum(up_total)", Options::all()).unwrap();
    let prepared = now(Engine::default().prepare(&store(), &expr, AT)).unwrap();
    let result = std::thread::spawn(move || prepared.evaluate(&|| None)).join().unwrap().unwrap();
    let Value::Vector(samples) = result.value else { panic!("a vector") };
    assert_eq!(samples.len(), 1);
}

#[test]
fn the_deepest_expression_fits_a_small_stack() {
    let deep = [
        format!("{}up_total{}", "(-".repeat(200), ")".repeat(200)),
        format!("{}up_total{}", "abs(".repeat(400), ")".repeat(400)),
        format!("{}up_total{}", "sum(".repeat(400), ")".repeat(400)),
        format!("{}up_total{}", "sort(".repeat(400), ")".repeat(400)),
        format!("up_total{}", " + on (instance) up_total".repeat(400)),
        format!("up_total{}", " or up_total".repeat(400)),
        format!("{}up_total{}", "clamp_max(".repeat(400), ", 5)".repeat(400)),
        format!("{}up_total{}", "topk(3, ".repeat(400), ")".repeat(400)),
        format!("{}up_total{}", "max_over_time(".repeat(200), "[10s:10s])".repeat(200)),
        format!("{}up_total{}", "histogram_quantile(0.5, ".repeat(400), ")".repeat(400)),
        format!("{}up_total{}", "label_join(".repeat(400), ", \"a\", \"b\", \"c\")".repeat(400)),
        format!("vector({}1{})", "scalar(vector(".repeat(200), "))".repeat(200)),
    ];
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let check = move || {
        for text in deep {
            query(&text, AT).unwrap_or_else(|error| panic!("{}: {error}", &text[..40]));
        }
    };
    thread.spawn(check).unwrap().join().unwrap();
}
