//! Changes: preconditions, what is refused, deletions, limits.

use std::time::Duration;

use access::roles;
use serde_json::{Value, json};

use crate::testing::{Bench, GROUP, OWNER, STRANGER, SUBSCRIPTION};

fn workspace(name: &str) -> String {
    format!("{GROUP}/providers/Microsoft.Monitor/accounts/{name}")
}

fn endpoint(name: &str) -> String {
    format!("{GROUP}/providers/Microsoft.Insights/dataCollectionEndpoints/{name}")
}

fn rule(name: &str) -> String {
    format!("{GROUP}/providers/Microsoft.Insights/dataCollectionRules/{name}")
}

fn rule_to(workspace: &str) -> Value {
    json!({ "location": "local", "properties": {
        "destinations": { "monitoringAccounts": [{ "accountResourceId": workspace, "name": "ws" }] },
        "dataFlows": [{ "streams": ["Microsoft-PrometheusMetrics"], "destinations": ["ws"] }],
    } })
}

fn local() -> Value {
    json!({ "location": "local" })
}

#[tokio::test]
async fn stale_etags_change_nothing() {
    let bench = Bench::new().await;
    bench.put(&workspace("ws"), local()).await;
    let rule_body = rule_to(&workspace("ws"));
    for (path, body) in
        [(GROUP.to_owned(), local()), (workspace("ws"), local()), (endpoint("dce"), local()), (rule("r"), rule_body)]
    {
        let put = async |header: (&str, &str), tag: &str| {
            let mut body = body.clone();
            body["tags"] = json!({ "by": tag });
            bench.ask("PUT", &path, Some(OWNER), &[header], Some(body.to_string().into_bytes())).await
        };
        if path != GROUP && path != workspace("ws") {
            let said = put(("if-match", "*"), "a").await;
            assert_eq!((said.status, said.code()), (412, "PreconditionFailed"), "{path}: {said:?}");
        }
        bench.put(&path, body.clone()).await;
        assert_eq!(put(("if-none-match", "*"), "a").await.status, 412, "{path}");
        assert_eq!(put(("if-match", "*"), "b").await.status, 200, "{path}");
        if path == GROUP {
            continue;
        }
        let etag = bench.get(&path).await.header("etag").to_owned();
        // Two who read the same state: one of them wins.
        let (one, other) = tokio::join!(put(("if-match", &etag), "one"), put(("if-match", &etag), "other"));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "{path}");
        let winner = if one.status == 200 { "one" } else { "other" };
        let now = bench.get(&path).await;
        assert_eq!(now.body["tags"]["by"], winner);
        assert_ne!(now.header("etag"), etag);
        let stale = bench.ask("DELETE", &path, Some(OWNER), &[("if-match", &etag)], None).await;
        assert_eq!(stale.status, 412);
        assert_eq!(bench.get(&path).await.body, now.body);
        let stale =
            bench.ask("PATCH", &path, Some(OWNER), &[("if-match", &etag)], Some(b"{\"tags\":{}}".to_vec())).await;
        assert_eq!(stale.status, 412);
    }
}

#[tokio::test]
async fn patches_change_what_they_name() {
    let bench = Bench::new().await;
    let mut body = local();
    body["tags"] = json!({ "a": "1" });
    body["properties"] = json!({ "publicNetworkAccess": "Disabled", "remora": { "profile": "azure" } });
    bench.put(&workspace("ws"), body).await;
    bench
        .put(&endpoint("dce"), json!({ "location": "local", "kind": "Linux", "properties": { "description": "d" } }))
        .await;
    bench.put(&rule("r"), rule_to(&workspace("ws"))).await;
    for path in [GROUP.to_owned(), workspace("ws"), endpoint("dce"), rule("r")] {
        let before = bench.get(&path).await.body;
        let said = bench.patch(&path, json!({ "tags": { "b": "2" } })).await;
        assert_eq!((said.status, &said.body["tags"]), (200, &json!({ "b": "2" })), "{path}: {said:?}");
        assert_eq!(said.body["properties"], before["properties"], "{path}");
        assert_eq!(said.body["kind"], before["kind"], "{path}");
        let said = bench.patch(&path, json!({})).await;
        assert_eq!(said.body["tags"], json!({ "b": "2" }), "{path}");
        let wrong = bench.patch(&path, json!({ "tags": { "a": 1 }, "sku": {} })).await;
        assert_eq!((wrong.status, wrong.targets()), (400, vec!["sku", "tags.a"]), "{path}");
        let missing = bench.patch(&format!("{path}x"), json!({})).await;
        assert_eq!(missing.status, 404, "{path}");
    }
    let said = bench.patch(&workspace("ws"), json!({ "properties": { "publicNetworkAccess": "enabled" } })).await;
    let properties = &said.body["properties"];
    assert_eq!(
        (&properties["publicNetworkAccess"], &properties["remora"]["profile"]),
        (&json!("Enabled"), &json!("azure"))
    );
}

