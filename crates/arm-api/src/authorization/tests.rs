use access::roles;
use serde_json::{Value, json};

use crate::testing::{Bench, GROUP, STRANGER, SUBSCRIPTION, Said};

const READER: &str = "bbbbbbbb-0000-4000-8000-000000000001";
const NAMES: [&str; 3] = [
    "0c9ad8d0-1111-4000-8000-000000000001",
    "0c9ad8d0-1111-4000-8000-000000000002",
    "0c9ad8d0-1111-4000-8000-000000000003",
];

fn path(scope: &str, name: &str) -> String {
    format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}")
}

fn body(role: &str, principal: &str) -> Value {
    let role = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role}");
    json!({ "properties": { "roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal" } })
}

fn values<'a>(said: &'a Said, field: &str) -> Vec<&'a str> {
    let items = said.body["value"].as_array().unwrap().iter();
    items.map(|item| item["properties"][field].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_assignment_from_put_to_delete() {
    let bench = Bench::new().await;
    let (one, look) = (path(GROUP, NAMES[0]), format!("{GROUP}?api-version=2024-11-01"));
    assert_eq!(bench.get_as(READER, &look).await.status, 403);
    let made = bench.put(&one, body(roles::READER, READER)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let properties = &made.body["properties"];
    assert_eq!(properties["scope"], GROUP);
    assert_eq!(properties["principalId"], READER);
    assert_eq!(properties["createdBy"], crate::testing::OWNER);
    assert!(properties["createdOn"].as_str().unwrap().starts_with("2026-"));
    assert_eq!(made.body["name"], NAMES[0]);
    assert_eq!(made.body["id"], one.as_str());
    assert_eq!(bench.get_as(READER, &look).await.status, 200, "with the answer it is in force");

    assert_eq!(bench.put(&one, body(roles::READER, READER)).await.status, 200, "the same again");
    let double = bench.put(&path(GROUP, NAMES[1]), body(roles::READER, READER)).await;
    assert_eq!((double.status, double.code()), (409, "RoleAssignmentExists"));
    assert_eq!(bench.get(&one).await.body["properties"]["principalId"], READER);
    assert_eq!(bench.get(&one.to_uppercase()).await.status, 200);

    let gone = bench.delete(&one).await;
    assert_eq!((gone.status, &gone.body["name"]), (200, &json!(NAMES[0])));
    assert_eq!(bench.delete(&one).await.status, 204);
    let missing = bench.get(&one).await;
    assert_eq!((missing.status, missing.code()), (404, "RoleAssignmentNotFound"));
    assert_eq!(bench.get_as(READER, &look).await.status, 403);
}

#[tokio::test]
async fn at_the_root_too() {
    let bench = Bench::new().await;
    assert_eq!(bench.put(&path("", NAMES[0]), body(roles::READER, READER)).await.status, 201);
    // As some clients write it: a scope that begins with a slash behind a slash of their own.
    let found = bench.get(&format!("//{}", path("", NAMES[0]))).await;
    assert_eq!(found.body["properties"]["scope"], "/");
    let id = found.body["properties"]["roleDefinitionId"].as_str().unwrap();
    assert_eq!(id, format!("/providers/Microsoft.Authorization/roleDefinitions/{}", roles::READER));
    assert_eq!(bench.get_as(READER, GROUP).await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_a_scope() {
    let bench = Bench::new().await;
    for (scope, code) in [
        (format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/none"), "ResourceGroupNotFound"),
        ("/subscriptions/11111111-2222-3333-4444-000000000000".to_owned(), "SubscriptionNotFound"),
        (format!("{GROUP}/providers/Microsoft.Monitor/accounts/none"), "ResourceNotFound"),
    ] {
        let said = bench.put(&path(&scope, NAMES[0]), body(roles::READER, READER)).await;
        assert_eq!((said.status, said.code()), (404, code), "{scope}");
    }
}

#[tokio::test]
async fn lists_show_what_one_may_read() {
    let bench = Bench::new().await;
    let subscription = format!("/subscriptions/{SUBSCRIPTION}");
    for (name, scope, role) in
        [(0, "", roles::READER), (1, subscription.as_str(), roles::CONTRIBUTOR), (2, GROUP, roles::MONITORING_READER)]
    {
        assert_eq!(bench.put(&path(scope, NAMES[name]), body(role, READER)).await.status, 201);
    }
    let list = |scope: &str, filter: &str| {
        let filter = filter.replace(' ', "%20");
        format!("{scope}/providers/Microsoft.Authorization/roleAssignments?$filter={filter}")
    };
    assert_eq!(values(&bench.get(&list(GROUP, "")).await, "scope"), ["/", subscription.as_str(), GROUP]);
    assert_eq!(values(&bench.get(&list(&subscription, "atScope()")).await, "scope"), ["/", subscription.as_str()]);
    let of = bench.get(&list("", &format!("principalId eq '{READER}'"))).await;
    assert_eq!(values(&of, "principalId"), [READER; 3]);
    assert!(values(&bench.get(&list("", "assignedTo('nobody')")).await, "scope").is_empty());
    let refused = bench.get(&list("", "createdBy eq 'x'")).await;
    assert_eq!((refused.status, refused.code()), (400, "UnsupportedQuery"));
    assert_eq!(bench.get(&list("", "principalId")).await.code(), "InvalidFilter");

    assert_eq!(bench.get_as(STRANGER, &list(&subscription, "")).await.status, 403);
    bench.grant(STRANGER, roles::READER, GROUP);
    assert_eq!(values(&bench.get_as(STRANGER, &list(&subscription, "")).await, "scope"), [GROUP]);

    let first = bench.get(&format!("{}&$top=2", list(GROUP, ""))).await;
    assert_eq!(values(&first, "scope").len(), 2);
    let next = first.body["nextLink"].as_str().unwrap().strip_prefix("https://remora.example").unwrap().to_owned();
    assert_eq!(values(&bench.get(&next).await, "scope"), [GROUP]);
}

#[tokio::test]
async fn role_definitions() {
    let bench = Bench::new().await;
    let at = |scope: &str, rest: &str| format!("{scope}/providers/Microsoft.Authorization/roleDefinitions{rest}");
    let all = bench.get(&at("", "")).await;
    assert_eq!(values(&all, "roleName").len(), access::RoleDefinition::built_in().len());
    for (filter, expected) in [
        ("roleName%20eq%20'monitoring%20data%20reader'", &["Monitoring Data Reader"][..]),
        ("roleName%20eq%20'Nothing'", &[]),
        ("type%20eq%20'CustomRole'", &[]),
        ("atScopeAndBelow()%20and%20roleName%20eq%20'Owner'", &["Owner"]),
        ("type%20eq%20'BuiltInRole'%20and%20roleName%20eq%20'OWNER'", &["Owner"]),
    ] {
        let said = bench.get(&at(GROUP, &format!("?$filter={filter}"))).await;
        assert_eq!(values(&said, "roleName"), expected, "{filter}");
    }
    assert_eq!(bench.get(&at("", "?$filter=description%20eq%20'x'")).await.code(), "UnsupportedQuery");

    let one = bench.get(&at(GROUP, &format!("/{}", roles::MONITORING_METRICS_PUBLISHER.to_uppercase()))).await;
    let own = format!("/subscriptions/{SUBSCRIPTION}{}", at("", &format!("/{}", roles::MONITORING_METRICS_PUBLISHER)));
    assert_eq!(one.body["id"], own.as_str());
    let permissions = &one.body["properties"]["permissions"][0];
    assert_eq!(
        permissions["dataActions"],
        json!(["Microsoft.Insights/Metrics/Write", "Microsoft.Insights/Telemetry/Write"])
    );
    let plain = bench.get(&at("", &format!("/{}", roles::OWNER))).await;
    assert_eq!(plain.body["id"], at("", &format!("/{}", roles::OWNER)).as_str());
    for (name, status, code) in [("Owner", 400, "InvalidRoleDefinitionId"), (READER, 404, "RoleDefinitionDoesNotExist")]
    {
        let said = bench.get(&at("", &format!("/{name}"))).await;
        assert_eq!((said.status, said.code()), (status, code), "{name}");
    }
    assert_eq!(bench.put(&at("", &format!("/{READER}")), json!({})).await.status, 405, "there are built-in ones only");
}

#[tokio::test]
async fn own_permissions() {
    let bench = Bench::new().await;
    let path = format!("{GROUP}/providers/Microsoft.Authorization/permissions");
    assert_eq!(bench.get(&path).await.body["value"][0]["actions"], json!(["*"]));
    assert_eq!(bench.get_as(STRANGER, &path).await.body["value"], json!([]));
}
