use std::sync::LazyLock;

use access::{Claims, Jws, KeySet, Verifier};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use environment::{BoxFuture, HttpError, UnixTime};
use http::Request;
use identity::{Cloud, Scope};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::Value;
use testkit::{ManualClock, MemoryDisk, ScriptedHttp, SeededRng, Simulation, json_response};

use super::*;
use crate::{Application, ClientSecret, Federation, ManagedIdentity, RegisteredCertificate};

mod assertions;
mod discovery;
mod metadata;
mod replaced;
mod round;
mod settings;
mod token_endpoint;

const NOW: i64 = 1_750_000_000;
const TENANT: Uuid = Uuid::from_u128(0x1111);
const APP: Uuid = Uuid::from_u128(0xA);
const APP_OBJECT: Uuid = Uuid::from_u128(0xA0);
const IDENTITY: Uuid = Uuid::from_u128(0xB);
const IDENTITY_OBJECT: Uuid = Uuid::from_u128(0xB0);
const OTHER_IDENTITY: Uuid = Uuid::from_u128(0xC);
const SECRET: &str = "a-secret/of+the application&more";
const IDENTITY_ID: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one";
const CLUSTER: &str = "https://cluster.example/oidc";
const POD: &str = "system:serviceaccount:monitoring:sidecar";
const EXCHANGE: &str = "api://AzureADTokenExchange";
const BASE: &str = "https://127.0.0.1:7091";
const HERE: Caller = Caller { tls: true, loopback: true };

/// Keys take a tenth of a second each: all tests share one directory of them.
static DISK: LazyLock<MemoryDisk> = LazyLock::new(|| {
    let disk = MemoryDisk::new();
    for file in ["signing-keys.pem", "workload-keys.pem"] {
        SigningKeys::open(Arc::new(disk.clone()), Path::new("keys").join(file)).unwrap();
    }
    disk
});
static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("app"));
static STRANGER: LazyLock<Signer> = LazyLock::new(|| Signer::new("stranger"));

/// Somebody with an RSA key and a certificate for it.
struct Signer {
    pem: String,
    der: Vec<u8>,
    pair: RsaKeyPair,
}

impl Signer {
    fn new(name: &str) -> Self {
        Self::valid(name, NOW - 1000, NOW + 10_000_000)
    }

    fn valid(name: &str, from: i64, until: i64) -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let at = |secs: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(secs as u64);
        (params.not_before, params.not_after) = (at(from), at(until));
        let certificate = params.self_signed(&key).unwrap();
        let pem = format!("{}{}", key.serialize_pem(), certificate.pem());
        let pair = RsaKeyPair::from_pkcs8(key.serialized_der()).unwrap();
        Self { pem, der: certificate.der().to_vec(), pair }
    }

    fn certificate(&self) -> RegisteredCertificate {
        RegisteredCertificate::from_der(&self.der).unwrap()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let encoding: &dyn RsaEncoding = if header["alg"] == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(encoding, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn sha1(&self) -> Vec<u8> {
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der).as_ref().to_vec()
    }

    fn sha256(&self) -> Vec<u8> {
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.der).as_ref().to_vec()
    }

    fn jwks(&self, kid: &str) -> String {
        let (_, certificate) = x509_parser::parse_x509_certificate(&self.der).unwrap();
        let Ok(x509_parser::public_key::PublicKey::RSA(rsa)) = certificate.public_key().parsed() else { panic!() };
        let (n, e) = (URL_SAFE_NO_PAD.encode(&rsa.modulus[1..]), URL_SAFE_NO_PAD.encode(rsa.exponent));
        json!({"keys": [{"kty": "RSA", "use": "sig", "kid": kid, "n": n, "e": e}]}).to_string()
    }
}

