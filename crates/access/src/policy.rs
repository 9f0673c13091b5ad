//! Role assignments → decision.

use std::collections::HashMap;
use std::sync::Arc;

use model::ResourceId;

use crate::principal::is_guid;
use crate::{Principal, RoleDefinition};

/// What somebody wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action<'a> {
    /// Manage a resource: `Microsoft.Monitor/accounts/read`.
    Management(&'a str),
    /// Touch the data in it: `Microsoft.Insights/Metrics/Write`.
    Data(&'a str),
}

/// *Publish metrics on this rule*: asked of a data collection rule.
pub const WRITE_METRICS: Action<'static> = Action::Data("Microsoft.Insights/Metrics/Write");
/// *Read data of this workspace*: asked of a workspace.
pub const READ_METRICS: Action<'static> = Action::Data("Microsoft.Monitor/accounts/data/metrics/read");

/// A role given to a principal at a scope and everything below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleAssignment {
    /// The principal's object id.
    pub principal_id: String,
    /// The issuer the principal must come from; `None` for any that is configured. Set it where an issuer lets its users
    /// choose their own ids, so that none can take another's.
    pub issuer: Option<Arc<str>>,
    /// The role definition's GUID.
    pub role_definition_id: String,
    /// Where it holds.
    pub scope: ResourceId,
}

/// Whether somebody may do something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Decision {
    /// An assignment permits it.
    Allowed,
    /// None does.
    Denied,
}

impl Decision {
    /// Whether it is allowed.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }
}

/// Assignments that name what is not there.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyError {
    /// A role that is not defined.
    #[error(
        "the role assignment of {principal_id} at {scope} names the role definition {role_definition_id:?}, which does not exist"
    )]
    UnknownRole {
        /// Who.
        principal_id: String,
        /// Where.
        scope: ResourceId,
        /// The role.
        role_definition_id: String,
    },
    /// Two definitions of one role.
    #[error("the role definition {0:?} stands there twice")]
    DuplicateRole(String),
}

/// All role assignments at one time. Changing one means building another: the holder swaps them.
#[derive(Default, Debug)]
pub struct Policy {
    grants: HashMap<String, Vec<Grant>>,
}

#[derive(Debug)]
struct Grant {
    issuer: Option<Arc<str>>,
    role: Arc<RoleDefinition>,
    scope: ResourceId,
}

impl Policy {
    /// Assignments of the built-in roles.
    ///
    /// # Errors
    /// When an assignment names a role that does not exist.
    pub fn new(assignments: impl IntoIterator<Item = RoleAssignment>) -> Result<Self, PolicyError> {
        Self::with_roles(RoleDefinition::built_in(), assignments)
    }

    /// Assignments of these roles.
    ///
    /// # Errors
    /// When an assignment names a role that does not exist, or two roles have one id.
    pub fn with_roles(
        roles: impl IntoIterator<Item = RoleDefinition>,
        assignments: impl IntoIterator<Item = RoleAssignment>,
    ) -> Result<Self, PolicyError> {
        let mut by_id = HashMap::new();
        for role in roles {
            let id = role.id.to_ascii_lowercase();
            if let Some(double) = by_id.insert(id, Arc::new(role)) {
                return Err(PolicyError::DuplicateRole(double.id.clone()));
            }
        }
        let mut grants: HashMap<String, Vec<Grant>> = HashMap::new();
        for assignment in assignments {
            let RoleAssignment { principal_id, issuer, role_definition_id, scope } = assignment;
            let Some(role) = by_id.get(&role_definition_id.to_ascii_lowercase()).map(Arc::clone) else {
                return Err(PolicyError::UnknownRole { principal_id, scope, role_definition_id });
            };
            let key = if is_guid(&principal_id) { principal_id.to_ascii_lowercase() } else { principal_id };
            grants.entry(key).or_default().push(Grant { issuer, role, scope });
        }
        Ok(Self { grants })
    }

    /// Whether `principal` may do `action` on `resource`. What one role excepts, another may still permit.
    pub fn allows(&self, principal: &Principal, action: Action<'_>, resource: &ResourceId) -> Decision {
        let grants = self.grants.get(&principal.object_id).map_or(&[][..], Vec::as_slice);
        let permitted = grants.iter().any(|grant| {
            grant.issuer.as_ref().is_none_or(|issuer| *issuer == principal.issuer)
                && grant.scope.covers(resource)
                && match action {
                    Action::Management(name) => grant.role.permits(name),
                    Action::Data(name) => grant.role.permits_data(name),
                }
        });
        if permitted { Decision::Allowed } else { Decision::Denied }
    }
}

#[cfg(test)]
mod tests;
