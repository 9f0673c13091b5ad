use serde_json::{Value, json};
use testkit::json_response;

use super::super::test_support::{Outcome, ok, refusal, run};

const GROUP: &str = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/remora";

/// A service with the workspaces `fleet` and `other`; what is put stays.
fn service() -> impl FnMut(&str, &str, Value) -> environment::Response + Send + 'static {
    let mut resources: Vec<(String, Value)> = Vec::new();
    for name in ["fleet", "other"] {
        let id = format!("{GROUP}/providers/Microsoft.Monitor/accounts/{name}");
        let properties =
            json!({"metrics": {"prometheusQueryEndpoint": format!("https://remora.test/workspaces/{name}")}});
        let workspace = json!({"id": id, "name": name, "location": "north", "properties": properties});
        resources.push((id.to_ascii_lowercase(), workspace));
    }
    move |method, target, mut body| {
        let (path, _) = target.split_once('?').unwrap_or((target, ""));
        let key = path.to_ascii_lowercase();
        let found = resources.iter().position(|(id, _)| *id == key);
        match (method, found) {
            ("GET", _) if path.ends_with("/resourcegroups/remora") => ok(&json!({"location": "south"})),
            ("GET", _) if path == "/metadata/endpoints" => {
                ok(&json!({"graph": "https://remora.test/", "microsoftGraphResourceId": "https://graph.test/",
                    "authentication": {"tenant": "t-1", "loginEndpoint": "https://login.test/"}}))
            }
            ("GET", _) if path == "/v1.0/servicePrincipals" => {
                let known = [
                    json!({"id": "o-1", "appId": "c-1", "displayName": "writer", "servicePrincipalType": "Application"}),
                    json!({"id": "o-2", "appId": "c-2", "displayName": "machine", "servicePrincipalType": "ManagedIdentity"}),
                ];
                let is_named =
                    |one: &&Value| target.contains(&format!("%27{}%27", one["displayName"].as_str().unwrap()));
                ok(&json!({"value": known.iter().filter(is_named).collect::<Vec<_>>()}))
            }
            ("GET", _) if path.ends_with("/roleDefinitions") => ok(&json!({"value": [
                {"name": "3913510d-42f4-4e42-8a64-420c390055eb", "properties": {"roleName": "Monitoring Metrics Publisher"}},
            ]})),
            ("GET", Some(index)) => ok(&resources[index].1),
            ("GET", None) if path.ends_with("s") && !path.contains("fleet") => ok(&json!({"value": []})),
            ("GET", None) => refusal(404, "ResourceNotFound", "not there"),
            ("PUT", _) => {
                body["id"] = json!(path);
                body["name"] = json!(path.rsplit('/').next().unwrap());
                let own = match path {
                    rule if rule.contains("/dataCollectionRules/") && !rule.contains("roleAssignments") => {
                        json!({"immutableId": "dcr-1"})
                    }
                    endpoint if endpoint.contains("/dataCollectionEndpoints/") => {
                        json!({"metricsIngestion": {"endpoint": "https://dce.test"}})
                    }
                    _ => json!({}),
                };
                for (name, value) in own.as_object().unwrap() {
                    body["properties"][name] = value.clone();
                }
                resources.retain(|(id, _)| *id != key);
                resources.push((key, body.clone()));
                json_response(201, body.to_string())
            }
            _ => panic!("{method} {target}"),
        }
    }
}

fn put(outcome: &Outcome, part: &str) -> Option<Value> {
    let index = outcome.requests.iter().position(|request| request.starts_with("PUT") && request.contains(part))?;
    Some(outcome.bodies[index].clone())
}

#[test]
fn a_rule_comes_with_what_a_sidecar_needs() {
    let outcome = run("rule create eu --workspace fleet --create-endpoint --publisher machine", service());
    outcome.result.as_ref().unwrap_or_else(|error| panic!("{error}"));
    let endpoint = put(&outcome, "/dataCollectionEndpoints/eu").unwrap();
    assert_eq!(endpoint["location"], "south");
    let rule = put(&outcome, "/dataCollectionRules/eu?").unwrap();
    assert_eq!(
        rule["properties"],
        json!({
            "dataSources": {},
            "dataCollectionEndpointId": format!("{GROUP}/providers/Microsoft.Insights/dataCollectionEndpoints/eu"),
            "destinations": {"monitoringAccounts": [
                {"accountResourceId": format!("{GROUP}/providers/Microsoft.Monitor/accounts/fleet"), "name": "fleet"},
            ]},
            "dataFlows": [{"streams": ["Microsoft-PrometheusMetrics"], "destinations": ["fleet"]}],
        })
    );
    let assignment = put(&outcome, "/roleAssignments/").unwrap();
    assert_eq!(assignment["properties"]["principalId"], "o-2");
    let url = "https://dce.test/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24";
    let out = outcome.written.out();
    assert!(out.contains(&format!("ingestion URL   {url}\n")) && out.contains("immutable id    dcr-1\n"), "{out}");
    let exports: Vec<&str> = out.lines().filter(|line| line.starts_with("export ")).collect();
    assert_eq!(
        exports,
        [&*format!("export INGESTION_URL='{url}'"), "export IDENTITY_TYPE=userAssigned", "export AZURE_CLIENT_ID=c-2"]
    );
    assert!(out.contains("# export REMORA_QUERY_URL=https://remora.test/workspaces/fleet\n"), "{out}");
    assert!(outcome.written.notes().contains("machine now has the role"), "{}", outcome.written.notes());
}

