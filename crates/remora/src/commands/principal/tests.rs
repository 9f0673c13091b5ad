use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use testkit::{json_response, response};

use super::super::test_support::{Outcome, ok, refusal, run};

const CLIENT: &str = "33333333-3333-3333-3333-333333333333";
const KEY: &str = "44444444-4444-4444-4444-444444444444";
const SECRET: &str = "Rem8Q~a-secret-value";

fn service(method: &str, target: &str, body: Value) -> environment::Response {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let principal =
        json!({"id": "o-1", "appId": CLIENT, "displayName": "writer", "servicePrincipalType": "Application"});
    let identity =
        json!({"id": "o-2", "appId": KEY, "displayName": "machine", "servicePrincipalType": "ManagedIdentity"});
    let application = json!({
        "id": "app-1",
        "appId": CLIENT,
        "displayName": "writer",
        "passwordCredentials": [{"keyId": KEY, "displayName": "first", "hint": "abc", "endDateTime": "2027-01-01T00:00:00Z"}],
        "keyCredentials": [{"keyId": KEY, "displayName": "old", "type": "AsymmetricX509Cert", "key": null}],
    });
    match (method, path) {
        ("GET", "/metadata/endpoints") => ok(&json!({"microsoftGraphResourceId": "https://graph.test/"})),
        ("GET", "/v1.0/servicePrincipals") if query.is_empty() => ok(&json!({"value": [principal, identity]})),
        ("GET", "/v1.0/servicePrincipals") if query.contains("writer") || query.contains(CLIENT) => {
            ok(&json!({"value": [principal]}))
        }
        ("GET", "/v1.0/servicePrincipals") if query.contains("machine") => ok(&json!({"value": [identity]})),
        ("GET", "/v1.0/servicePrincipals") => ok(&json!({"value": []})),
        ("GET", "/v1.0/applications") => ok(&json!({"value": [application]})),
        ("GET", "/v1.0/applications/app-1/federatedIdentityCredentials") => ok(
            &json!({"value": [{"id": "f-1", "name": "cluster", "issuer": "https://i", "subject": "s", "audiences": ["a"]}]}),
        ),
        ("POST", "/v1.0/applications") => json_response(201, json!({"id": "app-2", "appId": "new-client"}).to_string()),
        ("POST", "/v1.0/servicePrincipals") => {
            json_response(201, json!({"id": "o-9", "appId": body["appId"], "displayName": "new"}).to_string())
        }
        ("POST", "/v1.0/applications/app-1/addPassword") => ok(&json!({"keyId": KEY, "secretText": SECRET})),
        ("POST" | "PATCH" | "DELETE", _) => response(204, ""),
        _ => refusal(404, "Request_ResourceNotFound", "not there"),
    }
}

fn body_of(outcome: &Outcome, start: &str) -> Value {
    let index = outcome.requests.iter().position(|request| request.starts_with(start));
    outcome.bodies[index.unwrap_or_else(|| panic!("no {start} in {:?}", outcome.requests))].clone()
}

#[test]
fn a_principal_is_an_application_with_a_service_principal() {
    let outcome = run("principal create new", service);
    let out = outcome.written.out();
    assert!(out.contains("client id  new-client\n") && out.contains("object id  o-9\n"), "{out}");
    let twice = run("principal create writer", service).result.unwrap_err();
    assert!(twice.to_string().contains("already"), "{twice}");
}

#[test]
fn a_secret_is_shown_once_and_alone() {
    let shown = run("principal add-secret writer --days 30", service);
    assert_eq!(shown.written.out(), format!("{SECRET}\n"));
    assert!(!shown.written.notes().contains(SECRET));
    let body = body_of(&shown, "POST /v1.0/applications/app-1/addPassword");
    assert_eq!(body["passwordCredential"]["endDateTime"], "2023-12-14T22:13:20Z", "thirty days after the test's now");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    let line = format!("principal add-secret writer --output-file {}", file.display());
    let kept = run(&line, service);
    assert_eq!(kept.written.out(), "");
    assert!(!kept.written.notes().contains(SECRET));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), SECRET);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // What is there is never written over, and then no secret is made either.
    let again = run(&line, service);
    assert!(again.result.is_err() && !again.requests.iter().any(|request| request.contains("addPassword")));
}

#[test]
fn a_failed_secret_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    let outcome =
        run(&format!("principal add-secret writer --output-file {}", file.display()), |method, target, body| {
            if target.contains("addPassword") {
                refusal(403, "Authorization_RequestDenied", "no")
            } else {
                service(method, target, body)
            }
        });
    assert!(outcome.result.unwrap_err().to_string().contains("Owner"));
    assert!(!file.exists());
}

#[test]
fn certificates_are_added_to_those_that_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("certificate.pem");
    let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    std::fs::write(&file, format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem())).unwrap();
    let outcome = run(&format!("principal add-certificate writer {} --name new", file.display()), service);
    outcome.result.as_ref().unwrap_or_else(|error| panic!("{error}"));
    let keys = body_of(&outcome, "PATCH /v1.0/applications/app-1")["keyCredentials"].clone();
    assert_eq!(
        (keys.as_array().unwrap().len(), &keys[0]["keyId"], &keys[1]["displayName"]),
        (2, &json!(KEY), &json!("new"))
    );
    let sent = serde_json::to_string(&outcome.bodies).unwrap();
    assert!(!sent.contains("PRIVATE"), "the key stays here");
    std::fs::write(&file, made.signing_key.serialize_pem()).unwrap();
    let without = run(&format!("principal add-certificate writer {}", file.display()), service);
    assert!(without.result.unwrap_err().to_string().contains("CERTIFICATE section") && without.requests.is_empty());
}

#[test]
fn what_proves_a_principal_can_be_taken_away() {
    let removed = run(&format!("principal remove-certificate writer {KEY}"), service);
    assert_eq!(body_of(&removed, "PATCH /v1.0/applications/app-1"), json!({"keyCredentials": []}));
    let unknown = run(&format!("principal remove-certificate writer {CLIENT}"), service);
    assert!(unknown.result.unwrap_err().to_string().contains("no certificate"));
    let secret = run(&format!("principal remove-secret writer {KEY}"), service);
    assert_eq!(body_of(&secret, "POST /v1.0/applications/app-1/removePassword"), json!({"keyId": KEY}));
    let federation = run("principal remove-federation writer Cluster", service);
    assert_eq!(federation.requests.last().unwrap(), "DELETE /v1.0/applications/app-1/federatedIdentityCredentials/f-1");
    let no_federation = run("principal remove-federation writer other", service);
    assert!(no_federation.result.unwrap_err().to_string().contains("no federation"));
}

#[test]
fn showing_never_shows_a_secret() {
    let out = run("principal show writer", service).written.out();
    for told in ["first (abc…), until 2027-01-01T00:00:00Z", "certificate", "cluster: s of https://i for a"] {
        assert!(out.contains(told), "{told} is missing in {out}");
    }
    let list = run("principal list -q", service).written.out();
    assert_eq!(list, "writer\nmachine\n");
}

#[test]
fn managed_identities_have_no_secrets() {
    for line in ["principal add-secret machine", "principal delete machine --yes"] {
        let outcome = run(line, service);
        assert!(outcome.result.unwrap_err().to_string().contains("managed identity"), "{line}");
        assert!(outcome.requests.iter().all(|request| request.starts_with("GET")));
    }
}
