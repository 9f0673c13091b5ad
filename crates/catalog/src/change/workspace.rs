//! Workspaces, and what is made and deleted with them.

use std::sync::Arc;

use environment::UnixTime;
use model::{AccountId, ResourceId};
use serde_json::{Map, Value};

use super::{Common, json};
use crate::draft::{Draft, check_precondition};
use crate::names::{self, ENDPOINT, LABEL_BYTES_MAX, Place, Problems, RULE, WORKSPACE};
use crate::stored::Kept;
use crate::{
    DeletedWorkspace, Endpoint, Envelope, PROMETHEUS_STREAM, Precondition, Put, ResourceGroup, Route, Rule, StoreError,
    Workspace, WorkspaceLimits, WorkspaceSpec, WorkspaceStorage,
};

pub(crate) fn put(
    draft: &mut Draft<'_>,
    id: &ResourceId,
    spec: WorkspaceSpec,
    precondition: &Precondition,
) -> Result<Put<Workspace>, StoreError> {
    let place = Place::of(id, WORKSPACE)?;
    draft.require_group(&place)?;
    let existing = draft.next.workspace_by_id(id).cloned();
    let old = existing.as_ref().map(|workspace| &workspace.envelope);
    check_precondition(old.map(|old| old.etag.as_str()), precondition)?;

    let mut problems = Problems::default();
    if old.is_none() {
        names::workspace(&mut problems, place.name);
    }
    let location = names::region(&mut problems, &spec.location);
    names::tags(&mut problems, &spec.tags);
    problems.finish()?;

    let envelope = draft.envelope(id, old, Common { location, tags: spec.tags })?;
    let workspace = match &existing {
        Some(existing) => {
            refuse_other_account(spec.account_id, existing)?;
            Workspace {
                envelope,
                profile: spec.profile.unwrap_or(existing.profile),
                public_network_access: spec.public_network_access.unwrap_or(existing.public_network_access),
                storage: existing.storage.changed(spec.storage),
                ..Workspace::clone(existing)
            }
        }
        None => {
            let mut workspace = Workspace {
                envelope,
                account_id: draft.account_id(spec.account_id)?,
                handle: draft.handle(place.name),
                profile: spec.profile.unwrap_or(draft.settings.profile),
                public_network_access: spec.public_network_access.unwrap_or(true),
                limits: WorkspaceLimits::default(),
                storage: WorkspaceStorage::default().changed(spec.storage),
                default_rule: None,
                default_endpoint: None,
            };
            if spec.with_defaults {
                make_defaults(draft, &mut workspace);
            }
            workspace
        }
    };
    let resource = draft.put_workspace(workspace);
    draft.log(WRITE, &resource.envelope.id, json(&*resource));
    Ok(Put { resource, created: existing.is_none() })
}

pub(crate) fn set_limits(
    draft: &mut Draft<'_>,
    id: &ResourceId,
    limits: WorkspaceLimits,
    precondition: &Precondition,
) -> Result<Put<Workspace>, StoreError> {
    Place::of(id, WORKSPACE)?;
    let existing = draft.next.workspace_by_id(id).cloned();
    check_precondition(existing.as_ref().map(|workspace| workspace.envelope.etag.as_str()), precondition)?;
    let Some(existing) = existing else { return Err(StoreError::NotFound(id.clone())) };
    let mut problems = Problems::default();
    for (name, limit) in
        [("maxActiveTimeSeries", limits.active_series_max), ("maxEventsPerMinute", limits.events_per_minute_max)]
    {
        if limit.is_some_and(|limit| limit == 0 || limit > LIMIT_MAX) {
            problems.add(format!("properties.limits.{name}"), format!("is from 1 to {LIMIT_MAX}"));
        }
    }
    problems.finish()?;
    let resource = draft.put_workspace(Workspace {
        envelope: draft.touched_envelope(&existing.envelope),
        limits,
        ..Workspace::clone(&existing)
    });
    draft.log("Microsoft.Monitor/accounts/metricsContainers/write", &resource.envelope.id, json(&resource.limits));
    Ok(Put { resource, created: false })
}

pub(crate) fn delete(
    draft: &mut Draft<'_>,
    id: &ResourceId,
    precondition: &Precondition,
    purge: bool,
) -> Result<Option<Arc<Workspace>>, StoreError> {
    Place::of(id, WORKSPACE)?;
    let existing = draft.next.workspace_by_id(id).cloned();
    check_precondition(existing.as_ref().map(|workspace| workspace.envelope.etag.as_str()), precondition)?;
    let Some(workspace) = existing else { return Ok(None) };
    remove(draft, &workspace, purge)?;
    Ok(Some(workspace))
}

