use serde_json::json;

use super::*;

/// As api-version 2025-10-03 answers it: everything in it can be sent back.
#[test]
fn a_workspace_as_it_was_read() {
    let body = json!({
        "properties": {
            "accountId": "14e21a3b-a68e-4626-873e-6539bd54fc63",
            "metrics": { "prometheusQueryEndpoint": "https://q", "internalId": "mac_1", "enableAccessUsingResourcePermissions": true },
            "provisioningState": "Succeeded",
            "defaultIngestionSettings": { "dataCollectionRuleResourceId": "/x" },
            "privateEndpointConnections": [],
            "publicNetworkAccess": "Disabled",
            "remora": { "profile": "AZURE", "handle": "ws" },
        },
        "location": "westus", "tags": { "a": "b" }, "id": "/x", "name": "ws", "type": "Microsoft.Monitor/accounts",
        "etag": "\"1\"", "systemData": {},
    });
    let spec = workspace(body).unwrap();
    assert_eq!(
        (spec.location.as_str(), spec.public_network_access, spec.profile),
        ("westus", Some(false), Some(Profile::Azure))
    );
    assert_eq!(spec.tags, BTreeMap::from([("a".to_owned(), "b".to_owned())]));
    let plain = workspace(json!({ "location": "westus", "properties": {}, "tags": null })).unwrap();
    assert_eq!((plain.public_network_access, plain.profile, plain.with_defaults), (None, None, true));
}

#[test]
fn a_rule_keeps_what_was_written_and_forgets_what_is_answered() {
    let body = json!({
        "location": "eastus", "kind": "Linux", "tags": {},
        "properties": {
            "immutableId": "dcr-1", "provisioningState": "Succeeded", "endpoints": {}, "ingestionQuotas": {}, "metadata": {},
            "description": "d",
            "dataSources": {
                "prometheusForwarder": [{
                    "name": "p", "streams": ["Microsoft-PrometheusMetrics"],
                    "labelIncludeFilter": { "microsoft_metrics_include_label": "x" },
                }],
                "syslog": [{ "name": "s", "facilityNames": ["*"], "logLevels": ["*"], "streams": ["Microsoft-Syslog"] }],
            },
            "destinations": {
                "monitoringAccounts": [{ "accountResourceId": "/a", "accountId": null, "name": "ws" }],
                "logAnalytics": [{ "workspaceResourceId": "/l", "workspaceId": "w", "name": "la" }],
            },
            "dataFlows": [{ "streams": ["Microsoft-PrometheusMetrics"], "destinations": ["ws"], "transformKql": "source" }],
            "streamDeclarations": { "Custom-X": { "columns": [{ "name": "a", "type": "string" }] } },
        },
    });
    let spec = rule(body).unwrap();
    let names: Vec<&str> = spec.properties.keys().map(String::as_str).collect();
    assert_eq!(names, ["dataFlows", "dataSources", "description", "destinations", "streamDeclarations"]);
    assert_eq!(
        spec.properties["destinations"],
        json!({
            "monitoringAccounts": [{ "accountResourceId": "/a", "name": "ws" }],
            "logAnalytics": [{ "workspaceResourceId": "/l", "name": "la" }],
        })
    );
    assert_eq!(spec.kind.as_deref(), Some("Linux"));
}

#[test]
fn containers_and_patches() {
    let spec = container(json!({ "properties": { "version": "1.0", "limits": { "maxEventsPerMinute": 5 } } })).unwrap();
    assert_eq!(spec, ContainerSpec { active_series_max: None, events_per_minute_max: Some(5) });
    assert_eq!(container(json!({})).unwrap(), ContainerSpec::default());
    assert_eq!(container(json!({ "properties": { "version": "2.0" } })).unwrap_err()[0].target, "properties.version");
    let patch = workspace_patch(json!({ "tags": {} })).unwrap();
    assert_eq!((patch.tags, patch.public_network_access), (Some(BTreeMap::new()), None));
    assert_eq!(tags_patch(json!({ "properties": {} })).unwrap_err()[0].target, "properties");
}
