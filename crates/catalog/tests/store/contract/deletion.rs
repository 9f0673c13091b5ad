//! Deleting workspaces softly, restoring them, and forgetting them.

use std::time::Duration;

use catalog::*;
use environment::{Clock, UnixTime};
use futures_executor::block_on;

use crate::fixture::*;

pub(crate) fn takes_and_restores_everything(mut f: Fixture) {
    let made = f.workspace("ws");
    let rule = made.default_rule.clone().unwrap();
    let endpoint = made.default_endpoint.clone().unwrap();
    let before = f.snapshot();
    f.assign(made.envelope.id.as_str(), 1, "reader");
    f.assign(rule.as_str(), 2, "writer");
    f.assign(group("MA_ws_local_managed").as_str(), 3, "other");
    f.assign(group("g").as_str(), 4, "stays");

    f.seen.take();
    f.delete_workspace("ws", false);
    let told = f.seen.take().remove(0).1;
    assert_eq!(told.iter().filter(|change| matches!(change, Change::Assignment { after: None, .. })).count(), 3);
    f.reopen();
    let now = f.snapshot();
    assert!(now.workspaces().is_empty() && now.rules().is_empty() && now.endpoints().is_empty());
    assert!(now.workspace(&made.account_id.to_string()).is_none() && now.workspace("ws").is_none());
    assert_eq!((now.groups().len(), now.assignments().len()), (1, 1));
    let deleted = &now.deleted_workspaces()[&made.account_id];
    assert_eq!(*deleted.workspace, *made);
    assert_eq!(deleted.deleted.by, f.actor.id);
    assert_eq!(deleted.purge_at, UnixTime::from_millis(START_MS).plus(RETENTION));

    f.seen.take();
    let restored = f.restore(made.account_id).unwrap();
    let told = f.seen.take().remove(0).1;
    assert!(told.iter().any(|change| matches!(change, Change::Workspace(a) if *a == made.account_id)));
    assert_eq!(told.iter().filter(|change| matches!(change, Change::Assignment { before: None, .. })).count(), 3);
    f.reopen();
    let now = f.snapshot();
    assert!(now.deleted_workspaces().is_empty());
    assert_eq!(restored.resource.handle, "ws");
    assert_ne!(restored.resource.envelope.etag, made.envelope.etag);
    assert_eq!(restored.resource.envelope.created, made.envelope.created);
    let (old, new) = (before.rule_by_id(&rule).unwrap(), now.rule_by_id(&rule).unwrap());
    assert_eq!((&old.immutable_id, &old.routes, &old.endpoint), (&new.immutable_id, &new.routes, &new.endpoint));
    let (old, new) = (before.endpoint_by_id(&endpoint).unwrap(), now.endpoint_by_id(&endpoint).unwrap());
    assert_eq!((&old.immutable_id, &old.host_label), (&new.immutable_id, &new.host_label));
    assert_eq!((now.groups().len(), now.assignments().len()), (2, 4));
    for principal in ["reader", "writer", "other", "stays"] {
        assert_eq!(now.assignments_of(principal).count(), 1, "{principal}");
    }
    assert!(matches!(f.restore(made.account_id), Err(StoreError::Unknown { .. })));
}

pub(crate) fn frees_names_at_once(mut f: Fixture) {
    let old = f.workspace("ws");
    f.assign(old.default_rule.as_ref().unwrap().as_str(), 1, "writer");
    f.delete_workspace("ws", false);
    let new = f.workspace("ws");
    assert_eq!(new.handle, "ws");
    assert_ne!(new.account_id, old.account_id);
    assert_eq!(conflict(f.restore(old.account_id)), "Conflict");

    // A namesake in another group takes handle and managed group; the old one comes back beside it.
    f.delete_workspace("ws", true);
    f.group("h");
    let other = f.try_workspace(&inside(&group("h"), "Microsoft.Monitor/accounts", "ws"), with_defaults()).unwrap();
    assert_eq!(other.resource.handle, "ws");
    let back = f.restore(old.account_id).unwrap().resource;
    f.reopen();
    assert!(back.handle.starts_with("ws-"), "{}", back.handle);
    let now = f.snapshot();
    assert_eq!(now.workspace(&back.handle).unwrap().account_id, old.account_id);
    let rule = back.default_rule.as_ref().unwrap();
    assert_ne!(back.default_rule, other.resource.default_rule);
    assert_ne!(back.default_rule, old.default_rule);
    let found = now.rule_by_id(rule).unwrap();
    assert_eq!(found.endpoint, back.default_endpoint);
    assert_eq!(found.properties["dataCollectionEndpointId"], found.endpoint.as_ref().unwrap().as_str());
    assert_eq!(found.destinations(PROMETHEUS_STREAM), Some(&[old.account_id][..]));
    let assigned: Vec<_> = now.assignments_of("writer").collect();
    assert_eq!((assigned.len(), &assigned[0].scope), (1, rule), "the role moved with the rule");
    assert!(assigned[0].id.as_str().starts_with(rule.as_str()));
}

