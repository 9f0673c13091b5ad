//! What is and what is not a request; several on one connection; bounds on connections.

use std::time::Duration;

use proxy::Limits;

use crate::support::{Client, Running, Setup, Upstream, ask, get, write};

/// Heads on which two parsers may differ, and that therefore go no further.
#[tokio::test]
async fn ambiguous_requests_are_refused_and_close_the_connection() {
    let upstream = Upstream::start([]).await;
    let proxy = Setup::default().start(upstream.address).await;
    let post = "POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\n";
    for (status, request) in [
        (400, format!("{post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        (400, format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n")),
        (400, format!("{post}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc")),
        (400, format!("{post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc")),
        (400, format!("{post}Content-Length: 3, 3\r\n\r\nabc")),
        (400, format!("{post}Content-Length: +3\r\n\r\nabc")),
        (400, format!("{post}Content-Length: 0x3\r\n\r\nabc")),
        (400, format!("{post}Content-Length: \r\n\r\nabc")),
        (400, format!("{post}Content-Length: 99999999999999999999\r\n\r\nabc")),
        (400, format!("{post}Content-Length : 3\r\n\r\nabc")),
        (501, format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
        (501, format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")),
        (501, format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        (400, format!("{post}X: a\r\n folded\r\nContent-Length: 0\r\n\r\n")),
        (400, format!("{post}X: a\nContent-Length: 3\r\n\r\nabc")),
        (400, format!("{post}X: a\rContent-Length: 3\r\n\r\nabc")),
        (400, format!("{post}X: a\0b\r\n\r\n")),
        (400, format!("{post}X y: a\r\n\r\n")),
        (400, format!("{post}: a\r\n\r\n")),
        (400, format!("{post}noColon\r\n\r\n")),
        (400, format!("{post}Host: other\r\n\r\n")),
        (400, "POST /api/v1/write HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned()),
        (400, "POST /api/v1/write HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned()),
        (400, "POST  /api/v1/write HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "POST /api/v1/write\r\nHost: a\r\n\r\n".to_owned()),
        (400, "PO ST /api/v1/write HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "POST /api/v1/write HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
        (505, "POST /api/v1/write HTTP/2.0\r\nHost: a\r\n\r\n".to_owned()),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        (417, format!("{post}Expect: the-best\r\nContent-Length: 3\r\n\r\nabc")),
        (431, format!("{post}X: {}\r\n\r\n", "y".repeat(40_000))),
        (431, format!("{post}{}\r\n", "X: y\r\n".repeat(101))),
    ] {
        let mut client = Client::connect(proxy.address).await;
        client.send(format!("{request}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let got = client.answer().await;
        assert_eq!((got.status, got.header("connection")), (status, Some("close")), "{request:?}: {}", got.body);
        assert!(client.try_answer().await.is_none(), "{request:?}: a second request was read");
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn malformed_chunks_are_400() {
    let upstream = Upstream::start([]).await;
    let proxy = Setup::default().start(upstream.address).await;
    for body in [
        "x\r\n",
        "-1\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "1000000000000000\r\n",
        "\r\n",
        "0\r\nX: y\n\r\n",
    ] {
        let head = "POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let got = ask(proxy.address, format!("{head}{body}")).await;
        assert_eq!((got.status, got.header("connection")), (400, Some("close")), "{body:?}");
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start([]).await;
    let proxy = Setup::default().start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    let health = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunked = "POST /api/v1/write HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ncc\r\n0\r\n\r\n";
    client.send(format!("\r\n{}{health}{chunked}{}{health}", write("one"), write("two"))).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(client.answer().await.status);
    }
    assert_eq!(statuses, [204, 200, 204, 204, 200]);
    let bodies: Vec<_> = upstream.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [b"one".to_vec(), b"cc".to_vec(), b"two".to_vec()]);
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let upstream = Upstream::start([]).await;
    let proxy = Setup::default().start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    client.stream.set_nodelay(true).unwrap();
    for byte in write("abc").bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.status, 204);
    assert_eq!(upstream.requests()[0].body, b"abc");
}

#[tokio::test]
async fn a_sender_that_asks_first_is_told_to_go_on() {
    let upstream = Upstream::start([]).await;
    let proxy = Setup::default().start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.answer().await.status, 100);
    client.send("abc").await;
    assert_eq!(client.answer().await.status, 204);
    // One that does not wait is not told.
    client.send(format!("{head}abc")).await;
    assert_eq!(client.answer().await.status, 204);
    assert!(upstream.requests().iter().all(|request| request.header("expect").is_none() && request.body == b"abc"));
    // Where nothing is taken, the body is not asked for.
    client.send(head.replace("/write", "/nothing")).await;
    assert_eq!(client.answer().await.status, 404);
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let upstream = Upstream::start([]).await;
    let proxy = Setup::default().start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    client.send("POST /api/v1/write HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc").await;
    let got = client.answer().await;
    assert_eq!((got.status, got.header("connection")), (204, Some("close")));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn other_methods_and_paths() {
    let upstream = Upstream::start([]).await;
    let proxy = Setup::default().start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    for (method, path, status, allow) in [
        ("GET", "/api/v1/write", 405, Some("POST")),
        ("PUT", "/api/v1/write", 405, Some("POST")),
        ("POST", "/health", 405, Some("GET, HEAD")),
        ("GET", "/", 404, None),
        ("POST", "/api/v1/write/", 404, None),
        ("GET", "/api/v1/query", 404, None),
        ("GET", "/health", 200, None),
        ("GET", "/health?x=1", 200, None),
        ("POST", "http://localhost/api/v1/write", 204, None),
    ] {
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy")).await;
        let got = client.answer().await;
        assert_eq!((got.status, got.header("allow")), (status, allow), "{method} {path}");
    }
    client.send("HEAD /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut client.stream, &mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n"), "{text}");
}

/// A proxy with all its places taken.
async fn full(limits: Limits, upstream: &Upstream) -> (Running, Vec<Client>) {
    let query = Some((format!("http://{}/q", upstream.address), false));
    let limits = Limits { connections_max: 2, ..limits };
    let proxy = Setup { limits, query, ..Setup::default() }.start(upstream.address).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(proxy.address).await;
        client.send(write("x")).await;
        assert_eq!(client.answer().await.status, 204);
        held.push(client);
    }
    (proxy, held)
}

#[tokio::test]
async fn connections_beyond_the_bound_are_turned_away_and_their_writes_counted() {
    let upstream = Upstream::start([]).await;
    let (proxy, held) = full(Limits::default(), &upstream).await;
    for (request, status, part) in [
        (write("samples"), 503, "\"code\":\"TooManyConnections\""),
        // Larger than what is read.
        (write(&"x".repeat(3 << 20)), 503, "\"code\":\"TooManyConnections\""),
        ("GET /api/v1/labels HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 503, "\"errorType\":\"unavailable\""),
        ("GET /api/v1/labels HTTP/1.1\r\nHost: elsewhere\r\n\r\n".to_owned(), 403, "\"errorType\":\"bad_data\""),
        ("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 404, "NotFound"),
        ("nonsense\r\n\r\n".to_owned(), 400, "BadRequest"),
        // A probe that got 503 would have the process restarted.
        ("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 200, ""),
    ] {
        let got = ask(proxy.address, &request).await;
        let line = request.lines().next().unwrap();
        assert_eq!((got.status, got.header("connection")), (status, Some("close")), "{line}");
        assert!(got.body.contains(part), "{line}: {}", got.body);
    }
    let status: serde_json::Value = serde_json::from_str(&get(proxy.address, "/status").await.body).unwrap();
    assert_eq!(status["write_requests"]["published"], 2);
    assert_eq!(status["write_requests"]["failed"], 2);
    assert_eq!(status["write_requests"]["answers"]["503"], 2);
    assert_eq!(status["last_failure"]["reason"], "TooManyConnections");
    assert_eq!(upstream.requests().len(), 2, "only what had a place went through");
    drop(held);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(ask(proxy.address, write("x")).await.status, 204);
}

#[tokio::test]
async fn a_connection_turned_away_without_a_request_is_no_request() {
    let upstream = Upstream::start([]).await;
    let limits = Limits { turned_away_timeout: Duration::from_millis(200), ..Limits::default() };
    let (proxy, _held) = full(limits, &upstream).await;
    let mut silent = Client::connect(proxy.address).await;
    let mut slow = Client::connect(proxy.address).await;
    slow.send("POST /api/v1/wri").await;
    for client in [&mut silent, &mut slow] {
        let got = client.answer().await;
        assert!(got.status == 503 && got.body.contains("TooManyConnections"), "{}", got.body);
    }
    drop(Client::connect(proxy.address).await);
    let metrics = get(proxy.address, "/metrics").await.body;
    assert!(metrics.contains("remora_sidecar_write_requests_total{outcome=\"failed\"} 0\n"), "{metrics}");
    // With the one that asks.
    assert!(metrics.contains("remora_sidecar_limited_total{limit=\"connections\"} 4\n"), "{metrics}");
}

#[tokio::test]
async fn beyond_what_may_be_turned_away_nothing_is_read() {
    let upstream = Upstream::start([]).await;
    let limits = Limits { turned_away_max: 1, ..Limits::default() };
    let (proxy, _held) = full(limits, &upstream).await;
    let _waiting = Client::connect(proxy.address).await;
    let got = ask(proxy.address, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(got.status, 503);
}

#[tokio::test]
async fn a_head_or_body_that_does_not_arrive_may_come_again() {
    let upstream = Upstream::start([]).await;
    let short = Duration::from_millis(100);
    let limits = Limits { head_timeout: short, body_timeout: short, ..Limits::default() };
    let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
    for part in ["POST /api/v1/wr", "POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"] {
        assert_eq!(ask(proxy.address, part).await.status, 503, "{part:?}");
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_connection_that_rests_is_served_on_and_then_closed() {
    let upstream = Upstream::start([]).await;
    let limits = Limits { idle_timeout: Duration::from_millis(600), ..Limits::default() };
    let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    client.send(write("x")).await;
    assert_eq!(client.answer().await.status, 204);
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.send(write("y")).await;
    assert_eq!(client.answer().await.status, 204);
    let mut silent = Client::connect(proxy.address).await;
    assert!(silent.is_closed().await);
    assert_eq!(upstream.requests().len(), 2);
}
