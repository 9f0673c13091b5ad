use serde_json::{Value, json};

use super::super::test_support::{SUBSCRIPTION, ok, refusal, run};

const PRINCIPAL: &str = "22222222-2222-2222-2222-222222222222";

fn service(_: &str, target: &str, _: Value) -> environment::Response {
    let path = target.split('?').next().unwrap();
    match path {
        "/metadata/endpoints" => ok(&json!({"microsoftGraphResourceId": "https://graph.test/"})),
        "/v1.0/directoryObjects/getByIds" => ok(&json!({"value": [{"id": PRINCIPAL, "displayName": "writer"}]})),
        _ => ok(&json!({"value": [
            {"eventTimestamp": "2026-01-02T03:04:05.678Z", "caller": PRINCIPAL, "operationName": {"value": "A/write"},
             "resourceId": "/a", "httpRequest": {"clientIpAddress": "10.0.0.1"}, "eventDataId": "7"},
            {"eventTimestamp": "2026-01-02T03:04:04.678Z", "caller": "settings", "operationName": {"value": "B/write"},
             "resourceId": "/b", "httpRequest": {"clientIpAddress": null}, "eventDataId": "6"},
        ], "nextLink": "/more"})),
    }
}

#[test]
fn who_did_what_when_from_where() {
    let outcome = run("audit --since 1h --resource /a -n 2", service);
    let out = outcome.written.out();
    let rows: Vec<Vec<&str>> = out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["2026-01-02T03:04:05Z", "writer", "10.0.0.1", "A/write", "/a"]);
    assert_eq!(rows[1], ["2026-01-02T03:04:04Z", "settings", "B/write", "/b"]);
    let log = "GET /providers/Microsoft.Insights/eventtypes/management/values?$filter=";
    let filter = "eventTimestamp%20ge%20%272023-11-14T21%3A13%3A20Z%27%20and%20resourceUri%20eq%20%27%2Fa%27";
    assert_eq!(outcome.requests[0], format!("{log}{filter}&api-version=2015-04-01"));
}

#[test]
fn who_may_not_see_all_sees_the_subscription() {
    let own = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Insights");
    let outcome = run("audit -n 1 -q", move |method, target, body| match target.starts_with("/providers") {
        true => refusal(403, "AuthorizationFailed", "not for you"),
        false => {
            assert!(target.starts_with(&own), "{target}");
            service(method, target, body)
        }
    });
    assert_eq!(outcome.written.out(), "7\n");
}
