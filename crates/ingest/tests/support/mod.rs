//! A data collection endpoint on a free port of loopback, with a local issuer and storage that does what a test says.

#![allow(dead_code, reason = "shared by the integration tests and the example, which use different parts")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod issuer;
mod storage;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::storage::{Storage, Workspaces};
use access::{Issuer, KeySet, Policy, RoleAssignment, Verifier, roles};
use arc_swap::ArcSwap;
use bytes::Bytes;
use catalog::{Catalog, Envelope, PROMETHEUS_STREAM, Profile, Route, Rule, Snapshot, Workspace, WorkspaceLimits};
use environment::{Clock, HttpClient as _};
use host::{HostClock, HostHttp, HostRng};
use http_serving::{PlainHttp, Server, bind};
use ingest::{Ingest, Parts, Settings};
use model::AccountId;
use prometheus_client::registry::Registry;

pub(crate) use self::issuer::LocalIssuer;
pub(crate) use self::storage::TestStorage;

pub(crate) const ISSUER: &str = "http://127.0.0.1/issuer";
pub(crate) const AUDIENCE: &str = "https://monitor.azure.com";
pub(crate) const PUBLISHER: &str = "6f4c0ae8-0d4e-4a1e-9a5c-0a1b2c3d4e5f";
pub(crate) const STRANGER: &str = "00000000-0000-0000-0000-000000000099";

/// Rules by the workspaces they write to.
pub(crate) const STRICT_RULE: &str = "dcr-00000000000000000000000000000001";
pub(crate) const AZURE_RULE: &str = "dcr-00000000000000000000000000000002";
pub(crate) const BOTH_RULE: &str = "dcr-00000000000000000000000000000003";
pub(crate) const CLOSED_RULE: &str = "dcr-00000000000000000000000000000004";

const STRICT: &str = "14e21a3b-a68e-4626-873e-6539bd54fc01";
const AZURE: &str = "14e21a3b-a68e-4626-873e-6539bd54fc02";
const CLOSED: &str = "14e21a3b-a68e-4626-873e-6539bd54fc03";

pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) strict: TestStorage,
    pub(crate) azure: TestStorage,
    pub(crate) registry: Registry,
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
        let azure = TestStorage::default();
        let open: HashMap<AccountId, Arc<dyn Storage>> =
            HashMap::from([(account(STRICT), storage), (account(AZURE), Arc::new(azure.clone()) as Arc<dyn Storage>)]);
        let issuer = LocalIssuer::new();
        let (ingest, address) = serve_parts(open, &issuer, change);
        Self {
            address,
            strict,
            azure,
            registry: ingest,
            issuer,
            http: HostHttp::new(host::tls::roots(None).unwrap(), None),
        }
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

/// Starts an endpoint over `open`, where the publisher may write to every rule.
pub(crate) fn serve_parts(
    open: HashMap<AccountId, Arc<dyn Storage>>,
    issuer: &LocalIssuer,
    change: impl FnOnce(&mut Settings),
) -> (Registry, SocketAddr) {
    let clock: Arc<dyn Clock> = Arc::new(HostClock::new());
    let keys = Arc::new(KeySet::from_jwks(issuer.jwks().as_bytes()).unwrap());
    let no_http = Arc::new(testkit::ScriptedHttp::new(|_| panic!("no keys are fetched")));
    let verifier = Verifier::new([Issuer::local(ISSUER, move || keys.clone())], no_http, clock.clone()).unwrap();
    let assignment = RoleAssignment {
        principal_id: PUBLISHER.to_owned(),
        issuer: None,
        role_definition_id: roles::MONITORING_METRICS_PUBLISHER.to_owned(),
        scope: "/subscriptions/s".parse().unwrap(),
    };
    let parts = Parts {
        catalog: Arc::new(Catalog::new(snapshot())),
        verifier: Arc::new(verifier),
        policy: Arc::new(ArcSwap::from_pointee(Policy::new([assignment]).unwrap())),
        workspaces: Arc::new(Open(open)),
        clock,
    };
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

struct Open(HashMap<AccountId, Arc<dyn Storage>>);

impl Workspaces for Open {
    fn storage(&self, workspace: AccountId) -> Option<Arc<dyn Storage>> {
        self.0.get(&workspace).cloned()
    }
}

fn snapshot() -> Snapshot {
    let workspaces = [(STRICT, Profile::Strict), (AZURE, Profile::Azure), (CLOSED, Profile::Strict)];
    let rules =
        [(STRICT_RULE, &[STRICT][..]), (AZURE_RULE, &[AZURE]), (BOTH_RULE, &[STRICT, AZURE]), (CLOSED_RULE, &[CLOSED])];
    let group = "/subscriptions/s/resourceGroups/g/providers";
    Snapshot::new(
        workspaces.map(|(id, profile)| Workspace {
            envelope: Envelope::of(format!("{group}/Microsoft.Monitor/accounts/{id}").parse().unwrap()),
            account_id: account(id),
            handle: id.to_owned(),
            profile,
            public_network_access: true,
            limits: WorkspaceLimits::default(),
            default_rule: None,
            default_endpoint: None,
        }),
        [],
        rules.map(|(id, destinations)| Rule {
            envelope: Envelope::of(format!("{group}/Microsoft.Insights/dataCollectionRules/{id}").parse().unwrap()),
            immutable_id: id.to_owned(),
            kind: None,
            endpoint: None,
            routes: vec![Route {
                stream: PROMETHEUS_STREAM.to_owned(),
                workspaces: destinations.iter().map(|id| account(id)).collect(),
            }],
            properties: serde_json::Map::new(),
        }),
    )
    .unwrap()
}

fn account(text: &str) -> AccountId {
    text.parse().unwrap()
}
