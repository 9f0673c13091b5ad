//! A data collection endpoint on a free port of loopback, with a local issuer and storage that does what a test says.

#![allow(dead_code, reason = "shared by the integration tests and the example, which use different parts")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod issuer;
mod storage;

use std::collections::HashMap;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::storage::{NoStorage, Purpose, Storage, Workspaces};
use access::{Issuer, KeySet, Policies, Policy, RoleAssignment, Verifier, roles};
use bytes::Bytes;
use catalog::{
    Catalog, Endpoint as DataCollectionEndpoint, Envelope, PROMETHEUS_STREAM, Profile, Route, Rule, Snapshot,
    Workspace, WorkspaceLimits, WorkspaceStorage,
};
use environment::{BoxFuture, Clock, HttpClient as _, Monotonic, UnixTime};
use host::{HostClock, HostHttp, HostRng};
use http_serving::{PlainHttp, Server, bind};
use ingest::{Ingest, Parts, Settings};
use model::{AccountId, ResourceId};
use prometheus_client::registry::Registry;
use quota::{Limits, Quotas, WorkspaceUsage};
use tsdb::{Db, Engine, EngineSettings};

pub(crate) use self::issuer::LocalIssuer;
pub(crate) use self::storage::TestStorage;

/// A database on a disk in memory.
pub(crate) fn database() -> Arc<Db> {
    let disk = Arc::new(testkit::MemoryDisk::new());
    let engine = Engine::start(disk, Arc::new(HostClock::new()), EngineSettings::default()).unwrap();
    Db::open(&engine, "w".as_ref(), tsdb::Settings::default()).unwrap()
}

pub(crate) const ISSUER: &str = "http://127.0.0.1/issuer";
pub(crate) const AUDIENCE: &str = "https://monitor.azure.com";
pub(crate) const PUBLISHER: &str = "6f4c0ae8-0d4e-4a1e-9a5c-0a1b2c3d4e5f";
pub(crate) const STRANGER: &str = "00000000-0000-0000-0000-000000000099";

/// Rules by the workspaces they write to.
pub(crate) const STRICT_RULE: &str = "dcr-00000000000000000000000000000001";
pub(crate) const AZURE_RULE: &str = "dcr-00000000000000000000000000000002";
pub(crate) const BOTH_RULE: &str = "dcr-00000000000000000000000000000003";
pub(crate) const CLOSED_RULE: &str = "dcr-00000000000000000000000000000004";
/// To the strict workspace and another strict one.
pub(crate) const TWO_RULE: &str = "dcr-00000000000000000000000000000005";
/// To the strict workspace and one that is closed.
pub(crate) const HALF_OPEN_RULE: &str = "dcr-00000000000000000000000000000006";
/// To the other strict workspace alone.
pub(crate) const OTHER_RULE: &str = "dcr-00000000000000000000000000000007";
/// To workspaces that are gone.
pub(crate) const EMPTY_RULE: &str = "dcr-00000000000000000000000000000008";
/// To the strict workspace, through an endpoint of its own and through one that is shut.
pub(crate) const BOUND_RULE: &str = "dcr-0000000000000000000000000000000a";
pub(crate) const SHUT_RULE: &str = "dcr-0000000000000000000000000000000b";

pub(crate) const STRICT: &str = "14e21a3b-a68e-4626-873e-6539bd54fc01";
pub(crate) const AZURE: &str = "14e21a3b-a68e-4626-873e-6539bd54fc02";
pub(crate) const CLOSED: &str = "14e21a3b-a68e-4626-873e-6539bd54fc03";
pub(crate) const OTHER: &str = "14e21a3b-a68e-4626-873e-6539bd54fc04";

const GROUP: &str = "/subscriptions/s/resourceGroups/g/providers";

pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) strict: TestStorage,
    pub(crate) azure: TestStorage,
    pub(crate) other: TestStorage,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) registry: Registry,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) catalog: Arc<Catalog>,
    issuer: LocalIssuer,
    http: HostHttp,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Samples, histograms and exemplars written, as the answer says.
    pub(crate) fn written(&self) -> Option<[u64; 3]> {
        let read = |kind: &str| self.header(&format!("x-prometheus-remote-write-{kind}-written"))?.parse().ok();
        Some([read("samples")?, read("histograms")?, read("exemplars")?])
    }
}