#[tokio::test]
async fn a_workspace_has_storage_settings_of_its_own() {
    let bench = Bench::new().await;
    let path = workspace("ws");
    let mut body = local();
    body["properties"] =
        json!({ "remora": { "storage": { "retentionInDays": 30, "retentionInBytes": "1000000000" } } });
    let made = bench.put(&path, body).await;
    let storage = |said: &Value| said["properties"]["remora"]["storage"].clone();
    assert_eq!(storage(&made.body), json!({ "retentionInDays": 30, "retentionInBytes": 1_000_000_000 }));
    let change =
        json!({ "properties": { "remora": { "storage": { "retentionInDays": 0, "outOfOrderWindowInSeconds": 60 } } } });
    let said = bench.patch(&path, change).await;
    assert_eq!(storage(&said.body), json!({ "retentionInBytes": 1_000_000_000, "outOfOrderWindowInSeconds": 60 }));
    // What was read can be sent back, and changes nothing.
    let again = bench.put(&path, said.body.clone()).await;
    assert_eq!((again.status, storage(&again.body)), (200, storage(&said.body)));
    let wrong = json!({ "properties": { "remora": { "storage": { "retentionInDays": 99_999, "walSync": "never" } } } });
    let said = bench.patch(&path, wrong).await;
    assert_eq!((said.status, said.targets()), (400, vec!["properties.remora.storage.walSync"]));
    for (field, value) in [("retentionInDays", 99_999), ("retentionInBytes", 1_000_000)] {
        let said = bench.patch(&path, json!({ "properties": { "remora": { "storage": { field: value } } } })).await;
        assert_eq!((said.status, said.targets()), (400, vec![&*format!("properties.remora.storage.{field}")]));
    }
}

#[tokio::test]
async fn patches_at_the_same_time_all_count() {
    let bench = Bench::new().await;
    bench.put(&workspace("ws"), local()).await;
    let (path, tags) = (workspace("ws"), json!({ "tags": { "x": "y" } }));
    let access = json!({ "properties": { "publicNetworkAccess": "Disabled" } });
    let profile = json!({ "properties": { "remora": { "profile": "azure" } } });
    let (a, b, c) = tokio::join!(bench.patch(&path, tags), bench.patch(&path, access), bench.patch(&path, profile));
    assert_eq!((a.status, b.status, c.status), (200, 200, 200));
    let now = bench.get(&workspace("ws")).await.body;
    assert_eq!(now["tags"], json!({ "x": "y" }));
    assert_eq!(now["properties"]["publicNetworkAccess"], "Disabled");
    assert_eq!(now["properties"]["remora"]["profile"], "azure");
}

#[tokio::test]
async fn puts_without_a_precondition_never_fail_for_each_other() {
    let bench = Bench::new().await;
    bench.put(&workspace("ws"), local()).await;
    let body = rule_to(&workspace("ws"));
    let path = rule("r");
    let put = || bench.put(&path, body.clone());
    let (a, b, c) = tokio::join!(put(), put(), put());
    assert_eq!((a.status, b.status, c.status), (200, 200, 200), "{a:?} {b:?} {c:?}");
}

