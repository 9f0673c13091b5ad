//! The data collection endpoint: remote write in, committed samples and an honest answer out.
//!
//! The way of a request: route → authenticate → find the rule → authorise (*publish metrics on this rule*) → method,
//! version and stream → endpoint → announced length → negotiate → limits of the rule and, if used up, of its workspaces →
//! a share of the bytes in flight → read the body → decompress → append what is known to be active to every destination of
//! the rule → count events against the limits → make new series active → commit → answer. Nothing of the body is read before
//! the sender is known to have the right to write; a refused body is drained, so that the sender reads the answer instead of
//! a reset.
//!
//! Invariants: a success means that every sample of the request is committed in every destination (in workspaces of
//! profile `azure`: but for those that Azure drops silently, which are counted); 5xx and 429 ask to send again, other 4xx
//! never; of a request answered with 429 nothing is stored anywhere; memory for bodies is bounded over all requests, and no
//! rule or workspace takes all of it.
//! Not here: tokens and roles (`access`), what exists (`catalog`), formats (`remote-write`), limits (`quota`), samples
//! (`storage`).

mod answer;
mod azure_profile;
mod batch;
mod cause;
mod decode;
mod error;
mod fair_share;
mod metrics;
mod refill;
mod report;
mod route;
mod target;

use std::sync::Arc;
use std::time::Duration;

use access::{Policies, Principal, Verifier, WRITE_METRICS};
use catalog::{Catalog, Rule, Snapshot};
use environment::Clock;
use http::header::EXPECT;
use http::request::Parts as Head;
use http_serving::{Drain, Handler, Peer, PrincipalForLog, Request, Response, authenticate, read_body};
use model::EndpointDomain;
use prometheus_client::registry::Registry;
use quota::{Quotas, RuleQuota};
use remote_write::Version;
use storage::Workspaces;

use crate::decode::{Bench, Job, Outcome};
use crate::error::IngestError;
use crate::fair_share::{FairShare, Share, Sharing, Taker};
use crate::metrics::Metrics;
use crate::route::Route;
use crate::target::{AZURE_BODY_BYTES_MAX, Target};

pub use crate::azure_profile::NEWEST_TAKEN;
pub use crate::refill::refill_active_series;

/// What the endpoint works with; shared with other edges.
#[derive(Clone)]
pub struct Parts {
    /// What exists.
    pub catalog: Arc<Catalog>,
    /// Whose tokens count.
    pub verifier: Arc<Verifier>,
    /// Who may do what.
    pub policies: Arc<Policies>,
    /// What rules and workspaces may take.
    pub quotas: Arc<Quotas>,
    /// Where samples go.
    pub workspaces: Arc<dyn Workspaces>,
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
    /// Bytes of a body as it is sent. Rules that write to a workspace of profile `azure` never take more than Azure's 1 MiB.
    pub body_bytes_max: u64,
    /// Bytes of a body after decompression.
    pub decoded_bytes_max: usize,
    /// Bounds inside a request.
    pub request: remote_write::Limits,
    /// For how long a body may arrive.
    pub body_time_max: Duration,
    /// Bytes of bodies of all requests between their admission and their answer; at least four of the largest. One rule gets
    /// a third of them at most, one workspace half.
    pub in_flight_bytes_max: u64,
    /// For how long a request waits for its share of them before it is told to come again.
    pub admission_time_max: Duration,
    /// How many large bodies are decoded at the same time; each may take up to `decoded_bytes_max`. Small ones (up to
    /// 128 KiB as sent) are decoded where they arrive, so there are never more of them than threads.
    pub large_decodes_max: usize,
    /// The domain below which endpoints have hosts of their own, if there is one.
    pub endpoint_domain: Option<EndpointDomain>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            audiences: vec!["https://monitor.azure.com".to_owned()],
            authorization_uri: "https://login.microsoftonline.com".to_owned(),
            body_bytes_max: AZURE_BODY_BYTES_MAX,
            decoded_bytes_max: 32 << 20,
            request: remote_write::Limits::default(),
            body_time_max: Duration::from_secs(30),
            in_flight_bytes_max: 64 << 20,
            admission_time_max: Duration::from_secs(1),
            large_decodes_max: 4,
            endpoint_domain: None,
        }
    }
}

/// The data collection endpoint of all rules.
pub struct Ingest {
    parts: Parts,
    settings: Arc<Settings>,
    /// Bytes for bodies.
    in_flight: FairShare,
    large_decodes: FairShare,
    metrics: Metrics,
}

/// What is known of a request once it is answered.
#[derive(Default)]
struct Known {
    principal: Option<Arc<Principal>>,
    rule: Option<Arc<RuleQuota>>,
}

