use access::roles;
use serde_json::json;

use super::*;

const GUID: &str = "0c9ad8d0-1111-4000-8000-000000000001";

fn id(name: &str) -> ResourceId {
    format!("/subscriptions/s/providers/Microsoft.Authorization/roleAssignments/{name}").parse().unwrap()
}

fn role_id(role: &str) -> String {
    format!("/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{role}")
}

fn codes(name: &str, body: &Value) -> Vec<String> {
    match assignment(id(name), body, &Policy::default()) {
        Ok(_) => Vec::new(),
        Err(error) if error.details.is_empty() => vec![format!("{} {}", error.code, error.target.unwrap_or_default())],
        Err(error) => error.details.iter().map(|detail| format!("{} {}", detail.code, detail.target)).collect(),
    }
}

#[test]
fn what_is_asked_for() {
    let body = json!({ "properties": {
        "roleDefinitionId": role_id(&roles::READER.to_ascii_uppercase()),
        "principalId": GUID.to_ascii_uppercase(),
        "principalType": "user",
        "description": "on call",
        "condition": null,
        "scope": "/SUBSCRIPTIONS/S",
    }});
    let spec = assignment(id(GUID), &body, &Policy::default()).unwrap();
    assert_eq!((spec.role.as_str(), spec.principal_id.as_str()), (roles::READER, GUID));
    assert_eq!((spec.principal_type.as_str(), spec.description.as_deref()), ("User", Some("on call")));

    let bare = json!({ "roleDefinitionId": roles::READER, "principalId": "alice" });
    let spec = assignment(id(GUID), &bare, &Policy::default()).unwrap();
    assert_eq!((spec.principal_id.as_str(), spec.principal_type.as_str()), ("alice", "ServicePrincipal"));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let good = |change: fn(&mut Value)| {
        let mut body = json!({ "properties": { "roleDefinitionId": role_id(roles::READER), "principalId": GUID } });
        change(&mut body["properties"]);
        body
    };
    for (name, body, expected) in [
        (GUID, good(|_| {}), &[][..]),
        ("not-a-guid", good(|_| {}), &["InvalidRoleAssignmentId name"]),
        (
            GUID,
            json!([]),
            &[
                "InvalidRequestContent properties",
                "InvalidRoleDefinitionId properties.roleDefinitionId",
                "InvalidPrincipalId properties.principalId",
            ],
        ),
        (
            GUID,
            json!({ "properties": 5 }),
            &[
                "InvalidRequestContent properties",
                "InvalidRoleDefinitionId properties.roleDefinitionId",
                "InvalidPrincipalId properties.principalId",
            ],
        ),
        (
            GUID,
            good(|p| p["roleDefinitionId"] = json!(role_id("Reader"))),
            &["InvalidRoleDefinitionId properties.roleDefinitionId"],
        ),
        (
            GUID,
            good(|p| p["roleDefinitionId"] = json!(GUID)),
            &["RoleDefinitionDoesNotExist properties.roleDefinitionId"],
        ),
        (GUID, good(|p| p["principalId"] = json!("")), &["InvalidPrincipalId properties.principalId"]),
        (GUID, good(|p| p["principalId"] = json!(7)), &["InvalidPrincipalId properties.principalId"]),
        (GUID, good(|p| p["principalType"] = json!("Robot")), &["InvalidPrincipalType properties.principalType"]),
        (GUID, good(|p| p["condition"] = json!("@Resource")), &["UnsupportedProperty properties.condition"]),
        (GUID, good(|p| p["scope"] = json!("/subscriptions/t")), &["InvalidScope properties.scope"]),
        (GUID, good(|p| p["description"] = json!("x".repeat(1025))), &["InvalidProperty properties.description"]),
        (
            "x",
            good(|p| *p = json!({ "roleDefinitionId": "x", "principalId": "a\nb" })),
            &[
                "InvalidRoleAssignmentId name",
                "InvalidRoleDefinitionId properties.roleDefinitionId",
                "InvalidPrincipalId properties.principalId",
            ],
        ),
    ] {
        assert_eq!(codes(name, &body), expected, "{name} {body}");
    }
}

#[test]
fn scopes() {
    for (id, scope) in [
        ("/providers/Microsoft.Authorization/roleAssignments/g", Some("/")),
        ("/subscriptions/s/PROVIDERS/microsoft.authorization/roleassignments/g", Some("/subscriptions/s")),
        ("/subscriptions/s", None),
        ("/g", None),
    ] {
        assert_eq!(scope_of(&id.parse().unwrap()).map(|scope| scope.to_string()).as_deref(), scope, "{id}");
    }
}