impl Endpoint {
    pub(crate) async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let strict = TestStorage::default();
        Self::start_over(Arc::new(strict.clone()), strict, change).await
    }

    /// With other storage behind the strict workspace.
    pub(crate) async fn start_over(
        storage: Arc<dyn Storage>,
        strict: TestStorage,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let (azure, other) = (TestStorage::default(), TestStorage::default());
        let open: HashMap<AccountId, Arc<dyn Storage>> = HashMap::from([
            (account(STRICT), storage),
            (account(AZURE), Arc::new(azure.clone()) as Arc<dyn Storage>),
            (account(OTHER), Arc::new(other.clone()) as Arc<dyn Storage>),
        ]);
        let (issuer, clock) = (LocalIssuer::new(), Arc::new(TestClock::default()));
        let parts = parts(open, &issuer, clock.clone());
        let (quotas, policies, catalog) = (parts.quotas.clone(), parts.policies.clone(), parts.catalog.clone());
        let (registry, address) = serve(parts, change);
        let http = HostHttp::new(host::tls::roots(None).unwrap(), None);
        Self { address, strict, azure, other, clock, registry, quotas, policies, catalog, issuer, http }
    }

    /// What a workspace has used.
    pub(crate) fn usage(&self, workspace: &str) -> WorkspaceUsage {
        self.quotas.workspace(account(workspace)).usage(self.clock.monotonic())
    }

    /// What a workspace has dropped, by Azure's metric and reason.
    pub(crate) fn dropped(&self, workspace: &str) -> Vec<(&'static str, &'static str, u64)> {
        let counts = quota::Dropped::ALL.into_iter().zip(self.usage(workspace).dropped);
        counts.filter(|(_, count)| *count > 0).map(|(what, count)| (what.metric(), what.reason(), count)).collect()
    }

    /// Sets what a workspace may take.
    pub(crate) fn limit(&self, workspace: &str, events_per_minute: Option<u64>, active_series: Option<u64>) {
        self.quotas.set_workspace_limits(account(workspace), events_per_minute, active_series);
    }

    /// Answers of a rule by status.
    pub(crate) fn responses(&self, rule: &str) -> Vec<(u16, u64)> {
        self.quotas.rule(rule).usage(self.clock.monotonic()).responses
    }

    pub(crate) fn token(&self, object_id: &str) -> String {
        self.issuer.token(ISSUER, AUDIENCE, object_id)
    }

    pub(crate) fn token_for(&self, audience: &str) -> String {
        self.issuer.token(ISSUER, audience, PUBLISHER)
    }

    pub(crate) fn write_path(rule: &str) -> String {
        format!("/dataCollectionRules/{rule}/streams/{PROMETHEUS_STREAM}/api/v1/write?api-version=2023-04-24")
    }

    /// Sends a request as it is given.
    pub(crate) async fn send(&self, request: http::Request<Bytes>) -> Answer {
        let (mut head, body) = request.into_parts();
        let uri = format!("http://{}{}", self.address, head.uri);
        head.uri = uri.parse().unwrap();
        let request = http::Request::from_parts(head, body);
        let (head, body) = self.http.send(request, Duration::from_secs(10)).await.unwrap().into_parts();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// Writes an uncompressed message with the publisher's token.
    pub(crate) async fn write(&self, rule: &str, version: remote_write::Version, message: &[u8]) -> Answer {
        let request = self.write_request(rule, version).body(remote_write::framing::encode(message).into()).unwrap();
        self.send(request).await
    }

    pub(crate) fn write_request(&self, rule: &str, version: remote_write::Version) -> http::request::Builder {
        http::Request::post(Self::write_path(rule))
            .header("authorization", format!("Bearer {}", self.token(PUBLISHER)))
            .header("content-type", version.content_type())
            .header("content-encoding", "snappy")
    }

    /// A line of the metrics, by how it starts.
    pub(crate) fn metric(&self, start: &str) -> Option<String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines().find_map(|line| line.strip_prefix(start)).map(|value| value.trim().to_owned())
    }
}

/// An endpoint over `open`, where the publisher may write to every rule.
fn parts(open: HashMap<AccountId, Arc<dyn Storage>>, issuer: &LocalIssuer, clock: Arc<dyn Clock>) -> Parts {
    let keys = Arc::new(KeySet::from_jwks(issuer.jwks().as_bytes()).unwrap());
    let no_http = Arc::new(testkit::ScriptedHttp::new(|_| panic!("no keys are fetched")));
    let verifier = Verifier::new([Issuer::local(ISSUER, move || keys.clone())], no_http, clock.clone()).unwrap();
    Parts {
        catalog: Arc::new(Catalog::new(snapshot())),
        verifier: Arc::new(verifier),
        policies: Arc::new(Policies::fixed(Policy::new([publisher()]).unwrap())),
        quotas: Arc::new(Quotas::new(Limits::default())),
        workspaces: Arc::new(Open(open)),
        clock,
    }
}

/// The publisher's role.
pub(crate) fn publisher() -> RoleAssignment {
    RoleAssignment {
        principal_id: PUBLISHER.to_owned(),
        issuer: None,
        role_definition_id: roles::MONITORING_METRICS_PUBLISHER.to_owned(),
        scope: "/subscriptions/s".parse().unwrap(),
    }
}

