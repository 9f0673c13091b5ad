//! TLS and the bearer token of the listener.

use std::sync::Arc;
use std::time::Duration;

use host::{Connection, Connector};
use proxy::{Certificate, Limits, Listen, ListenToken};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Client, Issuer, Running, Setup, Step, Upstream, ask, get, write};

/// A certificate for `name` and its key, in PEM.
pub struct Pem {
    pub certificate: String,
    pub key: String,
}

impl Pem {
    pub fn of(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    pub fn server(&self) -> Arc<Certificate> {
        let (certificate, key) = (self.certificate.as_bytes(), self.key.as_bytes());
        Arc::new(Certificate::from_pem(host::tls::provider(), certificate, key).unwrap())
    }

    /// Opens connections that trust this certificate alone.
    pub fn trusted(&self) -> Connector {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, &self.certificate).unwrap();
        let roots = host::tls::roots(Some(&path)).unwrap();
        Connector::new(host::tls::client_config(roots, &["h2", "http/1.1"]))
    }
}

async fn connect(proxy: &Running, pem: &Pem) -> Result<Connection, host::ConnectError> {
    pem.trusted().connect(&format!("https://localhost:{}/", proxy.address.port()).parse().unwrap()).await
}

/// The head of the next answer; the rest of what has arrived stays in `received`.
async fn answer(connection: &mut Connection, received: &mut String) -> String {
    loop {
        if let Some(end) = received.find("\r\n\r\n") {
            return received.drain(..end + 4).collect();
        }
        let mut piece = vec![0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(5), connection.read(&mut piece)).await.unwrap().unwrap();
        assert!(read > 0, "closed after {received:?}");
        received.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
}

async fn tls_proxy(pem: &Pem, limits: Limits, upstream: &Upstream) -> Running {
    let listen = Listen { certificate: Some(pem.server()), token: None };
    Setup { limits, listen, ..Setup::default() }.start(upstream.address).await
}

#[tokio::test]
async fn requests_come_through_tls_one_by_one_and_at_once() {
    let upstream = Upstream::start([]).await;
    let pem = Pem::of("localhost");
    let proxy = tls_proxy(&pem, Limits::default(), &upstream).await;
    let mut connection = connect(&proxy, &pem).await.unwrap();
    let Connection::Tls(session) = &connection else { panic!("not inside TLS") };
    assert_eq!(session.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (large, mut received) = ("y".repeat(300_000), String::new());
    // The last two arrive in one record: the second waits inside the session, not on the socket.
    for (request, answers) in [(write("x"), 1), (write(&large), 1), (write("a") + &write("b"), 2)] {
        connection.write_all(request.as_bytes()).await.unwrap();
        connection.flush().await.unwrap();
        for _ in 0..answers {
            assert!(answer(&mut connection, &mut received).await.starts_with("HTTP/1.1 204 "));
        }
    }
    let bodies: Vec<Vec<u8>> = upstream.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [b"x".to_vec(), large.into_bytes(), b"a".to_vec(), b"b".to_vec()]);
}

#[tokio::test]
async fn the_certificate_can_be_exchanged_while_connections_stay() {
    let upstream = Upstream::start([]).await;
    let (old, new) = (Pem::of("localhost"), Pem::of("localhost"));
    let certificate = old.server();
    let listen = Listen { certificate: Some(Arc::clone(&certificate)), token: None };
    let proxy = Setup { listen, ..Setup::default() }.start(upstream.address).await;
    let mut before = connect(&proxy, &old).await.unwrap();
    assert!(connect(&proxy, &new).await.is_err());
    certificate.replace(new.certificate.as_bytes(), new.key.as_bytes()).unwrap();
    assert!(certificate.replace(b"no certificate", new.key.as_bytes()).is_err());
    assert!(connect(&proxy, &old).await.is_err());
    for connection in [&mut before, &mut connect(&proxy, &new).await.unwrap()] {
        connection.write_all(write("x").as_bytes()).await.unwrap();
        assert!(answer(connection, &mut String::new()).await.starts_with("HTTP/1.1 204 "));
    }
}

#[tokio::test]
async fn plain_http_is_told_and_silence_ends() {
    let upstream = Upstream::start([]).await;
    let pem = Pem::of("localhost");
    let limits = Limits { handshake_timeout: Duration::from_millis(200), ..Limits::default() };
    let proxy = tls_proxy(&pem, limits, &upstream).await;
    let told = ask(proxy.address, write("x")).await;
    assert_eq!((told.status, told.header("connection")), (503, Some("close")));
    assert!(told.body.contains("TlsRequired"), "{}", told.body);
    for bytes in ["", "\u{16}\u{3}\u{1}"] {
        let mut silent = Client::connect(proxy.address).await;
        silent.send(bytes).await;
        assert!(silent.is_closed().await, "{bytes:?}");
    }
    assert!(upstream.requests().is_empty());
    let metrics = page(&proxy, &pem, "/metrics").await;
    assert!(metrics.contains("remora_sidecar_tls_handshake_failures_total 2\n"), "{metrics}");
    assert!(metrics.contains("remora_sidecar_connections 1\n"), "{metrics}");
}

async fn page(proxy: &Running, pem: &Pem, path: &str) -> String {
    let mut connection = connect(proxy, pem).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    // An end of the connection without an end of the session would be an error.
    connection.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn beyond_the_bound_probes_are_answered_inside_tls_too() {
    let upstream = Upstream::start([]).await;
    let pem = Pem::of("localhost");
    let proxy = tls_proxy(&pem, Limits { connections_max: 1, ..Limits::default() }, &upstream).await;
    let _held = connect(&proxy, &pem).await.unwrap();
    let mut beyond = connect(&proxy, &pem).await.unwrap();
    beyond.write_all(write("x").as_bytes()).await.unwrap();
    assert!(answer(&mut beyond, &mut String::new()).await.starts_with("HTTP/1.1 503 "));
    assert!(page(&proxy, &pem, "/health").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_sender_that_hangs_up_inside_tls_frees_its_place() {
    let upstream = Upstream::start([Step::Hang]).await;
    let pem = Pem::of("localhost");
    let limits = Limits { answer_timeout: Duration::from_secs(60), ..Limits::default() };
    let proxy = tls_proxy(&pem, limits, &upstream).await;
    let mut connection = connect(&proxy, &pem).await.unwrap();
    connection.write_all(write("x").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    connection.shutdown().await.unwrap();
    drop(connection);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let metrics = page(&proxy, &pem, "/metrics").await;
    assert!(metrics.contains("remora_sidecar_write_answers_total{code=\"499\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn writes_and_queries_bring_the_token_and_pages_need_none() {
    let upstream = Upstream::start([]).await;
    let token = Arc::new(ListenToken::new(&SecretString::from("0123456789abcdef\n")).unwrap());
    let listen = Listen { certificate: None, token: Some(Arc::clone(&token)) };
    let query = Some((format!("http://{}/q", upstream.address), false));
    let proxy = Setup { listen, query, issuer: Issuer::Repeats, ..Setup::default() }.start(upstream.address).await;
    let with =
        |request: String, token: &str| request.replacen("\r\n", &format!("\r\nAuthorization: Bearer {token}\r\n"), 1);
    let query = || "GET /api/v1/labels HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    for request in [write("x"), query(), with(write("x"), "0123456789abcdeF"), with(query(), "")] {
        let refused = ask(proxy.address, &request).await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{request:?}");
    }
    assert!(upstream.requests().is_empty());
    for request in [with(write("x"), "0123456789abcdef"), with(query(), "0123456789abcdef")] {
        assert_eq!(ask(proxy.address, &request).await.status, 204, "{request:?}");
    }
    // What goes on carries our token, not the sender's.
    for request in upstream.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer token-1"));
    }
    for path in ["/health", "/ready", "/status", "/metrics"] {
        assert_eq!(get(proxy.address, path).await.status, 200, "{path}");
    }
    token.replace(&SecretString::from("fedcba9876543210")).unwrap();
    assert_eq!(ask(proxy.address, with(write("x"), "0123456789abcdef")).await.status, 401);
    assert_eq!(ask(proxy.address, with(write("x"), "fedcba9876543210")).await.status, 204);
    let metrics = get(proxy.address, "/metrics").await.body;
    assert!(metrics.contains("remora_sidecar_unauthenticated_requests_total 5\n"), "{metrics}");
    assert!(metrics.contains("remora_sidecar_write_answers_total{code=\"401\"} 3\n"), "{metrics}");
}
