//! `/health`, `/ready`, `/status`, `/metrics`.

use crate::support::{Issuer, Setup, Step, Upstream, ask, get, write};

#[tokio::test]
async fn readiness_follows_the_token_and_liveness_follows_nothing() {
    let upstream = Upstream::start([]).await;
    let failing = Setup { issuer: Issuer::Fails { after: 0 }, ..Setup::default() }.start(upstream.address).await;
    let ready = get(failing.address, "/ready").await;
    assert_eq!((ready.status, ready.header("content-type")), (503, Some("application/json")));
    assert!(ready.body.contains("\"code\":\"AuthenticationTokenNotFound\""), "{}", ready.body);
    assert_eq!(ask(failing.address, write("x")).await.status, 503);
    let ready = get(failing.address, "/ready").await.body;
    assert!(ready.contains("there is no unexpired token (refused"), "{ready}");
    let health = get(failing.address, "/health").await;
    assert_eq!((health.status, health.body.as_str()), (200, ""));

    let working = Setup::default().start(upstream.address).await;
    assert_eq!(get(working.address, "/ready").await.status, 503);
    assert_eq!(ask(working.address, write("x")).await.status, 204);
    assert_eq!(get(working.address, "/ready").await.status, 200);
}

#[tokio::test]
async fn status_tells_what_happened_and_no_secret() {
    let failure = "HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nno role".to_owned();
    let upstream = Upstream::start([Step::Answer(failure)]).await;
    let query = Some((format!("http://{}/q", upstream.address), false));
    let proxy = Setup { query, ..Setup::default() }.start(upstream.address).await;
    assert_eq!(ask(proxy.address, write("x")).await.status, 403);
    assert_eq!(ask(proxy.address, write("yy")).await.status, 204);
    let page = get(proxy.address, "/status").await;
    assert!(!page.body.contains("token-1"), "{}", page.body);
    let status: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(status["version"], "1.2.3");
    assert!(status["uptime_seconds"].is_u64());
    assert_eq!(status["ingestion"]["host"], upstream.address.to_string());
    assert_eq!(status["ingestion"]["token"]["usable"], true);
    assert_eq!(status["query"]["token"]["usable"], false);
    assert_eq!(status["write_requests"]["published"], 1);
    assert_eq!(status["write_requests"]["failed"], 1);
    assert_eq!(status["write_requests"]["answers"]["403"], 1);
    assert_eq!(status["write_requests"]["body_bytes"], 3);
    assert_eq!(status["last_failure"]["status"], 403);
    assert_eq!(status["last_failure"]["reason"], "UpstreamAnswer");
    assert!(status["last_failure"]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{}", page.body);
}

/// These pages are for everyone who can connect.
#[tokio::test]
async fn pages_tell_classes_of_reasons_and_no_text_of_others() {
    let text = "no role on dcr-0123 for 66666666-7777-8888-9999-000000000000 {job=\"a\"}";
    let failure = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    let upstream = Upstream::start([Step::Answer(failure)]).await;
    let proxy = Setup::default().start(upstream.address).await;
    assert_eq!(ask(proxy.address, write("x")).await.body, text, "the sender still gets it all");
    let failing = Setup { issuer: Issuer::Fails { after: 0 }, ..Setup::default() }.start(upstream.address).await;
    let refused = ask(failing.address, write("x")).await;
    assert!(refused.status == 503 && refused.body.contains("no identity here"), "{}", refused.body);
    for address in [proxy.address, failing.address] {
        for path in ["/status", "/metrics", "/ready"] {
            let page = get(address, path).await.body;
            for told in ["no role", "dcr-", "66666666", "job", "no identity here", "counting 66666666"] {
                assert!(!page.contains(told), "{path} tells {told:?}: {page}");
            }
        }
    }
    let status: serde_json::Value = serde_json::from_str(&get(failing.address, "/status").await.body).unwrap();
    assert_eq!(status["last_failure"]["status"], 503);
    assert_eq!(status["last_failure"]["reason"], "AuthenticationTokenNotFound");
    let token = &status["ingestion"]["token"];
    assert_eq!((&token["credential"], &token["last_error"]["reason"]), (&"counting".into(), &"refused".into()));
    assert_eq!(token["last_error"]["status"], serde_json::Value::Null);
}

#[tokio::test]
async fn metrics_are_openmetrics() {
    let upstream = Upstream::start([]).await;
    let proxy = Setup::default().start(upstream.address).await;
    assert_eq!(ask(proxy.address, write("xyz")).await.status, 204);
    let page = get(proxy.address, "/metrics").await;
    assert!(page.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(page.body.ends_with("# EOF\n"));
    let mut families = std::collections::HashSet::new();
    let mut current = String::new();
    for line in page.body.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            current = rest.split(' ').next().unwrap().to_owned();
            assert!(families.insert(current.clone()), "{current} comes twice");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(series.starts_with(&current), "{series} outside of its family");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    for line in [
        "remora_sidecar_build_info{version=\"1.2.3\"} 1",
        "remora_sidecar_write_answers_total{code=\"204\"} 1",
        "remora_sidecar_write_body_bytes_total 3",
        "remora_sidecar_write_duration_seconds_count 1",
        "remora_sidecar_token_usable{target=\"ingestion\"} 1",
        "remora_sidecar_upstream_connections_total 1",
    ] {
        assert!(page.body.lines().any(|found| found == line), "{line} is missing in\n{}", page.body);
    }
}
