//! Resource groups.

use std::sync::Arc;

use model::ResourceId;

use super::{Common, json, refuse_managed};
use crate::draft::{Draft, check_precondition};
use crate::names::{self, Place, Problems};
use crate::{GroupSpec, Precondition, Put, ResourceGroup, Snapshot, StoreError};

pub(crate) fn put(
    draft: &mut Draft<'_>,
    id: &ResourceId,
    spec: GroupSpec,
    precondition: &Precondition,
) -> Result<Put<ResourceGroup>, StoreError> {
    let place = Place::of_group(id)?;
    draft.require_subscription(&place)?;
    let existing = draft.next.group_by_id(id).cloned();
    let old = existing.as_ref().map(|group| &group.envelope);
    old.map_or(Ok(()), refuse_managed)?;
    check_precondition(old.map(|old| old.etag.as_str()), precondition)?;

    let mut problems = Problems::default();
    if old.is_none() {
        names::group(&mut problems, place.name);
    }
    let location = names::region(&mut problems, &spec.location);
    names::tags(&mut problems, &spec.tags);
    problems.finish()?;

    let envelope = draft.envelope(id, old, Common { location, tags: spec.tags }).map_err(as_group_conflict)?;
    let resource = draft.put_group(ResourceGroup { envelope });
    draft.log(WRITE, &resource.envelope.id, json(&*resource));
    Ok(Put { resource, created: existing.is_none() })
}

/// Deletes a group with everything in it.
pub(crate) fn delete(draft: &mut Draft<'_>, id: &ResourceId, precondition: &Precondition) -> Result<bool, StoreError> {
    let place = Place::of_group(id)?;
    draft.require_subscription(&place)?;
    let existing = draft.next.group_by_id(id).cloned();
    check_precondition(existing.as_ref().map(|group| group.envelope.etag.as_str()), precondition)?;
    let Some(group) = existing else { return Ok(false) };
    refuse_managed(&group.envelope)?;

    // Rules go before the endpoints that they are bound to, and both before workspaces, whose deletion looks for rules.
    for rule in inside(draft.next.rules(), id) {
        super::rule::remove(draft, &rule);
    }
    for endpoint in inside(draft.next.endpoints(), id) {
        super::endpoint::remove(draft, &endpoint)?;
    }
    for workspace in inside(draft.next.workspaces(), id) {
        super::workspace::remove(draft, &workspace, false)?;
    }
    for identity in inside(draft.next.identities(), id) {
        super::identity::remove(draft, &identity);
    }
    draft.remove_assignments_below(&group.envelope.id);
    draft.remove_group(&group.envelope.id);
    draft.log(DELETE, &group.envelope.id, None);
    Ok(true)
}

fn inside<T>(table: &crate::Table<T>, group: &ResourceId) -> Vec<Arc<T>> {
    Snapshot::below(table, group).cloned().collect()
}

/// Azure has a code of its own for groups.
fn as_group_conflict(error: StoreError) -> StoreError {
    match error {
        StoreError::Conflict { message, .. } => StoreError::Conflict { code: "InvalidResourceGroupLocation", message },
        other => other,
    }
}

pub(crate) const WRITE: &str = "Microsoft.Resources/subscriptions/resourceGroups/write";
pub(crate) const DELETE: &str = "Microsoft.Resources/subscriptions/resourceGroups/delete";