fn config() -> Config {
    let federation = |issuer: &str, subject: &str| Federation {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        audience: EXCHANGE.to_owned(),
        key_set: None,
    };
    Config {
        tenant_id: TENANT,
        tenant_names: vec!["contoso.onmicrosoft.com".to_owned()],
        issuer_base: BASE.to_owned(),
        host_names: vec!["entra.local".to_owned(), "login.microsoftonline.com".to_owned()],
        audiences: vec!["https://monitor.azure.com".to_owned(), "https://management.core.windows.net/".to_owned()],
        applications: vec![Application {
            client_id: APP,
            object_id: APP_OBJECT,
            name: "writer".to_owned(),
            secrets: vec![
                ClientSecret::new(&SecretString::from("an older secret, expired"))
                    .unwrap()
                    .expiring_at(UnixTime::from_secs(NOW)),
                ClientSecret::new(&SecretString::from(SECRET)).unwrap(),
            ],
            certificates: vec![SIGNER.certificate()],
            federations: vec![federation(CLUSTER, POD), federation(&format!("{BASE}/workload"), POD)],
        }],
        managed_identities: vec![
            ManagedIdentity {
                client_id: IDENTITY,
                object_id: IDENTITY_OBJECT,
                resource_id: IDENTITY_ID.parse().unwrap(),
                is_default: true,
                federations: vec![federation(CLUSTER, "system:serviceaccount:monitoring:other")],
            },
            ManagedIdentity {
                client_id: OTHER_IDENTITY,
                object_id: Uuid::from_u128(0xC0),
                resource_id: IDENTITY_ID.replace("one", "two").parse().unwrap(),
                is_default: false,
                federations: vec![],
            },
        ],
        imds: true,
        app_service_header: Some(SecretString::from("header-of-the-app")),
        workload_issuer: true,
        lifetimes: TokenLifetimes::default(),
    }
}

struct Bench {
    simulation: Simulation,
    authority: Arc<Authority>,
}

/// A cluster whose keys can be fetched.
fn cluster_web() -> ScriptedHttp {
    ScriptedHttp::new(|request| match request.uri().path() {
        "/oidc/.well-known/openid-configuration" => {
            let document = json!({"issuer": CLUSTER, "jwks_uri": format!("{CLUSTER}/keys")});
            Ok(json_response(200, document.to_string()))
        }
        "/oidc/keys" => Ok(json_response(200, STRANGER.jwks("pod-key"))),
        _ => Ok(testkit::response(404, "")),
    })
}

impl Bench {
    fn new() -> Self {
        Self::with(config(), cluster_web())
    }

    fn with(config: Config, http: ScriptedHttp) -> Self {
        let simulation = Simulation::new(UnixTime::from_secs(NOW));
        let environment = environment(&simulation.clock(), &DISK, http);
        let authority = Arc::new(Authority::open(config, Path::new("keys"), environment).unwrap());
        Self { simulation, authority }
    }

    fn ask(&mut self, request: Request<Bytes>, caller: Caller) -> (u16, http::HeaderMap, Value) {
        let authority = Arc::clone(&self.authority);
        let response = self.simulation.block_on(async move { authority.answer(request, caller).await });
        let (parts, body) = response.into_parts();
        (parts.status.as_u16(), parts.headers, serde_json::from_slice(&body).unwrap())
    }

    fn get(&mut self, path: &str) -> (u16, Value) {
        let request = Request::get(path).header("host", "127.0.0.1:7091").body(Bytes::new()).unwrap();
        let (status, _, body) = self.ask(request, HERE);
        (status, body)
    }

    fn post(&mut self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(path).header("host", "127.0.0.1:7091").body(body.into()).unwrap();
        let (status, _, body) = self.ask(request, HERE);
        (status, body)
    }

    /// The v2 token endpoint with an assertion.
    fn assert(&mut self, client_id: Uuid, assertion: &str) -> (u16, Value) {
        self.post(
            &v2(),
            &[
                ("grant_type", "client_credentials"),
                ("client_id", &client_id.to_string()),
                ("scope", "https://monitor.azure.com//.default openid offline_access profile"),
                ("client_info", "1"),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", assertion),
            ],
        )
    }

    fn imds(&mut self, query: &str) -> (u16, Value) {
        let request = Request::get(format!("/metadata/identity/oauth2/token?{query}"))
            .header("host", "169.254.169.254")
            .header("metadata", "true");
        let (status, _, body) = self.ask(request.body(Bytes::new()).unwrap(), Caller { tls: false, loopback: true });
        (status, body)
    }
}

fn environment(clock: &ManualClock, disk: &MemoryDisk, http: impl HttpClient) -> Environment {
    Environment {
        clock: Arc::new(clock.clone()),
        rng: Arc::new(SeededRng::new(7)),
        disk: Arc::new(disk.clone()),
        http: Arc::new(http),
    }
}

fn v1() -> String {
    format!("/{TENANT}/oauth2/token")
}

fn v2() -> String {
    format!("/{TENANT}/oauth2/v2.0/token")
}

fn payload(token: &str) -> Value {
    serde_json::from_slice(Jws::parse(token, 16_384).unwrap().payload()).unwrap()
}

fn code(body: &Value) -> u64 {
    body["error_codes"][0].as_u64().unwrap_or_default()
}
