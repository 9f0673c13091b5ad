use serde_json::{Value, json};
use testkit::{json_response, response};

use super::super::test_support::{SUBSCRIPTION, ok, refusal, run};

const ID: &str = "/subscriptions/11111111-1111-1111-1111-111111111111/resourcegroups/remora/providers/microsoft.monitor/accounts/fleet";

fn fleet() -> Value {
    json!({
        "id": ID,
        "name": "fleet",
        "location": "local",
        "tags": {"team": "a"},
        "etag": "\"e-1\"",
        "properties": {
            "accountId": "a-1",
            "remora": {"profile": "strict", "handle": "fleet"},
            "publicNetworkAccess": "Enabled",
            "metrics": {"prometheusQueryEndpoint": "https://remora.test/workspaces/fleet"},
            "defaultIngestionSettings": {
                "dataCollectionRuleImmutableId": "dcr-1",
                "ingestionEndpoints": {"metrics": "https://remora.test"},
            },
        },
    })
}

#[test]
fn lists_are_tables_json_or_names() {
    let list = |_: &str, target: &str, _: Value| {
        assert!(
            target.starts_with(&format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Monitor/accounts?")),
            "{target}"
        );
        ok(&json!({"value": [fleet()]}))
    };
    let table = run("workspace list", list).written.out();
    let cells: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(cells, ["fleet", "remora", "strict", "a-1", "https://remora.test/workspaces/fleet"]);
    let json: Value = serde_json::from_str(&run("workspace list --json", list).written.out()).unwrap();
    assert_eq!(json, json!([fleet()]));
    assert_eq!(run("workspace list -q", list).written.out(), "fleet\n");
    let empty = run("workspace list", |_, _, _| ok(&json!({"value": []})));
    assert_eq!((empty.written.out().as_str(), empty.written.notes().as_str()), ("", "there is none\n"));
}

#[test]
fn a_group_narrows_lists() {
    let outcome = run("workspace list -g eu", |_, _, _| ok(&json!({"value": []})));
    assert!(
        outcome.requests[0].contains("/resourceGroups/eu/providers/Microsoft.Monitor/accounts?"),
        "{:?}",
        outcome.requests
    );
}

#[test]
fn creating_shows_where_to_write_and_query() {
    let outcome = run("workspace create fleet --profile azure --tag team=a", |method, target, _| match method {
        "GET" if target.contains("/resourcegroups/remora?") => ok(&json!({"location": "north"})),
        "PUT" => json_response(201, fleet().to_string()),
        _ => panic!("{method} {target}"),
    });
    outcome.result.unwrap();
    assert_eq!(
        outcome.bodies[1],
        json!({"location": "north", "tags": {"team": "a"}, "properties": {"remora": {"profile": "azure"}}})
    );
    let out = outcome.written.out();
    assert!(out.contains("https://remora.test/workspaces/fleet\n"), "{out}");
    assert!(
        out.contains("https://remora.test/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version="),
        "{out}"
    );
    assert!(outcome.written.notes().contains("remora role create"), "{}", outcome.written.notes());
}

#[test]
fn what_exists_is_not_made_again() {
    let outcome = run("workspace create fleet", |method, _, _| match method {
        "GET" => ok(&json!({"location": "north"})),
        _ => refusal(412, "PreconditionFailed", "it exists"),
    });
    let error = outcome.result.unwrap_err().to_string();
    assert!(error.contains("exists already") && error.contains("remora workspace update"), "{error}");
}

#[test]
fn updates_change_what_is_named_and_nothing_else() {
    let outcome =
        run("workspace update fleet --profile azure --tag new=b --remove-tag team", |method, _, body| match method {
            "GET" => ok(&fleet()),
            _ => ok(&body),
        });
    outcome.result.unwrap();
    let mut expected = fleet();
    expected["tags"] = json!({"new": "b"});
    expected["properties"]["remora"]["profile"] = json!("azure");
    assert_eq!(outcome.bodies.last().unwrap(), &expected);
    let nothing = run("workspace update fleet", |_, _, _| panic!("nothing to ask"));
    assert_eq!(nothing.result.unwrap_err().exit_code(), 2);
}

#[test]
fn deleting_asks_first() {
    let handler = |method: &str, _: &str, _: Value| match method {
        "GET" => ok(&fleet()),
        _ => response(200, ""),
    };
    let unasked = run("workspace delete fleet", handler);
    assert_eq!(unasked.result.unwrap_err().exit_code(), 2);
    assert!(unasked.requests.iter().all(|request| request.starts_with("GET")), "{:?}", unasked.requests);
    let deleted = run("workspace delete fleet --yes", handler);
    deleted.result.unwrap();
    assert_eq!(deleted.requests.last().unwrap(), &format!("DELETE {ID}?api-version=2025-10-03"));
    assert!(deleted.written.notes().contains("remora workspace restore a-1"), "{}", deleted.written.notes());
    let purged = run("workspace delete fleet --yes --purge", handler);
    assert_eq!(purged.requests.last().unwrap(), &format!("DELETE {ID}?purge=true&api-version=2025-10-03"));
}

#[test]
fn deleted_ones_are_found_by_name_or_identity() {
    let deleted = |account: &str, name: &str| {
        json!({"name": account, "properties": {
            "accountId": account,
            "accountResourceId": format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Monitor/accounts/{name}"),
            "deletionDate": "2026-01-02T03:04:05.678Z",
        }})
    };
    let handler = move |method: &str, _: &str, _: Value| match method {
        "GET" => ok(&json!({"value": [deleted("a-1", "fleet"), deleted("a-2", "twin"), deleted("a-3", "twin")]})),
        _ => ok(&fleet()),
    };
    let listed = run("workspace list-deleted", handler).written.out();
    assert!(listed.contains("2026-01-02T03:04:05Z"), "{listed}");
    for (named, found) in
        [("fleet", Some("a-1")), ("A-1", Some("a-1")), ("a-3", Some("a-3")), ("twin", None), ("x", None)]
    {
        let outcome = run(&format!("workspace restore {named}"), handler);
        assert_eq!(outcome.result.is_ok(), found.is_some(), "{named}");
        if let Some(account) = found {
            let path = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Monitor/deletedAccounts/{account}");
            assert_eq!(outcome.requests.last().unwrap(), &format!("POST {path}/restore?api-version=2025-10-03"));
            let purged = run(&format!("workspace purge {named} --yes"), handler);
            assert_eq!(purged.requests.last().unwrap(), &format!("DELETE {path}?api-version=2025-10-03"));
        }
    }
}
