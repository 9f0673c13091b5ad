//! Certificates and federated tokens that are replaced while the sidecar runs.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::audit::Allowed;
use super::load::Plan;
use super::passing_time::{eventually, pause};
use super::ports::free_port;
use super::scene::Scene;
use super::tokens::Tokens;
use super::wire::{Connection, Message, answer};

/// A token endpoint as Entra's, over TLS, that takes one proof and no other.
struct Entra {
    port: u16,
    ca_file: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What a request for a token must contain.
    proof: String,
    taken: u64,
    refused: u64,
}

impl Entra {
    fn serve(tokens: &Tokens, directory: &Path) -> Self {
        let port = free_port();
        let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let ca_file = directory.join("ca.pem");
        fs::write(&ca_file, pair.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![pair.cert.der().clone()], key)
            .unwrap();
        let (config, state, tokens) = (Arc::new(config), Arc::<Mutex<State>>::default(), tokens.clone());
        let serving = Arc::clone(&state);
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, state, tokens) = (Arc::clone(&config), Arc::clone(&serving), tokens.clone());
                thread::spawn(move || serve_connection(config, stream.unwrap(), &state, &tokens));
            }
        });
        Self { port, ca_file, state }
    }

    fn expect(&self, proof: &str) {
        self.state.lock().unwrap().proof = proof.to_owned();
    }

    /// Requests that brought the right proof, and those that did not.
    fn counts(&self) -> (u64, u64) {
        let state = self.state.lock().unwrap();
        (state.taken, state.refused)
    }

    fn lead(&self, scene: &mut Scene) {
        for name in ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"] {
            scene.sidecar.unset(name);
        }
        scene
            .sidecar
            .set("AZURE_AUTHORITY_HOST", format!("https://127.0.0.1:{}/", self.port))
            .set("AZURE_TENANT_ID", TENANT)
            .set("AZURE_CLIENT_ID", "11111111-2222-3333-4444-555555555555")
            .set("SSL_CERT_FILE", self.ca_file.display().to_string());
    }
}

fn serve_connection(config: Arc<ServerConfig>, stream: TcpStream, state: &Mutex<State>, tokens: &Tokens) {
    let mut connection = Connection::over(StreamOwned::new(ServerConnection::new(config).unwrap(), stream));
    while let Ok(Some(request)) = connection.read() {
        if connection.write(&respond(&request, state, tokens)).is_err() {
            return;
        }
    }
}

fn respond(request: &Message, state: &Mutex<State>, tokens: &Tokens) -> Vec<u8> {
    if !request.start.starts_with(&format!("POST /{TENANT}/oauth2/v2.0/token")) {
        // No discovery document: the well-known path has to do.
        return answer(404, "", b"");
    }
    let mut state = state.lock().unwrap();
    let form = request.text();
    let assertion = form.split('&').find_map(|pair| pair.strip_prefix("client_assertion=")).unwrap_or_default();
    // The header of a signed assertion holds the certificate.
    let header = URL_SAFE_NO_PAD.decode(assertion.split('.').next().unwrap_or_default()).unwrap_or_default();
    if state.proof == assertion || String::from_utf8_lossy(&header).contains(&format!("\"{}\"", state.proof)) {
        state.taken += 1;
        return tokens.answer();
    }
    state.refused += 1;
    let body = br#"{"error":"invalid_client","error_description":"AADSTS700027: the assertion is not of this moment","error_codes":[700027]}"#;
    answer(401, "Content-Type: application/json\r\n", body)
}

#[test]
fn federated_token() {
    let mut scene = Scene::prepare(&[]);
    scene.tokens.set_lifetime(Duration::from_secs(4));
    let entra = Entra::serve(&scene.tokens, scene.sidecar.directory());
    entra.lead(&mut scene);
    let file = scene.sidecar.directory().join("token");
    scene
        .sidecar
        .set("IDENTITY_TYPE", "workloadIdentity")
        .set("AZURE_FEDERATED_TOKEN_FILE", file.display().to_string());
    rotate(scene, &entra, |round| {
        let token = format!("federated-{round}");
        replace(&file, &token);
        token
    });
}

#[test]
fn certificate() {
    let mut scene = Scene::prepare(&[]);
    scene.tokens.set_lifetime(Duration::from_secs(4));
    let entra = Entra::serve(&scene.tokens, scene.sidecar.directory());
    entra.lead(&mut scene);
    let file = scene.sidecar.directory().join("application.pem");
    scene
        .sidecar
        .set("IDENTITY_TYPE", "aadApplication")
        .set("AZURE_CLIENT_CERTIFICATE_PATH", file.display().to_string());
    rotate(scene, &entra, |round| {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let certificate = CertificateParams::new([format!("round-{round}")]).unwrap().self_signed(&key).unwrap();
        replace(&file, &format!("{}{}", certificate.pem(), key.serialize_pem()));
        STANDARD.encode(certificate.der())
    });
}

/// Replaces the proof twice under load.
fn rotate(mut scene: Scene, entra: &Entra, mut renew: impl FnMut(u32) -> String) {
    entra.expect(&renew(0));
    scene.sidecar.start();
    let load = scene.load(&Plan { pause: Duration::from_millis(20), ..Plan::default() });
    let taken = |more_than: u64| {
        eventually("another token", Duration::from_secs(20), || (entra.counts().0 > more_than).then_some(()));
    };
    taken(0);
    for round in 1..=2 {
        let proof = renew(round);
        entra.expect(&proof);
        taken(entra.counts().0);
    }
    pause(Duration::from_millis(300));
    let sent = load.stop();
    assert_eq!(sent.acknowledged, sent.sent);
    // The file is read at every exchange: at most a request that was on its way brought the old proof.
    assert!(entra.counts().1 <= 2, "{:?}", entra.counts());
    assert_eq!(scene.sink.record().unauthorized, 0);
    scene.audit(&sent, &Allowed::default());
}

/// As a cluster replaces a projected file: at once.
fn replace(file: &Path, content: &str) {
    let new = file.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, file).unwrap();
}

const TENANT: &str = "99999999-8888-7777-6666-555555555555";
