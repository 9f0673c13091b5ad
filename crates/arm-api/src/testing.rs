//! The API over a catalogue in memory, for tests: tokens of an issuer in the test, roles as they are given.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use access::{Issuer, KeySet, Policies, Policy, Propagation, RoleAssignment, Verifier};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use catalog::{Actor, ActorKind, Assignment, Change, Observer, Snapshot, Store, StoreSettings};
use environment::{BoxFuture, Clock as _, UnixTime};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use http_serving::{Peer, RequestId};
use model::AccountId;
use quota::Quotas;
use serde_json::{Value, json};
use storage::{NoStorage, Purpose, Storage, Workspaces};
use testkit::series_store::SeriesStore;
use testkit::{ManualClock, ScriptedHttp, SeededRng};
use uuid::Uuid;

use crate::{Administration, AdministrationError, ArmApi, Backup, Parts, Settings};

pub(crate) const SUBSCRIPTION: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const GROUP: &str = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g";
pub(crate) const TENANT: &str = "99999999-2222-3333-4444-555555555555";
/// Owner of everything.
pub(crate) const OWNER: &str = "aaaaaaaa-0000-0000-0000-000000000001";
/// Somebody without a role.
pub(crate) const STRANGER: &str = "aaaaaaaa-0000-0000-0000-000000000002";
pub(crate) const MANAGEMENT: &str = "https://management.azure.com/";
pub(crate) const GRAPH: &str = "https://graph.microsoft.com/";
const ISSUER: &str = "https://issuer.example/";

/// An API with one subscription and one resource group `g`, in which [`OWNER`] may do everything.
pub(crate) struct Bench {
    pub(crate) api: Arc<ArmApi>,
    pub(crate) store: Arc<Store>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) clock: ManualClock,
    pub(crate) storages: Storages,
    pair: EcdsaKeyPair,
    tokens: Mutex<HashMap<(String, String), String>>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Said {
    /// A header, empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The error's code, empty when it is none.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("")
    }

    /// Targets of the error's details.
    pub(crate) fn targets(&self) -> Vec<&str> {
        let details = self.body["error"]["details"].as_array().into_iter().flatten();
        details.map(|detail| detail["target"].as_str().unwrap()).collect()
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings, or parts.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = ManualClock::new(UnixTime::from_secs(1_790_000_000));
        let (rng, pair) =
            (Arc::new(SeededRng::new(7)), EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
        let shared: Arc<dyn environment::Clock> = Arc::new(clock.clone());
        let store =
            Store::open(Path::new(":memory:"), Arc::clone(&shared), rng.clone(), StoreSettings::default()).await;
        let store = Arc::new(store.unwrap());
        let policies = Arc::new(Policies::fixed(Policy::default()));
        store.observe(Arc::new(Follow(Arc::clone(&policies))));
        let keys = Arc::new(KeySet::from_jwks(jwks(&pair).as_bytes()).unwrap());
        let no_http = Arc::new(ScriptedHttp::new(|_| panic!("no keys are fetched")));
        let issuer = Issuer::local(ISSUER, move || Arc::clone(&keys));
        let verifier = Verifier::new([issuer], no_http, Arc::clone(&shared)).unwrap();
        let (quotas, storages) = (Arc::new(Quotas::default()), Storages::default());
        let parts = Parts {
            store: Arc::clone(&store),
            verifier: Arc::new(verifier),
            policies: Arc::clone(&policies),
            quotas: Arc::clone(&quotas),
            workspaces: Arc::new(storages.clone()),
            administration: Arc::new(Backups::default()),
            clock: shared,
            rng,
        };
        let mut settings = Settings {
            authorization_uri: format!("https://login.example/{TENANT}"),
            login_endpoint: "https://login.example/".to_owned(),
            public_url: "https://remora.example".to_owned(),
            tenant_id: TENANT.to_owned(),
            ..Settings::default()
        };
        change(&mut settings);
        let api = Arc::new(ArmApi::new(parts, settings));
        let bench = Self { api, store, policies, quotas, clock, storages, pair, tokens: Mutex::default() };
        bench.fill().await;
        bench
    }

    async fn fill(&self) {
        let actor = Actor {
            id: "test".to_owned(),
            name: "test".to_owned(),
            kind: ActorKind::Key,
            address: None,
            request_id: None,
        };
        self.store.put_subscription(&actor, SUBSCRIPTION.parse().unwrap(), "test").await.unwrap();
        self.grant(OWNER, access::roles::OWNER, "/");
        let group = self.put(GROUP, json!({ "location": "local" })).await;
        assert_eq!(group.status, 201, "{group:?}");
    }

    /// Gives a role; the catalogue does not know of it.
    pub(crate) fn grant(&self, principal: &str, role: &str, scope: &str) {
        self.policies.update(Propagation::AtOnce, |policy| policy.assign(given(principal, role, scope)).unwrap());
    }

    pub(crate) fn revoke(&self, principal: &str, role: &str, scope: &str) {
        self.policies.update(Propagation::AtOnce, |policy| assert!(policy.revoke(&given(principal, role, scope))));
    }

    pub(crate) async fn get(&self, path: &str) -> Said {
        self.ask("GET", path, Some(OWNER), &[], None).await
    }

    pub(crate) async fn get_as(&self, principal: &str, path: &str) -> Said {
        self.ask("GET", path, Some(principal), &[], None).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Said {
        self.ask("PUT", path, Some(OWNER), &[], Some(body.to_string().into_bytes())).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Said {
        self.ask("PATCH", path, Some(OWNER), &[], Some(body.to_string().into_bytes())).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Said {
        self.ask("POST", path, Some(OWNER), &[], Some(body.to_string().into_bytes())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Said {
        self.ask("DELETE", path, Some(OWNER), &[], None).await
    }

    /// Asks with a token for whatever the path's audience is; with an api-version unless the path has a query of its own.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        principal: Option<&str>,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Said {
        let uri = match path {
            _ if path.contains("api-version") || path.contains('?') && !path.contains('=') => path.to_owned(),
            _ if path.contains('?') => format!("{path}&api-version=2024-11-01"),
            _ => format!("{path}?api-version=2024-11-01"),
        };
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(principal) = principal {
            let audience = if path.starts_with("/v1.0") { GRAPH } else { MANAGEMENT };
            request = request.header("authorization", format!("Bearer {}", self.token(principal, audience)));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Bytes::from(body.unwrap_or_default())).unwrap()).await
    }

    /// Sends a request as it is given.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Said {
        let address = ([127, 0, 0, 1], 1).into();
        let request_id = RequestId(Uuid::from_u128(0x42));
        let peer = Peer { addr: address, local_addr: address, tls: true, request_id };
        let (head, body) = self.api.call(request, peer).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Said { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// A token that counts for an hour.
    pub(crate) fn token(&self, principal: &str, audience: &str) -> String {
        let mut tokens = self.tokens.lock().unwrap();
        let made = tokens.entry((principal.to_owned(), audience.to_owned()));
        made.or_insert_with(|| self.sign(principal, audience)).clone()
    }

    fn sign(&self, principal: &str, audience: &str) -> String {
        let now = self.clock.now().as_secs();
        let header = json!({ "alg": "ES256", "kid": "k" }).to_string();
        let claims = json!({
            "iss": ISSUER, "aud": audience, "oid": principal, "appid": principal, "tid": TENANT,
            "iat": now, "nbf": now, "exp": now + 3600,
        });
        let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.to_string().as_bytes()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url(signature.as_ref()))
    }
}

fn given(principal: &str, role: &str, scope: &str) -> RoleAssignment {
    RoleAssignment {
        principal_id: principal.to_owned(),
        issuer: None,
        role_definition_id: role.to_owned(),
        scope: scope.parse().unwrap(),
    }
}

fn jwks(pair: &EcdsaKeyPair) -> String {
    let point = pair.public_key().as_ref();
    let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
    json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y }] }).to_string()
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Makes the policy follow the catalogue's role assignments, as the program does.
struct Follow(Arc<Policies>);

