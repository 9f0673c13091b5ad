//! Counters since the start, and their OpenMetrics text.
//!
//! Written by hand: a few dozen numbers need no registry, and this process is measured in megabytes. What each family is
//! called, is, and means stands in [`METRICS`]; nothing else can be written.

pub(crate) mod process;
pub(crate) mod queue;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use table::METRICS;

/// A number that only grows, or is set anew.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Write requests answered 2xx.
    pub(crate) published: Counter,
    /// Write requests answered otherwise.
    pub(crate) failed: Counter,
    /// Bytes of the bodies of write requests.
    pub(crate) body_bytes: Counter,
    pub(crate) durations: Durations,
    /// Final answers to write requests by status.
    pub(crate) answers: Answers,
    /// Requests passed to the query upstream.
    pub(crate) queries: Counter,
    /// Requests sent again with a new token after a 401.
    pub(crate) repeats_unauthorized: Counter,
    /// Requests sent again because a kept connection turned out to be closed.
    pub(crate) repeats_connection: Counter,
    /// Connections opened to upstreams.
    pub(crate) upstream_connections: Counter,
    /// Connections of senders open now.
    pub(crate) connections: Counter,
    /// Requests that are not valid HTTP.
    pub(crate) malformed: Counter,
    /// Bounds that were hit.
    pub(crate) limited_connections: Counter,
    pub(crate) limited_bodies: Counter,
    pub(crate) limited_kept_bytes: Counter,
    /// Times that a connection could not be accepted.
    pub(crate) accept_errors: Counter,
    /// TLS handshakes of senders that came to nothing.
    pub(crate) handshake_failures: Counter,
    /// Requests without the token that the listener asks for.
    pub(crate) unauthenticated: Counter,
}

/// How long write requests took, as a histogram.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: Counter,
}

/// Upper bounds of the buckets: microseconds, and how they are written.
const BOUNDS: [(u64, &str); 10] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (50_000, "0.05"),
    (250_000, "0.25"),
    (1_000_000, "1.0"),
    (5_000_000, "5.0"),
    (30_000_000, "30.0"),
];

impl Durations {
    pub(crate) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|(bound, _)| micros <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.add(micros);
    }

    fn write(&self, out: &mut String) {
        let name = "remora_sidecar_write_duration_seconds";
        family(out, name);
        let mut total = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            let bound = BOUNDS.get(bucket).map_or("+Inf", |(_, bound)| bound);
            line(out, &format!("{name}_bucket{{le=\"{bound}\"}}"), total);
        }
        line(out, &format!("{name}_count"), total);
        line(out, &format!("{name}_sum"), self.micros.get() as f64 / 1e6);
    }
}

/// Answers by status. Statuses are three digits, so there is a bound.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<BTreeMap<u16, u64>>);

impl Answers {
    pub(crate) fn count(&self, status: u16) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    pub(crate) fn all(&self) -> BTreeMap<u16, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Metrics {
    /// Appends all of them to `out`.
    pub(crate) fn write(&self, out: &mut String) {
        let name = "remora_sidecar_write_requests";
        family(out, name);
        line(out, &format!("{name}_total{{outcome=\"published\"}}"), self.published.get());
        line(out, &format!("{name}_total{{outcome=\"failed\"}}"), self.failed.get());

        let name = "remora_sidecar_write_answers";
        family(out, name);
        for (status, count) in self.answers.all() {
            line(out, &format!("{name}_total{{code=\"{status}\"}}"), count);
        }
        self.durations.write(out);

        let name = "remora_sidecar_repeats";
        family(out, name);
        line(out, &format!("{name}_total{{reason=\"unauthorized\"}}"), self.repeats_unauthorized.get());
        line(out, &format!("{name}_total{{reason=\"closed_connection\"}}"), self.repeats_connection.get());

        let name = "remora_sidecar_limited";
        family(out, name);
        line(out, &format!("{name}_total{{limit=\"connections\"}}"), self.limited_connections.get());
        line(out, &format!("{name}_total{{limit=\"body_bytes\"}}"), self.limited_bodies.get());
        line(out, &format!("{name}_total{{limit=\"kept_bytes\"}}"), self.limited_kept_bytes.get());

        counter(out, "remora_sidecar_write_body_bytes", self.body_bytes.get());
        counter(out, "remora_sidecar_query_requests", self.queries.get());
        counter(out, "remora_sidecar_upstream_connections", self.upstream_connections.get());
        counter(out, "remora_sidecar_malformed_requests", self.malformed.get());
        counter(out, "remora_sidecar_accept_errors", self.accept_errors.get());
        counter(out, "remora_sidecar_tls_handshake_failures", self.handshake_failures.get());
        counter(out, "remora_sidecar_unauthenticated_requests", self.unauthenticated.get());
        gauge(out, "remora_sidecar_connections", self.connections.get());
    }
}

/// Begins a metric family of [`METRICS`].
pub(crate) fn family(out: &mut String, name: &str) {
    let (_, kind, help) = METRICS.iter().find(|(known, ..)| *known == name).expect("every family stands in the table");
    let _ = writeln!(out, "# TYPE {name} {kind}\n# HELP {name} {help}");
}

/// Writes one sample.
pub(crate) fn line(out: &mut String, series: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "{series} {value}");
}

/// Writes a family of one counter.
pub(crate) fn counter(out: &mut String, name: &str, value: impl std::fmt::Display) {
    family(out, name);
    line(out, &format!("{name}_total"), value);
}

/// Writes a family of one gauge.
pub(crate) fn gauge(out: &mut String, name: &str, value: impl std::fmt::Display) {
    family(out, name);
    line(out, name, value);
}
