//! The route table × every built-in role × no token × scopes.

use access::roles;

use crate::route::{self, At, Right, Route};
use crate::testing::{Bench, OWNER, SUBSCRIPTION};

/// Every role, with a principal that has it and nothing else.
const ROLES: &[&str] = &[
    roles::OWNER,
    roles::CONTRIBUTOR,
    roles::READER,
    roles::USER_ACCESS_ADMINISTRATOR,
    roles::MONITORING_READER,
    roles::MONITORING_METRICS_PUBLISHER,
    roles::MONITORING_DATA_READER,
    roles::MONITORING_CONTRIBUTOR,
    roles::ROLE_BASED_ACCESS_CONTROL_ADMINISTRATOR,
    roles::MANAGED_IDENTITY_CONTRIBUTOR,
    roles::MANAGED_IDENTITY_OPERATOR,
];

/// What Azure's definitions of the roles say of an action, written down again.
fn role_permits(role: &str, action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    let reads = action.ends_with("/read");
    let authorization = action.starts_with("microsoft.authorization/");
    let changes_rights = authorization && (action.ends_with("/write") || action.ends_with("/delete"));
    match role {
        roles::OWNER => true,
        roles::CONTRIBUTOR => !changes_rights,
        roles::READER | roles::MONITORING_READER => reads,
        roles::USER_ACCESS_ADMINISTRATOR => reads || authorization,
        roles::ROLE_BASED_ACCESS_CONTROL_ADMINISTRATOR => {
            reads
                || action == "microsoft.authorization/roleassignments/write"
                || action == "microsoft.authorization/roleassignments/delete"
        }
        roles::MONITORING_CONTRIBUTOR => {
            let all_of =
                ["microsoft.monitor/accounts/", "microsoft.insights/datacollection", "microsoft.insights/metric"];
            reads
                || all_of.iter().any(|start| action.starts_with(start))
                || action == "microsoft.insights/register/action"
        }
        roles::MANAGED_IDENTITY_CONTRIBUTOR | roles::MANAGED_IDENTITY_OPERATOR => {
            let identities = action.starts_with("microsoft.managedidentity/userassignedidentities/");
            let changes = action.ends_with("/write") || action.ends_with("/delete");
            identities && (reads || role == roles::MANAGED_IDENTITY_CONTRIBUTOR && changes)
                || authorization && reads
                || action == "microsoft.resources/subscriptions/resourcegroups/read"
        }
        roles::MONITORING_METRICS_PUBLISHER => {
            action == "microsoft.insights/register/action"
                || action == "microsoft.resources/subscriptions/resourcegroups/read"
        }
        roles::MONITORING_DATA_READER => false,
        other => panic!("{other} is a new role: say what it permits"),
    }
}

/// A path of the route in a group, with things that do not exist: a right is decided before anything is looked up.
fn path_of(route: &Route, group: &str) -> String {
    let scope =
        format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Monitor/accounts/none");
    let path = route.pattern.replace("{scope}", &scope).replace("{subscription}", SUBSCRIPTION);
    let mut path = path.replace("{group}", group).replace("{namespace}", "Microsoft.Monitor");
    while let (Some(start), Some(end)) = (path.find('{'), path.find('}')) {
        path.replace_range(start..=end, "none");
    }
    path
}

fn action_of(route: &Route) -> Option<(String, At, bool)> {
    let named = |action: &str| action.replace("{namespace}", "Microsoft.Monitor");
    match route.right {
        Right::Action(action, at) => Some((named(action), at, false)),
        Right::List(action, at) => Some((named(action), at, true)),
        Right::Public | Right::Token | Right::AnyRole => None,
    }
}

/// Whether the answer says that the right is missing.
async fn is_denied(bench: &Bench, route: &Route, path: &str, principal: &str) -> bool {
    // A body that no route takes, so that nothing changes while the table is walked.
    let body = matches!(route.verb.name(), "PUT" | "PATCH" | "POST").then(|| b"[".to_vec());
    // No change gets past this precondition either.
    let headers = [("if-match", "\"none\"")];
    let said = bench.ask(route.verb.name(), path, Some(principal), &headers, body).await;
    assert_ne!(said.status, 401, "{path}");
    assert!(said.status < 500, "{} {path}: {said:?}", route.verb.name());
    said.status == 403
}

#[test]
fn every_built_in_role_is_walked() {
    let built_in = access::RoleDefinition::built_in();
    assert!(built_in.iter().all(|role| ROLES.contains(&role.id.as_str())), "a role is missing above");
    assert_eq!(built_in.len(), ROLES.len());
}

