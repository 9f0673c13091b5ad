//! What holds for all changes.

use std::collections::BTreeMap;

use catalog::*;
use futures_executor::block_on;

use crate::fixture::*;

pub(crate) fn makes_finds_and_keeps(mut f: Fixture) {
    let workspace = f.workspace("metrics");
    let endpoint = f.endpoint("host-a");
    let rule = f.rule("r1", &["metrics"]);
    let identity = f.identity("writer");
    let application = f.application("ci");
    let assigned = f.assign(rule.envelope.id.as_str(), 1, &identity.principal_id.to_string());
    let before = f.snapshot();
    if f.reopen() {
        assert!(f.snapshot().revision() >= before.revision());
    }
    let now = f.snapshot();
    assert_eq!(**now.workspace(&workspace.account_id.to_string()).unwrap(), *workspace);
    assert_eq!(**now.workspace("METRICS").unwrap(), *workspace);
    assert_eq!(**now.workspace_by_id(&workspace.envelope.id).unwrap(), *workspace);
    assert_eq!(**now.endpoint_by_host_label(&endpoint.host_label).unwrap(), *endpoint);
    assert_eq!(**now.rule(&rule.immutable_id.to_ascii_uppercase()).unwrap(), *rule);
    assert_eq!(**now.identity_by_client_id(identity.client_id).unwrap(), *identity);
    assert_eq!(**now.identity_by_principal_id(identity.principal_id).unwrap(), *identity);
    assert_eq!(**now.applications().get(&application.client_id).unwrap(), *application);
    assert_eq!(**now.application_by_object_id(application.object_id).unwrap(), *application);
    assert_eq!(**now.assignment_by_id(&assigned.id).unwrap(), *assigned);
    assert_eq!(now.assignments_of(&identity.principal_id.to_string()).count(), 1);
    assert_eq!(now.subscriptions().values().next().unwrap().name, "main");
    for (before, now) in [
        (before.groups().len(), now.groups().len()),
        (before.workspaces().len(), now.workspaces().len()),
        (before.endpoints().len(), now.endpoints().len()),
        (before.rules().len(), now.rules().len()),
    ] {
        assert_eq!(before, now);
    }
}

pub(crate) fn etags_and_preconditions(f: Fixture) {
    let put = |tag: &str, precondition| {
        let tags = BTreeMap::from([("tag".to_owned(), tag.to_owned())]);
        let spec = WorkspaceSpec { tags, ..plain() };
        block_on(f.store.put_workspace(&f.actor, &workspace("ws"), spec, precondition))
    };
    let refused = |outcome: Result<Put<Workspace>, StoreError>| match outcome {
        Err(StoreError::PreconditionFailed { current }) => current,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(put("a", Precondition::Exists)), None);
    assert_eq!(refused(put("a", Precondition::Match("x".to_owned()))), None);
    let first = put("a", Precondition::Absent).unwrap();
    assert!(first.created);
    let etag = first.resource.envelope.etag.clone();
    assert!(!etag.is_empty());
    assert_eq!(refused(put("b", Precondition::Absent)), Some(etag.clone()));
    let second = put("b", Precondition::Match(etag.clone())).unwrap();
    assert!(!second.created);
    assert_ne!(second.resource.envelope.etag, etag);
    assert_eq!(second.resource.envelope.created, first.resource.envelope.created);
    // Two who read the same state: the second one hears of the first.
    assert_eq!(refused(put("c", Precondition::Match(etag.clone()))), Some(second.resource.envelope.etag.clone()));
    assert_eq!(f.snapshot().workspace("ws").unwrap().envelope.tags["tag"], "b");
    let delete = |precondition| block_on(f.store.delete_workspace(&f.actor, &workspace("ws"), precondition, false));
    assert!(matches!(delete(Precondition::Match(etag)), Err(StoreError::PreconditionFailed { .. })));
    assert!(delete(Precondition::Match(second.resource.envelope.etag.clone())).unwrap().is_some());
    assert!(delete(Precondition::None).unwrap().is_none());
}

