//! Series in plain vectors, a day each with a sample every 60 s, and queries over them on one thread: storage is no part of
//! what is measured.

#![allow(clippy::unwrap_used, reason = "a benchmark")]

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
pub(crate) const SAMPLES: i64 = 1440;

/// Evaluates a query over all of the store's time, a step a sample; returns how many points there were.
pub(crate) fn evaluate(store: &Store, query: &str) -> usize {
    let expr = parse_expr(query, Options::all()).unwrap();
    let time = EvalTime::Range { start: TimestampMs(0), end: TimestampMs((SAMPLES - 1) * STEP_MS), step_ms: STEP_MS };
    let prepared = ready(Engine::new(EngineOptions::default()).prepare(store, &expr, time)).unwrap();
    match prepared.evaluate(&|| None).unwrap().value {
        Value::Matrix(series) => series.iter().map(|series| series.floats.len()).sum(),
        other => panic!("a range query gives a matrix, not {other:?}"),
    }
}

/// What a run of `act` takes, in time that this thread had a processor, on the mean of a while.
pub(crate) fn mean_cost(mut act: impl FnMut() -> usize) -> Duration {
    let (begin, mut runs) = (thread_time(), 0);
    while thread_time() - begin < Duration::from_millis(400) {
        std::hint::black_box(act());
        runs += 1;
    }
    (thread_time() - begin) / runs
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
pub(crate) struct Store {
    series: Arc<Vec<(Labels, Samples)>>,
}

impl Store {
    /// A series for each label set.
    pub(crate) fn new(labels: impl IntoIterator<Item = Labels>) -> Self {
        let one = |(number, labels): (usize, Labels)| {
            let times = (0..SAMPLES).map(|index| TimestampMs(index * STEP_MS + number as i64 % 1000)).collect();
            let mut value = 0.0;
            let values = (0..SAMPLES).map(|index| {
                let is_reset = number.is_multiple_of(10) && index % 97 == 0;
                value = if is_reset { 0.0 } else { value + ((index * 7919 + number as i64) % 100) as f64 };
                value
            });
            (labels, Arc::new((times, values.collect())))
        };
        let mut series: Vec<_> = labels.into_iter().enumerate().map(one).collect();
        series.sort_by(|(left, _), (right, _)| left.cmp(right));
        Self { series: Arc::new(series) }
    }
}

impl Queryable for Store {
    fn querier(&self, _: TimeRange) -> Box<dyn Querier> {
        Box::new(self.clone())
    }
}

impl Querier for Store {
    fn select<'a>(
        &'a self,
        matchers: &'a [Matcher],
        _: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        let meets = |labels: &Labels| {
            matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or_default()))
        };
        let chosen = (0..self.series.len()).filter(|number| meets(&self.series[*number].0)).collect::<Vec<_>>();
        let set = Set { store: self.clone(), left: chosen.into_iter() };
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
    left: std::vec::IntoIter<usize>,
}

impl SeriesSet for Set {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        let Some(number) = self.left.next() else { return Ok(None) };
        let (labels, samples) = &self.store.series[number];
        let samples = Box::new(Walk { samples: Arc::clone(samples), given: 0 });
        Ok(Some(Series { labels: labels.clone(), samples }))
    }

    fn remaining(&self) -> Option<usize> {
        Some(self.left.len())
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
