//! Workspaces, and what comes with them.

use std::collections::BTreeMap;

use catalog::*;
use futures_executor::block_on;
use serde_json::Value;

use crate::fixture::*;

pub(crate) fn come_with_defaults(f: Fixture) {
    let put = f.try_workspace(&workspace("Metrics-1"), with_defaults()).unwrap();
    assert!(put.created);
    let made = put.resource;
    let now = f.snapshot();
    assert_eq!(made.handle, "metrics-1");
    let managed = group("MA_metrics-1_local_managed");
    let found = now.group_by_id(&managed).unwrap();
    assert_eq!(found.envelope.managed_by, Some(made.envelope.id.clone()));
    assert_eq!(found.envelope.id.name(), "MA_metrics-1_local_managed");

    let endpoint = now.endpoint_by_id(made.default_endpoint.as_ref().unwrap()).unwrap();
    let rule = now.rule_by_id(made.default_rule.as_ref().unwrap()).unwrap();
    for envelope in [&endpoint.envelope, &rule.envelope] {
        assert!(managed.covers(&envelope.id), "{}", envelope.id);
        assert_eq!(envelope.id.name(), "Metrics-1");
        assert_eq!(envelope.location, "local");
        assert_eq!(envelope.managed_by, Some(made.envelope.id.clone()));
        assert_eq!(envelope.created.by, f.actor.id);
    }
    assert!(endpoint.host_label.starts_with("metrics-1-"), "{}", endpoint.host_label);
    assert_eq!(endpoint.host_label.len(), "metrics-1-abcd".len());
    assert_eq!(rule.endpoint, made.default_endpoint);
    assert_eq!(rule.destinations(PROMETHEUS_STREAM), Some(&[made.account_id][..]));
    assert_eq!(rule.properties["dataFlows"][0]["streams"][0], PROMETHEUS_STREAM);
    assert!(rule.unserved_destinations().is_empty());

    let bare = f.try_workspace(&workspace("bare"), plain()).unwrap().resource;
    assert_eq!((&bare.default_rule, &bare.default_endpoint), (&None, &None));
    assert!(f.snapshot().group_by_id(&group("MA_bare_local_managed")).is_none());
}

pub(crate) fn get_free_handles(f: Fixture) {
    f.group("h");
    let first = f.workspace("Same");
    let second = f.try_workspace(&inside(&group("h"), "Microsoft.Monitor/accounts", "SAME"), with_defaults()).unwrap();
    assert_eq!(first.handle, "same");
    let handle = &second.resource.handle;
    assert!(handle.starts_with("same-") && handle.len() == "same-abcd".len(), "{handle}");
    let managed = model::ResourceId::clone(second.resource.default_rule.as_ref().unwrap());
    assert!(!group("MA_same_local_managed").covers(&managed), "{managed}");

    let guid = "14e21a3b-a68e-4626-873e-6539bd54fc63";
    let masked = f.try_workspace(&workspace(guid), plain()).unwrap().resource;
    assert_ne!(masked.handle, guid, "a name must not stand for another's identity");
    let long = f.try_workspace(&workspace(&"x".repeat(63)), plain()).unwrap().resource;
    let twin = f.try_workspace(&inside(&group("h"), "Microsoft.Monitor/accounts", &"x".repeat(63)), plain()).unwrap();
    assert_eq!((long.handle.len(), twin.resource.handle.len()), (63, 63));
}

pub(crate) fn never_move(f: Fixture) {
    let made = f.workspace("ws");
    let elsewhere = WorkspaceSpec { location: "west europe".to_owned(), ..plain() };
    assert_eq!(conflict(f.try_workspace(&workspace("ws"), elsewhere)), "InvalidResourceLocation");
    let same = WorkspaceSpec { location: "Lo Cal".to_owned(), ..plain() };
    assert_eq!(
        f.try_workspace(&workspace("WS"), same).unwrap().resource.envelope.id.as_str(),
        made.envelope.id.as_str()
    );
    let other = WorkspaceSpec { account_id: Some(model::AccountId(uuid::Uuid::from_u128(1))), ..plain() };
    assert_eq!(conflict(f.try_workspace(&workspace("ws"), other)), "Conflict");
    let taken = WorkspaceSpec { account_id: Some(made.account_id), ..plain() };
    assert_eq!(conflict(f.try_workspace(&workspace("other"), taken.clone())), "Conflict");
    f.delete_workspace("ws", false);
    assert_eq!(conflict(f.try_workspace(&workspace("other"), taken)), "Conflict");
}

pub(crate) fn keep_what_is_not_said(f: Fixture) {
    let spec = WorkspaceSpec { public_network_access: Some(false), profile: Some(Profile::Azure), ..with_defaults() };
    let made = f.try_workspace(&workspace("ws"), spec).unwrap().resource;
    assert_eq!((made.public_network_access, made.profile), (false, Profile::Azure));
    let tags = BTreeMap::from([("Team".to_owned(), "a".to_owned())]);
    let changed = f.try_workspace(&workspace("ws"), WorkspaceSpec { tags, ..plain() }).unwrap().resource;
    assert_eq!((changed.public_network_access, changed.profile), (false, Profile::Azure));
    assert_eq!((changed.account_id, &changed.handle), (made.account_id, &made.handle));
    assert_eq!((&changed.default_rule, &changed.default_endpoint), (&made.default_rule, &made.default_endpoint));
    assert_eq!(changed.envelope.tags["Team"], "a");
}

