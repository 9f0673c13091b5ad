//! What the query API counts.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Counters of one query API.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    requests: Family<Request, Counter>,
    seconds: Family<Endpoint, Histogram, fn() -> Histogram>,
    refused: Family<Bound, Counter>,
    queue_seconds: Histogram,
    answer_bytes: Family<Endpoint, Counter>,
    pub(crate) running: Gauge,
    pub(crate) waiting: Gauge,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Bound {
    bound: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Request {
    endpoint: &'static str,
    code: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Endpoint {
    endpoint: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let seconds = || Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0]);
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            refused: Family::default(),
            queue_seconds: Histogram::new([0.001, 0.01, 0.1, 1.0, 10.0, 60.0]),
            answer_bytes: Family::default(),
            running: Gauge::default(),
            waiting: Gauge::default(),
        }
    }

    /// A call that would have gone beyond a bound.
    pub(crate) fn refused(&self, bound: &'static str) {
        self.refused.get_or_create(&Bound { bound }).inc();
    }

    pub(crate) fn queued(&self, waited: Duration) {
        self.queue_seconds.observe(waited.as_secs_f64());
    }

    pub(crate) fn answered(&self, endpoint: &'static str, bytes: usize) {
        self.answer_bytes.get_or_create(&Endpoint { endpoint }).inc_by(bytes as u64);
    }

    pub(crate) fn count(&self, endpoint: &'static str, status: StatusCode, took: Duration) {
        self.requests.get_or_create(&Request { endpoint, code: status.as_u16() }).inc();
        self.seconds.get_or_create(&Endpoint { endpoint }).observe(took.as_secs_f64());
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("query_requests", "Calls of the query API by endpoint and status", self.requests.clone());
        registry.register("query_duration_seconds", "Time to answer calls of the query API", self.seconds.clone());
        registry.register("query_evaluations_running", "Queries being evaluated", self.running.clone());
        registry.register("query_evaluations_waiting", "Queries that wait for a place", self.waiting.clone());
        registry.register("query_queue_duration_seconds", "Time that queries waited", self.queue_seconds.clone());
        registry.register("query_refused", "Calls that would have gone beyond a bound", self.refused.clone());
        registry.register("query_answer_bytes", "Bytes of answers, as they were sent", self.answer_bytes.clone());
    }
}
