//! What the fuzz target `promql_evaluate` does with its input. Also compiled by `fuzz/`.

use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use model::TimestampMs;
use promql::{Engine, EngineOptions, EvalError, EvalTime, QueryResult, Stop, Value};
use promql_syntax::{Options, parse_expr};
use testkit::series_store::SeriesStore;

/// Floats that come and go, counters that fall, classic and native histograms of every kind, information.
const DATA: &str = r#"
a{host="1", job="x"} 0 1 2 _ 4 5 1 2 stale _ _ 7 8 NaN 10 Inf -Inf 1e300 -1e300 0
a{host="2", job="x"} 1+1x8 0+3x10
a{host="3", job="y"} _x10 5x5
b_total{host="1"} 0+10x5 0+10x6 3+7x6
b_total{host="2"} 100-10x19
h_bucket{le="0.1"} 0+1x19
h_bucket{le="1"} 0+3x19
h_bucket{le="+Inf"} 0+4x19
h_bucket{le="odd"} 0+4x19
n{host="1"} {{schema:0 sum:5 count:7 z_bucket:1 z_bucket_w:0.01 buckets:[1 2 1] n_buckets:[1 1]}}x9 {{schema:2 sum:9 count:9 offset:-3 buckets:[4 5]}}x4 5 6 stale
n{host="2"} {{schema:0 count:3 sum:NaN buckets:[3] counter_reset_hint:gauge}}x10 _ _ {{schema:1 count:5 sum:2 buckets:[5]}}x5
c{host="1"} {{schema:-53 sum:5 count:4 custom_values:[1 2] buckets:[1 2 1]}}x9 {{schema:-53 sum:6 count:5 custom_values:[1 3] buckets:[1 2 2]}}x9
target_info{host="1", job="x", version="1"} 1x19
"#;

fn store() -> &'static SeriesStore {
    static STORE: OnceLock<SeriesStore> = OnceLock::new();
    STORE.get_or_init(|| {
        let store = SeriesStore::new();
        store.load(10_000, DATA.trim()).expect("the data are series in notation");
        store
    })
}

/// A byte for the engine's options, one for the times, then a query: evaluating never panics, bounds hold, and a matrix
/// has each series once, in order of labels and of times.
pub(crate) fn promql_evaluate(input: &[u8]) -> bool {
    let [options, times, text @ ..] = input else { return false };
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let Ok(expr) = parse_expr(text, Options::all()) else { return false };
    let options = EngineOptions {
        delayed_name_removal: options & 1 != 0,
        use_start_timestamps: options & 2 != 0,
        type_and_unit_labels: options & 4 != 0,
        samples_max: if options & 8 != 0 { 1000 } else { 200_000 },
        ..EngineOptions::default()
    };
    let at = TimestampMs(i64::from(times & 0x1f) * 10_000 - 20_000);
    let time = match times >> 5 {
        0 => EvalTime::Instant(at),
        1 => EvalTime::Range { start: at, end: at, step_ms: 1000 },
        2 => EvalTime::Range { start: TimestampMs(i64::MAX - 5), end: TimestampMs::MAX, step_ms: 1 },
        3 => EvalTime::Range { start: TimestampMs::MIN, end: TimestampMs::MAX, step_ms: i64::MAX / 3 },
        steps => EvalTime::Range { start: at, end: TimestampMs(200_000), step_ms: 2500 << (steps * 2 - 8) },
    };
    let Ok(result) = evaluate(options, &expr, time) else { return false };
    assert!(result.samples_peak <= options.samples_max);
    if let Value::Matrix(series) = &result.value
        && matches!(time, EvalTime::Range { .. })
    {
        assert!(series.windows(2).all(|pair| pair[0].labels < pair[1].labels), "series are sorted, none twice");
        for one in series {
            let steps = one.floats.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp);
            let histograms = one.histograms.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp);
            assert!(steps && histograms && one.floats.len() + one.histograms.len() > 0);
        }
    }
    true
}

fn evaluate(options: EngineOptions, expr: &promql_syntax::Expr, time: EvalTime) -> Result<QueryResult, EvalError> {
    let prepared =
        match pin!(Engine::new(options).prepare(store(), expr, time)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(prepared) => prepared?,
            Poll::Pending => panic!("a store in memory does not wait"),
        };
    // In place of a clock, so that an input does the same each time.
    let looks = AtomicUsize::new(0);
    prepared.evaluate(&|| (looks.fetch_add(1, Ordering::Relaxed) > LOOKS_MAX).then_some(Stop::TimedOut))
}

const LOOKS_MAX: usize = 100_000;
