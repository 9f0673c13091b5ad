//! Shapes of answers, as the contract has them (§5.1–5.5).

use serde_json::{Value, json};

use crate::testing::{Bench, GROUP, SUBSCRIPTION, TENANT};

/// Replaces what is drawn or depends on the time by what it looks like.
fn masked(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.iter().map(|(name, value)| (name.clone(), mask(name, value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(masked).collect()),
        other => other.clone(),
    }
}

fn mask(name: &str, value: &Value) -> Value {
    let hex = |text: &str| text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match (name, value.as_str()) {
        ("etag", Some(text)) if text.len() > 2 && text.starts_with('"') && text.ends_with('"') => json!("\"E\""),
        ("createdAt" | "lastModifiedAt", Some(text)) if text.len() == 28 && text.ends_with('Z') => json!("T"),
        ("accountId", Some(text)) if text.parse::<uuid::Uuid>().is_ok() => json!("A"),
        ("internalId", Some(text)) if text.starts_with("mac_") => json!("mac_A"),
        ("immutableId" | "dataCollectionRuleImmutableId", Some(text)) => match text.split_at(4) {
            (prefix @ ("dcr-" | "dce-"), rest) if hex(rest) => json!(format!("{prefix}X")),
            _ => value.clone(),
        },
        _ => masked(value),
    }
}

fn system_data() -> Value {
    json!({
        "createdBy": "aaaaaaaa-0000-0000-0000-000000000001", "createdByType": "Application", "createdAt": "T",
        "lastModifiedBy": "aaaaaaaa-0000-0000-0000-000000000001", "lastModifiedByType": "Application", "lastModifiedAt": "T",
    })
}

#[tokio::test]
async fn a_workspace_and_what_comes_with_it() {
    let bench = Bench::new().await;
    let path = format!("{GROUP}/providers/Microsoft.Monitor/accounts/My-WS");
    let made = bench.put(&path, json!({ "location": "West US", "tags": { "Env": "x" } })).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.header("etag"), made.body["etag"].as_str().unwrap());
    let managed = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/MA_my-ws_westus_managed");
    let expected = json!({
        "properties": {
            "accountId": "A",
            "metrics": {
                "prometheusQueryEndpoint": "https://remora.example/workspaces/my-ws",
                "internalId": "mac_A",
                "enableAccessUsingResourcePermissions": true,
            },
            "provisioningState": "Succeeded",
            "defaultIngestionSettings": {
                "dataCollectionRuleResourceId": format!("{managed}/providers/Microsoft.Insights/dataCollectionRules/My-WS"),
                "dataCollectionEndpointResourceId":
                    format!("{managed}/providers/Microsoft.Insights/dataCollectionEndpoints/My-WS"),
                "dataCollectionRuleImmutableId": "dcr-X",
                "ingestionEndpoints": { "metrics": "https://remora.example" },
            },
            "publicNetworkAccess": "Enabled",
            "remora": { "profile": "strict", "handle": "my-ws" },
        },
        "location": "westus",
        "tags": { "Env": "x" },
        "id": format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/g/providers/microsoft.monitor/accounts/My-WS"),
        "name": "My-WS",
        "type": "Microsoft.Monitor/accounts",
        "etag": "\"E\"",
        "systemData": system_data(),
    });
    assert_eq!(masked(&made.body), expected);
    assert_eq!(bench.get(&path.to_lowercase()).await.body, made.body, "in any case, under any version");
    let list = bench.get(&format!("{GROUP}/providers/Microsoft.Monitor/accounts")).await;
    assert_eq!(list.body, json!({ "value": [made.body], "nextLink": null }));

    let group = bench.get(&managed).await;
    assert_eq!(group.body["managedBy"].as_str().map(str::to_lowercase), Some(path.to_lowercase()), "{group:?}");
    let rule = bench.get(&format!("{managed}/providers/Microsoft.Insights/dataCollectionRules/My-WS")).await;
    assert_eq!(
        rule.body["properties"]["immutableId"],
        made.body["properties"]["defaultIngestionSettings"]["dataCollectionRuleImmutableId"]
    );
    let account = &rule.body["properties"]["destinations"]["monitoringAccounts"][0];
    assert_eq!(account["accountId"], made.body["properties"]["accountId"], "{rule:?}");
    assert_eq!(rule.body["properties"]["dataFlows"][0]["streams"], json!(["Microsoft-PrometheusMetrics"]));
}

