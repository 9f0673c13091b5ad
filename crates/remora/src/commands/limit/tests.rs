use http::HeaderValue;
use serde_json::{Value, json};

use super::super::test_support::{ok, refusal, run};

const ID: &str = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/remora/providers/Microsoft.Monitor/accounts/fleet";

fn service(_: &str, target: &str, body: Value) -> environment::Response {
    let path = target.split('?').next().unwrap();
    match path.strip_prefix(ID) {
        Some("") => ok(&json!({"id": ID, "name": "fleet"})),
        Some("/metricsContainers/default") if body.is_null() => {
            let limits = json!({"maxActiveTimeSeries": 1_000_000, "maxEventsPerMinute": 1_000_000});
            let mut answer = ok(&json!({"properties": {"limits": limits, "version": "1.0"}, "systemData": {}}));
            answer.headers_mut().insert("etag", HeaderValue::from_static("\"e-7\""));
            answer
        }
        Some("/metricsContainers/default") => ok(&body),
        Some("/usages") => ok(&json!({"value": [
            {"name": {"value": "ActiveTimeSeries"}, "currentValue": 5, "limit": 2_000_000},
        ]})),
        _ => refusal(404, "ResourceNotFound", "not there"),
    }
}

#[test]
fn a_limit_is_raised_and_the_other_stays() {
    let outcome = run("limit update fleet --active-series 2M", service);
    outcome.result.unwrap_or_else(|error| panic!("{error}"));
    let put = outcome.requests.iter().position(|request| request.starts_with("PUT")).unwrap();
    let limits = json!({"maxActiveTimeSeries": 2_000_000, "maxEventsPerMinute": 1_000_000});
    assert_eq!(outcome.bodies[put], json!({"properties": {"limits": limits}}));
    assert!(outcome.written.out().contains("2,000,000"), "{}", outcome.written.out());
}

#[test]
fn limits_are_listed_with_their_resource() {
    let outcome = run(&format!("limit show {ID} --json"), service);
    let printed: Value = serde_json::from_str(&outcome.written.out()).unwrap();
    assert_eq!((&printed[0]["resource"], &printed[0]["limit"]), (&json!(ID), &json!(2_000_000)));
}
