use super::*;
use crate::roles;

const RULE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/r";
const WORKSPACE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Monitor/accounts/w";
const ME: &str = "6f1c2f3e-0000-4000-8000-000000000001";

fn principal(object_id: &str, issuer: &str) -> Principal {
    Principal {
        object_id: object_id.to_owned(),
        app_id: None,
        tenant_id: None,
        mi_resource_id: None,
        issuer: issuer.into(),
        name: "somebody".to_owned(),
    }
}

fn assignment(principal_id: &str, role: &str, scope: &str) -> RoleAssignment {
    RoleAssignment {
        principal_id: principal_id.to_owned(),
        issuer: None,
        role_definition_id: role.to_owned(),
        scope: scope.parse().unwrap(),
    }
}

#[test]
fn role_action_scope() {
    let group = "/subscriptions/s/resourceGroups/g";
    let manage = Action::Management("Microsoft.Insights/dataCollectionRules/write");
    let assign = Action::Management("Microsoft.Authorization/roleAssignments/write");
    let look = Action::Management("Microsoft.Monitor/accounts/read");
    for (role, scope, action, resource, allowed) in [
        (roles::MONITORING_METRICS_PUBLISHER, RULE, WRITE_METRICS, RULE, true),
        (roles::MONITORING_METRICS_PUBLISHER, group, WRITE_METRICS, RULE, true),
        (roles::MONITORING_METRICS_PUBLISHER, "/SUBSCRIPTIONS/S", WRITE_METRICS, RULE, true),
        (roles::MONITORING_METRICS_PUBLISHER, "/", WRITE_METRICS, RULE, true),
        // A role on the workspace does not count for the rule that feeds it.
        (roles::MONITORING_METRICS_PUBLISHER, WORKSPACE, WRITE_METRICS, RULE, false),
        (roles::MONITORING_METRICS_PUBLISHER, "/subscriptions/s/resourceGroups/g2", WRITE_METRICS, RULE, false),
        (roles::MONITORING_METRICS_PUBLISHER, WORKSPACE, READ_METRICS, WORKSPACE, false),
        (roles::MONITORING_METRICS_PUBLISHER, RULE, manage, RULE, false),
        (roles::MONITORING_DATA_READER, WORKSPACE, READ_METRICS, WORKSPACE, true),
        (roles::MONITORING_DATA_READER, RULE, READ_METRICS, WORKSPACE, false),
        (roles::MONITORING_DATA_READER, "/", WRITE_METRICS, RULE, false),
        (roles::MONITORING_DATA_READER, WORKSPACE, look, WORKSPACE, false),
        // Management rights, however wide, are no rights on data.
        (roles::OWNER, "/", WRITE_METRICS, RULE, false),
        (roles::OWNER, "/", READ_METRICS, WORKSPACE, false),
        (roles::OWNER, "/", manage, RULE, true),
        (roles::OWNER, group, assign, RULE, true),
        (roles::CONTRIBUTOR, group, manage, RULE, true),
        (roles::CONTRIBUTOR, group, assign, RULE, false),
        (roles::CONTRIBUTOR, group, READ_METRICS, WORKSPACE, false),
        (roles::READER, group, look, WORKSPACE, true),
        (roles::READER, group, manage, RULE, false),
        (roles::MONITORING_READER, group, look, WORKSPACE, true),
        (roles::MONITORING_READER, group, READ_METRICS, WORKSPACE, false),
        (roles::USER_ACCESS_ADMINISTRATOR, group, assign, RULE, true),
        (roles::USER_ACCESS_ADMINISTRATOR, group, manage, RULE, false),
    ] {
        let policy = Policy::new([assignment(ME, role, scope)]).unwrap();
        let decision = policy.allows(&principal(ME, "i"), action, &resource.parse().unwrap());
        assert_eq!(decision.is_allowed(), allowed, "{role} at {scope}: {action:?} on {resource}");
        let other = policy.allows(&principal("somebody-else", "i"), action, &resource.parse().unwrap());
        assert_eq!(other, Decision::Denied, "{role} at {scope} for another principal");
    }
}

