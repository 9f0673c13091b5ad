use super::*;
use crate::{Envelope, PROMETHEUS_STREAM, Profile, Route, WorkspaceLimits, WorkspaceStorage};

const ACCOUNT: &str = "14e21a3b-a68e-4626-873e-6539bd54fc63";
const RULE: &str = "dcr-9ef0dccd9267493699b55b77942fc26b";

fn workspace(account: &str, handle: &str) -> Workspace {
    let id = format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Monitor/accounts/{handle}");
    Workspace {
        envelope: Envelope::of(id.parse().unwrap()),
        account_id: account.parse().unwrap(),
        handle: handle.to_owned(),
        profile: Profile::Strict,
        public_network_access: true,
        limits: WorkspaceLimits::default(),
        storage: WorkspaceStorage::default(),
        default_rule: None,
        default_endpoint: None,
    }
}

fn rule(immutable_id: &str, destinations: &[&str]) -> Rule {
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/r";
    Rule {
        envelope: Envelope::of(id.parse().unwrap()),
        immutable_id: immutable_id.to_owned(),
        kind: None,
        endpoint: None,
        routes: vec![Route {
            stream: PROMETHEUS_STREAM.to_owned(),
            workspaces: destinations.iter().map(|account| account.parse().unwrap()).collect(),
        }],
        properties: serde_json::Map::new(),
    }
}

#[test]
fn finds_without_regard_to_case() {
    let snapshot = Snapshot::new([workspace(ACCOUNT, "Default")], [], [rule(RULE, &[ACCOUNT])]).unwrap();
    assert!(snapshot.rule(RULE).is_some());
    assert!(snapshot.rule(&RULE.to_ascii_uppercase()).is_some());
    assert!(snapshot.rule("dcr-00000000000000000000000000000000").is_none());
    for name in [ACCOUNT, &ACCOUNT.to_uppercase(), "default", "DEFAULT"] {
        assert_eq!(snapshot.workspace(name).unwrap().account_id.to_string(), ACCOUNT, "{name}");
    }
    assert!(snapshot.workspace("other").is_none());
    let destinations = snapshot.rule(RULE).unwrap().destinations("microsoft-prometheusmetrics");
    assert_eq!(destinations.unwrap(), [ACCOUNT.parse().unwrap()]);
    assert!(snapshot.rule(RULE).unwrap().destinations("other").is_none());
}

#[test]
fn refuses_what_does_not_fit() {
    let other = "24e21a3b-a68e-4626-873e-6539bd54fc63";
    let cases = [
        (vec![workspace(ACCOUNT, "a"), workspace(ACCOUNT, "b")], vec![], "two workspaces have the accountId"),
        (vec![workspace(ACCOUNT, "a"), workspace(other, "A")], vec![], "two workspaces have the handle"),
        (vec![workspace(ACCOUNT, "a")], vec![rule(RULE, &[other])], "which does not exist"),
        (vec![workspace(ACCOUNT, "a")], vec![rule(RULE, &[])], "has no destination"),
        (vec![workspace(ACCOUNT, "a")], vec![rule("dcr-1", &[ACCOUNT])], "is not an immutable id"),
        (
            vec![workspace(ACCOUNT, "a")],
            vec![rule(RULE, &[ACCOUNT]), rule(RULE, &[ACCOUNT])],
            "two data collection rules",
        ),
    ];
    for (workspaces, rules, expected) in cases {
        let error = Snapshot::new(workspaces, [], rules).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
