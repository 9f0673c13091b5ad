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

mod absent;
mod administration;
mod answer;
mod azure;
mod beside;
mod call;
mod compression;
mod error;
mod evaluation;
mod features;
mod federate;
mod helpers;
mod histogram;
mod json;
mod label_sets;
mod large_matrix;
mod listing;
mod metrics;
mod params;
mod quick;
pub mod reading;
mod remote_read;
mod reply;
mod route;
mod scope;
mod slots;
mod statistics;
mod status;
mod tree;
mod wire;
pub mod writing;

use std::sync::Arc;
use std::time::Duration;

use access::{Policies, Principal, READ_METRICS, Verifier};
use catalog::Catalog;
use environment::Clock;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, Method};
use http_serving::{Peer, PrincipalForLog, Request, Response, authenticate, host_of, read_body, with_header};
use model::{EndpointDomain, OwnHost, TimestampMs};
use prometheus_client::registry::Registry;
use promql::{Engine, EngineOptions};
use storage::{Purpose, Workspaces};
use tokio::sync::Semaphore;

use crate::administration::ADMINISTERING_MAX;
use crate::beside::{ExemplarQuery, MetadataQuery};
use crate::call::Call;
use crate::compression::Encoding;
use crate::error::ApiError;
use crate::federate::Federation;
use crate::listing::Listing;
use crate::metrics::Metrics;
use crate::params::{ParamError, Params};
use crate::quick::Asked;
use crate::reply::{Reply, respond};
use crate::route::{Endpoint, Route, Status};
use crate::scope::Scope;
use crate::slots::{Job, Slots};

pub use crate::administration::{ADMINISTER, Audit};
pub use promql_syntax::Options as Syntax;

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
    /// The longest that one evaluation may take, waiting for its place included.
    pub timeout: Duration,
    /// Evaluations at the same time; more wait.
    pub concurrency: usize,
    /// Evaluations that may wait; more are refused with 503.
    pub waiting_max: usize,
    /// Bytes of an answer before it is compressed.
    pub answer_bytes_max: usize,
    /// Samples that a remote read may answer.
    pub read_samples_max: usize,
    /// Which experimental parts of the language are understood.
    pub syntax: Syntax,
    /// The domain below which workspaces have hosts of their own, if there is one.
    pub endpoint_domain: Option<EndpointDomain>,
}

impl Settings {
    /// Names of the experimental parts of the language that are understood, as Prometheus names them.
    pub fn features(&self) -> Vec<&'static str> {
        let Syntax { experimental_functions, duration_expressions, extended_range_selectors, fill_modifiers } =
            self.syntax;
        let all = [
            (experimental_functions, "promql-experimental-functions"),
            (duration_expressions, "promql-duration-expr"),
            (extended_range_selectors, "promql-extended-range-selectors"),
            (fill_modifiers, "promql-binop-fill-modifiers"),
        ];
        all.into_iter().filter_map(|(enabled, name)| enabled.then_some(name)).collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            audiences: vec!["https://prometheus.monitor.azure.com".to_owned()],
            authorization_uri: "https://login.microsoftonline.com".to_owned(),
            timeout: Duration::from_secs(120),
            concurrency: 20,
            waiting_max: 200,
            answer_bytes_max: 512 << 20,
            read_samples_max: 50_000_000,
            syntax: Syntax::default(),
            endpoint_domain: None,
        }
    }
}

/// The query API of all workspaces.
pub struct QueryApi {
    parts: Parts,
    settings: Settings,
    engine: EngineOptions,
    slots: Slots,
    administering: Arc<Semaphore>,
    metrics: Metrics,
    started: TimestampMs,
}

/// Why a call got no answer, and in whose words that is said.
struct Refused {
    error: ApiError,
    azure: bool,
}

