//! A client of the management API for tests.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::client::{Answer, Client};

/// Calls as one principal.
pub(crate) struct Arm {
    client: Arc<Client>,
    base: String,
    authorization: String,
    subscription: String,
}

impl Arm {
    pub(crate) fn new(client: &Arc<Client>, base: &str, token: String, subscription: &str) -> Self {
        let (client, base, subscription) = (Arc::clone(client), base.to_owned(), subscription.to_owned());
        Self { client, base, authorization: format!("Bearer {token}"), subscription }
    }

    /// The subscription's ARM id.
    pub(crate) fn subscription(&self) -> String {
        format!("/subscriptions/{}", self.subscription)
    }

    /// The ARM id of a resource in the group of declared ones.
    pub(crate) fn id(&self, kind: &str, name: &str) -> String {
        format!("{}/resourceGroups/remora/providers/{kind}/{name}", self.subscription())
    }

    /// A call; `None` when no answer came.
    pub(crate) fn try_call(&self, method: &str, id: &str, body: Option<&Value>) -> Option<Answer> {
        let separator = if id.contains('?') { '&' } else { '?' };
        let url = format!("{}{id}{separator}api-version={}", self.base, api_version(id));
        let headers = [("authorization", self.authorization.as_str()), ("content-type", "application/json")];
        self.client.try_send(method, &url, &headers, body.map(Value::to_string).unwrap_or_default())
    }

    #[track_caller]
    pub(crate) fn call(&self, method: &str, id: &str, body: Option<&Value>) -> Answer {
        self.try_call(method, id, body).unwrap_or_else(|| panic!("no answer to {method} {id}"))
    }

    /// A GET that must succeed.
    #[track_caller]
    pub(crate) fn get(&self, id: &str) -> Value {
        let answer = self.call("GET", id, None);
        assert_eq!(answer.status, 200, "GET {id}: {}", answer.text());
        answer.json()
    }

    /// A PUT that must succeed.
    #[track_caller]
    pub(crate) fn put_json(&self, id: &str, body: &Value) -> Value {
        let answer = self.call("PUT", id, Some(body));
        assert!(matches!(answer.status, 200 | 201), "PUT {id}: {} {}", answer.status, answer.text());
        answer.json()
    }

    /// A PUT of a resource that needs nothing but a place.
    #[track_caller]
    pub(crate) fn put(&self, id: &str) -> Value {
        self.put_json(id, &json!({"location": "local"}))
    }

    /// A DELETE that must succeed.
    #[track_caller]
    pub(crate) fn delete(&self, id: &str) {
        let answer = self.call("DELETE", id, None);
        assert!(matches!(answer.status, 200 | 202 | 204), "DELETE {id}: {} {}", answer.status, answer.text());
    }

    /// Makes a rule to workspaces (ARM ids).
    #[track_caller]
    pub(crate) fn put_rule(&self, name: &str, workspaces: &[&str]) -> Value {
        self.put_json(&self.id("Microsoft.Insights/dataCollectionRules", name), &rule(workspaces))
    }

    /// Gives a role at a scope; its assignment's id.
    #[track_caller]
    pub(crate) fn assign(&self, guid: &str, role: &str, principal: &str, scope: &str) -> String {
        let id = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{guid}");
        let role = format!("{}/providers/Microsoft.Authorization/roleDefinitions/{role}", self.subscription());
        let properties =
            json!({"roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal"});
        self.put_json(&id, &json!({"properties": properties}));
        id
    }

    /// The role assignment of a principal to a role of this name.
    #[track_caller]
    pub(crate) fn assignment_of(&self, principal: &str, role: &str) -> Value {
        let path = "providers/Microsoft.Authorization/roleDefinitions";
        let definitions =
            self.get(&format!("{}/{path}?$filter=roleName%20eq%20'{}'", self.subscription(), role.replace(' ', "%20")));
        let role = definitions["value"][0]["name"].as_str().unwrap().to_owned();
        let all = self.get(&format!("{}/providers/Microsoft.Authorization/roleAssignments", self.subscription()));
        let own = |one: &&Value| {
            one["properties"]["principalId"] == principal
                && one["properties"]["roleDefinitionId"].as_str().is_some_and(|id| id.ends_with(&role))
        };
        all["value"].as_array().unwrap().iter().find(own).expect("the principal has the role").clone()
    }
}

/// The body of a rule to workspaces.
pub(crate) fn rule(workspaces: &[&str]) -> Value {
    let names: Vec<String> = (0..workspaces.len()).map(|number| format!("w{number}")).collect();
    let accounts: Vec<Value> =
        names.iter().zip(workspaces).map(|(name, id)| json!({"name": name, "accountResourceId": id})).collect();
    json!({"location": "local", "properties": {
        "destinations": {"monitoringAccounts": accounts},
        "dataFlows": [{"streams": ["Microsoft-PrometheusMetrics"], "destinations": names}],
    }})
}

/// What a token says.
pub(crate) fn token_claims(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// One that the kind of resource has.
fn api_version(id: &str) -> &'static str {
    let path = id.split('?').next().unwrap_or(id).to_ascii_lowercase();
    let kind = path.rsplit_once("/providers/").map_or("", |(_, rest)| rest);
    VERSIONS.iter().find(|(prefix, _)| kind.starts_with(prefix)).map_or("2024-11-01", |(_, version)| version)
}

const VERSIONS: [(&str, &str); 7] = [
    ("microsoft.monitor", "2023-04-03"),
    ("microsoft.insights/metrics", "2024-02-01"),
    ("microsoft.insights", "2022-06-01"),
    ("microsoft.authorization/roledefinitions", "2022-05-01-preview"),
    ("microsoft.authorization", "2022-04-01"),
    ("microsoft.managedidentity", "2023-01-31"),
    ("remora.service", "2026-11-01"),
];
