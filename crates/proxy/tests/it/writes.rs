//! Write requests: headers both ways, tokens, repeats, failures, large bodies, the end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proxy::Limits;

use crate::support::{Client, Issuer, Running, Setup, Step, Upstream, ask, get, ok, write};

fn answer(status: &str, headers: &str, body: &str) -> Step {
    Step::Answer(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
}

#[tokio::test]
async fn headers_pass_both_ways_but_for_those_of_the_connection() {
    let headers = "X-Prometheus-Remote-Write-Samples-Written: 7\r\nRetry-After: 5\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nConnection: x-hop\r\nAccess-Control-Allow-Origin: *\r\n";
    let upstream = Upstream::start([answer("429 Slow Down", headers, "{\"error\":{}}")]).await;
    let proxy = Setup::default().start(upstream.address).await;
    let request = "POST /api/v1/write HTTP/1.1\r\nHost: localhost:8081\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n\
        X-Prometheus-Remote-Write-Version: 2.0.0\r\nUser-Agent: Prometheus/3.14.0\r\nRetry-Attempt: 3\r\nAuthorization: Bearer stolen\r\ntraceparent: 00-ab-cd-01\r\n\
        Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: Basic x\r\nUpgrade: h2c\r\nX-Utf8: caf\u{e9}\r\nContent-Length: 4\r\n\r\nbody";
    let got = ask(proxy.address, request).await;

    let seen = upstream.requests().remove(0);
    assert!(seen.head.starts_with("POST /rules/x/api/v1/write?v=1 HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.body, b"body");
    for (name, value) in [
        ("host", Some(upstream.address.to_string())),
        ("authorization", Some("Bearer token-1".to_owned())),
        ("content-encoding", Some("snappy".to_owned())),
        ("content-type", Some("application/x-protobuf;proto=io.prometheus.write.v2.Request".to_owned())),
        ("x-prometheus-remote-write-version", Some("2.0.0".to_owned())),
        ("user-agent", Some("Prometheus/3.14.0".to_owned())),
        ("retry-attempt", Some("3".to_owned())),
        ("traceparent", Some("00-ab-cd-01".to_owned())),
        ("x-utf8", Some("caf\u{e9}".to_owned())),
        ("content-length", Some("4".to_owned())),
        ("connection", None),
        ("x-private", None),
        ("keep-alive", None),
        ("te", None),
        ("proxy-authorization", None),
        ("upgrade", None),
    ] {
        assert_eq!(seen.header(name).map(str::to_owned), value, "{name}");
    }
    assert_eq!(seen.head.matches("uthorization").count(), 1, "{}", seen.head);

    assert!(got.head.starts_with("HTTP/1.1 429 Slow Down\r\n"), "{}", got.head);
    assert_eq!(got.body, "{\"error\":{}}");
    assert_eq!(got.header("x-prometheus-remote-write-samples-written"), Some("7"));
    assert_eq!(got.header("retry-after"), Some("5"));
    assert_eq!(got.header("access-control-allow-origin"), Some("*"));
    assert_eq!((got.header("keep-alive"), got.header("x-hop"), got.header("connection")), (None, None, None));
}

#[tokio::test]
async fn after_a_401_the_token_is_renewed_and_the_request_repeated() {
    let upstream = Upstream::start([answer("401 Unauthorized", "", "{\"error\":\"expired\"}")]).await;
    let proxy = Setup::default().start(upstream.address).await;
    let got = ask(proxy.address, write("samples")).await;
    assert_eq!(got.status, 204);
    let seen = upstream.requests();
    let tokens: Vec<_> = seen.iter().map(|request| request.header("authorization").unwrap()).collect();
    assert_eq!(tokens, ["Bearer token-1", "Bearer token-2"]);
    assert!(seen.iter().all(|request| request.body == b"samples"));
    // The refused answer was read to its end, so its connection serves on.
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
    let metrics = get(proxy.address, "/metrics").await.body;
    assert!(metrics.contains("remora_sidecar_repeats_total{reason=\"unauthorized\"} 1\n"), "{metrics}");
    assert!(metrics.contains("remora_sidecar_write_requests_total{outcome=\"published\"} 1\n"), "{metrics}");
    assert!(metrics.contains("remora_sidecar_write_requests_total{outcome=\"failed\"} 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_second_401_becomes_503_with_a_reason() {
    let refused = answer("401 Unauthorized", "", "{\"error\":{\"code\":\"InvalidAuthenticationToken\"}}");
    let upstream = Upstream::start([refused.clone(), refused]).await;
    let proxy = Setup::default().start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    client.send(write("samples")).await;
    let got = client.answer().await;
    assert_eq!((got.status, got.header("content-type")), (503, Some("application/json")));
    assert!(
        got.body.contains("\"code\":\"Unauthorized\"") && got.body.contains("InvalidAuthenticationToken"),
        "{}",
        got.body
    );
    assert!(!got.body.contains("token-"), "{}", got.body);
    assert_eq!(upstream.requests().len(), 2);
    // The connection serves on.
    client.send(write("samples")).await;
    assert_eq!(client.answer().await.status, 204);
}

#[tokio::test]
async fn a_401_without_another_token_is_told_as_it_was_and_not_repeated() {
    for (issuer, first, second) in [
        (
            Issuer::Fails { after: 1 },
            "getting a new one failed: counting: no identity here",
            "getting a new one failed",
        ),
        (Issuer::Repeats, "asking for a new one gave the same", "it was renewed a moment ago"),
    ] {
        let refused = answer("401 Unauthorized", "", "expired");
        let upstream = Upstream::start([refused.clone(), refused]).await;
        let proxy = Setup { issuer, ..Setup::default() }.start(upstream.address).await;
        for (told, requests) in [(first, 1), (second, 2)] {
            let got = ask(proxy.address, write("samples")).await;
            assert_eq!(got.status, 503, "{issuer:?}");
            assert!(got.body.contains(told) && !got.body.contains("a new one too"), "{issuer:?}: {}", got.body);
            assert!(got.body.contains("\"code\":\"Unauthorized\"") && got.body.contains("expired"), "{}", got.body);
            assert_eq!(upstream.requests().len(), requests, "{issuer:?}: the same token was sent again");
        }
        let metrics = get(proxy.address, "/metrics").await.body;
        assert!(metrics.contains("remora_sidecar_repeats_total{reason=\"unauthorized\"} 0\n"), "{metrics}");
    }
}

#[tokio::test]
async fn a_body_too_large_to_keep_streams_through_and_its_401_is_503() {
    let upstream = Upstream::start([ok(), answer("401 Unauthorized", "", "")]).await;
    let limits = Limits { kept_body_bytes_max: 1000, ..Limits::default() };
    let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
    let body = "0123456789".repeat(50_000);
    assert_eq!(ask(proxy.address, write(&body)).await.status, 204);
    let seen = upstream.requests().remove(0);
    assert_eq!((seen.body.len(), seen.header("content-length")), (500_000, Some("500000")));
    assert!(seen.body == body.as_bytes());

    let got = ask(proxy.address, write(&body)).await;
    assert_eq!(got.status, 503);
    assert!(got.body.contains("too large to keep"), "{}", got.body);
    // The next request goes out with a new token.
    assert_eq!(ask(proxy.address, write(&body)).await.status, 204);
    assert_eq!(upstream.requests()[2].header("authorization"), Some("Bearer token-2"));
}

#[tokio::test]
async fn chunked_bodies_arrive_whole_or_stream() {
    let upstream = Upstream::start([]).await;
    let limits = Limits { kept_body_bytes_max: 1000, ..Limits::default() };
    let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = Client::connect(proxy.address).await;
    client.send(format!("{head}4;ext=1\r\nabcd\r\n3\r\nefg\r\n0\r\nTrailer: x\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 204);
    let chunk = format!("{:x}\r\n{}\r\n", 700, "y".repeat(700));
    client.send(format!("{head}{}0\r\n\r\n", chunk.repeat(20))).await;
    assert_eq!(client.answer().await.status, 204);
    let seen = upstream.requests();
    assert_eq!((seen[0].body.as_slice(), seen[0].header("content-length")), (&b"abcdefg"[..], Some("7")));
    assert_eq!(seen[0].header("transfer-encoding"), None);
    assert_eq!((seen[1].body.len(), seen[1].header("transfer-encoding")), (14_000, Some("chunked")));
    assert_eq!(seen[1].header("content-length"), None);
}

#[tokio::test]
async fn an_unreachable_upstream_is_503_and_named() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Setup::default().start(closed).await;
    let mut client = Client::connect(proxy.address).await;
    for _ in 0..2 {
        client.send(write("samples")).await;
        let got = client.answer().await;
        assert_eq!(got.status, 503);
        assert!(got.body.contains("UpstreamUnreachable") && got.body.contains(&closed.to_string()), "{}", got.body);
    }
}

#[tokio::test]
async fn a_slow_upstream_is_503_in_time() {
    let upstream = Upstream::start([Step::Hang]).await;
    let limits = Limits { answer_timeout: Duration::from_millis(200), ..Limits::default() };
    let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
    let got = ask(proxy.address, write("samples")).await;
    assert_eq!(got.status, 503);
    assert!(got.body.contains("UpstreamTimeout"), "{}", got.body);
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced() {
    // The first connection answers once; on its second request it closes without a word.
    let upstream = Upstream::start([ok(), Step::Close]).await;
    let proxy = Setup::default().start(upstream.address).await;
    assert_eq!(ask(proxy.address, write("one")).await.status, 204);
    assert_eq!(ask(proxy.address, write("two")).await.status, 204);
    let seen: Vec<_> = upstream.requests().iter().map(|request| (request.connection, request.body.clone())).collect();
    assert_eq!(seen, [(0, b"one".to_vec()), (0, b"two".to_vec()), (1, b"two".to_vec())]);
}

#[tokio::test]
async fn a_kept_connection_seen_closed_is_not_used() {
    let upstream = Upstream::start([Step::AnswerAndClose("HTTP/1.1 204 No Content\r\n\r\n".to_owned())]).await;
    let proxy = Setup::default().start(upstream.address).await;
    assert_eq!(ask(proxy.address, write("one")).await.status, 204);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(ask(proxy.address, write("two")).await.status, 204);
    assert_eq!(upstream.requests().len(), 2);
    let metrics = get(proxy.address, "/metrics").await.body;
    assert!(metrics.contains("remora_sidecar_repeats_total{reason=\"closed_connection\"} 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_not_retried() {
    let upstream = Upstream::start([Step::Close]).await;
    let proxy = Setup::default().start(upstream.address).await;
    let got = ask(proxy.address, write("one")).await;
    assert_eq!(got.status, 503);
    assert!(got.body.contains("closed without an answer"), "{}", got.body);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn an_upstream_that_talks_nonsense_is_503() {
    for nonsense in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 2x4 No\r\n\r\n", "HTTP/1.1 204 No\nX: y\n\n"] {
        let upstream = Upstream::start([Step::AnswerAndClose(nonsense.to_owned())]).await;
        let proxy = Setup::default().start(upstream.address).await;
        let got = ask(proxy.address, write("one")).await;
        assert_eq!(got.status, 503, "{nonsense:?}");
        assert!(got.body.contains("UpstreamInvalidAnswer"), "{}", got.body);
    }
}

#[tokio::test]
async fn without_a_token_a_write_is_503_with_the_reason() {
    let upstream = Upstream::start([]).await;
    let proxy = Setup { issuer: Issuer::Fails { after: 0 }, ..Setup::default() }.start(upstream.address).await;
    let got = ask(proxy.address, write("one")).await;
    assert_eq!(got.status, 503);
    assert!(got.body.contains("AuthenticationTokenNotFound") && got.body.contains("no identity here"), "{}", got.body);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn an_early_answer_reaches_the_sender() {
    let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig".to_owned();
    for kept_body_bytes_max in [1000, 64 << 20] {
        let upstream = Upstream::start([Step::AnswerEarly(early.clone())]).await;
        let limits = Limits { kept_body_bytes_max, ..Limits::default() };
        let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
        // More than the sockets' buffers hold, so that it cannot be sent whole.
        let body = "x".repeat(30 << 20);
        let mut client = Client::connect(proxy.address).await;
        let (mut reading, mut writing) = client.stream.split();
        let sent = async {
            use tokio::io::AsyncWriteExt as _;
            let _ = writing.write_all(write(&body).as_bytes()).await;
        };
        let answered = async {
            use tokio::io::AsyncReadExt as _;
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"big") {
                assert!(reading.read_buf(&mut bytes).await.unwrap() > 0, "{bytes:?}");
            }
            String::from_utf8(bytes).unwrap()
        };
        let got = tokio::select! {
            got = async { tokio::join!(sent, answered).1 } => got,
            () = tokio::time::sleep(Duration::from_secs(8)) => panic!("no answer"),
        };
        assert!(got.starts_with("HTTP/1.1 413 Content Too Large\r\n"), "{got}");
    }
}

#[tokio::test]
async fn bodies_beyond_the_bound_are_413() {
    let upstream = Upstream::start([]).await;
    let limits = Limits { kept_body_bytes_max: 100, body_bytes_max: 1000, ..Limits::default() };
    let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
    assert_eq!(ask(proxy.address, write(&"x".repeat(1001))).await.status, 413);
    let chunk = format!("{:x}\r\n{}\r\n", 700, "y".repeat(700));
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(ask(proxy.address, format!("{head}{}0\r\n\r\n", chunk.repeat(3))).await.status, 413);
    assert_eq!(ask(proxy.address, write(&"x".repeat(1000))).await.status, 204);
}

#[tokio::test]
async fn when_memory_for_kept_bodies_is_short_they_stream() {
    let upstream = Upstream::start([]).await;
    let limits = Limits { kept_bytes_total_max: 10, ..Limits::default() };
    let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
    assert_eq!(ask(proxy.address, write(&"x".repeat(5000))).await.status, 204);
    assert_eq!(upstream.requests()[0].body.len(), 5000);
    let metrics = get(proxy.address, "/metrics").await.body;
    assert!(metrics.contains("remora_sidecar_limited_total{limit=\"kept_bytes\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn answers_come_through_whatever_their_framing() {
    let upstream = Upstream::start([
        Step::Answer("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n".to_owned()),
        Step::AnswerAndClose("HTTP/1.1 200 OK\r\n\r\nuntil the end".to_owned()),
        Step::AnswerAndClose("HTTP/1.0 200\r\nContent-Length: 3\r\n\r\nold".to_owned()),
    ])
    .await;
    let proxy = Setup::default().start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    for expected in ["abcde", "until the end", "old"] {
        client.send(write("x")).await;
        let got = client.answer().await;
        assert_eq!((got.status, got.body.as_str()), (200, expected), "{}", got.head);
    }
}

#[tokio::test]
async fn an_answer_cut_off_is_not_made_whole() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_owned();
    let upstream = Upstream::start([Step::AnswerAndClose(cut)]).await;
    let proxy = Setup::default().start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    client.send(write("x")).await;
    assert!(client.try_answer().await.is_none());
}

#[tokio::test]
async fn at_the_end_requests_under_way_finish_and_resting_connections_close() {
    let upstream = Upstream::start([ok(), Step::Hang]).await;
    let limits = Limits { answer_timeout: Duration::from_millis(600), ..Limits::default() };
    let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
    let mut resting = Client::connect(proxy.address).await;
    resting.send(write("x")).await;
    assert_eq!(resting.answer().await.header("connection"), None);
    let mut busy = Client::connect(proxy.address).await;
    busy.send(write("y")).await;
    while upstream.requests().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy.stop.send(()).unwrap();
    assert!(resting.is_closed().await);
    let got = busy.answer().await;
    assert_eq!((got.status, got.header("connection")), (503, Some("close")));
    assert!(busy.is_closed().await);
    proxy.served.await.unwrap();
    assert!(tokio::net::TcpStream::connect(proxy.address).await.is_err());
}

/// Stops `proxy` and says how long it took to end.
async fn stop(proxy: Running) -> Duration {
    let begun = tokio::time::Instant::now();
    proxy.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(15), proxy.served).await.expect("it ends").unwrap();
    begun.elapsed()
}

#[tokio::test]
async fn at_the_end_half_a_head_gets_a_short_grace() {
    let upstream = Upstream::start([]).await;
    let limits = Limits { drain_head_timeout: Duration::from_millis(300), ..Limits::default() };
    let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
    let address = proxy.address;
    let mut abandoned = Client::connect(address).await;
    abandoned.send("GET /hea").await;
    let mut late = Client::connect(address).await;
    let request = write("samples");
    late.send(&request[..20]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let stopping = tokio::spawn(stop(proxy));
    tokio::time::sleep(Duration::from_millis(50)).await;
    // The rest comes in time.
    late.send(&request[20..]).await;
    let got = late.answer().await;
    assert_eq!((got.status, got.header("connection")), (204, Some("close")));
    assert!(abandoned.is_closed().await);
    let took = stopping.await.unwrap();
    assert!((Duration::from_millis(250)..Duration::from_secs(2)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn at_the_end_half_a_body_gets_a_bounded_grace() {
    let mut cases = tokio::task::JoinSet::new();
    for (kept_body_bytes_max, framing) in
        [(1 << 20, "Content-Length: 100"), (10, "Content-Length: 100"), (10, "Transfer-Encoding: chunked")]
    {
        for (path, status, code) in [("write", 503, "Stopping"), ("nothing", 404, "NotFound")] {
            cases.spawn(async move {
                let upstream = Upstream::start([]).await;
                let drain_body_timeout = Duration::from_millis(300);
                let limits = Limits { kept_body_bytes_max, drain_body_timeout, ..Limits::default() };
                let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
                let mut client = Client::connect(proxy.address).await;
                let body = if framing.starts_with('T') { "20\r\nabc" } else { "abc" };
                client.send(format!("POST /api/v1/{path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}")).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                let took = stop(proxy).await;
                let allowed = Duration::from_millis(250)..Duration::from_secs(4);
                assert!(allowed.contains(&took), "{framing} {path}: {took:?}");
                // A sender sends again what 503 answers.
                let got = client.answer().await;
                assert_eq!(got.status, status, "{framing}: {}", got.body);
                assert!(got.body.contains(code), "{framing}: {}", got.body);
                assert!(client.is_closed().await, "{framing} {path}");
            });
        }
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

#[tokio::test]
async fn a_sender_that_hangs_up_frees_its_place_at_once() {
    let early = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc".to_owned();
    // The second is gone after it was answered, if not to the end.
    for (step, code) in [(Step::Hang, 499), (Step::AnswerEarly(early), 200)] {
        let limits = Limits { answer_timeout: Duration::from_secs(30), ..Limits::default() };
        let upstream = Upstream::start([step]).await;
        let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
        let mut client = Client::connect(proxy.address).await;
        client.send(write("samples")).await;
        while upstream.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(client);
        let metrics = async || get(proxy.address, "/metrics").await.body;
        let mut left = 100;
        // The one that asks.
        while !metrics().await.contains("remora_sidecar_connections 1\n") {
            left -= 1;
            assert!(left > 0, "its place is still taken");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let metrics = metrics().await;
        assert!(metrics.contains(&format!("remora_sidecar_write_answers_total{{code=\"{code}\"}} 1\n")), "{metrics}");
        let took = stop(proxy).await;
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

#[tokio::test]
async fn a_sender_that_sends_ahead_has_not_hung_up() {
    let slow = Limits { answer_timeout: Duration::from_millis(300), ..Limits::default() };
    let upstream = Upstream::start([Step::Hang]).await;
    let proxy = Setup { limits: slow, ..Setup::default() }.start(upstream.address).await;
    let mut client = Client::connect(proxy.address).await;
    client.send(write("one")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.send(write("two")).await;
    assert_eq!(client.answer().await.status, 503);
    assert_eq!(client.answer().await.status, 204);
}
