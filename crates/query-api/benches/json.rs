//! Writing answers: `cargo bench -p query-api --bench json`.
//!
//! One iteration writes a matrix of a million points; the promise is 150 ms of CPU (docs/SPECIFICATION.md). Times are CPU
//! times of the thread, so that other work on the machine does not count.

#[path = "../../quota/benches/cpu_time/mod.rs"]
mod cpu_time;

use std::hint::black_box;

use cpu_time::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use model::{Labels, TimestampMs};
use promql::{FloatPoint, RangeSeries, Value};

const SERIES: usize = 1_000;
const POINTS: usize = 1_000;

/// Series with points whose values `value` makes of their number.
fn matrix(value: impl Fn(usize) -> f64) -> Value {
    let series = |number: usize| {
        let instance = format!("host-{number}.example.org:9100");
        let pairs = [("__name__", "http_requests_total"), ("instance", instance.as_str()), ("job", "api")];
        let point = |step: usize| FloatPoint {
            timestamp: TimestampMs(1_732_360_000_000 + step as i64 * 15_000),
            value: value(number * POINTS + step),
        };
        RangeSeries {
            labels: Labels::from_pairs(pairs).expect("these are labels"),
            floats: (0..POINTS).map(point).collect(),
            histograms: Vec::new(),
        }
    };
    Value::Matrix((0..SERIES).map(series).collect())
}

fn write(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("json");
    group.sample_size(10);
    for (name, value) in [
        ("1m_points_counts", matrix(|number| (number * 37) as f64)),
        ("1m_points_rates", matrix(|number| (number as f64 * 0.618_033_988_749).sin() * 1e3)),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| query_api::writing::query_result(black_box(&value))));
    }
    group.finish();
}

criterion_group! {
    name = json;
    config = Criterion::default().with_measurement(CpuTime);
    targets = write
}
criterion_main!(json);