fn serve(parts: Parts, change: impl FnOnce(&mut Settings)) -> (Registry, SocketAddr) {
    let mut settings = Settings { authorization_uri: format!("{ISSUER}/authorize"), ..Settings::default() };
    change(&mut settings);
    let ingest = Ingest::new(parts, settings);
    let mut registry = Registry::default();
    ingest.register(&mut registry);
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new("ingest", ingest, &HostRng).with_plain(PlainHttp::LoopbackOnly);
    tokio::spawn(server.serve(listener, std::future::pending()));
    (registry, address)
}

/// The real time, and a monotonic clock that stands unless a test moves it, so that no minute ends in the middle of a test.
pub(crate) struct TestClock {
    host: HostClock,
    monotonic: Mutex<Duration>,
}

impl Default for TestClock {
    fn default() -> Self {
        Self { host: HostClock::new(), monotonic: Mutex::new(Duration::from_secs(3600)) }
    }
}

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.monotonic.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        self.host.now()
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_duration(*self.monotonic.lock().unwrap())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.host.sleep(duration)
    }
}

struct Open(HashMap<AccountId, Arc<dyn Storage>>);

impl Workspaces for Open {
    fn storage(&self, workspace: AccountId, _: Purpose) -> BoxFuture<'_, Result<Arc<dyn Storage>, NoStorage>> {
        Box::pin(ready(self.0.get(&workspace).cloned().ok_or(NoStorage::Unknown(workspace))))
    }
}

fn snapshot() -> Snapshot {
    let workspaces =
        [(STRICT, Profile::Strict), (AZURE, Profile::Azure), (CLOSED, Profile::Strict), (OTHER, Profile::Strict)];
    let endpoints = [("own", "Enabled"), ("shut", "Disabled")];
    let rules: [(&str, &[&str], Option<&str>); 10] = [
        (STRICT_RULE, &[STRICT], None),
        (AZURE_RULE, &[AZURE], None),
        (BOTH_RULE, &[STRICT, AZURE], None),
        (CLOSED_RULE, &[CLOSED], None),
        (TWO_RULE, &[STRICT, OTHER], None),
        (HALF_OPEN_RULE, &[CLOSED, STRICT], None),
        (OTHER_RULE, &[OTHER], None),
        (EMPTY_RULE, &[], None),
        (BOUND_RULE, &[STRICT], Some("own")),
        (SHUT_RULE, &[STRICT], Some("shut")),
    ];
    Snapshot::new(
        workspaces.map(|(id, profile)| workspace(id, profile)),
        endpoints.map(|(name, access)| endpoint(name, access)),
        rules.map(|(id, destinations, endpoint)| rule(id, destinations, endpoint)),
    )
    .unwrap()
}

fn workspace(id: &str, profile: Profile) -> Workspace {
    Workspace {
        envelope: Envelope::of(format!("{GROUP}/Microsoft.Monitor/accounts/{id}").parse().unwrap()),
        account_id: account(id),
        handle: id.to_owned(),
        profile,
        public_network_access: true,
        limits: WorkspaceLimits::default(),
        storage: WorkspaceStorage::default(),
        default_rule: None,
        default_endpoint: None,
    }
}

fn endpoint_id(name: &str) -> ResourceId {
    format!("{GROUP}/Microsoft.Insights/dataCollectionEndpoints/{name}").parse().unwrap()
}

/// An endpoint whose own part of host names is its name and `-4yha`.
fn endpoint(name: &str, public_network_access: &str) -> DataCollectionEndpoint {
    DataCollectionEndpoint {
        envelope: Envelope::of(endpoint_id(name)),
        immutable_id: format!("dce-{:0>32}", name.len()),
        host_label: format!("{name}-4yha"),
        kind: None,
        description: None,
        public_network_access: public_network_access.to_owned(),
    }
}

fn rule(id: &str, destinations: &[&str], endpoint: Option<&str>) -> Rule {
    let route = |stream: &str, workspaces: &[&str]| Route {
        stream: stream.to_owned(),
        workspaces: workspaces.iter().map(|id| account(id)).collect(),
    };
    Rule {
        envelope: Envelope::of(format!("{GROUP}/Microsoft.Insights/dataCollectionRules/{id}").parse().unwrap()),
        immutable_id: id.to_owned(),
        kind: None,
        endpoint: endpoint.map(endpoint_id),
        // A rule whose last destination of one stream is gone may still have others.
        routes: match destinations {
            [] => vec![route(PROMETHEUS_STREAM, destinations), route("Custom-Other", &[STRICT])],
            _ => vec![route(PROMETHEUS_STREAM, destinations)],
        },
        properties: serde_json::Map::new(),
    }
}

fn account(text: &str) -> AccountId {
    text.parse().unwrap()
}
