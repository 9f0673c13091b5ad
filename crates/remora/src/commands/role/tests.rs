use serde_json::{Value, json};
use testkit::{json_response, response};

use super::super::test_support::{SUBSCRIPTION, ok, refusal, run};

const READER: &str = "b0d8363b-8ddd-447d-831f-62ca05bff136";
const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
const PRINCIPAL: &str = "22222222-2222-2222-2222-222222222222";

fn assignment(name: &str, principal: &str, role: &str, scope: &str) -> Value {
    json!({
        "id": format!("{}/providers/Microsoft.Authorization/roleAssignments/{name}", scope.trim_end_matches('/')),
        "name": name,
        "properties": {
            "principalId": principal,
            "principalType": "ServicePrincipal",
            "roleDefinitionId": format!("/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{role}"),
            "scope": scope,
        },
    })
}

/// A directory with `reader`, roles, and two assignments.
fn service(method: &str, target: &str, body: Value) -> environment::Response {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let subscription = format!("/subscriptions/{SUBSCRIPTION}");
    match (method, path) {
        ("GET", "/metadata/endpoints") => ok(&json!({"microsoftGraphResourceId": "https://graph.test/"})),
        ("GET", "/v1.0/servicePrincipals") => {
            let known =
                json!({"id": PRINCIPAL, "appId": "33333333-3333-3333-3333-333333333333", "displayName": "reader"});
            let is_named = query.contains("%27reader%27") || query.contains("33333333");
            ok(&json!({"value": if is_named { vec![known] } else { Vec::new() }}))
        }
        ("POST", "/v1.0/directoryObjects/getByIds") => {
            ok(&json!({"value": [{"id": PRINCIPAL, "displayName": "reader"}]}))
        }
        ("GET", path) if path.ends_with("/roleDefinitions") => ok(&json!({"value": [
            {"name": READER, "properties": {"roleName": "Monitoring Data Reader", "description": "may query"}},
            {"name": OWNER, "properties": {"roleName": "Owner", "description": "may manage"}},
        ]})),
        ("GET", path) if path.ends_with("/roleAssignments") => ok(&json!({"value": [
            assignment("n-1", PRINCIPAL, READER, &subscription),
            assignment("n-2", "44444444-4444-4444-4444-444444444444", OWNER, &subscription),
            assignment("n-3", PRINCIPAL, READER, "/"),
        ]})),
        ("PUT", _) => {
            let mut made = body;
            made["properties"]["scope"] = json!(path.split("/providers/Microsoft.Authorization").next());
            made["id"] = json!(path);
            json_response(201, made.to_string())
        }
        ("DELETE", _) => response(200, ""),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lists_have_names_for_people() {
    let out = run("role list", service).written.out();
    let first: Vec<&str> = out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(first, ["reader", PRINCIPAL, "Monitoring", "Data", "Reader", "subscription", "n-1"]);
    assert!(out.contains("44444444-4444-4444-4444-444444444444"), "who is not in the directory has an id: {out}");
    assert_eq!(run("role list --role owner -q", service).written.out(), "n-2\n");
    assert_eq!(run("role list --principal reader -q", service).written.out(), "n-1\nn-3\n");
    let scoped = run("role list --scope /subscriptions/s/resourceGroups/g -q", service);
    assert!(
        scoped.requests[0]
            .contains("/resourceGroups/g/providers/Microsoft.Authorization/roleAssignments?$filter=atScope%28%29")
    );
}

#[test]
fn roles_are_given_to_whom_people_name() {
    for (named, principal) in [
        ("reader", PRINCIPAL),
        ("33333333-3333-3333-3333-333333333333", PRINCIPAL),
        // One of another directory.
        ("55555555-5555-5555-5555-555555555555", "55555555-5555-5555-5555-555555555555"),
    ] {
        let outcome =
            run(&format!("role create --principal {named} --role 'monitoring data reader' --scope /a/b"), service);
        outcome.result.as_ref().unwrap_or_else(|error| panic!("{named}: {error}"));
        let index = outcome.requests.iter().position(|request| request.starts_with("PUT")).unwrap();
        assert!(outcome.requests[index].starts_with("PUT /a/b/providers/Microsoft.Authorization/roleAssignments/"));
        let properties = &outcome.bodies[index]["properties"];
        assert_eq!(properties["principalId"], principal);
        assert_eq!(properties["principalType"], "ServicePrincipal");
        assert!(properties["roleDefinitionId"].as_str().unwrap().ends_with(READER));
    }
    let unknown = run("role create --principal nobody --role Owner --scope /", service).result.unwrap_err();
    assert!(unknown.to_string().contains("remora principal list"), "{unknown}");
    let no_role = run("role create --principal reader --role Boss --scope /", service).result.unwrap_err();
    assert!(no_role.to_string().contains("Monitoring Data Reader, Owner"), "{no_role}");
    assert_eq!(no_role.exit_code(), 2);
}

#[test]
fn without_a_directory_ids_are_taken_as_they_are() {
    let outcome =
        run(&format!("role create --principal {PRINCIPAL} --role {READER} --scope /"), |method, target, body| {
            if target.starts_with("/v1.0/") {
                return refusal(403, "Authorization_RequestDenied", "not for you");
            }
            service(method, target, body)
        });
    outcome.result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_role_that_is_given_already_is_no_failure() {
    let line = format!("role create --principal reader --role Owner --scope /subscriptions/{SUBSCRIPTION}");
    let conflict = |method: &str, target: &str, body: Value| match method {
        "PUT" => refusal(409, "RoleAssignmentExists", "The role assignment already exists."),
        _ => service(method, target, body),
    };
    let given = run(&line.replace("Owner", "'Monitoring Data Reader'"), conflict);
    given.result.unwrap_or_else(|error| panic!("{error}"));
    assert!(
        given.written.out().contains("n-1") && given.written.notes().contains("had already"),
        "{}",
        given.written.out()
    );
    // The service says so, and it cannot be found.
    run(&line, conflict).result.unwrap_err();
}

#[test]
fn a_role_is_taken_away_where_it_was_given() {
    let at =
        |scope: &str| run(&format!("role delete --principal reader --role {READER} --scope {scope} --yes"), service);
    assert_eq!(
        at("/").requests.last().unwrap(),
        "DELETE /providers/Microsoft.Authorization/roleAssignments/n-3?api-version=2022-04-01"
    );
    let above = at("/subscriptions/x").result.unwrap_err();
    assert!(above.to_string().contains("does not have the role"), "{above}");
    let by_name = run("role delete n-2 --yes", service);
    assert!(
        by_name.requests.last().unwrap().ends_with("/roleAssignments/n-2?api-version=2022-04-01"),
        "{:?}",
        by_name.requests
    );
}

#[test]
fn another_role_is_given_before_the_old_one_is_taken() {
    let outcome = run("role update n-1 --role Owner", service);
    outcome.result.unwrap_or_else(|error| panic!("{error}"));
    let changes: Vec<&String> =
        outcome.requests.iter().filter(|request| !request.starts_with("GET") && !request.starts_with("POST")).collect();
    assert!(
        changes[0].starts_with("PUT") && changes[1].starts_with("DELETE") && changes[1].contains("/n-1?"),
        "{changes:?}"
    );
    let same = run("role update n-1 --role 'Monitoring Data Reader'", service);
    assert!(!same.requests.iter().any(|request| request.starts_with("PUT") || request.starts_with("DELETE")));
}
