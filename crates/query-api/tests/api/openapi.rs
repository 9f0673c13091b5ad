//! Answers are as Prometheus' description of its API says (`tests/openapi`).

use serde_json::{Value, json};

use crate::answers::richer;
use crate::support::{Api, OWNER, READER};

/// Calls, each with the path that describes it. With a form they are POSTs, otherwise GETs.
/// Texts as results are left out: the description has their time as a text, where Prometheus writes a number.
const CALLS: [(&str, &str, Option<&str>); 44] = [
    ("/query", "query?query=up&time=20", None),
    ("/query", "query?query=up&time=20&stats=all", None),
    ("/query", "query?query=1", None),
    ("/query", "query?query=up%5B1m%5D&time=20", None),
    ("/query", "query?query=h&time=10", None),
    ("/query", "query?query=h%5B1m%5D&time=10", None),
    ("/query", "query?query=c&time=0", None),
    ("/query", "query?query=rate(up%5B1m%5D)&time=20", None),
    ("/query", "query", Some("query=up&time=20&limit=1")),
    ("/query", "query?query=up%7B", None),
    ("/query", "query?query=up&time=x", None),
    ("/query_range", "query_range?query=up&start=0&end=20&step=10", None),
    ("/query_range", "query_range?query=h&start=0&end=20&step=10&stats=true", None),
    ("/query_range", "query_range?query=1&start=0&end=20&step=10", None),
    ("/query_range", "query_range", Some("query=odd&start=0&end=20&step=10&limit=1")),
    ("/query_range", "query_range?query=up", None),
    ("/query_exemplars", "query_exemplars?query=up", None),
    ("/query_exemplars", "query_exemplars", Some("query=up")),
    ("/query_exemplars", "query_exemplars?query=(", None),
    ("/format_query", "format_query?query=up", None),
    ("/format_query", "format_query", Some("query=up")),
    ("/parse_query", "parse_query?query=sum(up)", None),
    ("/parse_query", "parse_query", Some("query=sum(up)")),
    ("/labels", "labels", None),
    ("/labels", "labels", Some("match[]=up&limit=1")),
    ("/labels", "labels?start=x", None),
    ("/label/{name}/values", "label/job/values?limit=1", None),
    ("/label/{name}/values", "label//values", None),
    ("/series", "series?match[]=up&limit=1", None),
    ("/series", "series", Some("match[]=up")),
    ("/series", "series", None),
    ("/metadata", "metadata", None),
    ("/scrape_pools", "scrape_pools", None),
    ("/targets", "targets", None),
    ("/targets/metadata", "targets/metadata", None),
    ("/rules", "rules", None),
    ("/alerts", "alerts", None),
    ("/alertmanagers", "alertmanagers", None),
    ("/status/config", "status/config", None),
    ("/status/runtimeinfo", "status/runtimeinfo", None),
    ("/status/buildinfo", "status/buildinfo", None),
    ("/status/flags", "status/flags", None),
    ("/status/tsdb", "status/tsdb", None),
    ("/features", "features", None),
];

/// Described, and not served: what belongs to the scraping Prometheus, what is written elsewhere, and what is its own.
const NOT_SERVED: [&str; 12] = [
    "/search/metric_names",
    "/search/label_names",
    "/search/label_values",
    "/scrape_pools/config",
    "/targets/relabel_steps",
    "/status/tsdb/blocks",
    "/status/walreplay",
    "/status/self_metrics",
    "/write",
    "/otlp/v1/metrics",
    "/notifications/live",
    "/openapi.yaml",
];

/// Served, and no JSON or not by these calls: tested elsewhere.
const ELSEWHERE: [&str; 5] =
    ["/read", "/notifications", "/admin/tsdb/delete_series", "/admin/tsdb/clean_tombstones", "/admin/tsdb/snapshot"];

fn description() -> Value {
    serde_saphyr::from_str(include_str!("../openapi/openapi_3.1_golden.yaml")).unwrap()
}

/// What is wrong with an answer, by the description of its path.
fn complaints(description: &Value, path: &str, method: &str, status: u16, body: &str) -> Vec<String> {
    let responses = &description["paths"][path][method]["responses"];
    let response = match responses.get(status.to_string()) {
        Some(response) => response,
        None => &responses["default"],
    };
    let schema = &response["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {path} {status} is not described");
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema],
        "components": description["components"],
    });
    let validator = jsonschema::validator_for(&root).unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    validator.iter_errors(&body).map(|error| error.to_string()).collect()
}

#[tokio::test]
async fn answers_are_as_described() {
    let api = Api::start();
    richer(&api).await;
    let description = description();
    for (path, call, form) in CALLS {
        let url = format!("/workspaces/eu/api/v1/{call}").replace("[]", "%5B%5D");
        let (method, (status, body)) = match form {
            Some(form) => ("post", api.post(READER, &url, form).await),
            None => ("get", api.get(READER, None, &url).await),
        };
        let complaints = complaints(&description, path, method, status, &body);
        assert!(complaints.is_empty(), "{method} {call}: {status} {body}\n{}", complaints.join("\n"));
    }
    let (status, body) = api.ask("POST", OWNER, None, "/workspaces/eu/api/v1/admin/tsdb/snapshot").await;
    assert_eq!(complaints(&description, "/admin/tsdb/snapshot", "post", status, &body), [""; 0]);
    let (status, body) = api.get(READER, None, "/workspaces/eu/api/v1/notifications").await;
    assert_eq!(complaints(&description, "/notifications", "get", status, &body), [""; 0]);
}

#[test]
fn a_wrong_answer_would_be_found() {
    let description = description();
    for (path, body) in [
        ("/query", r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1",2]}]}}"#),
        ("/labels", r#"{"status":"success","data":[1]}"#),
        ("/status/tsdb", r#"{"status":"success","data":{}}"#),
        ("/series", r#"{"status":"error","errorType":"bad_data"}"#),
    ] {
        assert!(!complaints(&description, path, "get", 200, body).is_empty(), "{path}: {body}");
    }
}

#[tokio::test]
async fn every_path_that_is_described_is_served_or_known_not_to_be() {
    let api = Api::start();
    for path in description()["paths"].as_object().unwrap().keys() {
        let known = CALLS.iter().any(|(known, ..)| known == path) || ELSEWHERE.contains(&path.as_str());
        assert_eq!(known, !NOT_SERVED.contains(&path.as_str()), "{path}");
        if !known {
            let (status, _) = api.get(READER, None, &format!("/workspaces/eu/api/v1{path}")).await;
            assert_eq!(status, 404, "{path}");
        }
    }
}
