//! An API on a real listener, over stores in memory.

#[path = "../../../ingest/tests/support/issuer.rs"]
mod issuer;

use std::collections::HashMap;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use access::{Issuer, KeySet, Policies, Policy, RoleAssignment, Verifier, roles};
use catalog::{Actor, Catalog, Envelope, Profile, Snapshot, Workspace, WorkspaceLimits, WorkspaceStorage};
use environment::HttpClient as _;
use host::{HostClock, HostHttp, HostRng};
use http_serving::{PlainHttp, Server, bind};
use issuer::LocalIssuer;
use model::{AccountId, EndpointDomain, Matcher, Metadata, ResourceId, TimestampMs};
use promql::{Engine, EngineOptions};
use query_api::{Audit, Parts, QueryApi, Settings};
use storage::{
    Administer, AdministerError, Appender, BoxFuture, Count, NoStorage, Purpose, Querier, Queryable, SeriesExemplars,
    Statistics, Storage, TimeRange, Workspaces,
};
use testkit::series_store::SeriesStore;

const ISSUER: &str = "http://127.0.0.1/issuer";
const AUDIENCE: &str = "https://prometheus.monitor.azure.com";
/// May read the workspaces `eu` and `us`.
pub(crate) const READER: &str = "6f4c0ae8-0d4e-4a1e-9a5c-0a1b2c3d4e5f";
/// May read `eu` alone.
pub(crate) const HALF: &str = "6f4c0ae8-0d4e-4a1e-9a5c-0a1b2c3d4e60";
/// May read everything.
pub(crate) const ALL: &str = "6f4c0ae8-0d4e-4a1e-9a5c-0a1b2c3d4e61";

/// Manages everything, and reads nothing.
pub(crate) const OWNER: &str = "6f4c0ae8-0d4e-4a1e-9a5c-0a1b2c3d4e62";

/// Workspaces by handle: what is in them, samples every ten seconds from 0.
const CONTENTS: [(&str, &str); 5] = [
    ("eu", "up{job=\"a\"} 1 1 1\nup{job=\"b\"} 1 1 1\nlone{workspace=\"own\"} 5 5 5"),
    ("us", "up{job=\"a\"} 7 _ 7 7\nup{job=\"c\"} 0 0 0 0"),
    ("secret", "up{job=\"hidden\"} 1 1 1 1"),
    ("late", "up{job=\"late\"} 1 1 1 1"),
    ("shut", "up 1 1 1"),
];

pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    issuer: LocalIssuer,
    http: HostHttp,
    pub(crate) open: Arc<Open>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) audited: Arc<Audited>,
    pub(crate) registry: Arc<prometheus_client::registry::Registry>,
}

/// Lines of the audit log; none can be written once it is full.
#[derive(Default)]
pub(crate) struct Audited {
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) full: AtomicBool,
}

impl Audit for Audited {
    fn note<'a>(
        &'a self,
        actor: &'a Actor,
        operation: &'static str,
        target: &'a ResourceId,
        detail: serde_json::Value,
    ) -> BoxFuture<'a, Result<(), String>> {
        let noted = match self.full.load(Ordering::Relaxed) {
            true => Err("disk full".to_owned()),
            false => {
                let line = format!("{} {operation} {} {detail}", actor.id, target.name());
                self.lines.lock().unwrap().push(line);
                Ok(())
            }
        };
        Box::pin(ready(noted))
    }
}

/// Remembers what was done to it.
#[derive(Clone)]
pub(crate) struct Administered {
    pub(crate) store: SeriesStore,
    pub(crate) done: Arc<Mutex<Vec<String>>>,
}

impl Storage for Administered {
    fn appender(&self, now: TimestampMs) -> Box<dyn Appender> {
        self.store.appender(now)
    }

    fn administration(&self) -> Option<&dyn Administer> {
        Some(self)
    }