#[test]
fn roles_add_up_and_exceptions_stay_in_their_role() {
    let policy = Policy::new([
        assignment(ME, roles::CONTRIBUTOR, "/"),
        assignment(ME, roles::USER_ACCESS_ADMINISTRATOR, "/subscriptions/s"),
    ])
    .unwrap();
    let assign = Action::Management("Microsoft.Authorization/roleAssignments/write");
    assert!(policy.allows(&principal(ME, "i"), assign, &RULE.parse().unwrap()).is_allowed());
    assert!(!policy.allows(&principal(ME, "i"), assign, &"/subscriptions/t".parse().unwrap()).is_allowed());
}

#[test]
fn data_exceptions_count() {
    let mut all_but_telemetry = RoleDefinition::built_in().remove(0);
    all_but_telemetry.data_actions = vec!["Microsoft.Insights/*".to_owned()];
    all_but_telemetry.not_data_actions = vec!["*/Telemetry/Write".to_owned()];
    let policy = Policy::with_roles(
        [all_but_telemetry],
        [assignment(ME, &roles::MONITORING_METRICS_PUBLISHER.to_ascii_uppercase(), RULE)],
    )
    .unwrap();
    let allows = |name| policy.allows(&principal(ME, "i"), Action::Data(name), &RULE.parse().unwrap()).is_allowed();
    assert!(allows("microsoft.insights/metrics/write"));
    assert!(!allows("Microsoft.Insights/Telemetry/Write"));
}

#[test]
fn principals_are_told_apart() {
    let mut bound = assignment("alice", roles::MONITORING_DATA_READER, WORKSPACE);
    bound.issuer = Some("https://keycloak".into());
    let policy =
        Policy::new([bound, assignment(&ME.to_ascii_uppercase(), roles::MONITORING_DATA_READER, WORKSPACE)]).unwrap();
    let allows =
        |id, issuer| policy.allows(&principal(id, issuer), READ_METRICS, &WORKSPACE.parse().unwrap()).is_allowed();
    assert!(allows("alice", "https://keycloak"));
    assert!(!allows("alice", "https://other"), "an id chosen at another issuer");
    assert!(!allows("ALICE", "https://keycloak"), "only GUIDs compare without regard to case");
    assert!(allows(ME, "https://other"));
}

#[test]
fn broken_policies_are_refused() {
    let unknown = Policy::new([assignment(ME, "no-such-role", RULE)]).unwrap_err();
    assert!(
        matches!(&unknown, PolicyError::UnknownRole { role_definition_id, .. } if role_definition_id == "no-such-role")
    );
    let twice = RoleDefinition::built_in().into_iter().chain(RoleDefinition::built_in());
    assert!(matches!(Policy::with_roles(twice, []), Err(PolicyError::DuplicateRole(_))));
}

/// What a policy must be like, said as plainly as possible.
fn allows_by_definition(assignments: &[RoleAssignment], who: &Principal, action: &str, resource: &ResourceId) -> bool {
    let roles = RoleDefinition::built_in();
    assignments.iter().any(|given| {
        let role = roles.iter().find(|role| role.id == given.role_definition_id).unwrap();
        given.principal_id == who.object_id
            && given.issuer.as_ref().is_none_or(|issuer| *issuer == who.issuer)
            && given.scope.covers(resource)
            && role.permits(action)
    })
}

