//! The service: the data collection endpoint and the query API behind one listener.

use std::sync::Arc;

use access::{Policy, Verifier};
use anyhow::Context;
use arc_swap::ArcSwap;
use catalog::Catalog;
use environment::Clock;
use http::{Method, StatusCode};
use http_serving::metrics::{ConnectionMetrics, exposition};
use http_serving::{AzureError, Handler, Peer, Request, Response, empty, text};
use ingest::Ingest;
use model::ErrorKind;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use query_api::QueryApi;

use crate::databases::Databases;
use crate::settings::Audiences;
use crate::workspace_metrics::Gathered;

/// What a service is made of.
pub(crate) struct Parts {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) policy: Arc<ArcSwap<Policy>>,
    pub(crate) databases: Arc<Databases>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audiences: Audiences,
    /// Where clients without a token are sent for one.
    pub(crate) authorization_uri: String,
    pub(crate) body_bytes_max: Option<u64>,
}

/// Chooses the edge by the path.
pub(crate) struct Service {
    ingest: Ingest,
    query_api: QueryApi,
    databases: Arc<Databases>,
    registry: Registry,
}

impl Service {
    /// A service of `parts` that shows the connections counted in `connections`.
    pub(crate) fn new(parts: Parts, connections: &ConnectionMetrics) -> Self {
        let Parts { catalog, verifier, policy, databases, clock, audiences, authorization_uri, body_bytes_max } = parts;
        let mut registry = Registry::with_prefix("remora");
        register_build_info(&mut registry);
        connections.register(&mut registry);
        registry.register_collector(Box::new(Gathered::new(Arc::clone(&databases), Arc::clone(&verifier))));
        let ingest = Ingest::new(
            ingest::Parts {
                catalog: Arc::clone(&catalog),
                verifier: Arc::clone(&verifier),
                policy: Arc::clone(&policy),
                workspaces: Arc::clone(&databases) as _,
                clock: Arc::clone(&clock),
            },
            ingest_settings(audiences.ingestion, &authorization_uri, body_bytes_max),
        );
        ingest.register(&mut registry);
        let settings = query_api::Settings { audiences: audiences.query, authorization_uri, ..Default::default() };
        let parts = query_api::Parts { catalog, verifier, policy, workspaces: Arc::clone(&databases) as _, clock };
        let query_api = QueryApi::new(parts, settings, promql::Engine::default());
        query_api.register(&mut registry);
        Self { ingest, query_api, databases, registry }
    }
}

impl Service {
    /// The listener opens when every workspace is open. After that, only a log that cannot be written makes a service that
    /// takes no samples.
    fn readiness(&self) -> Response {
        let failed: Vec<String> = self
            .databases
            .iter()
            .filter(|(_, db)| db.stats().wal_failed)
            .map(|(account, _)| account.to_string())
            .collect();
        match failed.as_slice() {
            [] => empty(StatusCode::OK),
            failed => text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "the write-ahead log of {} cannot be written: see the log, mend the disk, start again\n",
                    failed.join(", ")
                ),
            ),
        }
    }
}

impl Handler for Service {
    async fn handle(&self, request: Request, peer: Peer) -> Response {
        let path = request.uri().path();
        if Ingest::serves(path) {
            return self.ingest.handle(request, peer).await;
        }
        if QueryApi::serves(path) {
            return self.query_api.handle(request, peer).await;
        }
        match path {
            "/health" if is_read(request.method()) => empty(StatusCode::OK),
            "/ready" if is_read(request.method()) => self.readiness(),
            "/metrics" if is_read(request.method()) => exposition(&self.registry),
            _ => {
                AzureError::new(ErrorKind::NotFound, "NotFound", format!("There is nothing at {path}.")).response(&peer)
            }
        }
    }
}

/// The certificate and policy of a service can be exchanged; this builds the latter.
///
/// # Errors
/// Assignments of roles that do not exist.
pub(crate) fn policy(assignments: Vec<access::RoleAssignment>) -> anyhow::Result<Arc<ArcSwap<Policy>>> {
    let policy = Policy::new(assignments).context("the role assignments cannot be used")?;
    Ok(Arc::new(ArcSwap::from_pointee(policy)))
}

fn ingest_settings(audiences: Vec<String>, authorization_uri: &str, body_bytes_max: Option<u64>) -> ingest::Settings {
    let mut settings =
        ingest::Settings { audiences, authorization_uri: authorization_uri.to_owned(), ..Default::default() };
    if let Some(bytes) = body_bytes_max {
        settings.body_bytes_max = bytes;
    }
    settings
}

fn register_build_info(registry: &mut Registry) {
    let build = Family::<[(&str, &str); 1], Gauge>::default();
    build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
    registry.register("build_info", "1, with the version that runs", build);
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The service's name in metrics and logs.
pub(crate) const LISTENER: &str = "service";
