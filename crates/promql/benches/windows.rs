//! What it costs to slide a window over a series and to compute with what is inside, series by series.
//!
//! `cargo bench -p promql --bench windows [-- SERIES [ROWS]]`; the last is a part of the queries to run. A day of samples
//! each 60 s, steps of 60 s, one thread, of whose processor time the mean is shown. Samples come from plain vectors, so
//! storage is no part of it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use model::{Labels, Matcher, TimestampMs};
use promql::{Engine, EngineOptions, EvalTime, Value};
use promql_syntax::{Options, parse_expr};
use storage::{
    Batch, BoxFuture, Querier, QueryError, Queryable, SampleIterator, SelectHints, Series, SeriesSet, TimeRange,
};

const STEP_MS: i64 = 60_000;
const SAMPLES: i64 = 1440;

const QUERIES: &[&str] = &[
    "sum(x)",
    "sum(rate(x[5m]))",
    "sum(rate(x[1h]))",
    "sum(irate(x[5m]))",
    "sum(delta(x[5m]))",
    "sum(resets(x[5m]))",
    "sum(changes(x[5m]))",
    "sum(avg_over_time(x[5m]))",
    "sum(avg_over_time(x[1h]))",
    "sum(sum_over_time(x[5m]))",
    "sum(max_over_time(x[5m]))",
    "sum(max_over_time(x[1h]))",
    "sum(count_over_time(x[5m]))",
    "sum(last_over_time(x[5m]))",
    "sum(quantile_over_time(0.9, x[5m]))",
    "sum(stddev_over_time(x[5m]))",
    "sum(deriv(x[5m]))",
    "sum(max_over_time(rate(x[5m])[10m:1m]))",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let series = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(200);
    let rows = arguments.iter().find(|argument| argument.parse::<usize>().is_err()).map_or("", String::as_str);
    let store = Store::new(series);
    for query in QUERIES.iter().filter(|query| query.contains(rows)) {
        time(series, query, || evaluate(&store, query));
    }
}

fn evaluate(store: &Store, query: &str) -> usize {
    let expr = parse_expr(query, Options::all()).unwrap();
    let time = EvalTime::Range { start: TimestampMs(0), end: TimestampMs((SAMPLES - 1) * STEP_MS), step_ms: STEP_MS };
    let prepared = ready(Engine::new(EngineOptions::default()).prepare(store, &expr, time)).unwrap();
    match prepared.evaluate(&|| None).unwrap().value {
        Value::Matrix(series) => series.iter().map(|series| series.floats.len()).sum(),
        other => panic!("a range query gives a matrix, not {other:?}"),
    }
}

/// Prints what a window costs.
fn time(series: usize, query: &str, mut act: impl FnMut() -> usize) {
    let (begin, mut runs) = (thread_time(), 0);
    while thread_time() - begin < Duration::from_millis(400) {
        std::hint::black_box(act());
        runs += 1;
    }
    let mean = (thread_time() - begin) / runs;
    let windows = series * SAMPLES as usize;
    println!(
        "windows/{series}_series: {:.3} ms, {:.1} ns a window: {query}",
        mean.as_secs_f64() * 1e3,
        mean.as_nanos() as f64 / windows as f64
    );
}

/// Time that this thread has had a processor: others use the machine, too.
fn thread_time() -> Duration {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(schedule.split_whitespace().next().unwrap().parse().unwrap())
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory does not wait"),
    }
}

type Samples = Arc<(Vec<TimestampMs>, Vec<f64>)>;

/// Counters, some of which are reset from time to time.
#[derive(Clone)]
struct Store {
    series: Arc<Vec<(Labels, Samples)>>,
}

impl Store {
    fn new(series: usize) -> Self {
        let one = |number: usize| {
            let labels = Labels::from_pairs([("__name__", "x".to_owned()), ("number", number.to_string())]).unwrap();
            let times = (0..SAMPLES).map(|index| TimestampMs(index * STEP_MS + number as i64 % 1000)).collect();
            let mut value = 0.0;
            let values = (0..SAMPLES).map(|index| {
                let is_reset = number.is_multiple_of(10) && index % 97 == 0;
                value = if is_reset { 0.0 } else { value + ((index * 7919 + number as i64) % 100) as f64 };
                value
            });
            (labels, Arc::new((times, values.collect())))
        };
        Self { series: Arc::new((0..series).map(one).collect()) }
    }
}

impl Queryable for Store {
    fn querier(&self, _: TimeRange) -> Box<dyn Querier> {
        Box::new(self.clone())
    }
}

impl Querier for Store {
    fn select<'a>(&'a self, _: &'a [Matcher], _: SelectHints) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        let set = Set { store: self.clone(), next: 0 };
        Box::pin(std::future::ready(Ok(Box::new(set) as Box<dyn SeriesSet>)))
    }

    fn label_names<'a>(&'a self, _: &'a [Matcher], _: usize) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        unreachable!("queries select only")
    }

    fn label_values<'a>(
        &'a self,
        _: &'a str,
        _: &'a [Matcher],
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        unreachable!("queries select only")
    }
}

struct Set {
    store: Store,
    next: usize,
}

impl SeriesSet for Set {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        let Some((labels, samples)) = self.store.series.get(self.next) else { return Ok(None) };
        self.next += 1;
        let samples = Box::new(Walk { samples: Arc::clone(samples), given: 0 });
        Ok(Some(Series { labels: labels.clone(), samples }))
    }
}

struct Walk {
    samples: Samples,
    given: usize,
}

impl SampleIterator for Walk {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        batch.clear();
        // As many as a chunk mostly has.
        let places = self.given..self.samples.0.len().min(self.given + 120);
        batch.timestamps.extend_from_slice(&self.samples.0[places.clone()]);
        batch.floats.extend_from_slice(&self.samples.1[places.clone()]);
        self.given = places.end;
        Ok(!batch.is_empty())
    }
}
