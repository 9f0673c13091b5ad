//! Peers that never answer: every wait ends.

use std::sync::Arc;

use doctor::{Link, Listener};
use environment::Clock as _;
use host::{HostClock, OutboundProxy};
use tokio::net::TcpListener;

use crate::authority::{Authority, Validity};
use crate::server::{Server, assert_broken, examined, plan, step};

/// Accepts connections, and keeps them, and says nothing.
async fn silent() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    address
}

async fn a_server_that_never_answers_the_handshake() {
    let clock = HostClock::new();
    let begun = clock.monotonic();
    let mut plan = plan(silent().await.port(), None);
    plan.listener = Some(Listener { address: silent().await, tls: false });
    let report = examined(&plan).await;
    assert_broken(&report, Link::Tls, "does not end the TLS handshake", "MTU");
    assert!(step(&report, Link::Sidecar).finding.contains("no pages"), "{report:?}");
    assert!(clock.monotonic().since(begun).as_secs() < 15);
}

async fn a_proxy_that_never_answers() {
    let mut plan = plan(443, None);
    plan.ingestion.url.set_host(Some("dce.example")).unwrap();
    plan.outbound_proxy = OutboundProxy::parse(&format!("http://{}", silent().await), "").unwrap();
    assert_broken(&examined(&plan).await, Link::Proxy, "opens no tunnel", "reaches the internet");
}

async fn an_endpoint_that_never_answers_the_request() {
    let authority = Authority::new();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    // Answers are made on a thread of their own, so that waiting here stops nothing else.
    let server = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server =
            runtime.block_on(Server::start(Some(authority.server("localhost", Validity::Now)), move |request| {
                if request.is_write() {
                    let _ = held.lock().unwrap().recv();
                }
                (404, String::new(), String::new())
            }));
        (runtime, server, authority.roots())
    });
    let (runtime, server, roots) = server.await.unwrap();
    let report = examined(&plan(server.address.port(), Some(roots))).await;
    drop(release);
    assert_broken(&report, Link::Write, "no answer to the test request", "holds requests back");
    runtime.shutdown_background();
}

/// Side by side: each takes as long as its wait.
#[tokio::test]
async fn every_wait_ends() {
    tokio::join!(
        a_server_that_never_answers_the_handshake(),
        a_proxy_that_never_answers(),
        an_endpoint_that_never_answers_the_request(),
    );
}