pub(crate) fn observers_hear_in_order_after_publication(f: Fixture) {
    f.seen.take();
    let start = f.snapshot().revision();
    let workspace = f.workspace("ws");
    let made = f.seen.take();
    assert_eq!(made.len(), 1, "one change of one request");
    assert_eq!(made[0].0, start + 1, "told of the state that has it");
    assert!(made[0].1.iter().any(|change| matches!(change, Change::Workspace(a) if *a == workspace.account_id)));
    let resources = made[0].1.iter().filter(|change| matches!(change, Change::Resource(_))).count();
    assert_eq!(resources, 3, "group, endpoint and rule");

    let assigned = f.assign(workspace.envelope.id.as_str(), 1, "p");
    f.application("a");
    f.delete_workspace("ws", false);
    let told = f.seen.take();
    let revisions: Vec<u64> = told.iter().map(|(revision, _)| *revision).collect();
    assert_eq!(revisions, [start + 2, start + 3, start + 4]);
    assert!(matches!(&told[0].1[..], [Change::Assignment { before: None, after: Some(a) }] if a.id == assigned.id));
    assert!(matches!(&told[1].1[..], [Change::Principals]));
    let revoked =
        |change: &&Change| matches!(change, Change::Assignment { before: Some(b), after: None } if b.id == assigned.id);
    assert_eq!(told[2].1.iter().filter(revoked).count(), 1);
    assert!(!told[2].1.iter().any(|change| matches!(change, Change::Purged(_))));

    // What is refused or changes nothing is not told.
    f.try_workspace(&workspace_of_nobody(), plain()).unwrap_err();
    block_on(f.store.delete_rule(&f.actor, &rule("none"), Precondition::None)).unwrap();
    assert!(f.seen.take().is_empty());
    assert_eq!(f.snapshot().revision(), start + 4);
}

fn workspace_of_nobody() -> model::ResourceId {
    inside(&group("nowhere"), "Microsoft.Monitor/accounts", "ws")
}

pub(crate) fn many_at_once_are_all_or_nothing(mut f: Fixture) {
    let revision = f.snapshot().revision();
    let items = |last: &str| {
        let mut items: Vec<Item> =
            (0..200).map(|n| Item::Workspace(workspace(&format!("w{n}")), with_defaults())).collect();
        items.push(Item::Assignment(assignment("/", 1, "p")));
        items.push(Item::Declaration("many".to_owned()));
        items.push(Item::Workspace(workspace(last), plain()));
        items
    };
    assert_eq!(problems(block_on(f.store.put_all(&f.actor, items("-wrong-")))), ["name"]);
    assert_eq!(f.snapshot().revision(), revision);
    assert!(f.snapshot().workspaces().is_empty());

    block_on(f.store.put_all(&f.actor, items("right"))).unwrap();
    assert_eq!(f.snapshot().revision(), revision + 1);
    f.reopen();
    let now = f.snapshot();
    assert_eq!((now.workspaces().len(), now.rules().len(), now.endpoints().len()), (201, 200, 200));
    assert!(now.is_declared("many"));
}

pub(crate) fn declares_once(mut f: Fixture) {
    assert!(!f.snapshot().is_declared("a"));
    assert!(!block_on(f.store.declare("a")).unwrap());
    assert!(block_on(f.store.declare("a")).unwrap());
    assert!(!block_on(f.store.declare("b")).unwrap());
    if f.reopen() {
        assert!(f.snapshot().is_declared("a"));
        assert!(block_on(f.store.declare("a")).unwrap());
    }
}

pub(crate) fn refuses_after_close(f: Fixture) {
    block_on(f.store.close());
    block_on(f.store.close());
    let refused = block_on(f.store.declare("a")).unwrap_err();
    assert_eq!(refused.to_string(), "the catalogue cannot be written: it is closed");
    assert!(block_on(f.store.audit(None, None, None, 1)).is_err());
    // Readers go on with what they have.
    assert_eq!(f.snapshot().groups().len(), 1);
}
