//! Resource groups.

use std::collections::BTreeMap;

use catalog::*;
use futures_executor::block_on;

use crate::fixture::*;

fn put(f: &Fixture, id: &str, location: &str) -> Result<Put<ResourceGroup>, StoreError> {
    let spec = GroupSpec { location: location.to_owned(), tags: BTreeMap::new() };
    block_on(f.store.put_group(&f.actor, &id.parse().unwrap(), spec, Precondition::None))
}

pub(crate) fn need_their_subscription(f: Fixture) {
    let other = "/subscriptions/00000000-0000-0000-0000-0000000000bb/resourceGroups/g";
    assert!(matches!(put(&f, other, "local"), Err(StoreError::NoSubscription(_))));
    let made = put(&f, group("Team.A_(x)-ü").as_str(), "West Europe").unwrap();
    assert!(made.created);
    assert_eq!(made.resource.envelope.location, "westeurope");
    for name in ["a b", "a.", &"x".repeat(91), "a#b"] {
        assert_eq!(problems(put(&f, group(name).as_str(), "")), ["name", "location"], "{name}");
    }
    assert_eq!(conflict(put(&f, group("G").as_str(), "westeurope")), "InvalidResourceGroupLocation");
    assert_eq!(put(&f, group("G").as_str(), "local").unwrap().resource.envelope.id.name(), "g");
    assert!(!block_on(f.store.delete_group(&f.actor, &group("none"), Precondition::None)).unwrap());
}

pub(crate) fn go_with_everything_in_them(mut f: Fixture) {
    let kept = f.workspace("kept");
    f.group("doomed");
    let id = |kind: &str, name: &str| inside(&group("doomed"), kind, name);
    let none = || Precondition::None;
    let made = f.try_workspace(&id("Microsoft.Monitor/accounts", "ws"), with_defaults()).unwrap().resource;
    let endpoint = id("Microsoft.Insights/dataCollectionEndpoints", "host");
    let spec = EndpointSpec { location: "local".to_owned(), ..EndpointSpec::default() };
    block_on(f.store.put_endpoint(&f.actor, &endpoint, spec, none())).unwrap();
    let mut properties = object(routing(&["kept"]));
    properties.insert("dataCollectionEndpointId".to_owned(), endpoint.as_str().into());
    let rule = id("Microsoft.Insights/dataCollectionRules", "r");
    let spec = RuleSpec { location: "local".to_owned(), properties, ..RuleSpec::default() };
    block_on(f.store.put_rule(&f.actor, &rule, spec, none())).unwrap();
    let spec = IdentitySpec { location: "local".to_owned(), ..IdentitySpec::default() };
    let user = id("Microsoft.ManagedIdentity/userAssignedIdentities", "writer");
    block_on(f.store.put_identity(&f.actor, &user, spec, none())).unwrap();
    f.assign(group("doomed").as_str(), 1, "a");
    f.assign(rule.as_str(), 2, "b");
    f.assign(made.default_rule.as_ref().unwrap().as_str(), 3, "c");
    f.assign(kept.envelope.id.as_str(), 4, "d");

    f.seen.take();
    assert!(block_on(f.store.delete_group(&f.actor, &group("DOOMED"), none())).unwrap());
    let told = f.seen.take();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1.iter().filter(|change| matches!(change, Change::Assignment { after: None, .. })).count(), 3);
    f.reopen();
    let now = f.snapshot();
    assert_eq!(now.workspaces().len(), 1);
    assert_eq!((now.rules().len(), now.endpoints().len()), (1, 1), "those of the workspace that stays");
    assert!(now.identities().is_empty());
    assert_eq!(now.assignments().len(), 1);
    assert!(now.group_by_id(&group("doomed")).is_none() && now.group_by_id(&group("MA_ws_local_managed")).is_none());
    // The workspace can come back once its group is there again.
    assert!(now.deleted_workspaces().contains_key(&made.account_id));
    assert!(matches!(f.restore(made.account_id), Err(StoreError::NoGroup { .. })));
    f.group("doomed");
    f.restore(made.account_id).unwrap();
    assert_eq!(f.snapshot().assignments().len(), 2, "with the role on its default rule");
}

pub(crate) fn stay_while_others_need_what_is_inside(f: Fixture) {
    f.workspace("ws");
    f.group("hosts");
    let endpoint = inside(&group("hosts"), "Microsoft.Insights/dataCollectionEndpoints", "host");
    let spec = EndpointSpec { location: "local".to_owned(), ..EndpointSpec::default() };
    block_on(f.store.put_endpoint(&f.actor, &endpoint, spec, Precondition::None)).unwrap();
    let mut properties = routing(&["ws"]);
    properties["dataCollectionEndpointId"] = endpoint.as_str().into();
    f.try_rule("bound", properties).unwrap();
    let revision = f.snapshot().revision();
    let refused = block_on(f.store.delete_group(&f.actor, &group("hosts"), Precondition::None));
    assert!(refused.as_ref().is_err_and(|error| error.to_string().contains("/bound")), "{refused:?}");
    assert_eq!(conflict(refused), "Conflict");
    assert_eq!(f.snapshot().revision(), revision);
    assert!(f.snapshot().endpoint_by_id(&endpoint).is_some());
}
