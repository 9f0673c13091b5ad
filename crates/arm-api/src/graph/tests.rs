use access::roles;
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::testing::{Bench, GROUP, STRANGER};

async fn application(bench: &Bench, name: &str) -> Value {
    let made = bench.post("/v1.0/applications", json!({ "displayName": name })).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

async fn names(bench: &Bench, path: &str) -> Vec<String> {
    let said = bench.get(path).await;
    assert_eq!(said.status, 200, "{path}: {said:?}");
    let items = said.body["value"].as_array().unwrap().iter();
    let mut names: Vec<String> = items.map(|item| item["displayName"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_secret_is_told_once_and_kept_as_its_digest() {
    let bench = Bench::new().await;
    let made = application(&bench, "writer").await;
    let own = format!("/v1.0/applications/{}", id(&made));
    let wanted = json!({ "passwordCredential": { "displayName": "rbac", "endDateTime": "2030-01-01T00:00:00Z", "startDateTime": "x" } });
    let told = bench.post(&format!("{own}/addPassword"), wanted).await;
    assert_eq!(told.status, 200, "{told:?}");
    let secret = told.body["secretText"].as_str().unwrap().to_owned();
    assert_eq!(told.body["hint"], secret[..3]);
    assert_eq!(told.body["endDateTime"], "2030-01-01T00:00:00Z");

    let client_id: uuid::Uuid = made["appId"].as_str().unwrap().parse().unwrap();
    let kept = bench.store.catalog().snapshot().applications().get(&client_id).unwrap().secrets[0].clone();
    let sha256: String = digest(&SHA256, secret.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((kept.sha256_hex, kept.expires_at), (sha256, Some(1_893_456_000)));
    for path in [own.clone(), "/v1.0/applications".to_owned(), "/v1.0/servicePrincipals".to_owned()] {
        let said = bench.get(&path).await;
        assert!(!said.body.to_string().contains(&secret), "{path}");
        assert!(said.body.to_string().contains("\"hint\""), "{path}");
    }

    let remove = json!({ "keyId": told.body["keyId"] });
    assert_eq!(bench.post(&format!("{own}/removePassword"), remove.clone()).await.status, 204);
    assert_eq!(bench.post(&format!("{own}/removePassword"), remove).await.status, 400);
    assert_eq!(bench.get(&own).await.body["passwordCredentials"], json!([]));
}

#[tokio::test]
async fn an_application_and_its_principal_are_one() {
    let bench = Bench::new().await;
    let made = application(&bench, "writer").await;
    let app_id = made["appId"].as_str().unwrap();
    let principal = bench.post("/v1.0/servicePrincipals", json!({ "appId": app_id, "accountEnabled": true })).await;
    assert_eq!((principal.status, &principal.body["appId"]), (201, &made["appId"]));
    let own = format!("/v1.0/servicePrincipals/{}", id(&principal.body));
    assert_eq!(bench.get(&own).await.body, principal.body);
    assert_ne!(id(&principal.body), id(&made));
    let unknown = bench.post("/v1.0/servicePrincipals", json!({ "appId": STRANGER })).await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.body["error"]["message"].as_str().unwrap().contains(" does not reference "), "az waits for this");

    assert_eq!(bench.delete(&own).await.status, 204);
    for path in [own, format!("/v1.0/applications/{}", id(&made))] {
        let said = bench.get(&path).await;
        assert_eq!((said.status, said.code()), (404, "Request_ResourceNotFound"), "{path}");
    }
}

#[tokio::test]
async fn principals_are_found_as_az_looks_for_them() {
    let bench = Bench::new().await;
    let (one, _two) = (application(&bench, "writer").await, application(&bench, "Writer 2").await);
    let identity = format!("{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/sender");
    let identity = bench.put(&identity, json!({ "location": "local" })).await.body["properties"].clone();
    let (app_id, client_id) = (one["appId"].as_str().unwrap(), identity["clientId"].as_str().unwrap());
    for (filter, expected) in [
        (String::new(), &["Writer 2", "sender", "writer"][..]),
        (format!("servicePrincipalNames/any(c:c eq '{app_id}')"), &["writer"]),
        (format!("servicePrincipalNames/any(c:c eq '{client_id}')"), &["sender"]),
        ("displayName eq 'WRITER'".to_owned(), &["writer"]),
        ("startswith(displayName,'wri')".to_owned(), &["Writer 2", "writer"]),
        (format!("appId eq '{app_id}' or displayName eq 'sender'"), &["sender", "writer"]),
        ("servicePrincipalType eq 'ManagedIdentity'".to_owned(), &["sender"]),
        ("servicePrincipalNames/any(c:c eq 'nobody')".to_owned(), &[]),
    ] {
        let path = format!("/v1.0/servicePrincipals?$filter={}", filter.replace(' ', "%20"));
        assert_eq!(names(&bench, &path).await, expected, "{filter}");
    }
    for filter in ["x", "length(displayName)", "displayName%20eq"] {
        assert_eq!(bench.get(&format!("/v1.0/servicePrincipals?$filter={filter}")).await.code(), "Request_BadRequest");
    }
    let ids = json!({ "ids": [identity["principalId"], one["id"], STRANGER], "types": ["user", "group", "servicePrincipal"] });
    let found = bench.post("/v1.0/directoryObjects/getByIds", ids).await;
    let found = found.body["value"].as_array().unwrap();
    assert_eq!((found.len(), &found[0]["@odata.type"]), (1, &json!("#microsoft.graph.servicePrincipal")));
    assert_eq!(found[0]["displayName"], "sender");
    assert_eq!(
        bench.delete(&format!("/v1.0/servicePrincipals/{}", identity["principalId"].as_str().unwrap())).await.status,
        400
    );

    let mut all = Vec::new();
    let mut next = Some("/v1.0/servicePrincipals?$top=2".to_owned());
    while let Some(path) = next {
        let said = bench.get(&path).await;
        all.extend(said.body["value"].as_array().unwrap().clone());
        next = said.body["@odata.nextLink"]
            .as_str()
            .map(|link| link.strip_prefix("https://remora.example").unwrap().to_owned());
    }
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn certificates_are_given_and_taken() {
    let bench = Bench::new().await;
    let key = json!({ "key": super::certificates::CERTIFICATE, "type": "AsymmetricX509Cert", "usage": "Verify", "displayName": "one" });
    let made = bench.post("/v1.0/applications", json!({ "displayName": "signer", "keyCredentials": [key] })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let kept = made.body["keyCredentials"].as_array().unwrap().clone();
    assert_eq!((kept.len(), &kept[0]["displayName"], &kept[0]["key"]), (1, &json!("one"), &Value::Null));
    let own = format!("/v1.0/applications/{}", id(&made.body));
    assert_eq!(bench.patch(&own, json!({ "keyCredentials": kept })).await.status, 204);
    assert_eq!(bench.get(&own).await.body["keyCredentials"], made.body["keyCredentials"], "named by its id, it stays");
    assert_eq!(bench.patch(&own, json!({ "keyCredentials": [] })).await.status, 204);
    assert_eq!(bench.get(&own).await.body["keyCredentials"], json!([]));
    let wrong = json!({ "displayName": "b", "keyCredentials": [{ "key": "AAAA" }], "identifierUris": ["api://x"] });
    let said = bench.post("/v1.0/applications", wrong).await;
    assert_eq!((said.status, said.targets()), (400, vec!["identifierUris", "keyCredentials[0].key"]));
    assert_eq!(names(&bench, "/v1.0/applications").await, ["signer"], "nothing is half made");
}

#[tokio::test]
async fn federated_credentials_of_applications() {
    let bench = Bench::new().await;
    let made = application(&bench, "pipeline").await;
    let list = format!("/v1.0/applications/{}/federatedIdentityCredentials", id(&made));
    let good = json!({ "name": "hub", "issuer": "https://token.example", "subject": "repo:a/b", "audiences": ["api://AzureADTokenExchange"], "description": "x" });
    let first = bench.post(&list, good.clone()).await;
    assert_eq!((first.status, &first.body["name"]), (201, &json!("hub")));
    assert_eq!(bench.post(&list, good).await.status, 409);
    assert_eq!(bench.patch(&format!("{list}/HUB"), json!({ "subject": "repo:a/c" })).await.status, 204);
    let by_id = format!("{list}/{}", id(&first.body));
    assert_eq!(bench.get(&by_id).await.body["subject"], "repo:a/c");
    assert_eq!(bench.delete(&by_id).await.status, 204);
    assert_eq!(bench.get(&list).await.body["value"], json!([]));
    assert_eq!(bench.delete(&by_id).await.status, 404);
}

#[tokio::test]
async fn reading_needs_a_role_and_changing_the_right_to_give_roles() {
    let bench = Bench::new().await;
    let reading = "/v1.0/servicePrincipals";
    assert_eq!(bench.get_as(STRANGER, reading).await.status, 403);
    bench.grant(STRANGER, roles::MONITORING_DATA_READER, GROUP);
    assert_eq!(bench.get_as(STRANGER, reading).await.status, 200);
    let create = || Some(json!({ "displayName": "x" }).to_string().into_bytes());
    for (role, scope, status) in
        [(roles::CONTRIBUTOR, "/", 403), (roles::OWNER, GROUP, 403), (roles::USER_ACCESS_ADMINISTRATOR, "/", 201)]
    {
        bench.grant(STRANGER, role, scope);
        let said = bench.ask("POST", "/v1.0/applications", Some(STRANGER), &[], create()).await;
        assert_eq!(said.status, status, "{role} at {scope}");
        bench.revoke(STRANGER, role, scope);
    }
    let token = bench.token(crate::testing::OWNER, crate::testing::MANAGEMENT);
    let request = http::Request::get(reading).header("authorization", format!("Bearer {token}"));
    assert_eq!(bench.send(request.body(Default::default()).unwrap()).await.status, 401, "a token for management");
}

#[tokio::test]
async fn there_are_no_people() {
    let bench = Bench::new().await;
    for path in ["/v1.0/users?$filter=userPrincipalName%20eq%20'a@b'", "/v1.0/groups", "/v1.0/oauth2PermissionGrants"] {
        assert_eq!(bench.get(path).await.body["value"], json!([]), "{path}");
    }
    assert_eq!(bench.get("/v1.0/users/a@b").await.status, 404);
    assert_eq!(bench.get("/v1.0/me").await.code(), "Request_BadRequest");
}