#[tokio::test]
async fn everything_wrong_is_said_at_once() {
    let bench = Bench::new().await;
    let body = json!({
        "location": 5, "tags": { "a": 1 }, "sku": { "name": "x" }, "zone": "1",
        "properties": {
            "dataFlows": [{ "streams": "x", "destinations": ["nobody"], "extra": 1 }],
            "destinations": { "monitoringAccounts": [{ "name": "ws" }], "somewhere": [] },
            "provisioningState": "Succeeded",
        },
    });
    let said = bench.put(&rule("r"), body).await;
    assert_eq!((said.status, said.code()), (400, "InvalidPayload"));
    let mut targets = said.targets();
    targets.sort_unstable();
    let expected = [
        "location",
        "properties.dataFlows[0].extra",
        "properties.dataFlows[0].streams",
        "properties.destinations.monitoringAccounts[0].accountResourceId",
        "properties.destinations.somewhere",
        "tags.a",
        "zone",
    ];
    assert_eq!(targets, expected);
    // What only the catalogue can tell is told all at once too.
    let mut body = rule_to(&workspace("none"));
    body["location"] = json!("no region!");
    body["properties"]["dataFlows"][0]["destinations"] = json!(["other"]);
    let said = bench.put(&rule("-r"), body).await;
    assert_eq!((said.status, said.code()), (400, "InvalidPayload"), "{said:?}");
    assert!(said.targets().len() >= 4, "{said:?}");
    let identity = json!({ "location": "local", "identity": { "type": "SystemAssigned" } });
    assert_eq!(bench.put(&endpoint("dce"), identity).await.targets(), ["identity.type"]);
    let none = json!({ "location": "local", "identity": { "type": "none" }, "sku": { "name": "x" } });
    assert_eq!(bench.put(&endpoint("dce"), none).await.status, 200);
}

#[tokio::test]
async fn deleting_a_workspace() {
    let bench = Bench::new().await;
    let made = bench.put(&workspace("ws"), local()).await;
    let account = made.body["properties"]["accountId"].as_str().unwrap().to_owned();
    let said = bench.delete(&workspace("ws")).await;
    assert_eq!((said.status, &said.body, said.header("retry-after")), (202, &Value::Null, "1"));
    let follow = |name: &str| said.header(name).strip_prefix("https://remora.example").unwrap().to_owned();
    assert_eq!(bench.get(&follow("location")).await.status, 204);
    assert_eq!(bench.get_as(STRANGER, &follow("location")).await.status, 204, "roles may have gone with the resource");
    let status = bench.get(&follow("azure-asyncoperation")).await;
    assert_eq!((status.status, &status.body["status"]), (200, &json!("Succeeded")));
    assert_eq!(bench.get(&workspace("ws")).await.code(), "ResourceNotFound");
    assert_eq!(bench.delete(&workspace("ws")).await.status, 204);
    let managed = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/MA_ws_local_managed");
    assert_eq!(bench.get(&managed).await.code(), "ResourceGroupNotFound");

    let deleted = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Monitor/deletedAccounts");
    let list = bench.get(&deleted).await;
    assert_eq!(list.body["value"][0]["properties"]["accountId"], account.as_str(), "{list:?}");
    let one = format!("{deleted}/{account}");
    assert_eq!(bench.get(&one).await.body, list.body["value"][0]);
    bench.grant(STRANGER, roles::CONTRIBUTOR, &format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/other"));
    let elsewhere = bench.ask("POST", &format!("{one}/restore"), Some(STRANGER), &[], None).await;
    assert_eq!((elsewhere.status, elsewhere.code()), (404, "DeletedAccountNotFound"), "another group's is not there");
    let restored = bench.ask("POST", &format!("{one}/restore"), Some(OWNER), &[], None).await;
    assert_eq!((restored.status, &restored.body["properties"]), (200, &made.body["properties"]), "{restored:?}");
    assert_eq!(bench.get(&follow("location")).await.code(), "OperationNotFound", "it is there again");
    assert_eq!(bench.get(&one).await.code(), "DeletedAccountNotFound");

    bench.delete(&workspace("ws")).await;
    assert_eq!(bench.delete(&one).await.status, 200);
    assert_eq!(bench.delete(&one).await.status, 404);
    bench.put(&workspace("ws"), local()).await;
    assert_eq!(bench.delete(&format!("{}?purge=true", workspace("ws"))).await.status, 202);
    assert_eq!(bench.get(&deleted).await.body["value"], json!([]));
    assert_eq!(bench.delete(&format!("{}?purge=perhaps", workspace("ws"))).await.code(), "InvalidQueryParameter");
}

#[tokio::test]
async fn deleting_a_group() {
    let bench = Bench::new().await;
    bench.put(&workspace("ws"), local()).await;
    let said = bench.delete(GROUP).await;
    assert_eq!(said.status, 202, "{said:?}");
    let location = said.header("location").strip_prefix("https://remora.example").unwrap().to_owned();
    assert_eq!(bench.get(&location).await.status, 200);
    assert_eq!(bench.get(GROUP).await.code(), "ResourceGroupNotFound");
    assert_eq!(bench.delete(GROUP).await.code(), "ResourceGroupNotFound");
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.put(GROUP, local()).await.status, 201);
    assert_eq!(bench.get(&location).await.status, 200, "another group of the name does not undo it");
    assert_eq!(bench.get(&workspace("ws")).await.status, 404);
}

