use serde_json::{Value, json};

use super::super::console::Format;
use super::super::test_support::{Written, console, ok, refusal, run};
use super::*;

const GROUP: &str = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/remora/providers";

fn service(_: &str, target: &str, _: Value) -> environment::Response {
    let workspace = json!({"id": format!("{GROUP}/Microsoft.Monitor/accounts/fleet"), "name": "fleet"});
    let rule = json!({"id": format!("{GROUP}/Microsoft.Insights/dataCollectionRules/fleet"), "name": "fleet"});
    let path = target.split('?').next().unwrap();
    let usage = |name: &str, used: u64, limit: u64| json!({"name": {"value": name, "localizedValue": name}, "currentValue": used, "limit": limit});
    match path {
        path if path.ends_with("/accounts") => ok(&json!({"value": [workspace]})),
        path if path.ends_with("/dataCollectionRules") => ok(&json!({"value": [rule]})),
        path if path.ends_with("/accounts/fleet") => ok(&workspace),
        path if path.ends_with("/dataCollectionRules/fleet") => ok(&rule),
        path if path.ends_with("/accounts/fleet/usages") => {
            let mut events = usage("EventsPerMinute", 250_000, 1_000_000);
            events["previousValue"] = json!(1_200_000);
            events["topMetrics"] = json!([{"metric": "up", "events": 1000}, {"metric": "x\u{1b}", "events": 2}]);
            ok(&json!({"value": [events, usage("ActiveTimeSeries", 1_100_000, 1_000_000)]}))
        }
        path if path.ends_with("/dataCollectionRules/fleet/usages") => {
            ok(&json!({"value": [usage("BytesPerMinute", 0, 53_687_091_200)]}))
        }
        _ => refusal(404, "ResourceNotFound", "not there"),
    }
}

#[test]
fn use_is_told_against_limits() {
    for line in ["usage", "usage fleet"] {
        let out = run(line, service).written.out();
        let rows: Vec<Vec<&str>> = out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows[0],
            ["workspace", "fleet", "events", "a", "minute", "1,200,000", "250,000", "1,000,000", "25.0"]
        );
        assert_eq!(rows[1], ["workspace", "fleet", "active", "series", "1,100,000", "1,000,000", "110.0"]);
        assert_eq!(rows[2], ["rule", "fleet", "bytes", "a", "minute", "0", "53,687,091,200", "0.0"]);
        assert!(out.ends_with("\nfleet takes most of them by: up (1,000), x\u{fffd} (2)\n"), "{out}");
    }
    let one = run(&format!("usage {GROUP}/Microsoft.Insights/dataCollectionRules/fleet -q"), service);
    assert_eq!(one.written.out(), "fleet BytesPerMinute\n");
    let json: Value = serde_json::from_str(&run("usage --json", service).written.out()).unwrap();
    assert_eq!(json[0]["resource"], format!("{GROUP}/Microsoft.Monitor/accounts/fleet"));
    assert_eq!(json[0]["currentValue"], 250_000);
    let unknown = run("usage nothing", service).result.unwrap_err();
    assert!(unknown.to_string().contains("no workspace and no rule"), "{unknown}");
}

#[test]
fn terminals_get_bars() {
    let written = Written::default();
    let scene = crate::client::test_support::Scene::new(service);
    let console = console(&written, Format::Table, Some(120), "");
    let mut session = Session { client: scene.client(), console, options: String::new() };
    let used = |used: f64, limit: f64| Use {
        noun: "workspace",
        resource: "w".to_owned(),
        id: "/w".to_owned(),
        used,
        limit,
        raw: json!({}),
    };
    print(&mut session, &[used(50.0, 100.0), used(1.0, 1e9), used(0.0, 1.0), used(3.0, 1.0), used(1.0, 0.0)], true)
        .unwrap();
    let out = written.out();
    assert!(out.starts_with("\u{1b}[H\u{1b}[2J"), "in place of the last one");
    let filled: Vec<usize> = out.lines().skip(1).map(|line| line.matches('█').count()).collect();
    assert_eq!(filled, [10, 1, 0, 20, 0]);
}

#[test]
fn counts_with_thousands_apart() {
    for (count, text) in
        [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (53_687_091_200.0, "53,687,091,200"), (-1.0, "0")]
    {
        assert_eq!(grouped(count), text);
    }
}

#[test]
fn what_may_not_be_read_hides_nothing_else() {
    let forbidden = |method: &str, target: &str, body: Value| match target {
        rules if rules.contains("/dataCollectionRules?") => ok(&json!({"value": []})),
        rule if rule.contains("/dataCollectionRules/") => refusal(403, "AuthorizationFailed", "not for you"),
        _ => service(method, target, body),
    };
    assert_eq!(run("usage fleet -q", forbidden).written.out().lines().count(), 2);
    let refused = run("usage fleet", |_, target, _| match target.split('?').next() {
        Some(list) if list.ends_with("s") => ok(&json!({"value": []})),
        _ => refusal(403, "AuthorizationFailed", "not for you"),
    });
    assert!(refused.result.unwrap_err().to_string().contains("(403)"));
}

#[test]
fn use_is_shown_again_and_again() {
    let mut asked = 0;
    let outcome = run(
        &format!("usage {GROUP}/Microsoft.Monitor/accounts/fleet --watch 2 --json"),
        move |method, target, body| {
            asked += usize::from(target.contains("/usages"));
            if asked > 3 { refusal(500, "Internal", "the end of the test") } else { service(method, target, body) }
        },
    );
    outcome.result.unwrap_err();
    let lines: Vec<Value> = outcome.written.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0][0]["currentValue"], 250_000);
}