impl QueryApi {
    /// An API over `parts` that evaluates with `engine`.
    pub fn new(parts: Parts, settings: Settings, engine: Engine) -> Self {
        let metrics = Metrics::new();
        let slots = Slots::new(settings.concurrency, settings.waiting_max, Arc::clone(&parts.clock), metrics.clone());
        let administering = Arc::new(Semaphore::new(ADMINISTERING_MAX));
        let started = TimestampMs(parts.clock.now().as_millis());
        Self { parts, settings, engine: engine.options(), slots, administering, metrics, started }
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
        let (endpoint, methods) = (route.endpoint.name(), route.endpoint.methods());
        let response = match self.answer(request, route, &peer).await {
            Ok(response) => response,
            Err(Refused { error, azure }) => {
                if let Some(bound) = error.bound() {
                    self.metrics.refused(bound);
                }
                let response = match azure {
                    true => error.azure_response(&peer, &self.settings.authorization_uri),
                    false => error.response(&peer, &self.settings.authorization_uri),
                };
                match error {
                    ApiError::Method(_) => with_header(response, ALLOW, methods),
                    _ => response,
                }
            }
        };
        self.metrics.count(endpoint, response.status(), self.parts.clock.monotonic().since(started));
        response
    }

    async fn answer(&self, request: Request, route: Route, peer: &Peer) -> Result<Response, Refused> {
        let admitted = self.admit(request.headers(), &route).await;
        let (scope, principal) = admitted.map_err(|error| Refused { error, azure: false })?;
        let served = self.serve(request, &route.endpoint, &scope, &principal, peer).await;
        let mut response = served.map_err(|error| Refused { error, azure: scope.is_azure() })?;
        response.extensions_mut().insert(PrincipalForLog(principal.object_id.as_str().into()));
        Ok(response)
    }

