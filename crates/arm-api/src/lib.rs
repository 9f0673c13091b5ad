//! The management API: Azure Resource Manager's paths, shapes and errors over the catalogue.
//!
//! The way of a call: path → row of the route table → token → right, as the row says → api-version → handler. Nothing is
//! looked up and no body is read before the right is decided, and a handler is reached through its row only.
//! Not here: what exists and whether a change fits (`catalog`), what a role permits (`access`), samples (`storage`).

mod accounts;
mod activity_log;
mod addresses;
mod admission;
mod answer;
mod authorization;
mod backups;
mod bodies;
mod body;
mod call;
mod counters;
mod deleted_accounts;
mod endpoints;
mod error;
mod etag;
mod federation;
mod filter;
mod graph;
mod groups;
mod ids;
mod managed_identity;
mod metadata_endpoints;
mod metrics;
mod metrics_containers;
mod operations;
mod paging;
mod path;
mod providers;
mod query;
mod rates;
pub mod reading;
mod resource_filter;
mod resources;
mod route;
mod rule_body;
mod rules;
mod schema;
mod shape;
mod subscriptions;
mod table;
#[cfg(test)]
mod testing;
mod usages;
mod version;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use access::{Policies, Verifier};
use bytes::Bytes;
use catalog::Store;
use environment::{BoxFuture, Clock, Rng};
use http::header::{ALLOW, EXPECT, HeaderName};
use http::request;
use http_serving::{Peer, Request, Response};
use model::{EndpointDomain, ErrorKind};
use prometheus_client::registry::Registry;
use quota::Quotas;
use storage::Workspaces;

use crate::answer::{Answer, Common};
use crate::body::{Payload, Unread};
use crate::call::Call;
use crate::counters::Counters;
use crate::error::ArmError;
use crate::path::Path;
use crate::query::Query;
use crate::rates::Budgets;
pub use crate::rates::{Rate, Rates};
use crate::route::{Audience, Found, Right, Route, Verb};

/// What the management API works with; shared with other edges.
#[derive(Clone)]
pub struct Parts {
    /// What exists, and how it is changed.
    pub store: Arc<Store>,
    /// Whose tokens count.
    pub verifier: Arc<Verifier>,
    /// Who may do what; decisions here follow the assignments at once.
    pub policies: Arc<Policies>,
    /// What rules and workspaces use of their limits.
    pub quotas: Arc<Quotas>,
    /// Where samples are: platform metrics are read from the system workspace.
    pub workspaces: Arc<dyn Workspaces>,
    /// What only the program can do.
    pub administration: Arc<dyn Administration>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for ids that nobody may guess.
    pub rng: Arc<dyn Rng>,
}

/// What only the program can do: it touches files beside the catalogue.
pub trait Administration: Send + Sync + 'static {
    /// Writes catalogue and workspaces as they are now under this name; returns when they are durable.
    fn backup(&self, name: &str) -> BoxFuture<'_, Result<Backup, AdministrationError>>;

    /// The backups that there are, by name.
    fn backups(&self) -> BoxFuture<'_, Result<Vec<Backup>, AdministrationError>>;
}

/// A backup of catalogue and workspaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backup {
    /// Its name.
    pub name: String,
    /// Where it lies on the service's machine.
    pub path: String,
    /// When it was begun (milliseconds since 1970).
    pub created_ms: i64,
    /// Its size.
    pub bytes: u64,
    /// How many workspaces are in it.
    pub workspaces: u64,
}

/// Why there is no backup.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AdministrationError {
    /// There is one of that name.
    #[error("there is a backup {0:?} already: choose another name")]
    Exists(String),
    /// The name is none that a backup can have; says why.
    #[error("{0}")]
    Name(String),
    /// Another backup is being made.
    #[error("another backup is being made: try again when it is done")]
    Busy,
    /// It could not be written or read.
    #[error("{0}")]
    Failed(String),
}

/// What can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Audiences that a token for management may name.
    pub audiences: Vec<String>,
    /// Audiences that a token for the directory (Microsoft Graph's paths) may name.
    pub graph_audiences: Vec<String>,
    /// Where a client without a token is sent for one.
    pub authorization_uri: String,
    /// The directory's id.
    pub tenant_id: String,
    /// The authority's address, without the directory.
    pub login_endpoint: String,
    /// The address that this service is published at.
    pub public_url: String,
    /// The domain that hosts of endpoints and workspaces are under, if there is one.
    pub endpoint_domain: Option<EndpointDomain>,
    /// The name of the region where everything is.
    pub region: String,
    /// How far limits of workspaces can be raised.
    pub limits: LimitRules,
    /// How often one principal may ask.
    pub rates: Rates,
}

/// How far limits of workspaces can be raised (contract §4.3). What they are without that, the quotas say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LimitRules {
    /// Up to here a limit is raised for the asking.
    pub approved_max: u64,
    /// Up to here it is raised when the use is at least [`LimitRules::use_percent_min`] of what is wanted.
    pub raised_max: u64,
    /// See above.
    pub use_percent_min: u64,
}

impl Default for LimitRules {
    fn default() -> Self {
        Self { approved_max: 2_000_000, raised_max: 20_000_000, use_percent_min: 50 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            audiences: owned(&["https://management.azure.com", "https://management.core.windows.net"]),
            graph_audiences: owned(&["https://graph.microsoft.com", "https://graph.windows.net"]),
            authorization_uri: "https://login.microsoftonline.com".to_owned(),
            tenant_id: String::new(),
            login_endpoint: "https://login.microsoftonline.com".to_owned(),
            public_url: "https://localhost:7090".to_owned(),
            endpoint_domain: None,
            region: "local".to_owned(),
            limits: LimitRules::default(),
            rates: Rates::default(),
        }
    }
}

