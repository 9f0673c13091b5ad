use catalog::{ActorKind, Stamp, key};

use super::*;

const SCOPES: &[&str] = &[
    "/",
    "/subscriptions/s",
    "/subscriptions/s2",
    "/subscriptions/s/resourceGroups/G",
    "/subscriptions/s/resourceGroups/g2",
    "/subscriptions/s/resourceGroups/g/providers/Aaa.First/t/n",
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Monitor/accounts/W",
];

fn table() -> Table<Assignment> {
    let stamp = Stamp { by: String::new(), kind: ActorKind::Key, at_ms: 0 };
    let one = |scope: &str, number: usize| {
        let id: ResourceId = format!("{}{KIND}/N{number}", scope.trim_end_matches('/')).parse().unwrap();
        let assignment = Assignment {
            id: id.clone(),
            scope: scope.parse().unwrap(),
            role: format!("role{number}"),
            principal_id: format!("P{number}"),
            principal_type: "ServicePrincipal".to_owned(),
            issuer: None,
            description: None,
            created: stamp.clone(),
            updated: stamp.clone(),
        };
        (key(&id), Arc::new(assignment))
    };
    SCOPES.iter().flat_map(|scope| (0..3).map(move |number| (*scope, number))).map(|(s, n)| one(s, n)).collect()
}

/// The scopes of what is found, each with how many.
fn found(scope: &str, filter: &str) -> Vec<String> {
    let wanted =
        if filter.is_empty() { Wanted::default() } else { Wanted::of(&Filter::parse(filter).unwrap()).unwrap() };
    let (table, scope) = (table(), scope.parse().unwrap());
    let all: Vec<_> = assignments(&table, &scope, &wanted, None).collect();
    assert!(all.is_sorted_by(|one, other| one.0 < other.0), "each once, in the order of keys");
    for (at, (key, _)) in all.iter().enumerate() {
        let rest: Vec<_> = assignments(&table, &scope, &wanted, Some(key)).collect();
        assert_eq!(rest, all[at + 1..], "behind {key}");
    }
    all.iter().map(|(_, assignment)| format!("{} {}", assignment.scope, assignment.principal_id)).collect()
}

#[test]
fn scopes_that_count() {
    let all = |scopes: &[&str]| -> Vec<String> {
        scopes.iter().flat_map(|scope| (0..3).map(move |number| format!("{scope} P{number}"))).collect()
    };
    let [root, sub, sub2, group, group2, first, workspace] = SCOPES else { unreachable!() };
    for (scope, filter, expected) in [
        (*root, "", &[*root, sub, first, workspace, group, group2, sub2][..]),
        (root, "atScope()", &[root]),
        (sub, "", &[root, sub, first, group, workspace, group2]),
        (sub, "atScope()", &[root, sub]),
        ("/SUBSCRIPTIONS/S/resourcegroups/g", "", &[root, sub, first, group, workspace]),
        (group, "atScope()", &[root, sub, group]),
        (workspace, "", &[root, sub, group, workspace]),
        (workspace, "atScope()", &[root, sub, group, workspace]),
        (sub2, "", &[root, sub2]),
    ] {
        let (mut found, mut expected) = (found(scope, filter), all(expected));
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{scope} {filter}");
    }
}

#[test]
fn filters() {
    let sub = "/subscriptions/s2";
    for (filter, expected) in [
        ("principalId eq 'p1'", &["/ P1", "/subscriptions/s2 P1"][..]),
        ("assignedTo('P1')", &["/ P1", "/subscriptions/s2 P1"]),
        ("atScope() and principalId eq 'P2' and assignedTo('p2')", &["/ P2", "/subscriptions/s2 P2"]),
        ("roleDefinitionId eq '/providers/x/ROLE0'", &["/ P0", "/subscriptions/s2 P0"]),
        ("roleDefinitionId eq 'role0' and principalId eq 'p1'", &[]),
    ] {
        assert_eq!(found(sub, filter), expected, "{filter}");
    }
    for filter in [
        "principalId eq 'a' or principalId eq 'b'",
        "principalId ne 'a'",
        "createdBy eq 'x'",
        "atScope('x')",
        "principalId eq 'a' and principalId eq 'b'",
    ] {
        assert_eq!(Wanted::of(&Filter::parse(filter).unwrap()), None, "{filter}");
    }
}