    async fn serve(
        &self,
        request: Request,
        endpoint: &Endpoint,
        scope: &Scope,
        principal: &Principal,
        peer: &Peer,
    ) -> Result<Response, ApiError> {
        if *endpoint == Endpoint::Unknown {
            return Err(ApiError::NoEndpoint(request.uri().path().to_owned()));
        }
        if !endpoint.takes(request.method()) {
            return Err(ApiError::Method(request.method().to_string()));
        }
        if scope.is_azure() {
            azure::check_endpoint(endpoint)?;
        }
        match endpoint {
            Endpoint::DeleteSeries | Endpoint::CleanTombstones | Endpoint::Snapshot => {
                self.administer(endpoint, request, scope, principal, peer).await
            }
            Endpoint::RemoteRead => self.remote_read(request, scope).await,
            _ => {
                let encoding = Encoding::negotiate(request.headers());
                let federation = Federation::negotiate(request.headers());
                let params = read_params(request).await?;
                self.call(endpoint, &params, scope, encoding, federation).await
            }
        }
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

    async fn call(
        &self,
        endpoint: &Endpoint,
        params: &Params,
        scope: &Scope,
        encoding: Encoding,
        federation: Federation,
    ) -> Result<Response, ApiError> {
        if let Some(reply) = self.without_samples(endpoint, params, scope)? {
            return Ok(self.respond(endpoint, reply.encoded(encoding)));
        }
        let timeout = params.timeout(self.settings.timeout)?;
        if *endpoint == Endpoint::Status(Status::Tsdb) {
            let limit = status::statistics_limit(params)?;
            let storage = scope.storage(&self.parts, scope.only_one()?, Purpose::Read).await?;
            let work = move |_: &Job| storage.statistics(limit).map(|found| status::tsdb(&found));
            return self.run(endpoint, timeout, encoding, move |job| work(job).ok_or(ApiError::NotAdministered)).await;
        }
        let Call { view, azure } = scope.call(&self.parts, params).await?;
        let asked = self.slots.asked((endpoint, scope, params.but_when()));
        match endpoint {
            Endpoint::Query => {
                let work = self.query(params, Call { view, azure })?;
                self.run_near(asked, endpoint, timeout, encoding, work).await
            }
            Endpoint::QueryRange => {
                let work = self.query_range(params, Call { view, azure })?;
                self.run_near(asked, endpoint, timeout, encoding, work).await
            }
            Endpoint::Series => {
                let mut listing = Listing::of_series(params)?;
                if azure {
                    azure::narrow_series(&mut listing, self.now())?;
                }
                self.run_near(asked, endpoint, timeout, encoding, move |job| listing.series(&view, job)).await
            }
            Endpoint::Labels => {
                let listing = Listing::of_labels(params)?.of_all_time(azure);
                self.run_near(asked, endpoint, timeout, encoding, move |job| listing.label_names(&view, job)).await
            }
            Endpoint::LabelValues(name) => {
                let name = label_name(name)?;
                let listing = Listing::of_labels(params)?.of_all_time(azure);
                self.run_near(asked, endpoint, timeout, encoding, move |job| listing.label_values(&name, &view, job))
                    .await
            }
            Endpoint::Metadata => {
                let query = MetadataQuery::new(params)?;
                self.run(endpoint, timeout, encoding, move |_| Ok(query.run(&*view))).await
            }
            Endpoint::QueryExemplars => {
                let query = ExemplarQuery::new(params, || Ok(self.parse_query(params)?.1))?;
                self.run(endpoint, timeout, encoding, move |_| Ok(query.run(&*view))).await
            }
            Endpoint::Federate => {
                let selectors = listing::federated(params)?;
                let (now, lookback_ms) = (self.now(), self.engine.lookback_delta_ms);
                let bytes_max = self.settings.answer_bytes_max;
                let work = move |job: &Job| federation.run(&selectors, &view, now, lookback_ms, bytes_max, job);
                self.run(endpoint, timeout, encoding, work).await
            }
            _ => Err(ApiError::NoEndpoint(endpoint.name().to_owned())),
        }
    }

    /// The answer of an endpoint that looks at no samples.
    fn without_samples(&self, endpoint: &Endpoint, params: &Params, scope: &Scope) -> Result<Option<Reply>, ApiError> {
        Ok(Some(match endpoint {
            Endpoint::FormatQuery => {
                let (_, expr) = self.parse_query(params)?;
                let bytes_max = self.settings.answer_bytes_max.min(PRETTY_BYTES_MAX);
                let pretty = expr.pretty(bytes_max).ok_or(ApiError::AnswerTooLarge { bytes_max })?;
                Reply::Json(answer::text(&pretty))
            }
            Endpoint::ParseQuery => {
                let (_, expr) = self.parse_query(params)?;
                Reply::Json(answer::success(&answer::Remarks::default(), |out| tree::write_expr(out, &expr)))
            }
            Endpoint::Status(Status::BuildInfo) => status::build_info(),
            Endpoint::Status(Status::RuntimeInfo) => self.runtime_info(scope.first()),
            Endpoint::Status(Status::Flags) => status::flags(&self.settings, self.engine),
            Endpoint::Status(Status::Config) => status::config(self.engine),
            Endpoint::Status(Status::Features) => features::features(&self.settings, self.engine),
            Endpoint::Absent(what) => absent::absent(*what, params)?,
            _ => return Ok(None),
        }))
    }

    /// Does the work in a place of its own and answers what came of it.
    async fn run(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
        encoding: Encoding,
        work: impl FnOnce(&Job) -> Result<Reply, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let encoded = self.slots.run(timeout, move |job| Ok(work(job)?.encoded(encoding))).await?;
        Ok(self.respond(endpoint, encoded))
    }

    /// The same, but where it is if that was quick the last time.
    async fn run_near(
        &self,
        asked: Asked,
        endpoint: &Endpoint,
        timeout: Duration,
        encoding: Encoding,
        work: impl Fn(&Job) -> Result<Reply, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let encoded = self.slots.run_near(asked, timeout, move |job| Ok(work(job)?.encoded(encoding))).await?;
        Ok(self.respond(endpoint, encoded))
    }

    fn respond(&self, endpoint: &Endpoint, encoded: Option<reply::Encoded>) -> Response {
        respond(encoded, endpoint.name(), &self.metrics)
    }

    fn now(&self) -> TimestampMs {
        TimestampMs(self.parts.clock.now().as_millis())
    }
}

/// Parameters of a request whose method is one of its endpoint's: from its query string and, unless it is a GET, its form.
async fn read_params(request: Request) -> Result<Params, ApiError> {
    let (head, mut body) = request.into_parts();
    let form = match head.method {
        Method::GET => Default::default(),
        _ => {
            let bytes = read_body(&mut body, FORM_BYTES_MAX, FORM_TIMEOUT).await?;
            let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
            if content_type.starts_with(FORM) { bytes } else { Default::default() }
        }
    };
    Ok(Params::parse(head.uri.query(), &form)?)
}

fn label_name(name: &Result<String, String>) -> Result<String, ApiError> {
    match name {
        Ok(name) if !name.is_empty() => Ok(name.clone()),
        Ok(name) | Err(name) => Err(ParamError::LabelName(name.clone()).into()),
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// Bound on a form: a query may be long, and `match[]` may repeat.
const FORM_BYTES_MAX: u64 = 4 << 20;

/// Bound on a query that is written out on several lines.
const PRETTY_BYTES_MAX: usize = 8 << 20;

/// Bound on the time a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);
