//! Data collection rules.

use catalog::*;
use futures_executor::block_on;
use serde_json::json;

use crate::fixture::*;

pub(crate) fn route_to_workspaces(mut f: Fixture) {
    let (one, two) = (f.workspace("one"), f.workspace("two"));
    let made = f.rule("r", &["one", "two"]);
    assert!(made.immutable_id.starts_with("dcr-") && made.immutable_id.len() == 36);
    assert_eq!(made.destinations(PROMETHEUS_STREAM), Some(&[one.account_id, two.account_id][..]));
    let account = &made.properties["destinations"]["monitoringAccounts"][0]["accountId"];
    assert_eq!(*account, one.account_id.to_string());

    // One workspace under two names is written to once; a stream in another case is the same one.
    let properties = json!({
        "destinations": { "monitoringAccounts": [
            { "name": "a", "accountResourceId": one.envelope.id.as_str().to_uppercase(), "accountId": one.account_id },
            { "name": "B", "accountResourceId": one.envelope.id },
            { "name": "unused", "accountResourceId": two.envelope.id },
        ] },
        "dataFlows": [
            { "streams": ["microsoft-prometheusmetrics"], "destinations": ["A", "b"] },
            { "streams": ["Custom-Other"], "destinations": ["unused"] },
        ],
        "description": "kept",
    });
    let changed = f.try_rule("R", properties).unwrap();
    assert!(!changed.created);
    f.reopen();
    let now = f.rule_now("r");
    assert_eq!(now.destinations(PROMETHEUS_STREAM), Some(&[one.account_id][..]));
    assert_eq!(now.immutable_id, made.immutable_id);
    assert_eq!(now.properties["description"], "kept");
    assert_eq!(now.unserved_destinations(), ["unused"]);
}

pub(crate) fn say_everything_that_is_wrong(f: Fixture) {
    f.workspace("ws");
    let elsewhere = EndpointSpec { location: "westeurope".to_owned(), ..EndpointSpec::default() };
    block_on(f.store.put_endpoint(&f.actor, &endpoint("far"), elsewhere, Precondition::None)).unwrap();
    let properties = json!({
        "description": 7,
        "dataCollectionEndpointId": endpoint("far"),
        "dataSources": { "a": [1, 2, 3, 4, 5, 6], "b": [1, 2, 3, 4, 5] },
        "destinations": {
            "monitoringAccounts": [
                { "name": "a", "accountResourceId": workspace("none") },
                { "name": "A", "accountResourceId": workspace("ws"), "accountId": "00000000-0000-0000-0000-000000000000" },
                { "name": "c" },
                { "accountResourceId": workspace("ws") },
                "text",
                { "name": "d", "accountResourceId": "no id", "accountId": "no id" },
                { "name": "e", "accountResourceId": workspace("ws"), "accountId": "no id" },
            ],
            "logAnalytics": "text",
        },
        "dataFlows": [
            { "streams": ["Prometheus", 5, "Microsoft-"], "destinations": ["nowhere", "a"] },
            { "streams": [], "destinations": "a" },
            8,
        ],
    });
    let target = |rest: &str| format!("properties.{rest}");
    let expected: Vec<String> = [
        "description",
        "dataSources",
        "dataCollectionEndpointId",
        "destinations.logAnalytics",
        "destinations.monitoringAccounts[0].accountResourceId",
        "destinations.monitoringAccounts[1].accountId",
        "destinations.monitoringAccounts[1].name",
        "destinations.monitoringAccounts[2].accountResourceId",
        "destinations.monitoringAccounts[3].name",
        "destinations.monitoringAccounts[4]",
        "destinations.monitoringAccounts[5].accountResourceId",
        "destinations.monitoringAccounts[6].accountId",
        "dataFlows[0].streams[1]",
        "dataFlows[0].streams[0]",
        "dataFlows[0].streams[2]",
        "dataFlows[0].destinations[0]",
        "dataFlows[1].streams",
        "dataFlows[1].destinations",
        "dataFlows[2]",
    ]
    .map(target)
    .into();
    assert_eq!(problems(f.try_rule("r", properties)), expected);
    assert!(f.snapshot().rule_by_id(&rule("r")).is_none());

    for (properties, expected) in [
        (json!({}), &["destinations", "dataFlows"][..]),
        (json!({ "destinations": {}, "dataFlows": [] }), &["destinations", "dataFlows"]),
        (json!({ "destinations": [], "dataFlows": {} }), &["destinations", "dataFlows"]),
        (many(11, 1, 1), &["destinations"]),
        (many(1, 11, 1), &["dataFlows"]),
        (many(1, 1, 11), &["dataFlows[0].streams"]),
        (many(1, 2, 6), &["dataFlows"]),
        (long(), &[""]),
    ] {
        let expected: Vec<String> = expected.iter().map(|rest| target(rest).trim_end_matches('.').to_owned()).collect();
        let mut found = problems(f.try_rule("r", properties.clone()));
        // What flows name is missing when destinations are not read; that follows from the first.
        found.retain(|target| !target.contains("].destinations["));
        assert_eq!(found, expected, "{}", properties.to_string().chars().take(300).collect::<String>());
    }
    for name in ["", ".r", "r.", "a b", &"x".repeat(65)] {
        if !name.is_empty() {
            assert_eq!(problems(f.try_rule(name, routing(&["ws"]))), ["name"], "{name}");
        }
    }
}

