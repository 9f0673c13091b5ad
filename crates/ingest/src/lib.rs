//! The data collection endpoint: remote write in, committed samples and an honest answer out.
//!
//! The way of a request: route → authenticate → find the rule → authorise (*publish metrics on this rule*) → method,
//! version and stream → announced length → negotiate → admit (bytes in flight) → read the body → decompress → append every
//! series to every destination of the rule → commit → answer. Nothing of the body is read before the sender is known to
//! have the right to write; a refused body is drained, so that the sender reads the answer instead of a reset.
//!
//! Invariants: a success means that every sample of the request is committed in every destination (in workspaces of
//! profile `azure`: but for those that Azure drops silently, which are counted); 5xx asks to send again, 4xx never; memory
//! for bodies is bounded over all requests.
//! Not here: tokens and roles (`access`), what exists (`catalog`), formats (`remote-write`), samples (`storage`).

mod answer;
mod azure_profile;
mod batch;
mod decode;
mod error;
mod metrics;
mod report;
mod route;

use std::sync::Arc;
use std::time::Duration;

use access::{Policy, Principal, Verifier, WRITE_METRICS};
use arc_swap::ArcSwap;
use catalog::{Catalog, Profile, Rule, Snapshot};
use environment::Clock;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderName};
use http::request::Parts as Head;
use http::{HeaderMap, Method};
use http_serving::{Drain, Handler, Peer, PrincipalForLog, Request, Response, authenticate, read_body};
use model::{AccountId, TimestampMs};
use prometheus_client::registry::Registry;
use remote_write::{Version, negotiate};
use storage::Workspaces;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::decode::{Destination, Job, Outcome};
use crate::error::IngestError;
use crate::metrics::Metrics;
use crate::route::{Route, is_api_version};

/// What the endpoint works with; shared with other edges.
#[derive(Clone)]
pub struct Parts {
    /// What exists.
    pub catalog: Arc<Catalog>,
    /// Whose tokens count.
    pub verifier: Arc<Verifier>,
    /// Who may do what.
    pub policy: Arc<ArcSwap<Policy>>,
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
    /// Bytes of bodies of all requests between their admission and their answer.
    pub in_flight_bytes_max: u64,
    /// For how long a request waits for its share of them before it is told to come again.
    pub admission_time_max: Duration,
    /// How many large bodies are decoded at the same time; each may take up to `decoded_bytes_max`. Small ones (up to
    /// 128 KiB as sent) are decoded where they arrive, so there are never more of them than threads.
    pub large_decodes_max: usize,
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
        }
    }
}

/// The data collection endpoint of all rules.
pub struct Ingest {
    parts: Parts,
    settings: Arc<Settings>,
    /// Free bytes for bodies, in units of [`ADMISSION_UNIT`].
    admission: Semaphore,
    large_decodes: Semaphore,
    metrics: Metrics,
}