impl Observer for Follow {
    fn changed(&self, _: &Arc<Snapshot>, changes: &[Change]) {
        let follow = |one: &Assignment| RoleAssignment {
            principal_id: one.principal_id.clone(),
            issuer: one.issuer.as_deref().map(Arc::from),
            role_definition_id: one.role.clone(),
            scope: one.scope.clone(),
        };
        for change in changes {
            let Change::Assignment { before, after } = change else { continue };
            self.0.update(Propagation::AtOnce, |policy| {
                before.iter().for_each(|before| assert!(policy.revoke(&follow(before))));
                after.iter().for_each(|after| policy.assign(follow(after)).unwrap());
            });
        }
    }
}

/// Series in memory, of the workspaces that a test opened.
#[derive(Clone, Default)]
pub(crate) struct Storages(Arc<Mutex<HashMap<AccountId, SeriesStore>>>);

impl Storages {
    /// The series of a workspace, which are there from now on.
    pub(crate) fn open(&self, account: AccountId) -> SeriesStore {
        self.0.lock().unwrap().entry(account).or_default().clone()
    }
}

impl Workspaces for Storages {
    fn storage(&self, account: AccountId, _: Purpose) -> storage::BoxFuture<'_, Result<Arc<dyn Storage>, NoStorage>> {
        let found = self.0.lock().unwrap().get(&account).cloned();
        let found = found.map(|found| Arc::new(found) as Arc<dyn Storage>).ok_or(NoStorage::Unknown(account));
        Box::pin(std::future::ready(found))
    }
}

/// Backups that are remembered and not written.
#[derive(Default)]
struct Backups(Mutex<Vec<Backup>>);

impl Administration for Backups {
    fn backup(&self, name: &str) -> BoxFuture<'_, Result<Backup, AdministrationError>> {
        let backup =
            Backup { name: name.to_owned(), path: format!("/backups/{name}"), created_ms: 0, bytes: 10, workspaces: 1 };
        let mut all = self.0.lock().unwrap();
        let outcome = match all.iter().any(|one| one.name == name) {
            true => Err(AdministrationError::Exists(name.to_owned())),
            false => {
                all.push(backup.clone());
                Ok(backup)
            }
        };
        Box::pin(async move { outcome })
    }

    fn backups(&self) -> BoxFuture<'_, Result<Vec<Backup>, AdministrationError>> {
        let all = self.0.lock().unwrap().clone();
        Box::pin(async move { Ok(all) })
    }
}
