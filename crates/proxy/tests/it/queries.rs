//! The query passthrough: who may ask, what goes out, what comes back.

use crate::support::{Setup, Step, Upstream, ask, get, write};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nAccess-Control-Allow-Origin: *\r\naccess-control-expose-headers: Date\r\nX-Kept: 1\r\nContent-Length: 20\r\n\r\n{\"status\":\"success\"}";

async fn with_query(upstream: &Upstream, allow_remote: bool) -> crate::support::Running {
    let query = Some((format!("http://{}/workspaces/default/", upstream.address), allow_remote));
    // Writes go where nothing listens: no query may end there.
    Setup { query, ingestion_url: Some("http://127.0.0.1:9/w".to_owned()), ..Setup::default() }
        .start(upstream.address)
        .await
}

#[tokio::test]
async fn a_query_goes_out_with_its_own_token_and_nothing_of_a_browser() {
    let upstream = Upstream::start([Step::Answer(ANSWER.to_owned()), Step::Answer(ANSWER.to_owned())]).await;
    let proxy = with_query(&upstream, false).await;
    let got = ask(
        proxy.address,
        "GET /api/v1/query?query=up%7Bjob%3D%22a%22%7D&time=1 HTTP/1.1\r\nHost: localhost:8081\r\nCookie: session=1\r\n\
         Origin: http://localhost:8081\r\nReferer: http://x/\r\nAuthorization: Basic abc\r\nAccept-Encoding: gzip\r\n\r\n",
    )
    .await;
    assert_eq!((got.status, got.body.as_str(), got.header("x-kept")), (200, "{\"status\":\"success\"}", Some("1")));
    assert!(!got.head.to_ascii_lowercase().contains("access-control"), "{}", got.head);
    let seen = upstream.requests().remove(0);
    let line = "GET /workspaces/default/api/v1/query?query=up%7Bjob%3D%22a%22%7D&time=1 HTTP/1.1\r\n";
    assert!(seen.head.starts_with(line), "{}", seen.head);
    assert_eq!(seen.header("authorization"), Some("Bearer token-1"));
    assert_eq!(seen.header("accept-encoding"), Some("gzip"));
    for name in ["cookie", "origin", "referer", "content-length"] {
        assert_eq!(seen.header(name), None, "{name}");
    }

    let form = "POST /api/v1/query_range HTTP/1.1\r\nHost: [::1]:8081\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\nquery=up";
    assert_eq!(ask(proxy.address, form).await.status, 200);
    assert_eq!(upstream.requests()[1].body, b"query=up");
}

#[tokio::test]
async fn who_may_not_ask() {
    let upstream = Upstream::start([]).await;
    let proxy = with_query(&upstream, false).await;
    for (request, host, status) in [
        ("GET /api/v1/query?query=up", "attacker.example", 403),
        ("GET /api/v1/query?query=up", "127.0.0.1.attacker.example:8081", 403),
        ("GET /api/v1/query?query=up", "localhost.attacker.example", 403),
        ("GET /api/v1/query?query=up", "192.168.0.1", 403),
        ("GET /api/v1/query?query=up", "", 403),
        ("GET http://attacker.example/api/v1/query?query=up", "localhost", 403),
        ("DELETE /api/v1/admin/tsdb/x", "localhost", 405),
        ("OPTIONS /api/v1/query", "localhost", 405),
        ("GET /api/v1/../../admin", "localhost", 400),
        ("GET /api/v1/%2e%2E/admin", "localhost", 400),
        ("GET /api/v2/query", "localhost", 404),
    ] {
        let got = ask(proxy.address, format!("{request} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(got.status, status, "{request} to {host:?}: {}", got.body);
        // What is below /api/v1/ is told in the form that clients of the query API read.
        if status != 404 {
            let body: serde_json::Value = serde_json::from_str(&got.body).unwrap();
            assert_eq!((&body["status"], &body["errorType"]), (&"error".into(), &"bad_data".into()), "{}", got.body);
            assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{}", got.body);
        }
    }
    assert!(upstream.requests().is_empty());
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1:8081", "127.1.2.3", "[::1]"] {
        let got = ask(proxy.address, format!("GET /api/v1/labels HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(got.status, 204, "{host}");
    }
}

#[tokio::test]
async fn a_failed_query_is_told_in_the_form_of_the_query_api() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let query = Some((format!("http://{closed}"), true));
    let proxy = Setup { query, ..Setup::default() }.start(closed).await;
    let got = get(proxy.address, "/api/v1/query?query=up").await;
    assert_eq!(got.status, 503);
    assert!(
        got.body.contains("\"status\":\"error\"") && got.body.contains("\"errorType\":\"unavailable\""),
        "{}",
        got.body
    );
}

#[tokio::test]
async fn writes_and_queries_do_not_mix() {
    let upstream = Upstream::start([]).await;
    let proxy = with_query(&upstream, false).await;
    assert_eq!(ask(proxy.address, write("x")).await.status, 503);
    assert_eq!(get(proxy.address, "/api/v1/write").await.status, 405);
    assert!(upstream.requests().is_empty());
}