/// The management API.
pub struct ArmApi {
    parts: Arc<Parts>,
    settings: Arc<Settings>,
    counters: Counters,
    budgets: Budgets,
}

/// What is known about a request when it is answered, however that goes.
#[derive(Default)]
struct Known {
    route: Option<&'static Route>,
    principal: Option<Arc<str>>,
    /// What is left of the principal's budget.
    left: Option<(HeaderName, String)>,
}

impl ArmApi {
    /// An API over `parts`.
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let budgets = Budgets::new(settings.rates);
        Self { parts: Arc::new(parts), settings: Arc::new(settings), counters: Counters::new(), budgets }
    }

    /// Whether a path belongs to this API.
    pub fn serves(path: &str) -> bool {
        route::begins_a_route(path::first_segment(path))
    }

    /// Shows what is counted here.
    pub fn register(&self, registry: &mut Registry) {
        self.counters.register(registry);
    }

    /// Answers one call.
    pub async fn handle(&self, request: Request, peer: Peer) -> Response {
        let (head, body) = request.into_parts();
        self.respond(head, Unread::new(Payload::Connection(body)), peer).await
    }

    /// Answers one call whose body is there already: for callers in this process.
    pub async fn call(&self, request: http::Request<Bytes>, peer: Peer) -> Response {
        let (head, body) = request.into_parts();
        self.respond(head, Unread::new(Payload::Bytes(body)), peer).await
    }

    async fn respond(&self, head: request::Parts, payload: Unread, peer: Peer) -> Response {
        let started = self.parts.clock.monotonic();
        let mut known = Known::default();
        let answer = match self.answer(&head, &payload, peer, &mut known).await {
            Ok(answer) => answer,
            Err(error) => error.into_answer(),
        };
        if let Some(unread) = payload.take() {
            unread.discard(head.headers.contains_key(EXPECT)).await;
        }
        let versions = known.route.map_or(&[][..], |route| route.versions);
        let common = Common { peer: &peer, request_headers: &head.headers, principal: known.principal, versions };
        let (name, method) =
            (known.route.map_or("none", Route::name), Verb::of(&head.method).map_or("other", Verb::name));
        self.counters.count(name, method, answer.status, self.parts.clock.monotonic().since(started));
        let answer = known.left.into_iter().fold(answer, |answer, (name, value)| answer.with_header(name, value));
        answer.into_response(&common)
    }

    async fn answer(
        &self,
        head: &request::Parts,
        payload: &Unread,
        peer: Peer,
        known: &mut Known,
    ) -> Result<Answer, ArmError> {
        let path = Path::parse(head.uri.path());
        let found = path.as_ref().map_or(Found::Nothing, |path| route::find(Verb::of(&head.method), path));
        if let Found::Route(route, _) = &found {
            known.route = Some(route);
        }
        let audience = known.route.map_or(Audience::Management, |route| route.audience);
        let caller = match known.route.map(|route| route.right) {
            Some(Right::Public) => None,
            _ => Some(admission::caller(&self.parts, &self.settings, &head.headers, audience).await?),
        };
        if let Some(caller) = &caller {
            known.principal = Some(caller.object_id.as_str().into());
            let now = self.parts.clock.monotonic();
            known.left = Some(self.budgets.take(&caller.object_id, Verb::of(&head.method), now)?);
        }
        let (route, params) = match found {
            Found::Route(route, params) => (route, params),
            Found::OtherMethods(methods) => return Err(other_method(head, &methods)),
            Found::Nothing => return Err(path.err().map_or_else(|| no_route(head), ArmError::from)),
        };
        let policy = Arc::clone(&self.parts.policies.current());
        let reach = match &caller {
            Some(caller) => admission::authorise(route, &params, caller, &policy)?,
            None => call::Reach::Everything,
        };
        let query = Query::parse(head.uri.query());
        if !route.versions.is_empty() {
            version::check(&query, route.versions, self.parts.clock.now())?;
        }
        let call = Call {
            parts: Arc::clone(&self.parts),
            settings: Arc::clone(&self.settings),
            params,
            query,
            headers: head.headers.clone(),
            authority: head.uri.authority().cloned(),
            peer,
            caller,
            policy,
            reach,
            payload: payload.clone(),
        };
        (route.handler)(call).await
    }
}

fn other_method(head: &request::Parts, methods: &[&'static str]) -> ArmError {
    let message = format!("The method '{}' is not allowed here: {} are.", head.method, methods.join(", "));
    ArmError::new(ErrorKind::MethodNotAllowed, "MethodNotAllowed", message).with_header(ALLOW, methods.join(", "))
}

fn no_route(head: &request::Parts) -> ArmError {
    let path = head.uri.path();
    let shown: String = path.chars().take(PATH_SHOWN_CHARS_MAX).collect();
    let instead = match path.to_ascii_lowercase().contains("/providers/microsoft.resources/deployments") {
        true => " ARM and Bicep templates are not deployed by this service: make each resource with a PUT of its own.",
        false => "",
    };
    ArmError::not_found("InvalidResourceType", format!("There is no resource or operation at '{shown}' here.{instead}"))
}

/// How much of a path an error repeats.
const PATH_SHOWN_CHARS_MAX: usize = 300;