/// Takes a workspace away with what was made with it and all role assignments on both.
pub(crate) fn remove(draft: &mut Draft<'_>, workspace: &Arc<Workspace>, purge: bool) -> Result<(), StoreError> {
    let id = &workspace.envelope.id;
    let mut kept = Kept::default();
    let mut assignments = draft.remove_assignments_below(id);
    // The default rule goes first: it is bound to the default endpoint.
    if let Some(rule) = workspace.default_rule.as_ref().and_then(|rule| draft.next.rule_by_id(rule)).cloned() {
        assignments.extend(draft.remove_assignments_below(&rule.envelope.id));
        super::rule::remove(draft, &rule);
        kept.rule = Some(Rule::clone(&rule));
    }
    if let Some(endpoint) =
        workspace.default_endpoint.as_ref().and_then(|endpoint| draft.next.endpoint_by_id(endpoint)).cloned()
    {
        assignments.extend(draft.remove_assignments_below(&endpoint.envelope.id));
        super::endpoint::remove(draft, &endpoint)?;
        kept.endpoint = Some(Endpoint::clone(&endpoint));
        let group = names::group_of(&endpoint.envelope.id).and_then(|group| draft.next.group_by_id(&group)).cloned();
        if let Some(group) = group.filter(|group| group.envelope.managed_by.as_ref() == Some(id)) {
            assignments.extend(draft.remove_assignments_below(&group.envelope.id));
            draft.remove_group(&group.envelope.id);
            draft.log(super::group::DELETE, &group.envelope.id, None);
            kept.group = Some(ResourceGroup::clone(&group));
        }
    }
    kept.detached = detach(draft, workspace.account_id);
    kept.assignments = assignments.iter().map(|assignment| (**assignment).clone()).collect();
    draft.remove_workspace(workspace);
    draft.log(DELETE, id, None);
    if purge {
        draft.purged(workspace.account_id);
        draft.log(super::deleted::PURGE, id, None);
    } else {
        let purge_at = UnixTime::plus(draft.now, draft.settings.workspace_retention);
        let (workspace, deleted, kept) = (Arc::clone(workspace), draft.stamp(), Arc::new(kept));
        draft.put_deleted(DeletedWorkspace { workspace, deleted, purge_at, kept });
    }
    Ok(())
}

/// Makes the group, endpoint and rule that a workspace comes with, and names them in it.
fn make_defaults(draft: &mut Draft<'_>, workspace: &mut Workspace) {
    let id = workspace.envelope.id.clone();
    let group =
        draft.put_group(ResourceGroup { envelope: managed(draft, workspace, managed_group_id(draft, workspace)) });
    draft.log(super::group::WRITE, &group.envelope.id, json(&*group));
    let group = &group.envelope.id;
    let endpoint = Endpoint {
        envelope: managed(draft, workspace, names::resource_id(group, ENDPOINT, id.name())),
        immutable_id: draft.immutable_id(super::endpoint::PREFIX),
        host_label: draft.host_label(id.name()),
        kind: None,
        description: None,
        public_network_access: "Enabled".to_owned(),
    };
    let endpoint = draft.put_endpoint(endpoint);
    draft.log(super::endpoint::WRITE, &endpoint.envelope.id, json(&*endpoint));
    let rule = Rule {
        envelope: managed(draft, workspace, names::resource_id(group, RULE, id.name())),
        immutable_id: draft.immutable_id(super::rule::PREFIX),
        kind: None,
        endpoint: Some(endpoint.envelope.id.clone()),
        routes: vec![Route { stream: PROMETHEUS_STREAM.to_owned(), workspaces: vec![workspace.account_id] }],
        properties: default_properties(workspace, &endpoint.envelope.id),
    };
    let rule = draft.put_rule(rule);
    draft.log(super::rule::WRITE, &rule.envelope.id, json(&*rule));
    workspace.default_endpoint = Some(endpoint.envelope.id.clone());
    workspace.default_rule = Some(rule.envelope.id.clone());
}

/// `MA_{name}_{location}_managed`, or with a suffix when a group of this name exists.
pub(crate) fn managed_group_id(draft: &Draft<'_>, workspace: &Workspace) -> ResourceId {
    let Envelope { id, location, .. } = &workspace.envelope;
    let subscription = id.segment_after("subscriptions").expect("a workspace lies in a subscription");
    let name = id.name().to_ascii_lowercase();
    // Region and name may each be long: the name gives way, so that the whole stays a name of a resource group.
    let name = &name[..name.len().min(MANAGED_CHARS_MAX.saturating_sub(location.len()))];
    let group = |name: &str| names::group_id(subscription, &format!("MA_{name}_{location}_managed"));
    let free = |name: &str| draft.next.group_by_id(&group(name)).is_none();
    if free(name) { group(name) } else { group(&draft.suffixed(name, free)) }
}

