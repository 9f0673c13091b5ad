//! The Prometheus HTTP API over the storage seam: for each workspace at `/workspaces/{workspace}/api/v1/…`, for several at once
//! at `/workspaces/{a},{b}/api/v1/…`, and at `/api/v1/…` of a workspace's own host where there are such hosts.
//!
//! The way of a call: route → authenticate → find the workspaces → authorise (*read data of this workspace*, of each) →
//! parameters → parse → evaluate on a thread of its own → JSON. Nothing of a workspace is said to who has no role on it.
//!
//! Over several workspaces a series that more than one has is one series, its samples merged by time; where they differ at
//! one time, the workspace that was named first counts. With the parameter `workspace_label=true` (or the name of a label)
//! each series carries the handle of its workspace instead, and a label of that name of its own is shown as `exported_…`.
//! Deleting samples and snapshots ([`administration`]) are of one workspace, and ask for another right.
//! Not here: the language (`promql-syntax`, `promql`), samples (`storage`).

mod administration;
mod answer;
mod error;
mod evaluation;
mod histogram;
mod json;
mod listing;
mod metrics;
mod params;
mod route;
mod scope;

use std::sync::Arc;
use std::time::Duration;

use access::{Policies, Principal, READ_METRICS, Verifier};
use catalog::Catalog;
use environment::Clock;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use http_serving::{Peer, PrincipalForLog, Request, Response, authenticate, host_of, read_body, with_header};
use model::{EndpointDomain, OwnHost, TimestampMs};
use prometheus_client::registry::Registry;
use promql::Engine;
use storage::{Queryable, Workspaces};
use tokio::sync::Semaphore;

use crate::administration::ADMINISTERING_MAX;
use crate::error::{ApiError, json_response};
use crate::metrics::Metrics;
use crate::params::Params;
use crate::route::{Endpoint, Route};
use crate::scope::Scope;

pub use crate::administration::{ADMINISTER, Audit};

/// What the query API works with; shared with other edges.
#[derive(Clone)]
pub struct Parts {
    /// What exists.
    pub catalog: Arc<Catalog>,
    /// Whose tokens count.
    pub verifier: Arc<Verifier>,
    /// Who may do what.
    pub policies: Arc<Policies>,
    /// Where samples are.
    pub workspaces: Arc<dyn Workspaces>,
    /// Where it is written down who deleted what.
    pub audit: Arc<dyn Audit>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Audiences that a token may name.
    pub audiences: Vec<String>,
    /// Where a client without a token is sent for one.
    pub authorization_uri: String,
    /// The longest that one evaluation may take.
    pub timeout: Duration,
    /// Evaluations at the same time; more wait.
    pub concurrency: usize,
    /// Evaluations that may wait; more are refused with 503.
    pub waiting_max: usize,
    /// The domain below which workspaces have hosts of their own, if there is one.
    pub endpoint_domain: Option<EndpointDomain>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            audiences: vec!["https://prometheus.monitor.azure.com".to_owned()],
            authorization_uri: "https://login.microsoftonline.com".to_owned(),
            timeout: Duration::from_secs(120),
            concurrency: 20,
            waiting_max: 200,
            endpoint_domain: None,
        }
    }
}

/// The query API of all workspaces.
pub struct QueryApi {
    parts: Parts,
    settings: Settings,
    engine: Arc<Engine>,
    slots: Arc<Semaphore>,
    /// Those that run and those that wait.
    admitted: Arc<Semaphore>,
    administering: Arc<Semaphore>,
    metrics: Metrics,
}

impl QueryApi {
    /// An API over `parts` that evaluates with `engine`.
    pub fn new(parts: Parts, settings: Settings, engine: Engine) -> Self {
        let slots = Arc::new(Semaphore::new(settings.concurrency));
        let admitted = Arc::new(Semaphore::new(settings.concurrency + settings.waiting_max));
        let administering = Arc::new(Semaphore::new(ADMINISTERING_MAX));
        Self { parts, settings, engine: Arc::new(engine), slots, admitted, administering, metrics: Metrics::new() }
    }

    /// Whether a path belongs to this API, whatever the host.
    pub fn serves(path: &str) -> bool {
        Route::parse(path).is_some()
    }

    /// Whether a request belongs to this API: by its path, or by the host that it was sent to.
    pub fn takes(&self, request: &Request) -> bool {
        let path = request.uri().path();
        Self::serves(path) || (Route::is_below_host(path) && self.workspace_of_host(request).is_some())
    }