#[tokio::test]
async fn what_is_managed_is_left_alone() {
    let bench = Bench::new().await;
    let made = bench.put(&workspace("ws"), local()).await;
    let settings = &made.body["properties"]["defaultIngestionSettings"];
    for name in ["dataCollectionRuleResourceId", "dataCollectionEndpointResourceId"] {
        let said = bench.delete(settings[name].as_str().unwrap()).await;
        assert_eq!(said.status, 409, "{said:?}");
    }
    let managed = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/MA_ws_local_managed");
    assert_eq!(bench.delete(&managed).await.status, 409);
}

/// Who may write rules in his own group may not let them write to others' workspaces.
#[tokio::test]
async fn destinations_need_a_right_of_their_own() {
    let bench = Bench::new().await;
    bench.put(&workspace("ws"), local()).await;
    bench.put(&endpoint("dce"), local()).await;
    let own = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/own");
    bench.put(&own, local()).await;
    bench.grant(STRANGER, roles::CONTRIBUTOR, &own);
    let path = format!("{own}/providers/Microsoft.Insights/dataCollectionRules/r");
    let put =
        async |body: &Value| bench.ask("PUT", &path, Some(STRANGER), &[], Some(body.to_string().into_bytes())).await;
    let mut body = rule_to(&workspace("ws"));
    for destination in [workspace("ws"), workspace("none"), workspace("WS").to_uppercase()] {
        let said = put(&rule_to(&destination)).await;
        assert_eq!((said.status, said.code()), (403, "LinkedAuthorizationFailed"), "{destination}: {said:?}");
    }
    bench.grant(STRANGER, roles::READER, &workspace("ws"));
    assert_eq!(put(&body).await.code(), "LinkedAuthorizationFailed", "to read it is not enough");
    bench.grant(STRANGER, roles::MONITORING_CONTRIBUTOR, &workspace("ws"));
    assert_eq!(put(&body).await.status, 200);
    bench.revoke(STRANGER, roles::MONITORING_CONTRIBUTOR, &workspace("ws"));
    bench.revoke(STRANGER, roles::READER, &workspace("ws"));
    body["properties"]["description"] = json!("what was allowed before stays");
    assert_eq!(put(&body).await.status, 200);
    body["properties"]["dataCollectionEndpointId"] = json!(endpoint("dce"));
    assert_eq!(put(&body).await.code(), "LinkedAuthorizationFailed");
}

/// A workspace that takes the name of one that is gone is another one: the right on the old one does not reach it.
#[tokio::test]
async fn a_rule_does_not_follow_a_name_to_another_workspace() {
    let bench = Bench::new().await;
    bench.put(&workspace("ws"), local()).await;
    let own = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/own");
    bench.put(&own, local()).await;
    let path = format!("{own}/providers/Microsoft.Insights/dataCollectionRules/r");
    let body = rule_to(&workspace("ws"));
    let made = bench.put(&path, body.clone()).await;
    assert_eq!(made.status, 200, "{made:?}");
    bench.delete(&workspace("ws")).await;
    bench.grant(STRANGER, roles::CONTRIBUTOR, &own);
    let put =
        async |body: &Value| bench.ask("PUT", &path, Some(STRANGER), &[], Some(body.to_string().into_bytes())).await;
    assert_eq!(put(&made.body).await.status, 200, "as long as there is none of the name, it goes nowhere");
    bench.put(&workspace("ws"), local()).await;
    let said = put(&body).await;
    assert_eq!((said.status, said.code()), (403, "LinkedAuthorizationFailed"), "{said:?}");
    let mut with_id = body.clone();
    let account = bench.get(&workspace("ws")).await.body["properties"]["accountId"].clone();
    with_id["properties"]["destinations"]["monitoringAccounts"][0]["accountId"] = account;
    assert_eq!(put(&with_id).await.code(), "LinkedAuthorizationFailed");
    let stays = put(&made.body).await;
    assert_eq!(stays.status, 200, "the one that is gone may stand there: {stays:?}");
    assert!(
        bench
            .store
            .catalog()
            .snapshot()
            .rules()
            .values()
            .any(|rule| rule.envelope.id.name() == "r" && rule.routes.is_empty())
    );
}