fn managed(draft: &Draft<'_>, workspace: &Workspace, id: ResourceId) -> Envelope {
    let Envelope { id: manager, location, .. } = &workspace.envelope;
    let stamp = draft.stamp();
    Envelope {
        id,
        location: location.clone(),
        tags: std::collections::BTreeMap::new(),
        etag: draft.etag(),
        managed_by: Some(manager.clone()),
        created: stamp.clone(),
        modified: stamp,
    }
}

fn default_properties(workspace: &Workspace, endpoint: &ResourceId) -> Map<String, Value> {
    let name = workspace.envelope.id.name();
    let properties = serde_json::json!({
        "dataCollectionEndpointId": endpoint,
        "dataSources": {},
        "destinations": { "monitoringAccounts": [{
            "accountResourceId": workspace.envelope.id,
            "accountId": workspace.account_id,
            "name": name,
        }] },
        "dataFlows": [{ "streams": [PROMETHEUS_STREAM], "destinations": [name] }],
    });
    match properties {
        Value::Object(properties) => properties,
        _ => unreachable!("written as an object above"),
    }
}

/// Takes a workspace out of all routes; the rules that had it.
fn detach(draft: &mut Draft<'_>, account: AccountId) -> Vec<ResourceId> {
    let routed = |rule: &&Arc<Rule>| rule.routes.iter().any(|route| route.workspaces.contains(&account));
    let rules: Vec<Arc<Rule>> = draft.next.rules().values().filter(routed).cloned().collect();
    let mut detached = Vec::with_capacity(rules.len());
    for rule in rules {
        let mut routes = rule.routes.clone();
        for route in &mut routes {
            route.workspaces.retain(|other| *other != account);
        }
        routes.retain(|route| !route.workspaces.is_empty());
        detached.push(rule.envelope.id.clone());
        let envelope = draft.touched_envelope(&rule.envelope);
        let rule = draft.put_rule(Rule { envelope, routes, ..Rule::clone(&rule) });
        draft.log(super::rule::WRITE, &rule.envelope.id, json(&*rule));
    }
    detached
}

impl Draft<'_> {
    /// The name in lower case, or name-suffix when that is taken. What reads as an identity is never a handle.
    pub(crate) fn handle(&self, name: &str) -> String {
        let free = |handle: &str| handle.parse::<AccountId>().is_err() && self.next.workspace(handle).is_none();
        let name = name.to_ascii_lowercase();
        let name = &name[..name.len().min(LABEL_BYTES_MAX)];
        if free(name) { name.to_owned() } else { self.suffixed(name, free) }
    }

    /// An envelope of what changes without its tags.
    pub(crate) fn touched_envelope(&self, old: &Envelope) -> Envelope {
        Envelope { etag: self.etag(), modified: self.stamp(), ..old.clone() }
    }

    fn account_id(&self, wanted: Option<AccountId>) -> Result<AccountId, StoreError> {
        let Some(account) = wanted else { return Ok(AccountId(self.uuid())) };
        let taken = match (self.next.workspace_by_account(account), self.next.deleted_workspaces().get(&account)) {
            (Some(workspace), _) => &workspace.envelope.id,
            (None, Some(deleted)) => &deleted.workspace.envelope.id,
            (None, None) => return Ok(account),
        };
        let message = format!("the accountId {account} is that of {taken}: leave it out, and one is drawn");
        Err(StoreError::Conflict { code: "Conflict", message })
    }
}

fn refuse_other_account(wanted: Option<AccountId>, existing: &Workspace) -> Result<(), StoreError> {
    match wanted {
        Some(wanted) if wanted != existing.account_id => Err(StoreError::Conflict {
            code: "Conflict",
            message: format!(
                "{} has the accountId {}, which never changes: it cannot become {wanted}",
                existing.envelope.id, existing.account_id
            ),
        }),
        _ => Ok(()),
    }
}

const WRITE: &str = "Microsoft.Monitor/accounts/write";
const DELETE: &str = "Microsoft.Monitor/accounts/delete";
/// What a group's name of 90 characters leaves for name and region, with a suffix to spare.
const MANAGED_CHARS_MAX: usize = 90 - "MA__".len() - "_managed".len() - "-abcd".len();
/// More than any machine takes, and small enough for every client's integers.
const LIMIT_MAX: u64 = 1 << 53;
