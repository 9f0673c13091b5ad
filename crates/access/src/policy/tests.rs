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
