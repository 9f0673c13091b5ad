//! Lists: pages, filters, what each caller sees, the activity log.

use std::collections::BTreeSet;
use std::time::Duration;

use access::roles;
use serde_json::{Value, json};

use crate::testing::{Bench, GROUP, STRANGER, SUBSCRIPTION};

fn names(body: &Value) -> Vec<&str> {
    body["value"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

async fn with_endpoints(count: usize) -> Bench {
    let bench = Bench::new().await;
    for number in 0..count {
        let path = format!("{GROUP}/providers/Microsoft.Insights/dataCollectionEndpoints/dce-{number:02}");
        let tags = json!({ "Number": format!("{number}"), "even": format!("{}", number % 2 == 0) });
        let made = bench.put(&path, json!({ "location": "local", "tags": tags })).await;
        assert_eq!(made.status, 200, "{made:?}");
    }
    bench
}

fn next(body: &Value) -> Option<String> {
    body["nextLink"].as_str().map(|link| link.strip_prefix("https://remora.example").unwrap().to_owned())
}

#[tokio::test]
async fn pages_follow_each_other_whatever_changes() {
    let bench = with_endpoints(10).await;
    let base = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Insights/dataCollectionEndpoints");
    let first = bench.get(&format!("{base}?$top=4")).await;
    assert_eq!(names(&first.body), ["dce-00", "dce-01", "dce-02", "dce-03"]);
    let one = |name: &str| format!("{GROUP}/providers/Microsoft.Insights/dataCollectionEndpoints/{name}");
    // The page's last one goes, one before it and one behind it come.
    bench.delete(&one("dce-03")).await;
    bench.put(&one("dce-00a"), json!({ "location": "local" })).await;
    bench.put(&one("dce-04a"), json!({ "location": "local" })).await;
    let second = bench.get(&next(&first.body).unwrap()).await;
    assert_eq!(names(&second.body), ["dce-04", "dce-04a", "dce-05", "dce-06"]);
    let third = bench.get(&next(&second.body).unwrap()).await;
    assert_eq!((names(&third.body), next(&third.body)), (vec!["dce-07", "dce-08", "dce-09"], None));
    let exact = bench.get(&format!("{base}?$top=11")).await;
    assert_eq!((names(&exact.body).len(), next(&exact.body)), (11, None));
    for query in ["$top=0", "$top=x", "$top=-1", "$skipToken=zz", "$skiptoken=abc"] {
        assert_eq!(bench.get(&format!("{base}?{query}")).await.code(), "InvalidQueryParameter", "{query}");
    }
}

#[tokio::test]
async fn a_token_of_another_list_shows_nothing_of_it() {
    let bench = with_endpoints(3).await;
    let other = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/a");
    bench.put(&other, json!({ "location": "local" })).await;
    let base = |group: &str| format!("{group}/providers/Microsoft.Insights/dataCollectionEndpoints");
    let first = bench.get(&format!("{}?$top=1", base(GROUP))).await;
    let token = next(&first.body).unwrap().split("skipToken=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let said = bench.get(&format!("{}?$skipToken={token}", base(&other))).await;
    assert_eq!(said.body, json!({ "value": [], "nextLink": null }));
}

#[tokio::test]
async fn everybody_sees_his_own() {
    let bench = with_endpoints(4).await;
    let base = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Insights/dataCollectionEndpoints");
    let resources = format!("/subscriptions/{SUBSCRIPTION}/resources");
    assert_eq!(bench.get_as(STRANGER, &base).await.status, 403);
    let one = |name: &str| format!("{GROUP}/providers/Microsoft.Insights/dataCollectionEndpoints/{name}");
    bench.grant(STRANGER, roles::READER, &one("dce-01").to_uppercase());
    bench.grant(STRANGER, roles::READER, &one("dce-03"));
    bench.grant(STRANGER, roles::MONITORING_METRICS_PUBLISHER, &one("dce-02"));
    for path in [&base, &resources, &format!("{GROUP}/resources")] {
        let said = bench.get_as(STRANGER, path).await;
        assert_eq!(names(&said.body), ["dce-01", "dce-03"], "{path}");
    }
    let paged = bench.get_as(STRANGER, &format!("{base}?$top=1")).await;
    assert_eq!(names(&paged.body), ["dce-01"]);
    let paged = bench.get_as(STRANGER, &next(&paged.body).unwrap()).await;
    assert_eq!((names(&paged.body), next(&paged.body)), (vec!["dce-03"], None));
    let groups = bench.get_as(STRANGER, &format!("/subscriptions/{SUBSCRIPTION}/resourceGroups")).await;
    assert_eq!(names(&groups.body), Vec::<&str>::new(), "a role on a resource is none on its group");
}

#[tokio::test]
async fn resources_of_all_types() {
    let bench = with_endpoints(3).await;
    bench.put(&format!("{GROUP}/providers/Microsoft.Monitor/accounts/ws"), json!({ "location": "local" })).await;
    let base = format!("/subscriptions/{SUBSCRIPTION}/resources");
    let all = bench.get(&format!("{base}?$filter=&$expand=createdTime,changedTime,provisioningState")).await;
    let types: BTreeSet<&str> =
        all.body["value"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    let expected = [
        "Microsoft.Insights/dataCollectionEndpoints",
        "Microsoft.Insights/dataCollectionRules",
        "Microsoft.Monitor/accounts",
    ];
    assert_eq!(types, BTreeSet::from(expected));
    let first = &all.body["value"][0];
    assert_eq!(first["provisioningState"], "Succeeded");
    assert!(first["createdTime"].as_str().unwrap().ends_with('Z'));
    let filtered = async |filter: &str| {
        let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        bench.get(&format!("{base}?$filter={filter}")).await
    };
    for (filter, expected) in [
        ("resourceType eq 'microsoft.monitor/ACCOUNTS'", vec!["ws"]),
        ("name eq 'DCE-01'", vec!["dce-01"]),
        (
            "resourceGroup eq 'G' and resourceType eq 'Microsoft.Insights/dataCollectionEndpoints'",
            vec!["dce-00", "dce-01", "dce-02"],
        ),
        ("tagName eq 'number' and tagValue eq '2'", vec!["dce-02"]),
        ("tagName eq 'even' and tagValue eq 'true'", vec!["dce-00", "dce-02"]),
        ("tagName eq 'none'", vec![]),
    ] {
        assert_eq!(names(&filtered(filter).await.body), expected, "{filter}");
    }
    assert_eq!(filtered("color eq 'red'").await.code(), "InvalidFilterInQueryString");
    assert_eq!(bench.get(&format!("{base}?$expand=colour")).await.code(), "InvalidQueryParameter");
    let mut found = Vec::new();
    let mut page = Some(format!("{base}?$top=2"));
    while let Some(path) = page {
        let said = bench.get(&path).await;
        found.extend(said.body["value"].as_array().unwrap().clone());
        page = next(&said.body);
    }
    assert_eq!(Value::Array(found.clone()).as_array().unwrap().len(), all.body["value"].as_array().unwrap().len());
    assert_eq!(found[0]["id"], first["id"]);
}

#[tokio::test]
async fn what_was_done_is_in_the_activity_log() {
    let bench = with_endpoints(3).await;
    let base = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Insights/eventtypes/management/values");
    let all = bench.get(&base).await;
    let newest = &all.body["value"][0];
    assert_eq!(newest["operationName"]["value"], "Microsoft.Insights/dataCollectionEndpoints/write", "{all:?}");
    assert_eq!(
        (&newest["caller"], &newest["httpRequest"]["clientIpAddress"]),
        (&json!(crate::testing::OWNER), &json!("127.0.0.1"))
    );
    assert_eq!(newest["resourceGroupName"], "g");
    let count = all.body["value"].as_array().unwrap().len();
    let mut found = 0;
    let mut page = Some(format!("{base}?$top=1"));
    while let Some(path) = page {
        let said = bench.get(&path).await;
        found += said.body["value"].as_array().unwrap().len();
        page = next(&said.body);
    }
    assert_eq!(found, count);
    let filtered = async |filter: &str| {
        let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        bench.get(&format!("{base}?$filter={filter}")).await
    };
    let id = format!("{GROUP}/providers/Microsoft.Insights/dataCollectionEndpoints/dce-01");
    for (filter, expected) in [
        (format!("eventTimestamp ge '2020-01-01T00:00:00Z' and resourceUri eq '{}'", id.to_uppercase()), 1),
        ("eventTimestamp ge '2020-01-01T00:00:00Z' and eventTimestamp le '2020-02-01'".to_owned(), 0),
        ("eventTimestamp ge '2020-01-01T00:00:00.000000Z' and resourceGroupName eq 'G'".to_owned(), 4),
        ("caller eq 'nobody'".to_owned(), 0),
    ] {
        let said = filtered(&filter).await;
        assert_eq!(said.body["value"].as_array().map(Vec::len), Some(expected), "{filter}: {said:?}");
    }
    assert_eq!(filtered("resourceUri eq '/subscriptions/other'").await.code(), "InvalidQueryParameter");
    assert_eq!(filtered("level eq 'x'").await.code(), "InvalidQueryParameter");
}

/// A larger installation: pages are quick, for who sees all of them and for who has many small rights.
#[tokio::test]
async fn pages_of_a_thousand_rules() {
    pages_of(1_000).await;
}

/// As above, as large as is promised. `cargo test --release -p arm-api -- --ignored --nocapture` tells the time.
#[tokio::test]
#[ignore = "making so many takes half a minute without optimisation"]
async fn pages_of_ten_thousand_rules() {
    pages_of(10_000).await;
}

async fn pages_of(rules: u32) {
    let bench = Bench::new().await;
    let subscription = SUBSCRIPTION.parse().unwrap();
    let fleet = catalog::Fleet { subscription, workspaces: 100, rules, assignments: 0 };
    let actor = catalog::Actor {
        id: "test".to_owned(),
        name: "test".to_owned(),
        kind: catalog::ActorKind::Key,
        address: None,
        request_id: None,
    };
    bench.store.put_all(&actor, fleet.items()).await.unwrap();
    for number in (0..rules).step_by(20) {
        bench.grant(STRANGER, roles::READER, fleet.rule(number).as_str());
    }
    for (principal, expected) in [(crate::testing::OWNER, rules as usize), (STRANGER, rules as usize / 20)] {
        let mut page = Some(format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Insights/dataCollectionRules"));
        let (mut seen, mut slowest, mut last) = (0, Duration::ZERO, String::new());
        while let Some(path) = page {
            #[expect(clippy::disallowed_methods, reason = "how long it really takes is what is tested")]
            let started = std::time::Instant::now();
            let said = bench.get_as(principal, &path).await;
            slowest = slowest.max(started.elapsed());
            let items = said.body["value"].as_array().unwrap();
            for item in items {
                let id = item["id"].as_str().unwrap().to_lowercase();
                assert!(id > last, "in the order of ids, none twice");
                last = id;
            }
            seen += items.len();
            page = next(&said.body);
        }
        assert_eq!(seen, expected);
        // 50 ms is the promise for a release build; this one is not optimised, and other tests run beside it.
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        println!("{principal}: the slowest page took {slowest:?}");
    }
}