impl Ingest {
    /// An endpoint over `parts`.
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let units = units_of(settings.in_flight_bytes_max.max(settings.body_bytes_max));
        let admission = Semaphore::new(units as usize);
        let large_decodes = Semaphore::new(settings.large_decodes_max.max(1));
        Self { parts, settings: Arc::new(settings), admission, large_decodes, metrics: Metrics::default() }
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
        let mut body = Some(body);
        let mut principal = None;
        let result = self.answer(&head, &mut body, &mut principal).await;
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
        if let Some(principal) = principal {
            response.extensions_mut().insert(PrincipalForLog(principal.object_id.as_str().into()));
        }
        response
    }

    /// The outcome, or what prevents one, with the version if the answer must follow it.
    async fn answer(
        &self,
        head: &Head,
        body: &mut Option<hyper::body::Incoming>,
        known: &mut Option<Arc<Principal>>,
    ) -> Result<Outcome, (IngestError, Option<Version>)> {
        let early = |error| (error, None);
        let route = Route::parse(head.uri.path()).ok_or(early(IngestError::NoRoute))?;
        let principal = authenticate(&head.headers, &self.parts.verifier, &self.settings.audiences).await;
        let principal = known.insert(principal.map_err(|refused| early(refused.into()))?);
        let snapshot = self.parts.catalog.snapshot();
        let rule = self.authorise(&snapshot, &route, principal).map_err(early)?;
        let destinations = check_form(head, &route, rule).map_err(early)?;
        let target = self.target(&snapshot, destinations).map_err(early)?;
        let announced = content_length(&head.headers);
        check_length(announced, target.body_bytes_max).map_err(early)?;
        let version = target.negotiate(&head.headers).map_err(early)?;
        let late = |error| (error, Some(version).filter(|_| target.strict));
        let _admitted = self.admit(announced.unwrap_or(target.body_bytes_max)).await.map_err(late)?;
        let mut incoming = body.take().expect("the body is taken once");
        let bytes = match read_body(&mut incoming, target.body_bytes_max, self.settings.body_time_max).await {
            Ok(bytes) => bytes,
            Err(error) => {
                *body = Some(incoming);
                return Err(late(IngestError::of_body(error, target.body_bytes_max)));
            }
        };
        self.metrics.body_bytes.inc_by(bytes.len() as u64);
        let job = Job {
            body: bytes,
            version,
            destinations: target.destinations.clone(),
            now: TimestampMs(self.parts.clock.now().as_millis()),
            settings: self.settings.clone(),
        };
        let outcome = job.run(&self.large_decodes, &self.metrics, &*self.parts.clock).await.map_err(late)?;
        Ok(Outcome { strict: target.strict, ..outcome })
    }

    /// The rule, for somebody who may publish on it. That it does not exist is said to everybody with a token, as Azure does.
    fn authorise<'s>(
        &self,
        snapshot: &'s Snapshot,
        route: &Route<'_>,
        principal: &Arc<Principal>,
    ) -> Result<&'s Rule, IngestError> {
        let rule = snapshot.rule(route.rule).ok_or_else(|| IngestError::UnknownRule(route.rule.to_owned()))?;
        if self.parts.policy.load().allows(principal, WRITE_METRICS, &rule.envelope.id).is_allowed() {
            return Ok(rule);
        }
        Err(IngestError::Forbidden {
            rule: rule.immutable_id.clone(),
            rule_resource: rule.envelope.id.clone(),
            principal: principal.clone(),
        })
    }

    fn target(&self, snapshot: &Snapshot, destinations: &[AccountId]) -> Result<Target, IngestError> {
        let mut target =
            Target { destinations: Vec::new(), strict: false, body_bytes_max: self.settings.body_bytes_max };
        for &account in destinations {
            let workspace = snapshot.workspace_by_account(account);
            let storage = self.parts.workspaces.storage(account);
            // A snapshot holds every workspace that its rules name; one that is being opened or closed has no storage.
            let (Some(workspace), Some(storage)) = (workspace, storage) else {
                return Err(IngestError::NoStorage(account));
            };
            match workspace.profile {
                Profile::Strict => target.strict = true,
                Profile::Azure => target.body_bytes_max = target.body_bytes_max.min(AZURE_BODY_BYTES_MAX),
            }
            target.destinations.push(Destination { storage, profile: workspace.profile });
        }
        Ok(target)
    }

    /// A share of the bytes in flight, waited for a little.
    async fn admit(&self, bytes: u64) -> Result<SemaphorePermit<'_>, IngestError> {
        let share = self.admission.acquire_many(units_of(bytes));
        match tokio::time::timeout(self.settings.admission_time_max, share).await {
            Ok(permit) => Ok(permit.expect("the semaphore is never closed")),
            Err(_) => Err(IngestError::Busy),
        }
    }
}

impl Handler for Ingest {
    async fn handle(&self, request: Request, peer: Peer) -> Response {
        Self::handle(self, request, peer).await
    }
}

/// Where a request goes and what that asks of it.
struct Target {
    destinations: Vec<Destination>,
    /// Whether any destination is strict: that decides for all.
    strict: bool,
    body_bytes_max: u64,
}

impl Target {
    fn negotiate(&self, headers: &HeaderMap) -> Result<Version, IngestError> {
        let version = negotiate(text(headers, CONTENT_TYPE), text(headers, CONTENT_ENCODING))?;
        match version {
            Version::V2 if !self.strict => Err(IngestError::OnlyVersion1),
            version => Ok(version),
        }
    }
}

/// The workspaces that the stream goes to.
fn check_form<'r>(head: &Head, route: &Route<'_>, rule: &'r Rule) -> Result<&'r [AccountId], IngestError> {
    if head.method != Method::POST {
        return Err(IngestError::Method(head.method.to_string()));
    }
    if let Some(version) = route::api_version(head.uri.query()).filter(|version| !is_api_version(version)) {
        return Err(IngestError::ApiVersion(version.to_owned()));
    }
    let unknown = || IngestError::UnknownStream { stream: route.stream.to_owned(), rule: rule.immutable_id.clone() };
    rule.destinations(route.stream).ok_or_else(unknown)
}

fn check_length(announced: Option<u64>, limit: u64) -> Result<(), IngestError> {
    match announced {
        Some(bytes) if bytes > limit => Err(IngestError::TooLarge { limit, provided: Some(bytes) }),
        _ => Ok(()),
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH)?.parse().ok()
}

/// A header's value. One that is no text reads as something that no rule knows, rather than as absent.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("(not text)"))
}

fn units_of(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(ADMISSION_UNIT)).unwrap_or(u32::MAX)
}

/// Azure's bound on a body (contract §3.3).
const AZURE_BODY_BYTES_MAX: u64 = 1 << 20;
/// Bytes per permit.
const ADMISSION_UNIT: u64 = 1 << 10;
