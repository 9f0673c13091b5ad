//! What servers and edges count, and how it is shown.
//!
//! The convention: whoever counts has a struct of `prometheus_client` metrics with a `register(&self, &mut Registry)`; the
//! program owns the one registry, gives each a part of it (`registry.sub_registry_with_prefix("remora")`) and answers
//! `/metrics` with [`exposition`].

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::{Body, Response, text};

/// The registry's metrics as OpenMetrics text.
pub fn exposition(registry: &Registry) -> Response {
    let mut out = String::with_capacity(8 << 10);
    if encode(&mut out, registry).is_err() {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n");
    }
    let mut response = Response::new(Body::full(out));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
    response
}

/// Requests by the status they were answered with.
#[derive(Clone, Default, Debug)]
pub struct RequestsByCode(Family<Code, Counter>);

/// A status as a label.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Code {
    code: u16,
}

impl RequestsByCode {
    /// Counts one request.
    pub fn count(&self, status: StatusCode) {
        self.0.get_or_create(&Code { code: status.as_u16() }).inc();
    }

    /// How many were answered so.
    pub fn get(&self, status: StatusCode) -> u64 {
        self.0.get_or_create(&Code { code: status.as_u16() }).get()
    }

    /// Shows it as `name` (without `_total`).
    pub fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.0.clone());
    }
}

/// What servers count about their connections; one for all listeners of a program.
#[derive(Clone, Default, Debug)]
pub struct ConnectionMetrics {
    open: Family<Listener, Gauge>,
    accepted: Family<Listener, Counter>,
    closed: Family<Closed, Counter>,
    panics: Family<Listener, Counter>,
}

/// Which listener.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Listener {
    listener: &'static str,
}

/// Which listener, and why it ended a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Closed {
    listener: &'static str,
    reason: &'static str,
}

impl ConnectionMetrics {
    /// Shows them as `http_connections_…` and `http_handler_panics`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("http_connections_open", "Connections that are open", self.open.clone());
        registry.register("http_connections_accepted", "Connections accepted", self.accepted.clone());
        registry.register(
            "http_connections_closed_by_server",
            "Connections that the server ended, by reason",
            self.closed.clone(),
        );
        registry.register("http_handler_panics", "Requests whose handler panicked", self.panics.clone());
    }

    /// The part of one listener.
    pub(crate) fn of(&self, listener: &'static str) -> ListenerMetrics {
        let label = Listener { listener };
        ListenerMetrics {
            listener,
            open: self.open.get_or_create_owned(&label),
            accepted: self.accepted.get_or_create_owned(&label),
            panics: self.panics.get_or_create_owned(&label),
            closed: self.closed.clone(),
        }
    }
}

/// What one listener counts.
#[derive(Clone, Debug)]
pub(crate) struct ListenerMetrics {
    listener: &'static str,
    pub(crate) open: Gauge,
    pub(crate) accepted: Counter,
    pub(crate) panics: Counter,
    closed: Family<Closed, Counter>,
}

impl ListenerMetrics {
    pub(crate) fn count_closed(&self, reason: &'static str) {
        self.closed.get_or_create(&Closed { listener: self.listener, reason }).inc();
    }
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