#[tokio::test]
async fn an_endpoint_and_a_rule() {
    let bench = Bench::new().await;
    bench.put(&format!("{GROUP}/providers/Microsoft.Monitor/accounts/ws"), json!({ "location": "local" })).await;
    let endpoint = format!("{GROUP}/providers/Microsoft.Insights/dataCollectionEndpoints/my-dce");
    let body = json!({ "location": "local", "kind": "Linux", "properties": {
        "description": "d", "networkAcls": { "publicNetworkAccess": "Enabled" } } });
    let made = bench.put(&endpoint, body).await;
    assert_eq!(made.status, 200, "{made:?}");
    let public = json!({ "endpoint": "https://remora.example" });
    let expected = json!({
        "properties": {
            "description": "d", "immutableId": "dce-X", "configurationAccess": public, "logsIngestion": public,
            "metricsIngestion": public, "networkAcls": { "publicNetworkAccess": "Enabled" }, "provisioningState": "Succeeded",
        },
        "location": "local", "tags": {}, "kind": "Linux", "id": endpoint, "name": "my-dce",
        "type": "Microsoft.Insights/dataCollectionEndpoints", "etag": "\"E\"", "systemData": system_data(),
    });
    assert_eq!(masked(&made.body), expected);

    let rule = format!("{GROUP}/providers/Microsoft.Insights/dataCollectionRules/my.rule");
    let workspace = format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/g/providers/microsoft.monitor/accounts/ws");
    let body = json!({ "location": "local", "properties": {
        "description": "Custom DCR",
        "dataCollectionEndpointId": endpoint,
        "dataSources": {},
        "destinations": { "monitoringAccounts": [{ "accountResourceId": workspace, "name": "ws" }] },
        "dataFlows": [{ "streams": ["Microsoft-PrometheusMetrics"], "destinations": ["ws"] }],
    } });
    let made = bench.put(&rule, body.clone()).await;
    assert_eq!(made.status, 200, "{made:?}");
    let mut expected = body["properties"].clone();
    expected["immutableId"] = json!("dcr-X");
    expected["provisioningState"] = json!("Succeeded");
    expected["destinations"]["monitoringAccounts"][0]["accountId"] = json!("A");
    expected["endpoints"] =
        json!({ "logsIngestion": "https://remora.example", "metricsIngestion": "https://remora.example" });
    let expected = json!({
        "properties": expected, "location": "local", "tags": {}, "id": rule, "name": "my.rule",
        "type": "Microsoft.Insights/dataCollectionRules", "etag": "\"E\"", "systemData": system_data(),
    });
    assert_eq!(masked(&made.body), expected);
    let again = bench.put(&rule, made.body.clone()).await;
    assert_eq!(again.status, 200, "what was read can be written back: {again:?}");
    assert_eq!(again.body["properties"], made.body["properties"]);
    for (path, status) in [(&endpoint, 409), (&rule, 200), (&rule, 204), (&endpoint, 200), (&endpoint, 204)] {
        let said = bench.delete(path).await;
        assert_eq!(said.status, status, "{path}: {said:?}");
    }
}

#[tokio::test]
async fn hosts_of_their_own() {
    let domain = model::EndpointDomain::new("mon.example.org").unwrap();
    let bench = Bench::with(|settings| settings.endpoint_domain = Some(domain)).await;
    let made =
        bench.put(&format!("{GROUP}/providers/Microsoft.Monitor/accounts/ws"), json!({ "location": "local" })).await;
    let properties = &made.body["properties"];
    assert_eq!(properties["metrics"]["prometheusQueryEndpoint"], "https://ws.local.prometheus.mon.example.org");
    let ingestion = properties["defaultIngestionSettings"]["ingestionEndpoints"]["metrics"].as_str().unwrap();
    let label = ingestion
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_suffix(".local-1.metrics.ingest.mon.example.org"));
    assert_eq!(label.map(str::len), Some("ws-abcd".len()), "{ingestion}");
    let endpoint = properties["defaultIngestionSettings"]["dataCollectionEndpointResourceId"].as_str().unwrap();
    let endpoint = bench.get(endpoint).await;
    let logs = format!("https://{}.local-1.ingest.mon.example.org", label.unwrap());
    assert_eq!(endpoint.body["properties"]["logsIngestion"]["endpoint"], logs);
}

