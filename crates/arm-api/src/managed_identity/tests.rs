use serde_json::json;

use crate::testing::{Bench, GROUP, SUBSCRIPTION, TENANT};

const KIND: &str = "providers/Microsoft.ManagedIdentity/userAssignedIdentities";

#[tokio::test]
async fn an_identity_from_put_to_delete() {
    let bench = Bench::new().await;
    let one = format!("{GROUP}/{KIND}/sender");
    let made = bench.put(&one, json!({ "location": "local", "tags": { "a": "b" } })).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["properties"]["tenantId"], TENANT);
    let ids = made.body["properties"].clone();
    let again = bench.put(&one, json!({ "location": "local", "properties": ids, "type": "x" })).await;
    assert_eq!((again.status, &again.body["properties"]), (200, &ids), "ids stay");
    assert_eq!(again.body["tags"], json!({}));
    let patched = bench.patch(&one, json!({ "tags": { "c": "d" } })).await;
    assert_eq!((patched.status, &patched.body["tags"]), (200, &json!({ "c": "d" })));
    for list in [format!("{GROUP}/{KIND}"), format!("/subscriptions/{SUBSCRIPTION}/{KIND}")] {
        let listed = bench.get(&list).await;
        assert_eq!(listed.body["value"][0]["name"], "sender", "{list}");
    }
    assert_eq!(bench.post(&format!("{one}/listAssociatedResources"), json!({})).await.body["totalCount"], 0);
    assert_eq!(bench.delete(&one).await.status, 200);
    assert_eq!(bench.delete(&one).await.status, 204);
    assert_eq!(bench.get(&one).await.code(), "ResourceNotFound");
}

#[tokio::test]
async fn what_is_wrong_with_an_identity() {
    let bench = Bench::new().await;
    let one = format!("{GROUP}/{KIND}/sender");
    let said = bench.put(&one, json!({ "tags": { "a": 1 }, "sku": "x" })).await;
    assert_eq!(said.status, 400);
    let mut targets = said.targets();
    targets.sort_unstable();
    assert_eq!(targets, ["location", "sku", "tags.a"]);
    let nowhere = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/none/{KIND}/sender");
    assert_eq!(bench.put(&nowhere, json!({ "location": "local" })).await.code(), "ResourceGroupNotFound");
    assert_eq!(bench.get(&nowhere).await.code(), "ResourceGroupNotFound");
    let elsewhere = nowhere.replace(SUBSCRIPTION, "11111111-2222-3333-4444-000000000000");
    assert_eq!(bench.get(&elsewhere).await.code(), "SubscriptionNotFound");
}

#[tokio::test]
async fn patches_at_the_same_time_lose_nothing() {
    let bench = Bench::new().await;
    let one = format!("{GROUP}/{KIND}/sender");
    bench.put(&one, json!({ "location": "local", "tags": { "kept": "" } })).await;
    let stale = bench.ask("PATCH", &one, Some(crate::testing::OWNER), &[("if-match", "old")], Some(b"{}".to_vec()));
    assert_eq!(stale.await.status, 412);
    // One that says nothing of tags must not write those back that it read before the other.
    for round in 0..20 {
        let tags = json!({ "tags": { "round": round.to_string() } });
        let (one_said, other) = tokio::join!(bench.patch(&one, json!({})), bench.patch(&one, tags.clone()));
        assert_eq!((one_said.status, other.status), (200, 200));
        assert_eq!(bench.get(&one).await.body["tags"], tags["tags"]);
    }
}

#[tokio::test]
async fn federated_credentials() {
    let bench = Bench::new().await;
    let identity = format!("{GROUP}/{KIND}/sender");
    let one = format!("{identity}/federatedIdentityCredentials/cluster");
    let good = json!({ "properties": {
        "issuer": "https://cluster.example",
        "subject": "system:serviceaccount:a:b",
        "audiences": ["api://AzureADTokenExchange"],
    }});
    assert_eq!(bench.put(&one, good.clone()).await.code(), "ResourceNotFound", "the identity is missing");
    bench.put(&identity, json!({ "location": "local" })).await;
    let made = bench.put(&one, good.clone()).await;
    assert_eq!((made.status, &made.body["properties"]), (201, &good["properties"]));
    assert_eq!(made.body["id"], one.as_str());
    let mut other = good.clone();
    other["properties"]["subject"] = json!("system:serviceaccount:a:c");
    let changed = bench.put(&one.to_uppercase().replace("CLUSTER", "Cluster"), other.clone()).await;
    assert_eq!((changed.status, &changed.body["properties"]), (200, &other["properties"]));
    let list = bench.get(&format!("{identity}/federatedIdentityCredentials")).await;
    assert_eq!(list.body["value"].as_array().unwrap().len(), 1);

    let double = bench.put(&format!("{identity}/federatedIdentityCredentials/second"), other).await;
    assert_eq!((double.status, double.targets()), (400, vec!["properties.subject"]));
    let wrong = json!({ "properties": { "issuer": "x", "subject": "", "audiences": [] } });
    let said = bench.put(&format!("{identity}/federatedIdentityCredentials/a"), wrong).await;
    assert_eq!(said.targets(), ["name", "properties.issuer", "properties.subject", "properties.audiences"]);

    assert_eq!(bench.delete(&one).await.status, 200);
    assert_eq!(bench.delete(&one).await.status, 204);
    assert_eq!(bench.get(&one).await.status, 404);
}
