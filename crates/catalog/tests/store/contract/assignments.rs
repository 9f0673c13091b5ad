//! Role assignments.

use catalog::*;
use futures_executor::block_on;

use crate::fixture::*;

pub(crate) fn are_unique_and_never_change(mut f: Fixture) {
    let scope = f.workspace("ws").envelope.id.clone();
    let first = f.try_assign(scope.as_str(), 1, "Principal").unwrap();
    assert!(first.created);
    assert_eq!(first.resource.scope, scope);
    let again = f.try_assign(scope.as_str(), 1, "PRINCIPAL").unwrap();
    assert!(!again.created && *again.resource == *first.resource);
    let revision = f.snapshot().revision();
    assert_eq!(conflict(f.try_assign(scope.as_str(), 2, "principal")), "RoleAssignmentExists");
    assert_eq!(conflict(f.try_assign(&scope.as_str().to_uppercase(), 2, "principal")), "RoleAssignmentExists");
    assert_eq!(conflict(f.try_assign(scope.as_str(), 1, "other")), "RoleAssignmentUpdateNotPermitted");
    assert_eq!(f.snapshot().revision(), revision);
    let described =
        AssignmentSpec { description: Some("why".to_owned()), ..assignment(scope.as_str(), 1, "principal") };
    let changed = block_on(f.store.put_assignment(&f.actor, described)).unwrap();
    assert_eq!((changed.created, changed.resource.description.as_deref()), (false, Some("why")));
    f.reopen();
    assert_eq!(conflict(f.try_assign(scope.as_str(), 2, "principal")), "RoleAssignmentExists");
    let deleted = block_on(f.store.delete_assignment(&f.actor, &changed.resource.id)).unwrap();
    assert_eq!(deleted.unwrap().id, changed.resource.id);
    assert!(block_on(f.store.delete_assignment(&f.actor, &changed.resource.id)).unwrap().is_none());
    assert!(f.try_assign(scope.as_str(), 2, "principal").unwrap().created);
}

pub(crate) fn need_their_scope(f: Fixture) {
    let made = f.workspace("ws");
    for scope in ["/".to_owned(), format!("/subscriptions/{SUBSCRIPTION}"), group("G").to_string()] {
        assert!(f.try_assign(&scope, 1, "p").unwrap().created, "{scope}");
    }
    assert_eq!(f.snapshot().assignments_of("p").filter(|found| found.scope.as_str() == "/").count(), 1);
    for resource in [&made.envelope.id, made.default_rule.as_ref().unwrap(), made.default_endpoint.as_ref().unwrap()] {
        f.assign(resource.as_str(), 1, "p");
    }
    assert!(matches!(f.try_assign(workspace("none").as_str(), 1, "p"), Err(StoreError::NotFound(_))));
    assert!(matches!(f.try_assign(group("none").as_str(), 1, "p"), Err(StoreError::NoGroup { .. })));
    assert!(matches!(f.try_assign("/subscriptions/none", 1, "p"), Err(StoreError::NoSubscription(_))));
    let odd = format!("/subscriptions/{SUBSCRIPTION}/providers/X/y/z");
    assert!(matches!(f.try_assign(&odd, 1, "p"), Err(StoreError::NotFound(_))));

    let wrong = AssignmentSpec {
        id: "/providers/Microsoft.Authorization/roleAssignments/no-guid".parse().unwrap(),
        role: "Owner".to_owned(),
        principal_id: String::new(),
        principal_type: "Robot".to_owned(),
        issuer: None,
        description: Some("x".repeat(1025)),
    };
    let expected = ["id", "properties.roleDefinitionId", "properties.principalId", "properties.principalType"];
    let found = problems(block_on(f.store.put_assignment(&f.actor, wrong)));
    assert_eq!(found[..4], expected);
    assert_eq!(found[4], "properties.description");
    for id in ["/", "/a", "/ü/providers/Microsoft.Authorization/roleAssignments", "/roleAssignments/x"] {
        let spec = AssignmentSpec { id: id.parse().unwrap(), ..assignment("/", 1, "p") };
        assert_eq!(problems(block_on(f.store.put_assignment(&f.actor, spec))), ["id"], "{id}");
    }
}

pub(crate) fn are_found_by_principal(mut f: Fixture) {
    for n in 0..20 {
        f.try_workspace(&workspace(&format!("ws{n}")), plain()).unwrap();
        f.assign(workspace(&format!("ws{n}")).as_str(), 1, if n % 2 == 0 { "even" } else { "odd" });
    }
    f.reopen();
    let now = f.snapshot();
    assert_eq!((now.assignments_of("EVEN").count(), now.assignments_of("odd").count()), (10, 10));
    assert_eq!(now.assignments_of("none").count(), 0);
    let below = |scope: &model::ResourceId| Snapshot::below(now.assignments(), scope).count();
    // `ws1` is not above `ws10` to `ws19`.
    assert_eq!((below(&workspace("WS1")), below(&group("g")), below(&"/".parse().unwrap())), (1, 20, 20));
}

pub(crate) fn go_with_their_scope(f: Fixture) {
    f.workspace("ws");
    let (rule, endpoint, identity) = (f.rule("r", &["ws"]), f.endpoint("host"), f.identity("writer"));
    for (n, id) in [&rule.envelope.id, &endpoint.envelope.id, &identity.envelope.id].into_iter().enumerate() {
        f.assign(id.as_str(), n as u128, "p");
    }
    f.assign("/", 9, &identity.principal_id.to_string());
    let none = || Precondition::None;
    assert!(block_on(f.store.delete_rule(&f.actor, &rule.envelope.id, none())).unwrap());
    assert!(block_on(f.store.delete_endpoint(&f.actor, &endpoint.envelope.id, none())).unwrap());
    assert!(block_on(f.store.delete_identity(&f.actor, &identity.envelope.id, none())).unwrap());
    assert_eq!(f.snapshot().assignments_of("p").count(), 0);
    // What an identity was given elsewhere stays, as in Azure.
    assert_eq!(f.snapshot().assignments().len(), 1);
}