#[test]
fn without_a_publisher_the_command_that_makes_one_is_told() {
    let outcome = run("rule create eu --workspace fleet,other,FLEET", service());
    outcome.result.as_ref().unwrap_or_else(|error| panic!("{error}"));
    let rule = put(&outcome, "/dataCollectionRules/eu?").unwrap();
    assert_eq!(rule["properties"]["dataFlows"][0]["destinations"], json!(["fleet", "other"]), "each once");
    assert_eq!(rule["location"], "north", "that of the workspace");
    assert!(put(&outcome, "/roleAssignments/").is_none());
    assert!(
        outcome.written.out().contains("https://remora.test/dataCollectionRules/dcr-1/"),
        "{}",
        outcome.written.out()
    );
    let notes = outcome.written.notes();
    let command = format!(
        "remora role create --principal '<client id of the sidecar'\\''s identity>' --role 'Monitoring Metrics Publisher' \
         --rule {GROUP}/providers/Microsoft.Insights/dataCollectionRules/eu"
    );
    assert!(notes.contains(&command), "{notes}");
}

#[test]
fn nothing_is_made_when_something_named_is_missing() {
    for line in [
        "rule create eu --workspace flet --create-endpoint",
        "rule create eu --workspace fleet --create-endpoint --publisher nobody",
        "rule create eu --workspace fleet --endpoint none",
    ] {
        let outcome = run(line, service());
        assert!(outcome.result.is_err(), "{line}");
        assert!(!outcome.requests.iter().any(|request| request.starts_with("PUT")), "{line}: {:?}", outcome.requests);
    }
}

#[test]
fn json_is_the_rule_alone() {
    let outcome = run("rule create eu --workspace fleet --json", service());
    let printed: Value = serde_json::from_str(&outcome.written.out()).unwrap();
    assert_eq!(printed["properties"]["immutableId"], "dcr-1");
    assert_eq!(outcome.written.notes(), "");
}

#[test]
fn an_application_needs_a_secret() {
    let mut service = service();
    let rule = json!({"dataSources": {}, "destinations": {"monitoringAccounts": []}});
    service(
        "PUT",
        &format!("{GROUP}/providers/Microsoft.Insights/dataCollectionRules/eu?x"),
        json!({"properties": rule}),
    );
    let out = run("rule env eu --publisher writer", service).written.out();
    for line in [
        "export IDENTITY_TYPE=aadApplication",
        "export AZURE_CLIENT_ID=c-1",
        "export AZURE_TENANT_ID=t-1",
        "export AZURE_AUTHORITY_HOST=https://login.test",
        "export REMORA_CLIENT_SECRET_FILE='<file with its secret>'",
    ] {
        assert!(out.lines().any(|own| own == line), "{line} is missing in\n{out}");
    }
    assert!(out.lines().all(|line| line.starts_with("export ") || line.starts_with("# ")), "{out}");
    assert!(out.contains("# a new secret of writer: remora principal add-secret c-1 --output-file FILE\n"), "{out}");
}

#[test]
fn an_update_routes_anew() {
    let mut service = service();
    let rule = json!({
        "description": "old",
        "dataCollectionEndpointId": "/e",
        "destinations": {"monitoringAccounts": [{"accountResourceId": "/w", "name": "w"}]},
    });
    service(
        "PUT",
        &format!("{GROUP}/providers/Microsoft.Insights/dataCollectionRules/eu?x"),
        json!({"properties": rule}),
    );
    let outcome = run("rule update eu --workspace other --no-endpoint", service);
    outcome.result.as_ref().unwrap_or_else(|error| panic!("{error}"));
    let rule = put(&outcome, "/dataCollectionRules/eu?").unwrap();
    assert_eq!(rule["properties"]["dataFlows"][0]["destinations"], json!(["other"]));
    assert_eq!(rule["properties"]["dataCollectionEndpointId"], Value::Null);
    assert_eq!(rule["properties"]["description"], "old");
}
