//! Workspaces that were deleted: brought back, or forgotten for good.

use std::sync::Arc;

use environment::UnixTime;
use model::{AccountId, ResourceId};

use super::{json, rule_properties};
use crate::draft::Draft;
use crate::names::{self, ENDPOINT, Place, Problems, RULE, WORKSPACE};
use crate::stored::Kept;
use crate::{Assignment, DeletedWorkspace, Endpoint, Envelope, Put, ResourceGroup, Rule, StoreError, Workspace};

pub(crate) fn restore(draft: &mut Draft<'_>, account: AccountId) -> Result<Put<Workspace>, StoreError> {
    let deleted = draft.next.deleted_workspaces().get(&account).cloned().ok_or_else(|| unknown(account))?;
    let id = &deleted.workspace.envelope.id;
    draft.require_group(&Place::of(id, WORKSPACE)?)?;
    if draft.next.workspace_by_id(id).is_some() {
        let message = format!("another workspace is called {id} now: delete that one first, then restore this one");
        return Err(StoreError::Conflict { code: "Conflict", message });
    }
    let mut workspace = Workspace::clone(&deleted.workspace);
    workspace.envelope = draft.touched_envelope(&workspace.envelope);
    workspace.handle = free_handle(draft, &workspace);
    let moved = restore_defaults(draft, &mut workspace, &deleted.kept);
    draft.remove_deleted(account);
    let resource = draft.put_workspace(workspace);
    for rule in &deleted.kept.detached {
        attach(draft, rule);
    }
    for assignment in &deleted.kept.assignments {
        restore_assignment(draft, assignment, moved.as_ref());
    }
    draft.log("Microsoft.Monitor/deletedAccounts/restore/action", &resource.envelope.id, json(&*resource));
    Ok(Put { resource, created: true })
}

pub(crate) fn purge(draft: &mut Draft<'_>, account: AccountId) -> Result<Arc<DeletedWorkspace>, StoreError> {
    let deleted = draft.next.deleted_workspaces().get(&account).cloned().ok_or_else(|| unknown(account))?;
    forget(draft, &deleted);
    Ok(deleted)
}

pub(crate) fn purge_expired(draft: &mut Draft<'_>, now: UnixTime) -> usize {
    let expired: Vec<Arc<DeletedWorkspace>> =
        draft.next.deleted_workspaces().values().filter(|deleted| deleted.purge_at <= now).cloned().collect();
    for deleted in &expired {
        forget(draft, deleted);
    }
    expired.len()
}

fn forget(draft: &mut Draft<'_>, deleted: &DeletedWorkspace) {
    let account = deleted.workspace.account_id;
    draft.remove_deleted(account);
    draft.purged(account);
    draft.log(PURGE, &deleted.workspace.envelope.id, None);
}

/// The group of defaults as it was called and as it is called now.
struct Moved {
    from: ResourceId,
    to: ResourceId,
}

impl Moved {
    /// `id`, which lies in the old group or is it, in the new one.
    fn rebase(&self, id: &ResourceId) -> ResourceId {
        match self.from.covers(id) {
            true => format!("{}{}", self.to, &id.as_str()[self.from.as_str().len()..])
                .parse()
                .expect("an id in one group is an id in another"),
            false => id.clone(),
        }
    }
}

/// Brings the managed group, endpoint and rule back; under another name when a namesake has the group's meanwhile.
fn restore_defaults(draft: &mut Draft<'_>, workspace: &mut Workspace, kept: &Kept) -> Option<Moved> {
    let (Some(group), Some(endpoint), Some(rule)) = (&kept.group, &kept.endpoint, &kept.rule) else {
        (workspace.default_endpoint, workspace.default_rule) = (None, None);
        return None;
    };
    let from = group.envelope.id.clone();
    let to = match draft.next.group_by_id(&from) {
        None => from.clone(),
        Some(_) => super::workspace::managed_group_id(draft, workspace),
    };
    let back =
        |draft: &Draft<'_>, envelope: &Envelope, id: ResourceId| Envelope { id, ..draft.touched_envelope(envelope) };
    let envelope = back(draft, &group.envelope, to.clone());
    let group = draft.put_group(ResourceGroup { envelope });
    draft.log(super::group::WRITE, &group.envelope.id, json(&*group));

    let name = workspace.envelope.id.name().to_owned();
    let endpoint_id = names::resource_id(&to, ENDPOINT, &name);
    let envelope = back(draft, &endpoint.envelope, endpoint_id.clone());
    let host_label = match draft.next.endpoint_by_host_label(&endpoint.host_label) {
        None => endpoint.host_label.clone(),
        Some(_) => draft.host_label(&name),
    };
    let endpoint = draft.put_endpoint(Endpoint { envelope, host_label, ..endpoint.clone() });
    draft.log(super::endpoint::WRITE, &endpoint.envelope.id, json(&*endpoint));

    let rule_id = names::resource_id(&to, RULE, &name);
    let mut properties = rule.properties.clone();
    properties.insert("dataCollectionEndpointId".to_owned(), endpoint_id.as_str().into());
    let envelope = back(draft, &rule.envelope, rule_id.clone());
    let rule = Rule { envelope, endpoint: Some(endpoint_id.clone()), properties, ..rule.clone() };
    let rule = draft.put_rule(rule);
    draft.log(super::rule::WRITE, &rule.envelope.id, json(&*rule));

    (workspace.default_endpoint, workspace.default_rule) = (Some(endpoint_id), Some(rule_id));
    Some(Moved { from, to })
}

/// Routes a rule to the workspace again, if its flows still name it.
fn attach(draft: &mut Draft<'_>, id: &ResourceId) {
    let Some(rule) = draft.next.rule_by_id(id).cloned() else { return };
    let mut problems = Problems::default();
    let (location, properties) = (&rule.envelope.location, rule.properties.clone());
    let read = rule_properties::read(&draft.next, &mut problems, Some(&rule), location, properties);
    if problems.finish().is_err() || read.routes == rule.routes {
        return;
    }
    let envelope = draft.touched_envelope(&rule.envelope);
    let rule = draft.put_rule(Rule { envelope, routes: read.routes, ..Rule::clone(&rule) });
    draft.log(super::rule::WRITE, &rule.envelope.id, json(&*rule));
}

fn restore_assignment(draft: &mut Draft<'_>, assignment: &Assignment, moved: Option<&Moved>) {
    let rebase = |id: &ResourceId| moved.map_or_else(|| id.clone(), |moved| moved.rebase(id));
    let restored = Assignment { id: rebase(&assignment.id), scope: rebase(&assignment.scope), ..assignment.clone() };
    let resource = draft.put_assignment(restored);
    draft.log("Microsoft.Authorization/roleAssignments/write", &resource.id, json(&*resource));
}

/// Its own handle, or a free one when that was taken meanwhile.
fn free_handle(draft: &Draft<'_>, workspace: &Workspace) -> String {
    match draft.next.workspace(&workspace.handle) {
        None => workspace.handle.clone(),
        Some(_) => draft.handle(workspace.envelope.id.name()),
    }
}

fn unknown(account: AccountId) -> StoreError {
    StoreError::Unknown { what: "deleted workspace", id: account.to_string() }
}

pub(crate) const PURGE: &str = "Microsoft.Monitor/deletedAccounts/delete";
