//! What is written in another form than it is used in.

use std::sync::Arc;

use environment::UnixTime;
use model::ResourceId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Assignment, DeletedWorkspace, Endpoint, ResourceGroup, Rule, Stamp, Workspace};

/// What was taken away together with a workspace, as it was.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) group: Option<ResourceGroup>,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) rule: Option<Rule>,
    /// Role assignments at and below the workspace and its managed group.
    pub(crate) assignments: Vec<Assignment>,
    /// Rules of others that lost it as a destination.
    pub(crate) detached: Vec<ResourceId>,
}

/// A [`DeletedWorkspace`] as it is written.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredDeletion {
    workspace: Workspace,
    deleted: Stamp,
    purge_at_ms: u64,
    kept: Kept,
}

impl From<&DeletedWorkspace> for StoredDeletion {
    fn from(deletion: &DeletedWorkspace) -> Self {
        Self {
            workspace: Workspace::clone(&deletion.workspace),
            deleted: deletion.deleted.clone(),
            purge_at_ms: u64::try_from(deletion.purge_at.as_millis()).unwrap_or(0),
            kept: Kept::clone(&deletion.kept),
        }
    }
}

impl From<StoredDeletion> for DeletedWorkspace {
    fn from(stored: StoredDeletion) -> Self {
        Self {
            workspace: Arc::new(stored.workspace),
            deleted: stored.deleted,
            purge_at: UnixTime::from_millis(stored.purge_at_ms),
            kept: Arc::new(stored.kept),
        }
    }
}

/// An [`Assignment`] as it is written: there are many, and what follows from its id is left out.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredAssignment {
    id: ResourceId,
    role: String,
    principal_id: String,
    principal_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    created: Stamp,
    /// None: never changed since it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updated: Option<Stamp>,
}

impl From<&Assignment> for StoredAssignment {
    fn from(assignment: &Assignment) -> Self {
        Self {
            id: assignment.id.clone(),
            role: assignment.role.clone(),
            principal_id: assignment.principal_id.clone(),
            principal_type: assignment.principal_type.clone(),
            issuer: assignment.issuer.clone(),
            description: assignment.description.clone(),
            created: assignment.created.clone(),
            updated: Some(assignment.updated.clone()).filter(|updated| *updated != assignment.created),
        }
    }
}

impl StoredAssignment {
    /// `None` when the id is not that of a role assignment.
    pub(crate) fn read(self) -> Option<Assignment> {
        Some(Assignment {
            scope: scope_of_assignment(&self.id)?,
            id: self.id,
            role: self.role,
            principal_id: self.principal_id,
            principal_type: self.principal_type,
            issuer: self.issuer,
            description: self.description,
            updated: self.updated.unwrap_or_else(|| self.created.clone()),
            created: self.created,
        })
    }
}

/// What the id of an assignment says about where it holds; `None` when it is not of that form.
pub(crate) fn scope_of_assignment(id: &ResourceId) -> Option<ResourceId> {
    const SUFFIX: &str = "/providers/Microsoft.Authorization/roleAssignments";
    let (before, name) = id.as_str().rsplit_once('/')?;
    name.parse::<Uuid>().ok()?;
    let cut = before.len().checked_sub(SUFFIX.len())?;
    if !before.is_char_boundary(cut) || !before[cut..].eq_ignore_ascii_case(SUFFIX) {
        return None;
    }
    match &before[..cut] {
        "" => "/".parse().ok(),
        scope => scope.parse().ok(),
    }
}
