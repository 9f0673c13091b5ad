use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A server that answers every connection's first request with `answer` and keeps what it was sent.
async fn server(answer: String) -> (String, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (seen, requests) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            seen.send(read_head(&mut stream).await).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, requests)
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn client() -> HostHttp {
    HostHttp::new(tls::roots(None).unwrap(), None)
}

fn get(uri: String) -> Request {
    http::Request::get(uri).body(Bytes::new()).unwrap()
}

const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_answer_is_read_whole_whatever_its_status() {
    let (address, mut requests) =
        server("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nx-a: b\r\n\r\ngone".to_owned()).await;
    let response = client().send(get(format!("http://{address}/p?q=1")), TIMEOUT).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body().as_ref()), (404, &b"gone"[..]));
    let head = requests.recv().await.unwrap();
    assert!(head.starts_with("GET /p?q=1 HTTP/1.1\r\n") && head.contains(&format!("host: {address}")), "{head}");
}

#[tokio::test]
async fn the_bound_on_answers_is_that_of_the_client() {
    let body = "x".repeat((1 << 20) + 1);
    let (address, _requests) = server(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
    let uri = format!("http://{address}/");
    let response = client().with_body_bytes_max(body.len()).send(get(uri.clone()), TIMEOUT).await.unwrap();
    assert_eq!(response.body().len(), body.len());
    let error = client().with_body_bytes_max(body.len() - 1).send(get(uri), TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::TooLarge);
    assert!(error.to_string().contains("larger than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn failures_are_told_apart() {
    let (huge, _huge_requests) = server(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat((1 << 20) + 1))).await;
    let (cut, _cut_requests) = server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".to_owned()).await;
    let (not_tls, _not_tls_requests) = server(String::new()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (uri, kind) in [
        (format!("http://{huge}/"), HttpErrorKind::TooLarge),
        (format!("http://{closed}/secret?token=abc"), HttpErrorKind::Connect),
        (format!("http://{cut}/secret"), HttpErrorKind::Other),
        (format!("https://{not_tls}/secret"), HttpErrorKind::Timeout),
    ] {
        let error = client().send(get(uri.clone()), Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{uri}: {error}");
        assert!(error.message.contains("127.0.0.1") && !error.message.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn tls_is_checked_against_the_given_authorities() {
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&ca_file, own.cert.pem()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut session) = acceptor.accept(stream).await {
                session.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
                session.flush().await.unwrap();
                let _ = session.read_u8().await;
            }
        }
    });
    let trusting = HostHttp::new(tls::roots(Some(&ca_file)).unwrap(), None);
    let uri = format!("https://localhost:{port}/");
    assert_eq!(trusting.send(get(uri.clone()), TIMEOUT).await.unwrap().status(), 204);
    let error = client().send(get(uri), TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::Tls, "{error}");
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_its_refusal_reported() {
    let (proxy, mut requests) = server("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n".to_owned()).await;
    // The test's proxy is on loopback; the target is not, so the tunnel is asked for.
    let proxy = OutboundProxy::parse(&format!("http://{proxy}"), "direct.invalid").unwrap();
    let through = HostHttp::new(tls::roots(None).unwrap(), proxy);
    let error = through.send(get("https://login.invalid/t".to_owned()), TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::Connect);
    assert!(error.message.contains("407"), "{error}");
    let head = requests.recv().await.unwrap();
    assert!(head.starts_with("CONNECT login.invalid:443 HTTP/1.1\r\n"), "{head}");
    for direct in ["http://127.0.0.1:1/", "https://127.0.0.1:1/"] {
        through.send(get(direct.to_owned()), TIMEOUT).await.unwrap_err();
    }
    assert!(requests.try_recv().is_err(), "loopback never goes through the proxy");
}