#[tokio::test]
async fn without_a_token_only_public_routes_answer() {
    let bench = Bench::new().await;
    for route in route::all() {
        let said = bench.ask(route.verb.name(), &path_of(route, "g"), None, &[], None).await;
        let (verb, pattern) = (route.verb.name(), route.pattern);
        if route.right == Right::Public {
            assert!(said.status < 300, "{verb} {pattern}: {said:?}");
            continue;
        }
        assert_eq!(said.status, 401, "{verb} {pattern}");
        assert!(
            said.header("www-authenticate").starts_with("Bearer authorization_uri=\"https://login.example/"),
            "{said:?}"
        );
        if verb != "HEAD" {
            assert_eq!(said.code(), "AuthenticationFailed", "{verb} {pattern}");
        }
    }
}

#[tokio::test]
async fn tokens_for_others_count_nowhere() {
    let bench = Bench::new().await;
    for audience in ["https://monitor.azure.com", "https://prometheus.monitor.azure.com", "https://vault.azure.net"] {
        let token = bench.token(OWNER, audience);
        for route in route::all().filter(|route| route.right != Right::Public) {
            let path = format!("{}?api-version=2024-11-01", path_of(route, "g"));
            let request = http::Request::builder().method(route.verb.name()).uri(path);
            let request = request.header("authorization", format!("Bearer {token}"));
            let said = bench.send(request.body(Default::default()).unwrap()).await;
            assert_eq!(said.status, 401, "{} {} {audience}", route.verb.name(), route.pattern);
            assert!(!said.header("www-authenticate").is_empty());
            assert_eq!(said.code(), "InvalidAuthenticationTokenAudience");
        }
    }
}

/// Each role at each kind of scope, asked of every route: in the group where the role is, and in another one.
#[tokio::test]
async fn every_route_asks_for_its_right() {
    let bench = Bench::new().await;
    let subscription = format!("/subscriptions/{SUBSCRIPTION}");
    let group = format!("{subscription}/resourceGroups/g");
    let resource = format!("{group}/providers/Microsoft.Monitor/accounts/none");
    let other = "/subscriptions/11111111-2222-3333-4444-000000000000".to_owned();
    let mut number = 100;
    for role in ROLES {
        for held in ["/", &subscription, &group, &resource, &other] {
            number += 1;
            let principal = format!("aaaaaaaa-0000-0000-0000-{number:012}");
            bench.grant(&principal, role, held);
            for route in route::all() {
                for asked_group in ["g", "other"] {
                    let path = path_of(route, asked_group);
                    let denied = is_denied(&bench, route, &path, &principal).await;
                    let expected = is_expected_denied(route, &path, asked_group, role, held);
                    let verb = route.verb.name();
                    assert_eq!(denied, expected, "{verb} {path} with {role} at {held}: {:?}", route.right);
                }
            }
        }
    }
}

/// Written without the code under test: scopes compare as texts here, since every id in this file has one writing.
fn is_expected_denied(route: &Route, path: &str, group: &str, role: &str, held: &str) -> bool {
    let Some((action, at, is_list)) = action_of(route) else { return false };
    let subscription = format!("/subscriptions/{SUBSCRIPTION}");
    let asked = match at {
        At::Root => "/".to_owned(),
        At::Subscription => subscription,
        At::Group => format!("{subscription}/resourceGroups/{group}"),
        At::Path => path.to_owned(),
        At::Scope => format!("{subscription}/resourceGroups/{group}/providers/Microsoft.Monitor/accounts/none"),
    };
    let covers = |outer: &str, inner: &str| {
        outer == "/" || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let reached = covers(held, &asked) || is_list && covers(&asked, held);
    !(role_permits(role, &action) && reached)
}

#[tokio::test]
async fn what_may_not_be_read_is_refused_whether_or_not_it_exists() {
    let bench = Bench::new().await;
    let there = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Monitor/accounts/ws");
    assert_eq!(bench.put(&there, serde_json::json!({ "location": "local" })).await.status, 200);
    let not_there = there.replace("/ws", "/no");
    for path in [&there, &not_there] {
        let said = bench.get_as(crate::testing::STRANGER, path).await;
        assert_eq!((said.status, said.code()), (403, "AuthorizationFailed"), "{path}");
        let expected = format!(
            "The client '{0}' with object id '{0}' does not have authorization to perform action \
             'Microsoft.Monitor/accounts/read' over scope '{path}' or the scope is invalid. If access was recently granted, \
             please refresh your credentials.",
            crate::testing::STRANGER
        );
        assert_eq!(said.body["error"]["message"], expected);
    }
    assert_eq!(bench.get(&not_there).await.code(), "ResourceNotFound");
}

#[tokio::test]
async fn rights_follow_at_once() {
    let bench = Bench::new().await;
    let somebody = "aaaaaaaa-0000-0000-0000-000000000777";
    let path = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/g");
    assert_eq!(bench.get_as(somebody, &path).await.status, 403);
    bench.grant(somebody, roles::READER, &path);
    assert_eq!(bench.get_as(somebody, &path).await.status, 200);
    bench.revoke(somebody, roles::READER, &path);
    assert_eq!(bench.get_as(somebody, &path).await.status, 403);
}
