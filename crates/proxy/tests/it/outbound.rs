//! Ways to the upstream: through a forward proxy, and not for ever over one connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use environment::UnixTime;
use host::OutboundProxy;
use proxy::Limits;
use testkit::ManualClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::listener::Pem;
use crate::support::{Client, Setup, Upstream, ask, write};

/// A forward proxy that leads every tunnel to `target` or refuses it; and what it was asked.
async fn forward_proxy(target: SocketAddr, refuse: bool) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    head.push(char::from(client.read_u8().await.unwrap()));
                }
                seen.lock().unwrap().push(head);
                if refuse {
                    return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
                }
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                let mut server = TcpStream::connect(target).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, asked)
}

/// Ends TLS in front of `upstream`.
async fn tls_in_front(pem: &Pem, upstream: SocketAddr) -> SocketAddr {
    let acceptor = pem.server().acceptor(&["http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await.unwrap();
                let mut server = TcpStream::connect(upstream).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn writes_go_through_a_forward_proxy_over_kept_tunnels() {
    let upstream = Upstream::start([]).await;
    let pem = Pem::of("ingest.example");
    let secure = tls_in_front(&pem, upstream.address).await;
    let (through, asked) = forward_proxy(secure, false).await;
    let outbound = OutboundProxy::parse(&format!("http://user:secret@{through}"), "").unwrap();
    let connector = Some(pem.trusted().with_proxy(outbound));
    let ingestion_url = Some("https://ingest.example/rules/x/api/v1/write?v=1".to_owned());
    let proxy = Setup { connector, ingestion_url, ..Setup::default() }.start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    for body in ["first", "second", &"third".repeat(50_000)] {
        client.send(write(body)).await;
        assert_eq!(client.answer().await.status, 204);
    }
    let heads: Vec<String> = upstream.requests().into_iter().map(|request| request.head).collect();
    assert_eq!(heads.len(), 3);
    assert!(heads.iter().all(|head| head.contains("\r\nHost: ingest.example\r\n")), "{heads:?}");
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 1, "one tunnel for all of them: {asked:?}");
    assert!(asked[0].starts_with("CONNECT ingest.example:443 HTTP/1.1\r\n"), "{asked:?}");
    // user:secret
    assert!(asked[0].contains("\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"), "{asked:?}");
    assert!(!heads.iter().any(|head| head.contains("dXNlcjpzZWNyZXQ=")), "the upstream learns nothing of the proxy");
}

#[tokio::test]
async fn a_forward_proxy_that_refuses_is_named() {
    let upstream = Upstream::start([]).await;
    let (through, _) = forward_proxy(upstream.address, true).await;
    let outbound = OutboundProxy::parse(&format!("http://{through}"), "").unwrap();
    let connector = Some(Pem::of("ingest.example").trusted().with_proxy(outbound));
    let ingestion_url = Some("https://ingest.example/".to_owned());
    let proxy = Setup { connector, ingestion_url, ..Setup::default() }.start(upstream.address).await;
    let refused = ask(proxy.address, write("x")).await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("UpstreamUnreachable"), "{}", refused.body);
    assert!(refused.body.contains(&through.to_string()) && refused.body.contains("407"), "{}", refused.body);
}

#[tokio::test]
async fn a_connection_is_not_used_for_ever() {
    let upstream = Upstream::start([]).await;
    let clock = ManualClock::new(UnixTime::EPOCH);
    let limits = Limits { upstream_age_max: Duration::from_secs(300), ..Limits::default() };
    let proxy = Setup { limits, clock: Arc::new(clock.clone()), ..Setup::default() }.start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    // Never at rest for as long as an idle connection may be.
    for (after_secs, connection) in
        [(0, 0), (40, 0), (80, 0), (120, 0), (160, 0), (200, 0), (240, 0), (280, 0), (320, 1), (360, 1)]
    {
        clock.advance(Duration::from_secs(if after_secs == 0 { 0 } else { 40 }));
        client.send(write("x")).await;
        assert_eq!(client.answer().await.status, 204);
        let used = upstream.requests().last().map(|request| request.connection);
        assert_eq!(used, Some(connection), "after {after_secs} s");
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}