#[tokio::test]
async fn subscriptions_tenants_and_groups() {
    let bench = Bench::new().await;
    let list = bench.get("/subscriptions").await;
    let expected = json!({
        "value": [{
            "id": format!("/subscriptions/{SUBSCRIPTION}"), "authorizationSource": "RoleBased", "managedByTenants": [],
            "subscriptionId": SUBSCRIPTION, "tenantId": TENANT, "displayName": "test", "state": "Enabled",
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off",
            },
        }],
        "count": { "type": "Total", "value": 1 },
    });
    assert_eq!(list.body, expected);
    assert_eq!(bench.get(&format!("/subscriptions/{SUBSCRIPTION}")).await.body, expected["value"][0]);
    let tenants = bench.get("/tenants").await;
    assert_eq!(tenants.body["value"][0]["tenantId"], TENANT);
    let locations = bench.get(&format!("/subscriptions/{SUBSCRIPTION}/locations")).await;
    assert_eq!(locations.body["value"][0]["name"], "local");
    let group = bench.get(GROUP).await;
    let expected = json!({
        "id": GROUP, "name": "g", "type": "Microsoft.Resources/resourceGroups", "location": "local", "tags": {},
        "properties": { "provisioningState": "Succeeded" },
    });
    assert_eq!(group.body, expected);
    let head = bench.ask("HEAD", GROUP, Some(crate::testing::OWNER), &[], None).await;
    assert_eq!((head.status, head.body), (204, Value::Null));
    let head = bench.ask("HEAD", &format!("{GROUP}x"), Some(crate::testing::OWNER), &[], None).await;
    assert_eq!((head.status, head.body), (404, Value::Null));
    let stranger = bench.get_as(crate::testing::STRANGER, "/subscriptions").await;
    assert_eq!(stranger.body, json!({ "value": [], "count": { "type": "Total", "value": 0 } }));
    bench.grant(crate::testing::STRANGER, access::roles::MONITORING_DATA_READER, &format!("{GROUP}/providers/a/b/c"));
    let known = bench.get_as(crate::testing::STRANGER, "/subscriptions").await;
    assert_eq!(known.body["count"]["value"], 1, "a role on one resource shows its subscription");
}

#[tokio::test]
async fn providers() {
    let bench = Bench::new().await;
    let base = format!("/subscriptions/{SUBSCRIPTION}/providers");
    let all = bench.get(&base).await;
    let names: Vec<&str> =
        all.body["value"].as_array().unwrap().iter().map(|one| one["namespace"].as_str().unwrap()).collect();
    assert!(names.contains(&"Microsoft.Monitor") && names.contains(&"Microsoft.Insights"), "{names:?}");
    let monitor = bench.get(&format!("{base}/microsoft.monitor")).await;
    assert_eq!(monitor.body["registrationState"], "Registered");
    let accounts = &monitor.body["resourceTypes"][0];
    assert_eq!((&accounts["resourceType"], &accounts["apiVersions"][0]), (&json!("accounts"), &json!("2025-10-03")));
    assert_eq!(bench.post(&format!("{base}/Microsoft.Monitor/register"), json!({})).await.body, monitor.body);
    assert_eq!(bench.get(&format!("{base}/Microsoft.None")).await.code(), "InvalidResourceNamespace");
    // Every tracked or listed type that the table serves by GET is one that the providers name.
    for path in ["Microsoft.Insights/dataCollectionRules", "Microsoft.ManagedIdentity/userAssignedIdentities"] {
        let (namespace, kind) = path.split_once('/').unwrap();
        let provider = bench.get(&format!("{base}/{namespace}")).await;
        let types = provider.body["resourceTypes"].as_array().unwrap();
        assert!(types.iter().any(|one| one["resourceType"] == kind), "{path}");
    }
}
