use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use prometheus_client::registry::Registry;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::*;

/// Counting up is random enough here.
#[derive(Default)]
struct CountingRng(AtomicU64);

impl Rng for CountingRng {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed) as u8);
    }
}

/// Does what the path says.
#[derive(Default)]
struct Scripted {
    running: Arc<AtomicUsize>,
}

impl Handler for Scripted {
    async fn handle(&self, request: Request, peer: Peer) -> Response {
        self.running.fetch_add(1, Ordering::SeqCst);
        let path = request.uri().path().to_owned();
        let expects_continue = request.headers().contains_key("expect");
        let mut body = request.into_body();
        match path.as_str() {
            "/hello" => text(StatusCode::OK, format!("hello over {}", if peer.tls { "tls" } else { "plain" })),
            "/where" => text(StatusCode::OK, format!("at {}", peer.local_addr)),
            "/panic" => panic!("as asked"),
            "/slow" => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                text(StatusCode::OK, "slow")
            }
            "/never" => std::future::pending().await,
            "/echo" => match read_body(&mut body, 100_000, Duration::from_millis(300)).await {
                Ok(bytes) => Response::new(Body::full(bytes)),
                Err(error) => text(status_of(model::Kinded::kind(&error)), error.to_string()),
            },
            "/refuse" => {
                Drain::default().run(body, expects_continue).await;
                AzureError::new(model::ErrorKind::Unauthenticated, "AuthenticationFailed", "no token")
                    .challenge(&peer, "http://authority/t")
            }
            "/stream" => {
                let (sender, body) = Body::channel(1);
                tokio::spawn(async move {
                    for piece in ["one ", "two ", "three"] {
                        sender.send(piece).await.unwrap();
                    }
                });
                Response::new(body)
            }
            "/broken" => {
                let (sender, body) = Body::channel(1);
                tokio::spawn(async move {
                    sender.send("half").await.unwrap();
                    sender.abort("the other half is lost").await;
                });
                Response::new(body)
            }
            "/endless" => {
                let (sender, body) = Body::channel(1);
                tokio::spawn(async move { while sender.send(vec![0; 1 << 16]).await.is_ok() {} });
                Response::new(body)
            }
            _ => empty(StatusCode::NOT_FOUND),
        }
    }
}

struct Running {
    address: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
}

fn server() -> Server<Scripted> {
    Server::new("test", Scripted::default(), &CountingRng::default())
}

fn start(server: Server<Scripted>) -> Running {
    start_on("127.0.0.1:0", server)
}

