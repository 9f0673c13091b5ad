//! One workspace and several, who may read what, hosts, workspaces that go away.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use access::{Policy, Propagation};
use testkit::series_store::SeriesStore;

use crate::support::{ALL, Administered, Api, HALF, OWNER, READER, account, assignments};

#[tokio::test]
async fn several_workspaces_are_as_one() {
    let api = Api::start();
    for (call, expected) in [
        ("eu/api/v1/labels", r#"["__name__","job","workspace"]"#),
        ("us,eu/api/v1/label/job/values", r#"["a","b","c"]"#),
        ("us,eu/api/v1/label/job/values?limit=3&match%5B%5D=up", r#"["a","b","c"]"#),
        ("us,EU,us,14e21a3b-a68e-4626-873e-6539bd54fc00/api/v1/query?query=count(up)&time=20", "\"3\""),
        ("us,eu/api/v1/query?query=sum(up)&time=20", "\"8\""),
        // At 10 s only `eu` has a sample of its own, at 0 and 20 s the first that is named counts.
        ("us%2Ceu/api/v1/query?query=up%7Bjob%3D%22a%22%7D%5B30s%5D&time=20", r#"[[0,"7"],[10,"1"],[20,"7"]]"#),
        ("eu,us/api/v1/query?query=up%7Bjob%3D%22a%22%7D%5B40s%5D&time=30", r#"[[0,"1"],[10,"1"],[20,"1"],[30,"7"]]"#),
        ("us,eu/api/v1/query_range?query=sum(up)&start=0&end=20&step=10", r#"[[0,"8"],[10,"2"],[20,"8"]]"#),
        (
            "us,eu/api/v1/series?match%5B%5D=up",
            r#"[{"__name__":"up","job":"a"},{"__name__":"up","job":"b"},{"__name__":"up","job":"c"}]"#,
        ),
        ("us,eu/api/v1/series?match%5B%5D=up&limit=1", r#"[{"__name__":"up","job":"a"}],"warnings":["results"#),
    ] {
        let data = Api::data(&api.get(READER, None, &format!("/workspaces/{call}")).await);
        assert!(data.contains(expected), "{call}: {data}");
    }
}

#[tokio::test]
async fn a_label_says_which_workspace_on_demand() {
    let api = Api::start();
    for (call, expected) in [
        ("us,eu/api/v1/query?query=count(up)&time=20&workspace_label=true", "\"4\""),
        (
            "us,eu/api/v1/query?query=up%7Bworkspace%3D%22us%22%2Cjob%3D%22a%22%7D&time=20&workspace_label=true",
            r#""workspace":"us"},"value":[20,"7"]"#,
        ),
        (
            "us,eu/api/v1/query?query=count%20by%20(cluster)(up)&time=20&workspace_label=cluster",
            r#"[{"metric":{"cluster":"eu"},"value":[20,"2"]},{"metric":{"cluster":"us"},"value":[20,"2"]}]"#,
        ),
        ("eu,us/api/v1/label/workspace/values?workspace_label=true", r#"["eu","us"]"#),
        ("eu,us/api/v1/label/workspace/values?workspace_label=true&match%5B%5D=lone", r#"["eu"]"#),
        ("eu,us/api/v1/label/workspace/values?workspace_label=false", r#"["own"]"#),
        ("eu/api/v1/labels?workspace_label=true", r#"["__name__","exported_workspace","job","workspace"]"#),
        (
            "eu/api/v1/series?match%5B%5D=lone&workspace_label=true",
            r#"[{"__name__":"lone","exported_workspace":"own","workspace":"eu"}]"#,
        ),
    ] {
        let data = Api::data(&api.get(READER, None, &format!("/workspaces/{call}")).await);
        assert!(data.contains(expected), "{call}: {data}");
    }
    for bad in ["__name__", "a-b", "1a", "yes%20please", &"a".repeat(65)] {
        let (status, body) =
            api.get(READER, None, &format!("/workspaces/eu/api/v1/labels?workspace_label={bad}")).await;
        assert!(status == 400 && body.contains("invalid parameter \\\"workspace_label\\\""), "{bad}: {body}");
    }
}

#[tokio::test]
async fn all_or_nothing_and_nothing_is_said_of_the_rest() {
    let api = Api::start();
    let forbidden = api.get(HALF, None, "/workspaces/eu,secret/api/v1/query?query=up").await;
    assert_eq!(forbidden.0, 403);
    for (principal, names) in [
        (HALF, "secret,eu"),
        (HALF, "eu,us"),
        (HALF, "eu,nowhere"),
        (HALF, "eu,"),
        (HALF, "us,secret"),
        (READER, "eu,us,secret"),
        (READER, "eu,us,late"),
        (READER, "eu,shut"),
        (ALL, "eu,nowhere"),
    ] {
        for call in ["query?query=up", "labels", "series?match%5B%5D=up", "label/job/values", "nothing"] {
            let answer = api.get(principal, None, &format!("/workspaces/{names}/api/v1/{call}")).await;
            assert_eq!(answer, forbidden, "{names} {call}: the same, to the letter");
        }
    }
    assert!(!forbidden.1.contains("secret") && forbidden.1.contains("InsufficientAccessError"), "{}", forbidden.1);
    let data = Api::data(&api.get(ALL, None, "/workspaces/eu,us,secret,late/api/v1/label/job/values").await);
    assert_eq!(data, r#"["a","b","c","hidden","late"]"#);
}

#[tokio::test]
async fn what_is_wrong_is_said_clearly() {
    let api = Api::start();
    let many = vec!["eu"; 21].join(",");
    let most = vec!["eu"; 20].join(",");
    for (path, status, text) in [
        (format!("/workspaces/{many}/api/v1/labels"), 400, "21 workspaces are named; a call may name 20"),
        (format!("/workspaces/{most}/api/v1/labels"), 200, "success"),
        ("/workspaces/nowhere/api/v1/labels".to_owned(), 404, "there is no workspace \\\"nowhere\\\""),
        ("/workspaces/shut/api/v1/labels".to_owned(), 403, "PublicNetworkAccessDisabled"),
        ("/workspaces/eu/api/v1/nothing".to_owned(), 404, "there is no endpoint"),
        ("/api/v1/labels".to_owned(), 418, ""),
    ] {
        let (found, body) = api.get(ALL, None, &path).await;
        assert!(found == status && body.contains(text), "{path}: {found} {body}");
    }
    // Deleted meanwhile: known to the request's snapshot, closed already.
    api.open.0.lock().unwrap().remove(&account(1));
    for names in ["us", "eu,us"] {
        let (status, body) = api.get(READER, None, &format!("/workspaces/{names}/api/v1/query?query=up")).await;
        assert!(
            status == 503 && body.contains("workspace \\\"us\\\": the workspace") && body.contains("is not here"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_workspace_has_a_host_of_its_own() {
    let api = Api::start();
    let eu = Some("EU.local.prometheus.example.org:8443");
    let data = Api::data(&api.get(HALF, eu, "/api/v1/query?query=count(up)&time=20").await);
    assert!(data.contains("\"2\""), "{data}");
    for (principal, host, path, status) in [
        (HALF, "secret.local.prometheus.example.org", "/api/v1/labels", 403),
        (ALL, "nowhere.local.prometheus.example.org", "/api/v1/labels", 404),
        (HALF, "eu.local.prometheus.example.org", "/api/v1/nothing", 404),
        (HALF, "eu.local.prometheus.example.org", "/metrics", 418),
        (HALF, "eu.local-1.metrics.ingest.example.org", "/api/v1/labels", 418),
        (HALF, "eu.local.prometheus.example.net", "/api/v1/labels", 418),
        (HALF, "eu.local.prometheus.example.org", "/workspaces/us/api/v1/labels", 403),
    ] {
        let (found, body) = api.get(principal, Some(host), path).await;
        assert_eq!(found, status, "{host}{path}: {body}");
    }
}

#[tokio::test]
async fn changes_of_rights_reach_azure_workspaces_later() {
    let api = Api::start();
    api.policies.replace(Propagation::AtOnce, Policy::default());
    for (name, status) in [("eu", 403), ("late", 200), ("eu,late", 403)] {
        let (found, body) = api.get(ALL, None, &format!("/workspaces/{name}/api/v1/labels")).await;
        assert_eq!(found, status, "{name}: {body}");
    }
    api.policies.replace(Propagation::AtOnce, Policy::new(assignments()).unwrap());
    api.policies.replace(Propagation::Delayed, Policy::default());
    for (name, status) in [("eu", 200), ("late", 403), ("eu,late", 403)] {
        let (found, body) = api.get(ALL, None, &format!("/workspaces/{name}/api/v1/labels")).await;
        assert_eq!(found, status, "{name}: {body}");
    }
}

#[tokio::test]
async fn samples_are_deleted_by_those_who_may_and_everybody_can_see_who_did() {
    let api = Api::start();
    let done: Arc<Mutex<Vec<String>>> = Arc::default();
    let storage = Administered { store: SeriesStore::new(), done: Arc::clone(&done) };
    api.open.0.lock().unwrap().insert(account(0), Arc::new(storage));
    let admin = |call: &str| format!("/workspaces/eu/api/v1/admin/tsdb/{call}");
    // Who reads may not delete, and learns nothing else.
    for principal in [READER, HALF, ALL] {
        for call in ["delete_series?match[]=up", "clean_tombstones", "snapshot"] {
            let (status, body) = api.ask("POST", principal, None, &admin(call)).await;
            assert!(
                status == 403 && body.contains("does not have access to delete or copy"),
                "{call}: {status} {body}"
            );
        }
    }
    assert_eq!(api.get(OWNER, None, "/workspaces/eu/api/v1/labels").await.0, 403);
    assert!(api.audited.lines.lock().unwrap().is_empty());
    for (method, call, status, text) in [
        ("POST", "delete_series?match[]=up{job=\"a\"}&match[]=lone&start=10&end=20.5", 204, ""),
        ("PUT", "delete_series?match[]=up", 204, ""),
        ("POST", "snapshot", 200, r#"{"status":"success","data":{"name":"copy-false"}}"#),
        ("PUT", "snapshot?skip_head=true", 200, "copy-true"),
        ("POST", "clean_tombstones", 503, "the disk is full"),
        ("POST", "delete_series", 400, "no match[] parameter provided"),
        ("POST", "delete_series?match[]=up{", 400, "bad_data"),
        ("POST", "delete_series?match[]={job=~\".*\"}", 400, "at least one non-empty matcher"),
        ("POST", "delete_series?match[]=up&start=2&end=1", 400, "end timestamp must not be before start time"),
        ("POST", "snapshot?skip_head=perhaps", 400, "skip_head"),
        ("GET", "delete_series?match[]=up", 405, "not allowed"),
        ("DELETE", "clean_tombstones", 405, "not allowed"),
        ("POST", "nothing", 403, ""),
    ] {
        let path = admin(call).replace('"', "%22").replace('{', "%7B").replace('}', "%7D").replace('*', "%2A");
        let (found, body) = api.ask(method, OWNER, None, &path).await;
        assert!(found == status && body.contains(text), "{method} {call}: {found} {body}");
    }
    let lines = api.audited.lines.lock().unwrap().clone();
    let operation = "Microsoft.Monitor/accounts/data/metrics/delete";
    let expected =
        format!(r#"{OWNER} {operation} eu {{"end":20500,"match":["up{{job=\"a\"}}","lone"],"start":10000}}"#);
    assert_eq!((lines.len(), &lines[0]), (5, &expected));
    let all_of_time = format!("{}..{}", i64::MIN, i64::MAX);
    assert_eq!(
        *done.lock().unwrap(),
        [
            r#"delete ["job=a", "__name__=up", "__name__=lone"] 10000..20500"#.to_owned(),
            format!(r#"delete ["__name__=up"] {all_of_time}"#)
        ]
    );
    // Of one workspace at a time, and of storages that can.
    let (status, body) = api.ask("POST", OWNER, None, "/workspaces/eu,us/api/v1/admin/tsdb/snapshot").await;
    assert!(status == 400 && body.contains("this call takes one"), "{body}");
    let (status, body) = api.ask("POST", OWNER, None, "/workspaces/us/api/v1/admin/tsdb/snapshot").await;
    assert!(status == 404 && body.contains("can neither delete nor copy"), "{body}");
    // Nothing is deleted of which nobody would know.
    api.audited.full.store(true, Ordering::Relaxed);
    let (status, body) = api.ask("POST", OWNER, None, &admin("delete_series?match[]=up")).await;
    assert!(status == 503 && body.contains("audit log could not be written: disk full"), "{body}");
    assert_eq!(done.lock().unwrap().len(), 2);
}
