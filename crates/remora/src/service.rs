//! The service: the data collection endpoint, the query API and the management API behind one listener.

use std::sync::Arc;

use access::{Policies, Verifier};
use arm_api::{Administration, ArmApi};
use catalog::{Actor, Store};
use environment::{BoxFuture, Clock, Rng};
use http::{Method, StatusCode};
use http_serving::metrics::{ConnectionMetrics, exposition};
use http_serving::{AzureError, Handler, Peer, Request, Response, empty, text};
use ingest::Ingest;
use model::{ErrorKind, ResourceId};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use query_api::QueryApi;
use quota::Quotas;

use crate::databases::{Databases, OnDemand};
use crate::managed::Published;
use crate::settings::{Audiences, GRAPH_AUDIENCES, QuerySettings};
use crate::usage_metrics::UsageMetrics;
use crate::workspace_metrics::Gathered;

/// What a service is made of.
pub(crate) struct Parts {
    pub(crate) store: Arc<Store>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) databases: Arc<Databases>,
    pub(crate) administration: Arc<dyn Administration>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
}

/// What can be set.
pub(crate) struct Settings {
    pub(crate) audiences: Audiences,
    pub(crate) published: Published,
    pub(crate) body_bytes_max: Option<u64>,
    pub(crate) queries: QuerySettings,
}

/// Chooses the edge by the path.
pub(crate) struct Service {
    ingest: Ingest,
    query_api: QueryApi,
    arm_api: ArmApi,
    databases: Arc<Databases>,
    registry: Registry,
}

impl Service {
    /// A service of `parts` that shows the connections counted in `connections`.
    pub(crate) fn new(parts: Parts, settings: Settings, connections: &ConnectionMetrics) -> Self {
        let Parts { store, verifier, policies, quotas, databases, administration, clock, rng } = parts;
        let catalog = store.catalog();
        let mut registry = Registry::with_prefix("remora");
        register_build_info(&mut registry);
        connections.register(&mut registry);
        registry.register_collector(Box::new(Gathered::new(Arc::clone(&databases), Arc::clone(&verifier))));
        registry.register_collector(Box::new(UsageMetrics::new(
            Arc::clone(&catalog),
            Arc::clone(&quotas),
            Arc::clone(&clock),
        )));
        let ingest = Ingest::new(
            ingest::Parts {
                catalog: Arc::clone(&catalog),
                verifier: Arc::clone(&verifier),
                policies: Arc::clone(&policies),
                quotas: Arc::clone(&quotas),
                workspaces: Arc::new(OnDemand(Arc::clone(&databases))),
                clock: Arc::clone(&clock),
            },
            ingest_settings(&settings),
        );
        ingest.register(&mut registry);
        let query_settings = query_api::Settings {
            audiences: settings.audiences.query.clone(),
            authorization_uri: settings.published.authorization_uri.clone(),
            endpoint_domain: settings.published.endpoint_domain.clone(),
            ..settings.queries.api()
        };
        let query_parts = query_api::Parts {
            catalog,
            verifier: Arc::clone(&verifier),
            policies: Arc::clone(&policies),
            workspaces: Arc::new(OnDemand(Arc::clone(&databases))),
            audit: Arc::new(AuditLog(Arc::clone(&store))),
            clock: Arc::clone(&clock),
        };
        let query_api = QueryApi::new(query_parts, query_settings, promql::Engine::new(settings.queries.engine()));
        query_api.register(&mut registry);
        let workspaces = Arc::new(OnDemand(Arc::clone(&databases)));
        let arm_parts = arm_api::Parts { store, verifier, policies, quotas, workspaces, administration, clock, rng };
        let arm_api = ArmApi::new(arm_parts, arm_settings(settings));
        arm_api.register(&mut registry);
        Self { ingest, query_api, arm_api, databases, registry }
    }
}

impl Service {
    /// Workspaces are opened when they are asked for: only a disk that fails makes one that takes no samples.
    fn readiness(&self) -> Response {
        match self.databases.failures().as_slice() {
            [] => empty(StatusCode::OK),
            failures => {
                let lines: String =
                    failures.iter().map(|(workspace, reason)| format!("workspace {workspace}: {reason}\n")).collect();
                let mend =
                    "these workspaces take no samples: mend the disk; where a sync failed, start again afterwards\n";
                text(StatusCode::SERVICE_UNAVAILABLE, format!("{lines}{mend}"))
            }
        }
    }
}

impl Handler for Service {
    async fn handle(&self, request: Request, peer: Peer) -> Response {
        let path = request.uri().path();
        if Ingest::serves(path) {
            return self.ingest.handle(request, peer).await;
        }
        if self.query_api.takes(&request) {
            return self.query_api.handle(request, peer).await;
        }
        if ArmApi::serves(path) {
            return self.arm_api.handle(request, peer).await;
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

/// The catalogue's audit log, as the query API writes it.
struct AuditLog(Arc<Store>);

impl query_api::Audit for AuditLog {
    fn note<'a>(
        &'a self,
        actor: &'a Actor,
        operation: &'static str,
        target: &'a ResourceId,
        detail: serde_json::Value,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.0.note(actor, operation, target, detail).await.map_err(|error| error.to_string()) })
    }
}

fn ingest_settings(settings: &Settings) -> ingest::Settings {
    let mut own = ingest::Settings {
        audiences: settings.audiences.ingestion.clone(),
        authorization_uri: settings.published.authorization_uri.clone(),
        endpoint_domain: settings.published.endpoint_domain.clone(),
        ..Default::default()
    };
    if let Some(bytes) = settings.body_bytes_max {
        own.body_bytes_max = bytes;
    }
    own
}

fn arm_settings(settings: Settings) -> arm_api::Settings {
    let Settings { audiences, published, .. } = settings;
    let Published { url, endpoint_domain, region, tenant_id, login_endpoint, authorization_uri } = published;
    // Clients name the service's own URL as the resource of the directory's API, and some that of the management API.
    let with_own = |names: Vec<String>| names.into_iter().chain([url.clone()]).collect();
    arm_api::Settings {
        audiences: with_own(audiences.management),
        graph_audiences: with_own(GRAPH_AUDIENCES.map(str::to_owned).to_vec()),
        authorization_uri,
        tenant_id,
        login_endpoint,
        public_url: url.clone(),
        endpoint_domain,
        region,
        ..Default::default()
    }
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