pub(crate) fn lets_go_of_rules_and_gets_them_back(mut f: Fixture) {
    let (one, two) = (f.workspace("one"), f.workspace("two"));
    let both = f.rule("both", &["one", "two"]);
    f.rule("only", &["one"]);
    f.rule("changed", &["one"]);
    f.delete_workspace("one", false);
    let of = |f: &Fixture, rule| f.rule_now(rule).destinations(PROMETHEUS_STREAM).map(<[_]>::to_vec);
    assert_eq!(of(&f, "both"), Some(vec![two.account_id]));
    assert_eq!(of(&f, "only"), None);
    assert_eq!(f.rule_now("both").unserved_destinations(), ["one"]);
    assert_ne!(f.rule_now("both").envelope.etag, both.envelope.etag);
    // A new workspace of the old name does not inherit what was meant for the old one.
    f.workspace("one");
    assert_eq!(of(&f, "only"), None);
    f.delete_workspace("one", true);
    f.rule("changed", &["two"]);

    f.restore(one.account_id).unwrap();
    f.reopen();
    assert_eq!(of(&f, "both"), Some(vec![one.account_id, two.account_id]));
    assert_eq!(of(&f, "only"), Some(vec![one.account_id]));
    assert_eq!(of(&f, "changed"), Some(vec![two.account_id]));
}

pub(crate) fn ends_for_good(mut f: Fixture) {
    let (one, two, three) = (f.workspace("one"), f.workspace("two"), f.workspace("three"));
    f.delete_workspace("one", false);
    f.clock.advance(Duration::from_secs(3600));
    f.delete_workspace("two", false);
    f.seen.take();
    f.delete_workspace("three", true);
    let purged = |f: &Fixture| -> Vec<model::AccountId> {
        let changes = f.seen.take().into_iter().flat_map(|(_, changes)| changes);
        changes.filter_map(|change| if let Change::Purged(account) = change { Some(account) } else { None }).collect()
    };
    assert_eq!(purged(&f), [three.account_id]);
    assert!(matches!(f.restore(three.account_id), Err(StoreError::Unknown { .. })));

    f.clock.advance(RETENTION - Duration::from_secs(3600));
    f.reopen();
    assert_eq!(block_on(f.store.purge_expired(f.clock.now())).unwrap(), 1);
    assert_eq!(purged(&f), [one.account_id]);
    assert_eq!(block_on(f.store.purge_expired(f.clock.now())).unwrap(), 0);
    let gone = block_on(f.store.purge_workspace(&f.actor, two.account_id)).unwrap();
    assert_eq!(gone.workspace.account_id, two.account_id);
    assert_eq!(purged(&f), [two.account_id]);
    let again = block_on(f.store.purge_workspace(&f.actor, two.account_id));
    assert!(matches!(again, Err(StoreError::Unknown { .. })));
    assert!(f.snapshot().deleted_workspaces().is_empty());
}

pub(crate) fn of_endpoints_waits_for_rules(f: Fixture) {
    f.workspace("ws");
    f.endpoint("host");
    let mut properties = routing(&["ws"]);
    properties["dataCollectionEndpointId"] = endpoint("HOST").as_str().into();
    f.try_rule("bound", properties).unwrap();
    let delete = || block_on(f.store.delete_endpoint(&f.actor, &endpoint("host"), Precondition::None));
    assert_eq!(conflict(delete()), "Conflict");
    assert!(block_on(f.store.delete_rule(&f.actor, &rule("bound"), Precondition::None)).unwrap());
    assert!(delete().unwrap());
    assert!(!delete().unwrap());

    // So does the deletion of a workspace whose endpoint another rule is bound to.
    let made = f.snapshot().workspace("ws").unwrap().clone();
    let mut properties = routing(&["ws"]);
    properties["dataCollectionEndpointId"] = made.default_endpoint.as_ref().unwrap().as_str().into();
    f.try_rule("bound", properties).unwrap();
    assert_eq!(conflict(f.try_delete_workspace("ws", false)), "Conflict");
    assert!(f.snapshot().workspace("ws").is_some());
}
