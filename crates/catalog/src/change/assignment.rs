//! Role assignments.

use std::sync::Arc;

use model::ResourceId;
use uuid::Uuid;

use super::json;
use crate::draft::Draft;
use crate::names::{Problems, excerpt, group_of, subscription_id};
use crate::stored::scope_of_assignment;
use crate::{Assignment, AssignmentSpec, Put, StoreError};

pub(crate) fn put(draft: &mut Draft<'_>, spec: AssignmentSpec) -> Result<Put<Assignment>, StoreError> {
    let mut problems = Problems::default();
    let scope = scope_of_assignment(&spec.id);
    if scope.is_none() {
        let form = "{scope}/providers/Microsoft.Authorization/roleAssignments/{GUID}";
        problems.add("id", format!("{:?} does not have the form {form}", excerpt(spec.id.as_str())));
    }
    if spec.role.parse::<Uuid>().is_err() {
        let message = format!("{:?} does not end in the GUID of a role", excerpt(&spec.role));
        problems.add("properties.roleDefinitionId", message);
    }
    if spec.principal_id.is_empty() || spec.principal_id.len() > PRINCIPAL_BYTES_MAX {
        problems.add("properties.principalId", format!("has 1 to {PRINCIPAL_BYTES_MAX} characters"));
    }
    let principal_type = PRINCIPAL_TYPES.iter().find(|kind| kind.eq_ignore_ascii_case(&spec.principal_type));
    if principal_type.is_none() {
        let message = format!("{:?} is none of {}", excerpt(&spec.principal_type), PRINCIPAL_TYPES.join(", "));
        problems.add("properties.principalType", message);
    }
    if spec.description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
        problems.add("properties.description", format!("has at most {DESCRIPTION_CHARS_MAX} characters"));
    }
    problems.finish()?;
    let (scope, principal_type) = (scope.expect("no problem"), *principal_type.expect("no problem"));
    require_scope(draft, &scope)?;

    let existing = draft.next.assignment_by_id(&spec.id).cloned();
    let stamp = draft.stamp();
    let assignment = Assignment {
        id: existing.as_ref().map_or(spec.id, |existing| existing.id.clone()),
        role: spec.role.to_ascii_lowercase(),
        principal_id: spec.principal_id,
        principal_type: principal_type.to_owned(),
        issuer: spec.issuer,
        description: spec.description,
        created: existing.as_ref().map_or_else(|| stamp.clone(), |existing| existing.created.clone()),
        updated: stamp,
        scope,
    };
    match &existing {
        Some(existing) if !same_grant(existing, &assignment) => {
            return Err(StoreError::Conflict {
                code: "RoleAssignmentUpdateNotPermitted",
                message: format!(
                    "{} gives another role, or to another principal: an assignment never changes; delete it, or choose another name",
                    existing.id
                ),
            });
        }
        Some(existing) if existing.description == assignment.description => {
            return Ok(Put { resource: Arc::clone(existing), created: false });
        }
        Some(_) => {}
        None => refuse_second(draft, &assignment)?,
    }
    let resource = draft.put_assignment(assignment);
    draft.log(WRITE, &resource.id, json(&*resource));
    Ok(Put { resource, created: existing.is_none() })
}

pub(crate) fn delete(draft: &mut Draft<'_>, id: &ResourceId) -> Option<Arc<Assignment>> {
    let existing = draft.next.assignment_by_id(id).cloned()?;
    draft.remove_assignment(&existing);
    draft.log("Microsoft.Authorization/roleAssignments/delete", &existing.id, None);
    Some(existing)
}

/// A role at a scope that does not exist would wait for whoever makes something of that name.
fn require_scope(draft: &Draft<'_>, scope: &ResourceId) -> Result<(), StoreError> {
    let next = &draft.next;
    if scope.as_str() == "/" {
        return Ok(());
    }
    let subscription = scope.segment_after("subscriptions").unwrap_or("");
    match subscription_id(subscription) {
        Ok(id) if next.subscriptions().contains_key(&id) => {}
        _ => return Err(StoreError::NoSubscription(excerpt(subscription))),
    }
    let exists = match scope.as_str().split('/').count() {
        3 => true,
        5 => next.group_by_id(scope).is_some(),
        _ => {
            next.workspace_by_id(scope).is_some()
                || next.endpoint_by_id(scope).is_some()
                || next.rule_by_id(scope).is_some()
                || next.identity_by_id(scope).is_some()
        }
    };
    match group_of(scope).filter(|group| next.group_by_id(group).is_none()) {
        Some(group) => Err(StoreError::NoGroup { subscription: subscription.to_owned(), group: excerpt(group.name()) }),
        None if exists => Ok(()),
        None => Err(StoreError::NotFound(scope.clone())),
    }
}

fn refuse_second(draft: &Draft<'_>, assignment: &Assignment) -> Result<(), StoreError> {
    match draft.next.grant(&assignment.principal_id, &assignment.scope, &assignment.role) {
        None => Ok(()),
        Some(other) => Err(StoreError::Conflict {
            code: "RoleAssignmentExists",
            message: format!(
                "the role assignment already exists: {} gives the principal this role at this scope",
                other.id
            ),
        }),
    }
}

fn same_grant(one: &Assignment, other: &Assignment) -> bool {
    one.role == other.role
        && one.principal_id.eq_ignore_ascii_case(&other.principal_id)
        && one.principal_type == other.principal_type
        && one.issuer == other.issuer
}

const WRITE: &str = "Microsoft.Authorization/roleAssignments/write";
const PRINCIPAL_TYPES: [&str; 5] = ["ServicePrincipal", "User", "Group", "ForeignGroup", "Device"];
const PRINCIPAL_BYTES_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 1024;