pub(crate) fn say_everything_that_is_wrong(f: Fixture) {
    let mut tags: BTreeMap<String, String> = (0..51).map(|n| (format!("t{n}"), String::new())).collect();
    tags.insert("long".to_owned(), "v".repeat(257));
    tags.insert("n".repeat(513), String::new());
    tags.insert("a/b".to_owned(), String::new());
    tags.insert("T1".to_owned(), String::new());
    let spec = WorkspaceSpec { location: String::new(), tags, ..plain() };
    let found = problems(f.try_workspace(&workspace("-w"), spec));
    let long = format!("tags.{}…", "n".repeat(100));
    // "T1" comes before "t1", which is the second one of its name then.
    assert_eq!(found, ["name", "location", "tags", "tags.a/b", "tags.long", &*long, "tags.t1"]);

    for name in ["a", "w-", "w_1", "w.1", "ü1", &"x".repeat(64)] {
        assert_eq!(problems(f.try_workspace(&workspace(name), plain())), ["name"], "{name}");
    }
    for id in ["/subscriptions/x", "/", "/subscriptions/x/resourceGroups/g/providers/Microsoft.Monitor/Accounts/w/y/z"]
    {
        assert_eq!(problems(f.try_workspace(&id.parse().unwrap(), plain())), ["id"], "{id}");
    }
    let in_subscription = |s: &str| {
        format!("/subscriptions/{s}/resourceGroups/g/providers/Microsoft.Monitor/accounts/w").parse().unwrap()
    };
    for subscription in ["x", "00000000-0000-0000-0000-0000000000bb"] {
        let error = f.try_workspace(&in_subscription(subscription), plain()).unwrap_err();
        assert!(matches!(error, StoreError::NoSubscription(_)), "{error}");
    }
    let nowhere = inside(&group("nowhere"), "Microsoft.Monitor/accounts", "ws");
    assert!(matches!(f.try_workspace(&nowhere, plain()), Err(StoreError::NoGroup { .. })));
    assert!(f.snapshot().workspaces().is_empty());
}

pub(crate) fn managed_resources_change_with_them_alone(f: Fixture) {
    const CODE: &str = "ResourceGroupBeingManaged";
    let made = f.workspace("ws");
    let (endpoint, rule) = (made.default_endpoint.clone().unwrap(), made.default_rule.clone().unwrap());
    let managed = group("MA_ws_local_managed");
    let none = || Precondition::None;
    let spec = GroupSpec { location: "local".to_owned(), ..GroupSpec::default() };
    assert_eq!(conflict(block_on(f.store.put_group(&f.actor, &managed, spec, none()))), CODE);
    assert_eq!(conflict(block_on(f.store.delete_group(&f.actor, &managed, none()))), CODE);
    let spec = EndpointSpec { location: "local".to_owned(), ..EndpointSpec::default() };
    assert_eq!(conflict(block_on(f.store.put_endpoint(&f.actor, &endpoint, spec, none()))), CODE);
    assert_eq!(conflict(block_on(f.store.delete_endpoint(&f.actor, &endpoint, none()))), CODE);
    let properties = match routing(&["ws"]) {
        Value::Object(properties) => properties,
        _ => unreachable!(),
    };
    let spec = RuleSpec { location: "local".to_owned(), properties, ..RuleSpec::default() };
    assert_eq!(conflict(block_on(f.store.put_rule(&f.actor, &rule, spec, none()))), CODE);
    assert_eq!(conflict(block_on(f.store.delete_rule(&f.actor, &rule, none()))), CODE);
    let stranger = inside(&managed, "Microsoft.Monitor/accounts", "stranger");
    assert_eq!(conflict(f.try_workspace(&stranger, plain())), CODE);

    // Roles on them are the owner's to give.
    f.assign(rule.as_str(), 1, "writer");
    f.delete_workspace("ws", false);
    let now = f.snapshot();
    assert!(now.endpoints().is_empty() && now.rules().is_empty() && now.assignments().is_empty());
    assert!(now.group_by_id(&managed).is_none());
}

pub(crate) fn have_limits(mut f: Fixture) {
    let made = f.workspace("ws");
    let set = |f: &Fixture, series, events, name: &str| {
        let limits = WorkspaceLimits { active_series_max: series, events_per_minute_max: events };
        block_on(f.store.set_limits(&f.actor, &workspace(name), limits, Precondition::None))
    };
    let changed = set(&f, Some(2_000_000), None, "ws").unwrap().resource;
    assert_eq!(changed.limits.active_series_max, Some(2_000_000));
    assert_ne!(changed.envelope.etag, made.envelope.etag);
    f.reopen();
    assert_eq!(f.snapshot().workspace("ws").unwrap().limits, changed.limits);
    assert_eq!(
        problems(set(&f, Some(0), Some(u64::MAX), "ws")),
        ["properties.limits.maxActiveTimeSeries", "properties.limits.maxEventsPerMinute"]
    );
    assert!(matches!(set(&f, None, None, "other"), Err(StoreError::NotFound(_))));
}