fn many(destinations: usize, flows: usize, streams: usize) -> serde_json::Value {
    let accounts: Vec<_> =
        (0..destinations).map(|n| json!({ "name": format!("d{n}"), "accountResourceId": workspace("ws") })).collect();
    let flows: Vec<_> = (0..flows)
        .map(|flow| {
            let streams: Vec<_> = (0..streams).map(|n| format!("Custom-S{flow}-{n}")).collect();
            json!({ "streams": streams, "destinations": ["d0"] })
        })
        .collect();
    json!({ "destinations": { "monitoringAccounts": accounts }, "dataFlows": flows })
}

fn long() -> serde_json::Value {
    let mut properties = routing(&["ws"]);
    properties["streamDeclarations"] = "x".repeat(256 * 1024).into();
    properties
}

pub(crate) fn keep_what_is_not_served(f: Fixture) {
    let properties = json!({
        "destinations": {
            "logAnalytics": [{ "name": "logs", "workspaceResourceId": "/x" }],
            "azureMonitorMetrics": { "name": "platform" },
        },
        "dataFlows": [{ "streams": ["Microsoft-Perf"], "destinations": ["logs", "platform"], "transformKql": "source" }],
        "streamDeclarations": { "Custom-A": { "columns": [] } },
    });
    let made = f.try_rule("r", properties.clone()).unwrap().resource;
    assert_eq!(serde_json::Value::Object(made.properties.clone()), properties);
    assert!(made.routes.is_empty());
    let mut unserved = made.unserved_destinations();
    unserved.sort_unstable();
    assert_eq!(unserved, ["logs", "platform"]);
}

pub(crate) fn outlive_their_destination(f: Fixture) {
    f.workspace("ws");
    let made = f.rule("r", &["ws"]);
    f.delete_workspace("ws", false);
    // Read and written back with a change elsewhere: what was right when it was written is let through.
    let mut properties = made.properties.clone();
    properties.insert("description".to_owned(), "new".into());
    let changed = f.try_rule("r", properties.clone().into()).unwrap().resource;
    assert!(changed.routes.is_empty());
    // A namesake is not the workspace that was meant.
    f.workspace("ws");
    assert!(f.try_rule("r", properties.clone().into()).unwrap().resource.routes.is_empty());
    let accounts = "properties.destinations.monitoringAccounts[0].accountId";
    assert_eq!(problems(f.try_rule("new", properties.into())), [accounts]);
    // Without an identity it names whatever has the name.
    assert_eq!(f.rule("r", &["ws"]).routes.len(), 1);
}