fn start_on(address: &str, server: Server<Scripted>) -> Running {
    let listener = bind(address.parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(server.serve(listener, async {
        let _ = stopped.await;
    }));
    Running { address, stop: Some(stop), ended }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` on a connection of its own and reads to the end.
    async fn exchange(&self, request: &str) -> String {
        exchange(self.connect().await, request).await
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    read_to_end(stream).await
}

async fn read_to_end(mut stream: impl AsyncRead + Unpin) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer));
    // A reset after the answer ends it, too.
    let _ = read.await.expect("the server ends the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
}

fn quick(change: impl FnOnce(&mut Limits)) -> Server<Scripted> {
    let mut limits = Limits::default();
    change(&mut limits);
    server().with_limits(limits)
}

const SHORT: Duration = Duration::from_millis(60);

#[tokio::test]
async fn answers_of_all_kinds() {
    let running = start(server());
    for (request, starts, contains) in [
        (get("/hello"), "HTTP/1.1 200 OK", "hello over plain"),
        (get("/none"), "HTTP/1.1 404 Not Found", "content-length: 0"),
        (get("/stream"), "HTTP/1.1 200 OK", "\r\nthree\r\n0\r\n"),
        (get("/panic"), "HTTP/1.1 500", "internal error"),
        (get("/hello"), "HTTP/1.1 200 OK", "hello"),
        ("nonsense\r\n\r\n".to_owned(), "HTTP/1.1 400", ""),
        (get("/refuse"), "HTTP/1.1 401", r#"{"error":{"code":"AuthenticationFailed","message":"no token"}}"#),
        (get("/refuse"), "HTTP/1.1 401", "www-authenticate: Bearer authorization_uri=\"http://authority/t\""),
        (get("/refuse"), "HTTP/1.1 401", "x-ms-error-code: AuthenticationFailed"),
    ] {
        let answer = running.exchange(&request).await;
        assert!(answer.starts_with(starts) && answer.contains(contains), "{request}\n{answer}");
    }
    let broken = running.exchange(&get("/broken")).await;
    assert!(broken.contains("half") && !broken.contains("0\r\n\r\n"), "a broken answer does not look whole: {broken}");
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_time() {
    let running = start(server());
    let post = |length: usize, sent: usize| {
        format!(
            "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{}",
            "x".repeat(sent)
        )
    };
    for (request, status) in [
        (post(0, 0), "200"),
        (post(5, 5), "200"),
        (post(100_000, 100_000), "200"),
        (post(100_001, 10), "413"),
        (post(10, 5), "503"),
        (
            format!(
                "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1adb1\r\n{}\r\n0\r\n\r\n",
                "x".repeat(0x1adb1)
            ),
            "413",
        ),
    ] {
        let answer = running.exchange(&request).await;
        assert_eq!(answer.get(9..12), Some(status), "{}\n{answer}", request.lines().nth(3).unwrap());
    }
}

#[tokio::test]
async fn a_refused_body_is_drained_so_that_the_connection_lives_on() {
    let running = start(server());
    let mut stream = running.connect().await;
    for _ in 0..2 {
        let body = "x".repeat(1 << 20);
        let head = format!("POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
    }
    let answer = exchange(stream, &get("/hello")).await;
    assert_eq!(answer.matches("HTTP/1.1 401").count(), 2, "{answer}");
    assert!(answer.ends_with("hello over plain"), "{answer}");

    let expecting = "POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    let mut stream = running.connect().await;
    stream.write_all(expecting.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 401", "the body is not asked for");
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn self_signed() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

async fn tls(
    running: &Running,
    trusted: &rcgen::Certificate,
    alpn: &str,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der().clone()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect(ServerName::try_from("localhost").unwrap(), running.connect().await).await
}

/// An error and its causes, as logs show them.
fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[tokio::test]
async fn tls_and_plain_share_a_port_and_the_certificate_changes() {
    let (first, second) = (self_signed(), self_signed());
    let pem = |own: &rcgen::CertifiedKey<rcgen::KeyPair>| (own.cert.pem(), own.signing_key.serialize_pem());
    let (chain, key) = pem(&first);
    let certificate = Arc::new(Certificate::from_pem(provider(), chain.as_bytes(), key.as_bytes()).unwrap());
    let running = start(server().with_certificate(certificate.clone()));

    assert!(running.exchange(&get("/hello")).await.ends_with("hello over plain"));
    let answer = exchange(tls(&running, &first.cert, "http/1.1").await.unwrap(), &get("/hello")).await;
    assert!(answer.ends_with("hello over tls"), "{answer}");

    let (other_chain, other_key) = pem(&second);
    let error = certificate.replace(other_chain.as_bytes(), key.as_bytes()).unwrap_err();
    assert_eq!(chain_of(&error), "the key does not fit the certificate: keys may not be consistent: KeyMismatch");
    assert!(matches!(certificate.replace(b"", key.as_bytes()), Err(CertificateError::NoCertificate)));
    assert!(matches!(certificate.replace(chain.as_bytes(), b"no key"), Err(CertificateError::Key(_))));
    tls(&running, &first.cert, "http/1.1").await.expect("the old one stays after a failure");

    certificate.replace(other_chain.as_bytes(), other_key.as_bytes()).unwrap();
    assert!(tls(&running, &first.cert, "http/1.1").await.is_err());
    tls(&running, &second.cert, "http/1.1").await.unwrap();
    assert!(!format!("{certificate:?}").contains("PRIVATE"));
}

#[tokio::test]
async fn http2_by_alpn() {
    let own = self_signed();
    let certificate =
        Certificate::from_pem(provider(), own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes());
    let running = start(server().with_certificate(Arc::new(certificate.unwrap())));
    let stream = hyper_util::rt::TokioIo::new(tls(&running, &own.cert, "h2").await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut requests, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let request =
            http::Request::get("https://localhost/hello").body(http_body_util::Empty::<Bytes>::new()).unwrap();
        let response = requests.send_request(request).await.unwrap();
        assert_eq!((response.version(), response.status()), (http::Version::HTTP_2, StatusCode::OK));
        assert_eq!(response.headers()[CONTENT_LENGTH], "14");
    }
}

#[tokio::test]
async fn plain_http_only_where_allowed() {
    let (taken, refused) = ("HTTP/1.1 200", "HTTP/1.1 400");
    for (address, plain, expected) in [
        ("127.0.0.1:0", PlainHttp::Allow, taken),
        ("127.0.0.1:0", PlainHttp::LoopbackOnly, taken),
        ("127.0.0.1:0", PlainHttp::Refuse, refused),
        ("[::1]:0", PlainHttp::LoopbackOnly, taken),
        // Reached over loopback here, but everybody can reach it: what counts is where it listens.
        ("0.0.0.0:0", PlainHttp::Allow, taken),
        ("0.0.0.0:0", PlainHttp::LoopbackOnly, refused),
        ("[::]:0", PlainHttp::LoopbackOnly, refused),
    ] {
        let answer = start_on(address, server().with_plain(plain)).exchange(&get("/hello")).await;
        assert!(answer.starts_with(expected), "{address} {plain:?}: {answer}");
        assert_eq!(answer.contains("HTTPS only"), expected == refused);
    }
}

#[tokio::test]
async fn a_request_knows_where_it_arrived() {
    let running = start_on("0.0.0.0:0", server().with_plain(PlainHttp::Allow));
    let port = running.address.port();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let answer = exchange(stream, &get("/where")).await;
    assert!(answer.ends_with(&format!("at 127.0.0.1:{port}")), "{answer}");
}

#[tokio::test]
async fn clients_that_keep_us_waiting_are_cut() {
    let metrics = ConnectionMetricsForTest::default();
    let running = start(quick(|limits| limits.header_time_max = SHORT).with_metrics(metrics.0.clone()));
    let whole_head = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";
    // Nothing at all, half a head, and half a second head.
    for (pieces, answered) in [(["", ""], false), (["GET /hello", " HT"], false), ([whole_head, "GET /"], true)] {
        let mut stream = running.connect().await;
        for piece in pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let answer = read_to_end(stream).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), answered, "{pieces:?}: {answer}");
    }
    metrics.expect("http_connections_closed_by_server_total{listener=\"test\",reason=\"header-timeout\"} 3");
    metrics.expect("http_connections_accepted_total{listener=\"test\"} 3");
    metrics.expect("http_connections_open{listener=\"test\"} 0");
}

#[tokio::test]
async fn idle_connections_end_and_busy_ones_do_not() {
    let running = start(quick(|limits| limits.idle_time_max = SHORT));
    let answer = running.exchange("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(answer.ends_with("slow"), "a request may take longer than the idle time: {answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let metrics = ConnectionMetricsForTest::default();
    let running = start(quick(|limits| limits.write_stall_max = SHORT).with_metrics(metrics.0.clone()));
    let mut stream = running.connect().await;
    stream.write_all(get("/endless").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    metrics.expect("http_connections_closed_by_server_total{listener=\"test\",reason=\"write-stall\"} 1");
    metrics.expect("http_connections_open{listener=\"test\"} 0");
}

#[tokio::test]
async fn shutdown_lets_requests_finish_and_cuts_what_does_not_end() {
    let mut running = start(quick(|limits| limits.drain_time_max = Duration::from_millis(400)));
    let mut idle = running.connect().await;
    idle.write_all(b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut slow = running.connect().await;
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut never = running.connect().await;
    never.write_all(b"GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;

    let begun = Instant::now();
    running.stop.take().unwrap().send(()).unwrap();
    assert!(read_to_end(idle).await.ends_with("hello over plain"));
    assert!(begun.elapsed() < Duration::from_millis(150), "idle connections end at once");
    assert!(TcpStream::connect(running.address).await.is_err(), "no new connections");
    assert!(read_to_end(slow).await.ends_with("slow"));
    assert_eq!(read_to_end(never).await, "");
    tokio::time::timeout(Duration::from_secs(1), running.ended).await.unwrap().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn connections_over_the_cap_wait_for_a_place() {
    let running = start(quick(|limits| limits.connections_max = 1));
    let first = running.connect().await;
    let mut second = running.connect().await;
    second.write_all(get("/hello").as_bytes()).await.unwrap();
    let mut byte = [0];
    let waited = tokio::time::timeout(SHORT, second.read(&mut byte)).await;
    assert!(waited.is_err(), "the second is not served beside the first");
    drop(first);
    assert!(read_to_end(second).await.starts_with("HTTP/1.1 200"));
}

#[test]
fn request_names_are_unique_uuids() {
    let ids = RequestIds::new(&CountingRng::default());
    let (first, second) = (ids.next(), ids.next());
    assert_ne!(first, second);
    assert_eq!((first.0.get_version_num(), first.to_string().len()), (4, 36));
}

#[test]
fn metrics_are_openmetrics() {
    let mut registry = Registry::default();
    let requests = metrics::RequestsByCode::default();
    requests.register(&mut registry, "requests", "Requests");
    requests.count(StatusCode::NO_CONTENT);
    let response = metrics::exposition(&registry);
    assert!(
        response.headers()[CONTENT_TYPE].to_str().unwrap().starts_with("application/openmetrics-text; version=1.0.0")
    );
}

#[derive(Default)]
struct ConnectionMetricsForTest(ConnectionMetrics);

impl ConnectionMetricsForTest {
    #[track_caller]
    fn expect(&self, line: &str) {
        let mut registry = Registry::default();
        self.0.register(&mut registry);
        let mut shown = String::new();
        prometheus_client::encoding::text::encode(&mut shown, &registry).unwrap();
        assert!(shown.lines().any(|shown| shown == line), "no {line} in\n{shown}");
    }
}
