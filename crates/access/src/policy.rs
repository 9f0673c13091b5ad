//! Role assignments → decision.

mod held;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use imbl::HashMap;
use model::ResourceId;

use crate::principal::is_guid;
use crate::{Principal, RoleDefinition};
use held::{Grant, Held, lowered};

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

/// All role assignments at one time.
///
/// Clones share what they have in common, so that changing one assignment of a hundred thousand, in a clone that readers
/// do not see yet, costs microseconds.
#[derive(Clone, Debug)]
pub struct Policy {
    roles: Arc<Roles>,
    held: HashMap<Arc<str>, Held>,
    len: usize,
}

/// Role definitions by id.
type Roles = BTreeMap<String, Arc<RoleDefinition>>;

impl Default for Policy {
    /// The built-in roles, given to nobody.
    fn default() -> Self {
        static BUILT_IN: LazyLock<Arc<Roles>> = LazyLock::new(|| {
            let roles = RoleDefinition::built_in().into_iter();
            Arc::new(roles.map(|role| (role.id.clone(), Arc::new(role))).collect())
        });
        Self { roles: Arc::clone(&BUILT_IN), held: HashMap::new(), len: 0 }
    }
}

impl Policy {
    /// Assignments of the built-in roles.
    ///
    /// # Errors
    /// When an assignment names a role that does not exist.
    pub fn new(assignments: impl IntoIterator<Item = RoleAssignment>) -> Result<Self, PolicyError> {
        let mut policy = Self::default();
        for assignment in assignments {
            policy.assign(assignment)?;
        }
        Ok(policy)
    }

    /// Assignments of these roles.
    ///
    /// # Errors
    /// When an assignment names a role that does not exist, or two roles have one id.
    pub fn with_roles(
        roles: impl IntoIterator<Item = RoleDefinition>,
        assignments: impl IntoIterator<Item = RoleAssignment>,
    ) -> Result<Self, PolicyError> {
        let mut by_id = Roles::new();
        for role in roles {
            let id = role.id.to_ascii_lowercase();
            if let Some(double) = by_id.insert(id, Arc::new(role)) {
                return Err(PolicyError::DuplicateRole(double.id.clone()));
            }
        }
        let mut policy = Self { roles: Arc::new(by_id), held: HashMap::new(), len: 0 };
        for assignment in assignments {
            policy.assign(assignment)?;
        }
        Ok(policy)
    }

    /// Gives a role. Given twice, it counts twice: it must be revoked as often.
    ///
    /// # Errors
    /// When the role does not exist; nothing is changed then.
    pub fn assign(&mut self, assignment: RoleAssignment) -> Result<(), PolicyError> {
        let RoleAssignment { principal_id, issuer, role_definition_id, scope } = assignment;
        let Some(role) = self.role(&role_definition_id).map(Arc::clone) else {
            return Err(PolicyError::UnknownRole { principal_id, scope, role_definition_id });
        };
        let scope = lowered(scope.as_str(), |scope| Arc::<str>::from(scope));
        self.held
            .entry(principal_key(principal_id).into())
            .or_insert_with(Held::none)
            .add(scope, Grant { issuer, role });
        self.len += 1;
        Ok(())
    }

    /// Takes a role away; whether it was given.
    pub fn revoke(&mut self, assignment: &RoleAssignment) -> bool {
        let key = principal_key(assignment.principal_id.clone());
        let Some(role) = self.role(&assignment.role_definition_id).map(Arc::clone) else { return false };
        let Some(held) = self.held.get_mut(key.as_str()) else { return false };
        let grant = Grant { issuer: assignment.issuer.clone(), role };
        let removed = lowered(assignment.scope.as_str(), |scope| held.remove(scope, &grant));
        if held.is_empty() {
            self.held.remove(key.as_str());
        }
        self.len -= usize::from(removed);
        removed
    }

    /// Whether `principal` may do `action` on `resource`. What one role excepts, another may still permit.
    pub fn allows(&self, principal: &Principal, action: Action<'_>, resource: &ResourceId) -> Decision {
        let Some(held) = self.held.get(principal.object_id.as_str()) else { return Decision::Denied };
        let permitted = lowered(resource.as_str(), |resource| {
            held.any(resource, |grant| {
                grant.is_for(principal)
                    && match action {
                        Action::Management(name) => grant.role.permits(name),
                        Action::Data(name) => grant.role.permits_data(name),
                    }
            })
        });
        if permitted { Decision::Allowed } else { Decision::Denied }
    }

    /// The roles that `principal` holds at `resource` or above it, each once.
    pub fn roles_at(&self, principal: &Principal, resource: &ResourceId) -> Vec<Arc<RoleDefinition>> {
        let mut found: Vec<Arc<RoleDefinition>> = Vec::new();
        let Some(held) = self.held.get(principal.object_id.as_str()) else { return found };
        lowered(resource.as_str(), |resource| {
            held.any(resource, |grant| {
                if grant.is_for(principal) && !found.iter().any(|role| role.id == grant.role.id) {
                    found.push(Arc::clone(&grant.role));
                }
                false
            })
        });
        found
    }

    /// The scopes at which `principal` holds any role, in lower case, the root as `""`; one may come several times. Says
    /// which subscriptions and groups somebody sees something of.
    pub fn scopes(&self, principal: &Principal) -> impl Iterator<Item = &str> {
        let held = self.held.get(principal.object_id.as_str()).into_iter().flat_map(Held::iter);
        held.filter(|(_, grant)| grant.is_for(principal)).map(|(scope, _)| scope)
    }

    /// The definition of a role, by its GUID.
    pub fn role(&self, id: &str) -> Option<&Arc<RoleDefinition>> {
        self.roles.get(id).or_else(|| self.roles.get(&id.to_ascii_lowercase()))
    }

    /// All role definitions, by GUID.
    pub fn roles(&self) -> impl Iterator<Item = &Arc<RoleDefinition>> {
        self.roles.values()
    }

    /// How many assignments there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Grant {
    fn is_for(&self, principal: &Principal) -> bool {
        self.issuer.as_ref().is_none_or(|issuer| *issuer == principal.issuer)
    }
}

fn principal_key(id: String) -> String {
    if is_guid(&id) { id.to_ascii_lowercase() } else { id }
}

#[cfg(test)]
mod tests;