    fn statistics(&self, limit: usize) -> Option<Statistics> {
        let count = |name: &str, count| Count { name: name.to_owned(), count };
        let counts = |counts: Vec<Count>| counts.into_iter().take(limit).collect();
        Some(Statistics {
            series: 3,
            label_pairs: 4,
            chunks: 5,
            range: Some(TimeRange { start: TimestampMs(1), end: TimestampMs(2) }),
            series_by_metric_name: counts(vec![count("up", 2), count("<lone>", 1)]),
            values_by_label_name: counts(vec![count("job", 2)]),
            bytes_by_label_name: counts(vec![count("job", 2)]),
            series_by_label_pair: counts(vec![count("job=a", 1)]),
        })
    }
}

impl Queryable for Administered {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        self.store.querier(range)
    }

    fn metadata(&self) -> Vec<(String, Metadata)> {
        self.store.metadata()
    }

    fn exemplars(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        self.store.exemplars(selectors, range)
    }
}

impl Administer for Administered {
    fn delete(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<(), AdministerError> {
        let texts: Vec<String> =
            selectors.iter().flatten().map(|matcher| format!("{}={}", matcher.name(), matcher.value())).collect();
        self.done.lock().unwrap().push(format!("delete {texts:?} {}..{}", range.start.0, range.end.0));
        Ok(())
    }

    fn clean_tombstones(&self) -> Result<(), AdministerError> {
        Err(AdministerError::unavailable("the disk is full"))
    }

    fn snapshot(&self, skip_head: bool) -> Result<String, AdministerError> {
        Ok(format!("copy-{skip_head}"))
    }
}

pub(crate) struct Open(pub(crate) Mutex<HashMap<AccountId, Arc<dyn Storage>>>);

impl Workspaces for Open {
    fn storage(&self, workspace: AccountId, _: Purpose) -> BoxFuture<'_, Result<Arc<dyn Storage>, NoStorage>> {
        let open = self.0.lock().unwrap().get(&workspace).cloned();
        Box::pin(ready(open.ok_or(NoStorage::Unknown(workspace))))
    }
}

pub(crate) fn account(index: usize) -> AccountId {
    format!("14e21a3b-a68e-4626-873e-6539bd54fc{index:02}").parse().unwrap()
}

fn resource(handle: &str) -> ResourceId {
    format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Monitor/accounts/{handle}").parse().unwrap()
}

fn workspace(index: usize, handle: &str) -> Workspace {
    Workspace {
        envelope: Envelope::of(resource(handle)),
        account_id: account(index),
        handle: handle.to_owned(),
        profile: if handle == "late" { Profile::Azure } else { Profile::Strict },
        public_network_access: handle != "shut",
        limits: WorkspaceLimits::default(),
        storage: WorkspaceStorage::default(),
        default_rule: None,
        default_endpoint: None,
    }
}

fn reader(principal: &str, scope: ResourceId) -> RoleAssignment {
    RoleAssignment {
        principal_id: principal.to_owned(),
        issuer: None,
        role_definition_id: roles::MONITORING_DATA_READER.to_owned(),
        scope,
    }
}

pub(crate) fn assignments() -> Vec<RoleAssignment> {
    vec![
        reader(READER, resource("eu")),
        reader(READER, resource("us")),
        reader(HALF, resource("eu")),
        reader(ALL, "/subscriptions/s".parse().unwrap()),
        RoleAssignment {
            role_definition_id: roles::CONTRIBUTOR.to_owned(),
            ..reader(OWNER, "/subscriptions/s".parse().unwrap())
        },
    ]
}

impl Api {
    pub(crate) fn start() -> Self {
        Self::with(Settings::default(), EngineOptions::default())
    }