#[tokio::test]
async fn limits_and_their_use() {
    let bench = Bench::new().await;
    bench.put(&workspace("ws"), local()).await;
    let container = format!("{}/metricsContainers/default", workspace("ws"));
    let shown = bench.get(&container).await;
    let limits = json!({ "maxActiveTimeSeries": 1_000_000, "maxEventsPerMinute": 1_000_000 });
    assert_eq!(
        shown.body["properties"],
        json!({ "version": "1.0", "provisioningState": "Succeeded", "limits": limits })
    );
    assert_eq!(shown.body["type"], "Microsoft.Monitor/accounts/metricsContainers");
    let want = |limits: Value| json!({ "properties": { "limits": limits } });
    assert_eq!(bench.put(&container, json!({})).await.status, 200);
    let said = bench.put(&container, want(json!({ "maxActiveTimeSeries": "2000000" }))).await;
    assert_eq!(
        said.body["properties"]["limits"],
        json!({ "maxActiveTimeSeries": 2_000_000, "maxEventsPerMinute": 1_000_000 })
    );
    let refused = bench.put(&container, want(json!({ "maxEventsPerMinute": 3_000_000 }))).await;
    let message = "The current utilization does not meet the criteria for MaxEventsPerMinute quota requested.";
    assert_eq!((refused.status, &refused.body["error"]["message"]), (400, &json!(message)));
    let wrong = bench.put(&container, want(json!({ "maxActiveTimeSeries": -1, "other": 1 }))).await;
    assert_eq!(wrong.targets(), ["properties.limits.maxActiveTimeSeries", "properties.limits.other"]);
    assert_eq!(bench.get(&container.replace("/default", "/other")).await.status, 404);
    let list = bench.get(&container.replace("/default", "")).await;
    assert_eq!(list.body["value"][0]["name"], "default");

    let account = bench.get(&workspace("ws")).await.body["properties"]["accountId"].as_str().unwrap().parse().unwrap();
    let now = environment::Clock::monotonic(&bench.clock);
    bench.quotas.workspace(account).admit_events(70_000, now).unwrap();
    let usages = bench.get(&format!("{}/usages", workspace("ws"))).await;
    let events = &usages.body["value"][0];
    assert_eq!((&events["name"]["value"], &events["currentValue"]), (&json!("EventsPerMinute"), &json!(70_000)));
    assert_eq!(usages.body["value"][1]["name"]["value"], "ActiveTimeSeries");
}

#[tokio::test]
async fn backups() {
    let bench = Bench::new().await;
    let one = "/providers/Remora.Service/backups/nightly-1";
    assert_eq!(bench.put(one, json!({})).await.status, 201);
    assert_eq!(bench.put(one, json!({})).await.code(), "BackupExists");
    assert_eq!(bench.get(one).await.body["name"], "nightly-1");
    assert_eq!(bench.get("/providers/Remora.Service/backups").await.body["value"].as_array().unwrap().len(), 1);
    for name in [".hidden", "a%20b", "x".repeat(65).as_str(), "a%3Ab"] {
        assert_eq!(
            bench.put(&format!("/providers/Remora.Service/backups/{name}"), json!({})).await.status,
            400,
            "{name}"
        );
    }
    bench.grant(STRANGER, roles::OWNER, &format!("/subscriptions/{SUBSCRIPTION}"));
    assert_eq!(bench.get_as(STRANGER, one).await.status, 403, "a backup holds all subscriptions");
}
