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
    let (all, next) = page(&table, &scope, &wanted, None, 1000, |_| true);
    assert_eq!(next, None);
    // The same by pages of each size.
    for count in 1..=all.len().max(1) {
        let (mut paged, mut after) = (Vec::new(), None::<Arc<str>>);
        loop {
            let (some, next) = page(&table, &scope, &wanted, after.as_deref(), count, |_| true);
            assert!(some.len() <= count);
            paged.extend(some);
            match next {
                Some(_) => after = next,
                None => break,
            }
        }
        assert_eq!(paged, all, "in pages of {count}");
    }
    all.iter().map(|assignment| format!("{} {}", assignment.scope, assignment.principal_id)).collect()
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

#[test]
fn what_may_not_be_seen_is_left_out() {
    let (table, scope) = (table(), "/subscriptions/s".parse().unwrap());
    let group = |assignment: &Assignment| assignment.scope.name() == "G";
    let (some, next) = page(&table, &scope, &Wanted::default(), None, 2, group);
    let (rest, none) = page(&table, &scope, &Wanted::default(), next.as_deref(), 2, group);
    assert_eq!((some.len(), rest.len(), none), (2, 1, None));
}
