//! What this API counts of itself.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Counters of one management API.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    requests: Family<Request, Counter>,
    seconds: Family<Timed, Histogram, fn() -> Histogram>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Request {
    route: &'static str,
    method: &'static str,
    code: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Timed {
    method: &'static str,
}

impl Counters {
    pub(crate) fn new() -> Self {
        let seconds = || Histogram::new([0.0005, 0.002, 0.01, 0.05, 0.25, 1.0, 5.0]);
        Self { requests: Family::default(), seconds: Family::new_with_constructor(seconds) }
    }

    /// Counts an answer. `route` is a pattern of the table, so that there are never more than it has.
    pub(crate) fn count(&self, route: &'static str, method: &'static str, status: StatusCode, took: Duration) {
        self.requests.get_or_create(&Request { route, method, code: status.as_u16() }).inc();
        self.seconds.get_or_create(&Timed { method }).observe(took.as_secs_f64());
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Calls of the management API by route, method and status";
        registry.register("management_requests", help, self.requests.clone());
        registry.register(
            "management_duration_seconds",
            "Time to answer calls of the management API",
            self.seconds.clone(),
        );
    }
}