impl Ingest {
    /// An endpoint over `parts`.
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let bytes = settings.in_flight_bytes_max.max(settings.body_bytes_max.saturating_mul(LARGEST_BODIES_MIN));
        let large_decodes = settings.large_decodes_max.max(1) as u64;
        Self {
            parts,
            settings: Arc::new(settings),
            in_flight: FairShare::new(bytes, Sharing::KeepRoom),
            large_decodes: FairShare::new(large_decodes, Sharing::UseAll),
            metrics: Metrics::default(),
        }
    }

    /// Whether a path belongs to this endpoint.
    pub fn serves(path: &str) -> bool {
        route::serves(path)
    }

    /// Shows what is counted here.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, peer: Peer) -> Response {
        let _in_flight = self.metrics.begin();
        let (head, body) = request.into_parts();
        let (mut body, mut known) = (Some(body), Known::default());
        let result = self.answer(&head, &mut body, &mut known).await;
        if let (Err(_), Some(unread)) = (&result, body) {
            Drain::default().run(unread, head.headers.contains_key(EXPECT)).await;
        }
        let mut response = match result {
            Ok(outcome) => answer::of_outcome(&outcome, &peer),
            Err((error, version)) => {
                self.metrics.count_error(&error);
                error.log(&peer);
                answer::of_error(&error, version, &peer, &self.settings.authorization_uri)
            }
        };
        self.metrics.requests.count(response.status());
        if let Some(rule) = known.rule {
            rule.answered(response.status().as_u16());
        }
        if let Some(principal) = known.principal {
            response.extensions_mut().insert(PrincipalForLog(principal.object_id.as_str().into()));
        }
        response
    }

    /// The outcome, or what prevents one, with the version if the answer must follow it.
    async fn answer(
        &self,
        head: &Head,
        body: &mut Option<hyper::body::Incoming>,
        known: &mut Known,
    ) -> Result<Outcome, (IngestError, Option<Version>)> {
        let early = |error| (error, None);
        let Self { parts, settings, .. } = self;
        let route = Route::parse(head.uri.path()).ok_or(early(IngestError::NoRoute))?;
        let principal = authenticate(&head.headers, &parts.verifier, &settings.audiences).await;
        let principal = known.principal.insert(principal.map_err(|refused| early(refused.into()))?);
        let snapshot = parts.catalog.snapshot();
        let rule = snapshot.rule(route.rule).ok_or_else(|| early(IngestError::UnknownRule(route.rule.to_owned())))?;
        let quota = known.rule.insert(parts.quotas.rule(&rule.immutable_id));
        self.authorise(&snapshot, rule, principal).map_err(early)?;
        let destinations = target::destinations(head, &route, rule).map_err(early)?;
        target::check_endpoint(head, settings, &snapshot, rule).map_err(early)?;
        let target = Target::new(parts, settings, &snapshot, rule, destinations).await.map_err(early)?;
        let announced = target::content_length(&head.headers);
        target::check_length(announced, target.body_bytes_max).map_err(early)?;
        let version = target.negotiate(&head.headers).map_err(early)?;
        let late = |error| (error, Some(version).filter(|_| target.strict));
        target.admit(quota, announced.unwrap_or(0), parts.clock.monotonic()).map_err(late)?;
        let mut share = self.share(target.taker, announced.unwrap_or(target.body_bytes_max)).await.map_err(late)?;
        let mut incoming = body.take().expect("the body is taken once");
        let bytes = match read_body(&mut incoming, target.body_bytes_max, settings.body_time_max).await {
            Ok(bytes) => bytes,
            Err(error) => {
                *body = Some(incoming);
                return Err(late(IngestError::of_body(error, target.body_bytes_max)));
            }
        };
        let length = bytes.len() as u64;
        share.keep(length);
        if let Some(unannounced) = length.checked_sub(announced.unwrap_or(0)).filter(|bytes| *bytes > 0) {
            quota.charge_bytes(unannounced, parts.clock.monotonic());
        }
        self.metrics.body_bytes.inc_by(length);
        let job = Job {
            body: bytes,
            version,
            destinations: target.destinations.clone(),
            closed: target.closed.clone(),
            strict: target.strict,
            settings: settings.clone(),
            taker: target.taker,
        };
        let bench = Bench { large_decodes: &self.large_decodes, metrics: &self.metrics, clock: &*parts.clock };
        job.run(bench).await.map_err(late)
    }

    /// Whether somebody may publish on the rule. That a rule does not exist is said to everybody with a token, as Azure does.
    fn authorise(&self, snapshot: &Snapshot, rule: &Rule, principal: &Arc<Principal>) -> Result<(), IngestError> {
        let policy = self.parts.policies.of(target::propagation(snapshot, rule));
        if policy.allows(principal, WRITE_METRICS, &rule.envelope.id).is_allowed() {
            return Ok(());
        }
        Err(IngestError::Forbidden {
            rule: rule.immutable_id.clone(),
            rule_resource: rule.envelope.id.clone(),
            principal: principal.clone(),
        })
    }

    /// A share of the bytes in flight, waited for a little.
    async fn share(&self, taker: Taker, bytes: u64) -> Result<Share, IngestError> {
        let share = self.in_flight.take(taker, bytes);
        tokio::time::timeout(self.settings.admission_time_max, share).await.map_err(|_| IngestError::Busy)
    }
}

impl Handler for Ingest {
    async fn handle(&self, request: Request, peer: Peer) -> Response {
        Self::handle(self, request, peer).await
    }
}

/// The bytes in flight are enough for so many of the largest bodies.
const LARGEST_BODIES_MIN: u64 = 4;
