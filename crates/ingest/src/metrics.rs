//! What the endpoint counts.

use http_serving::metrics::RequestsByCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use remote_write::WrittenCounts;
use storage::CommitError;

use crate::error::IngestError;
use crate::report::Report;

/// All of it. What goes to several destinations counts once for each.
pub(crate) struct Metrics {
    pub(crate) requests: RequestsByCode,
    pub(crate) body_bytes: Counter,
    pub(crate) decoded_bytes: Counter,
    pub(crate) decode_seconds: Histogram,
    received: Kinds,
    stored: Kinds,
    rejected: Family<Reason, Counter>,
    refused_tokens: Family<Reason, Counter>,
    throttled: Family<Limit, Counter>,
    crowded_out: Counter,
    in_flight: Gauge,
}

/// Counters of samples, histograms and exemplars, looked up once.
struct Kinds {
    family: Family<Kind, Counter>,
    samples: Counter,
    histograms: Counter,
    exemplars: Counter,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: RequestsByCode::default(),
            body_bytes: Counter::default(),
            decoded_bytes: Counter::default(),
            decode_seconds: Histogram::new(exponential_buckets(0.000_05, 3.0, 10)),
            received: Kinds::default(),
            stored: Kinds::default(),
            rejected: Family::default(),
            refused_tokens: Family::default(),
            throttled: Family::default(),
            crowded_out: Counter::default(),
            in_flight: Gauge::default(),
        }
    }
}

impl Default for Kinds {
    fn default() -> Self {
        let family: Family<Kind, Counter> = Family::default();
        let of = |kind| family.get_or_create_owned(&Kind { kind });
        Self { samples: of("sample"), histograms: of("histogram"), exemplars: of("exemplar"), family }
    }
}

impl Kinds {
    fn add(&self, counts: WrittenCounts) {
        self.samples.inc_by(counts.samples);
        self.histograms.inc_by(counts.histograms);
        self.exemplars.inc_by(counts.exemplars);
    }
}

/// A request that is being worked on.
pub(crate) struct InFlight<'m>(&'m Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    pub(crate) fn count_error(&self, error: &IngestError) {
        match error {
            IngestError::Token(refused) => {
                self.refused_tokens.get_or_create(&Reason { reason: refused.reason() }).inc();
            }
            IngestError::OverLimit(over) => {
                self.throttled.get_or_create(&Limit { limit: over.limit.as_str() }).inc();
            }
            IngestError::Busy => {
                self.crowded_out.inc();
            }
            _ => {}
        }
    }

    pub(crate) fn count_reports(&self, reports: &[(Report, Option<CommitError>)]) {
        for (report, failed) in reports {
            self.received.add(report.received);
            self.stored.add(report.written);
            for (cause, count) in &report.reasons {
                self.rejected.get_or_create(&Reason { reason: cause.name }).inc_by(*count);
            }
            if failed.is_some() {
                let WrittenCounts { samples, histograms, exemplars } = report.received;
                self.rejected
                    .get_or_create(&Reason { reason: "commit-failed" })
                    .inc_by(samples + histograms + exemplars);
            }
        }
    }

    /// Shows them as `ingest_…`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("ingest");
        self.requests.register(registry, "requests", "Write requests by the status of their answer");
        registry.register("requests_in_flight", "Write requests that are being worked on", self.in_flight.clone());
        registry.register("elements_received", "Elements of write requests by kind", self.received.family.clone());
        registry.register("elements_stored", "Elements committed, by kind", self.stored.family.clone());
        registry.register("elements_rejected", "Elements not stored, by reason", self.rejected.clone());
        registry.register(
            "tokens_refused",
            "Requests without an accepted token, by reason",
            self.refused_tokens.clone(),
        );
        registry.register(
            "requests_throttled",
            "Requests answered with 429, by the limit that was reached",
            self.throttled.clone(),
        );
        registry.register(
            "requests_crowded_out",
            "Requests that found no room for their body in time",
            self.crowded_out.clone(),
        );
        registry.register_with_unit("body", "Bodies as they were sent", Unit::Bytes, self.body_bytes.clone());
        registry.register_with_unit("decoded", "Bodies after decompression", Unit::Bytes, self.decoded_bytes.clone());
        registry.register_with_unit(
            "decode_duration",
            "From a body to appended samples, before the commit",
            Unit::Seconds,
            self.decode_seconds.clone(),
        );
    }
}