    /// Shows what is counted here.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Answers one call.
    pub async fn handle(&self, request: Request, peer: Peer) -> Response {
        let started = self.parts.clock.monotonic();
        let path = request.uri().path().to_owned();
        let route = Route::parse(&path).unwrap_or_else(|| match self.workspace_of_host(&request) {
            Some(handle) => Route::below_host(handle, &path),
            None => Route { workspaces: String::new(), endpoint: Endpoint::Unknown },
        });
        let endpoint = route.endpoint.name();
        let allowed = if route.endpoint.is_administration() { "POST, PUT" } else { "GET, POST" };
        let response = match self.answer(request, route, &peer).await {
            Ok(response) => response,
            Err(error @ ApiError::Method(_)) => {
                with_header(error.response(&peer, &self.settings.authorization_uri), ALLOW, allowed)
            }
            Err(error) => error.response(&peer, &self.settings.authorization_uri),
        };
        self.metrics.count(endpoint, response.status(), self.parts.clock.monotonic().since(started));
        response
    }

    async fn answer(&self, request: Request, route: Route, peer: &Peer) -> Result<Response, ApiError> {
        let (scope, principal) = self.admit(request.headers(), &route).await?;
        if route.endpoint == Endpoint::Unknown {
            return Err(ApiError::NoEndpoint(request.uri().path().to_owned()));
        }
        let mut response = if route.endpoint.is_administration() {
            self.administer(&route.endpoint, request, &scope, &principal, peer).await?
        } else {
            let params = read_params(request, &route.endpoint).await?;
            let view = scope.view(&self.parts, &params).await?;
            json_response(StatusCode::OK, self.call(&route.endpoint, &params, view).await?)
        };
        response.extensions_mut().insert(PrincipalForLog(principal.object_id.as_str().into()));
        Ok(response)
    }

    /// Who asks, and whether they may.
    async fn admit(&self, headers: &HeaderMap, route: &Route) -> Result<(Scope, Arc<Principal>), ApiError> {
        let verified = authenticate(headers, &self.parts.verifier, &self.settings.audiences).await;
        let principal = verified.map_err(ApiError::Token)?;
        let snapshot = self.parts.catalog.snapshot();
        let action = if route.endpoint.is_administration() { ADMINISTER } else { READ_METRICS };
        let scope = Scope::new(&self.parts, &snapshot, &route.workspaces, &principal, action)?;
        Ok((scope, principal))
    }

    /// The handle that the host of a request stands for.
    fn workspace_of_host(&self, request: &Request) -> Option<String> {
        let host = host_of(request.uri(), request.headers())?;
        match self.settings.endpoint_domain.as_ref()?.parse(host)? {
            OwnHost::Query { handle } => Some(handle),
            OwnHost::Ingestion { .. } => None,
        }
    }

    async fn call(&self, endpoint: &Endpoint, params: &Params, view: Arc<dyn Queryable>) -> Result<Vec<u8>, ApiError> {
        match endpoint {
            Endpoint::Query => self.query(params, view).await,
            Endpoint::QueryRange => self.query_range(params, view).await,
            Endpoint::Series => listing::series(params, &*view).await,
            Endpoint::Labels => listing::label_names(params, &*view).await,
            Endpoint::LabelValues(name) => listing::label_values(name, params, &*view).await,
            Endpoint::DeleteSeries | Endpoint::CleanTombstones | Endpoint::Snapshot | Endpoint::Unknown => {
                Err(ApiError::NoEndpoint(String::new()))
            }
        }
    }

    fn now(&self) -> TimestampMs {
        TimestampMs(self.parts.clock.now().as_millis())
    }
}

async fn read_params(request: Request, endpoint: &Endpoint) -> Result<Params, ApiError> {
    let (head, mut body) = request.into_parts();
    let form = match head.method {
        Method::GET if !endpoint.is_administration() => Default::default(),
        Method::POST | Method::PUT if endpoint.takes_form(&head.method) => {
            let read = read_body(&mut body, FORM_BYTES_MAX, FORM_TIMEOUT).await;
            let bytes = read.map_err(|error| ApiError::Form(error.to_string()))?;
            let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
            if content_type.starts_with(FORM) { bytes } else { Default::default() }
        }
        other => return Err(ApiError::Method(other.to_string())),
    };
    Ok(Params::parse(head.uri.query(), &form))
}

const FORM: &str = "application/x-www-form-urlencoded";

/// Bound on a form: a query may be long, and `match[]` may repeat.
const FORM_BYTES_MAX: u64 = 4 << 20;

/// Bound on the time a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);