#[test]
fn changes_leave_what_a_new_policy_would_be() {
    let scopes: Vec<String> = ["/".to_owned(), "/subscriptions/S".to_owned()]
        .into_iter()
        .chain((0..6).map(|group| format!("/subscriptions/s/resourceGroups/G{group}")))
        .chain((0..30).map(|rule| {
            format!(
                "/subscriptions/s/resourcegroups/g{}/providers/Microsoft.Insights/dataCollectionRules/r{rule}",
                rule % 7
            )
        }))
        .collect();
    let given = [roles::READER, roles::OWNER, roles::MONITORING_METRICS_PUBLISHER, roles::CONTRIBUTOR];
    let issuers = [None, Some(Arc::from("one")), Some(Arc::from("two"))];
    let mut seed = 7_u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let (mut policy, mut expected) = (Policy::default(), Vec::<RoleAssignment>::new());
    for step in 0..3_000 {
        // Grows for a time, then shrinks, so that few become many and become few again.
        if draw(10) < if step % 1_000 < 600 { 7 } else { 2 } || expected.is_empty() {
            let assignment = RoleAssignment {
                issuer: issuers[draw(3)].clone(),
                ..assignment(["p", "q"][draw(2)], given[draw(4)], &scopes[draw(scopes.len())])
            };
            expected.push(assignment.clone());
            policy.assign(assignment).unwrap();
        } else {
            let gone = expected.swap_remove(draw(expected.len()));
            assert!(policy.revoke(&gone), "{gone:?}");
        }
        assert_eq!(policy.len(), expected.len());
        let who = principal(["p", "q", "nobody"][draw(3)], ["one", "two", "three"][draw(3)]);
        let action = ["Microsoft.Monitor/accounts/read", "Microsoft.Monitor/accounts/write"][draw(2)];
        let resource = scopes[draw(scopes.len())].to_ascii_uppercase().parse().unwrap();
        assert_eq!(
            policy.allows(&who, Action::Management(action), &resource).is_allowed(),
            allows_by_definition(&expected, &who, action, &resource),
            "{action} on {resource} by {who:?} after {expected:#?}",
        );
    }
    for gone in expected {
        assert!(policy.revoke(&gone));
        policy.revoke(&gone);
    }
    assert!(policy.is_empty() && policy.scopes(&principal("p", "one")).next().is_none());
}

#[test]
fn a_change_leaves_the_policy_it_was_made_from() {
    let before = Policy::new([assignment(ME, roles::READER, RULE)]).unwrap();
    let mut after = before.clone();
    assert!(after.revoke(&assignment(ME, roles::READER, &RULE.to_ascii_uppercase())));
    assert!(!after.revoke(&assignment(ME, roles::READER, RULE)), "it is gone");
    assert!(!after.revoke(&assignment(ME, "no-such-role", RULE)));
    let look = Action::Management("Microsoft.Monitor/accounts/read");
    let may = |policy: &Policy| policy.allows(&principal(ME, "i"), look, &RULE.parse().unwrap()).is_allowed();
    assert!(may(&before) && !may(&after));
}

#[test]
fn roles_and_scopes_of_somebody() {
    let mut bound = assignment(ME, roles::OWNER, "/");
    bound.issuer = Some("elsewhere".into());
    let policy = Policy::new([
        bound,
        assignment(ME, roles::READER, "/subscriptions/S"),
        assignment(ME, roles::READER, RULE),
        assignment(ME, roles::MONITORING_METRICS_PUBLISHER, RULE),
    ])
    .unwrap();
    let names = |issuer, at: &str| -> Vec<String> {
        let roles = policy.roles_at(&principal(ME, issuer), &at.parse().unwrap());
        roles.iter().map(|role| role.name.clone()).collect()
    };
    assert_eq!(names("i", RULE), ["Reader", "Monitoring Metrics Publisher"]);
    assert_eq!(names("i", "/subscriptions/s"), ["Reader"]);
    assert!(names("i", "/").is_empty());
    assert_eq!(names("elsewhere", "/"), ["Owner"]);
    let scopes: Vec<&str> = policy.scopes(&principal(ME, "i")).take(2).collect();
    assert_eq!(scopes, ["/subscriptions/s", &RULE.to_ascii_lowercase()]);
    assert_eq!(policy.role(&roles::OWNER.to_ascii_uppercase()).unwrap().name, "Owner");
    assert_eq!(policy.roles().count(), RoleDefinition::built_in().len());
}

#[test]
fn very_long_and_very_deep_ids_are_decided() {
    let long = format!("/subscriptions/s/{}", "x".repeat(5_000));
    let deep = format!("/subscriptions/s{}", "/a/b".repeat(100));
    let many = (0..40).map(|number| assignment(ME, roles::READER, &format!("/subscriptions/t{number}")));
    let policy = Policy::new(
        many.chain([assignment(ME, roles::READER, &long.to_ascii_uppercase()), assignment(ME, roles::READER, &deep)]),
    )
    .unwrap();
    let look = Action::Management("Microsoft.Monitor/accounts/read");
    let may = |at: &str| policy.allows(&principal(ME, "i"), look, &at.parse().unwrap()).is_allowed();
    assert!(may(&long) && may(&deep) && may(&format!("{deep}/c/d")) && may("/subscriptions/T7/x"));
    assert!(!may("/subscriptions/s") && !may("/") && !may(&format!("{long}x")));
}