    /// With other settings than the usual ones; the domain of hosts is always the same.
    pub(crate) fn with(settings: Settings, engine: EngineOptions) -> Self {
        let clock = Arc::new(HostClock::new());
        let issuer = LocalIssuer::new();
        let keys = Arc::new(KeySet::from_jwks(issuer.jwks().as_bytes()).unwrap());
        let no_http = Arc::new(testkit::ScriptedHttp::new(|_| panic!("no keys are fetched")));
        let verifier = Verifier::new([Issuer::local(ISSUER, move || keys.clone())], no_http, clock.clone()).unwrap();
        let mut open: HashMap<AccountId, Arc<dyn Storage>> = HashMap::new();
        for (index, (_, lines)) in CONTENTS.iter().enumerate() {
            let store = SeriesStore::new();
            store.load(10_000, lines).unwrap();
            open.insert(account(index), Arc::new(store));
        }
        let open = Arc::new(Open(Mutex::new(open)));
        let workspaces = CONTENTS.iter().enumerate().map(|(index, (handle, _))| workspace(index, handle));
        let policies = Arc::new(Policies::fixed(Policy::new(assignments()).unwrap()));
        let audited = Arc::new(Audited::default());
        let parts = Parts {
            catalog: Arc::new(Catalog::new(Snapshot::new(workspaces, [], []).unwrap())),
            verifier: Arc::new(verifier),
            policies: policies.clone(),
            workspaces: open.clone(),
            audit: audited.clone(),
            clock,
        };
        let settings = Settings { endpoint_domain: Some(EndpointDomain::new("example.org").unwrap()), ..settings };
        let api = QueryApi::new(parts, settings, Engine::new(engine));
        let mut registry = prometheus_client::registry::Registry::default();
        api.register(&mut registry);
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new("query", Taken(api), &HostRng).with_plain(PlainHttp::LoopbackOnly);
        tokio::spawn(server.serve(listener, std::future::pending()));
        let http = HostHttp::new(host::tls::roots(None).unwrap(), None);
        Self { address, issuer, http, open, policies, audited, registry: Arc::new(registry) }
    }

    pub(crate) async fn get(&self, principal: &str, host: Option<&str>, path: &str) -> (u16, String) {
        self.ask("GET", principal, host, path).await
    }

    pub(crate) async fn ask(&self, method: &str, principal: &str, host: Option<&str>, path: &str) -> (u16, String) {
        let token = self.issuer.token(ISSUER, AUDIENCE, principal);
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {token}"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let answer = self.http.send(request.body(Default::default()).unwrap(), Duration::from_secs(10)).await.unwrap();
        (answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap())
    }

    /// A bearer token of this principal.
    pub(crate) fn token(&self, principal: &str) -> String {
        self.issuer.token(ISSUER, AUDIENCE, principal)
    }

    /// Any request, with the answer as it came.
    pub(crate) async fn send(
        &self,
        method: &str,
        principal: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> http::Response<bytes::Bytes> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {}", self.token(principal)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.http.send(request.body(body.into()).unwrap(), Duration::from_secs(20)).await.unwrap()
    }

    /// A form, posted.
    pub(crate) async fn post(&self, principal: &str, path: &str, form: &str) -> (u16, String) {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.send("POST", principal, path, &headers, form.to_owned()).await;
        (answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap())
    }

    /// The value of a line of the metrics, or nothing.
    pub(crate) fn metric(&self, line: &str) -> Option<String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines().find_map(|found| Some(found.strip_prefix(line)?.trim().to_owned()))
    }

    /// The data of a success.
    #[track_caller]
    pub(crate) fn data(answer: &(u16, String)) -> String {
        assert_eq!(answer.0, 200, "{}", answer.1);
        let start = "{\"status\":\"success\",\"data\":";
        answer.1.strip_prefix(start).unwrap().strip_suffix('}').unwrap().to_owned()
    }
}

/// What the program does: asks whether a request belongs to the API.
struct Taken(QueryApi);

impl http_serving::Handler for Taken {
    async fn handle(&self, request: http_serving::Request, peer: http_serving::Peer) -> http_serving::Response {
        match self.0.takes(&request) {
            true => self.0.handle(request, peer).await,
            false => http_serving::empty(http::StatusCode::IM_A_TEAPOT),
        }
    }
}
