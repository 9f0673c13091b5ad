//! One consistent state of everything that exists.

mod index;

use std::sync::Arc;

use imbl::{HashMap, OrdMap, OrdSet};
use model::{AccountId, ResourceId};
use uuid::Uuid;

use crate::{
    Application, Assignment, CatalogError, DeletedWorkspace, Endpoint, Identity, ResourceGroup, Rule, Subscription,
    Workspace,
};

/// Resources that fit together: every reference names something in the same snapshot, every lookup key is unique.
///
/// A change makes a new snapshot that shares all that did not change. Tables keyed by ARM id are ordered by the id in lower
/// case, so that all resources of a scope lie together and pages of a list follow each other.
#[derive(Clone, Default, Debug)]
pub struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) subscriptions: OrdMap<Uuid, Arc<Subscription>>,
    pub(crate) groups: Table<ResourceGroup>,
    pub(crate) workspaces: Table<Workspace>,
    pub(crate) endpoints: Table<Endpoint>,
    pub(crate) rules: Table<Rule>,
    pub(crate) identities: Table<Identity>,
    pub(crate) assignments: Table<Assignment>,
    pub(crate) applications: OrdMap<Uuid, Arc<Application>>,
    pub(crate) deleted: OrdMap<AccountId, Arc<DeletedWorkspace>>,
    pub(crate) by_account: HashMap<AccountId, Arc<Workspace>>,
    pub(crate) by_handle: HashMap<Box<str>, Arc<Workspace>>,
    pub(crate) by_rule: HashMap<Box<str>, Arc<Rule>>,
    pub(crate) by_host_label: HashMap<Box<str>, Arc<Endpoint>>,
    pub(crate) by_identity_client: HashMap<Uuid, Arc<Identity>>,
    pub(crate) by_identity_principal: HashMap<Uuid, Arc<Identity>>,
    /// By the service principal's object id and by the application's own.
    pub(crate) by_application_object: HashMap<Uuid, Arc<Application>>,
    /// By principal in lower case; within it by scope and role.
    pub(crate) by_principal: HashMap<Box<str>, OrdMap<Arc<str>, Arc<Assignment>>>,
    /// Names of what a settings file declared and what was made of it.
    pub(crate) declared: OrdSet<Arc<str>>,
}

/// Resources by ARM id in lower case.
pub type Table<T> = OrdMap<Arc<str>, Arc<T>>;

/// The key of a resource in a [`Table`].
pub fn key(id: &ResourceId) -> Arc<str> {
    id.as_str().to_ascii_lowercase().into()
}

impl Snapshot {
    /// Checks that everything fits together: for tests and benchmarks that need no store.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn new(
        workspaces: impl IntoIterator<Item = Workspace>,
        endpoints: impl IntoIterator<Item = Endpoint>,
        rules: impl IntoIterator<Item = Rule>,
    ) -> Result<Self, CatalogError> {
        let mut snapshot = Self::default();
        for workspace in workspaces {
            snapshot.add_workspace(workspace)?;
        }
        for endpoint in endpoints {
            snapshot.add_endpoint(endpoint)?;
        }
        for rule in rules {
            snapshot.add_rule(rule)?;
        }
        Ok(snapshot)
    }

    /// Grows by one with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The rule with this immutable id; compared without regard to case, as all of an ingestion path.
    pub fn rule(&self, immutable_id: &str) -> Option<&Arc<Rule>> {
        match self.by_rule.get(immutable_id) {
            None if immutable_id.len() == IMMUTABLE_ID_BYTES => self.by_rule.get(&*immutable_id.to_ascii_lowercase()),
            found => found,
        }
    }

    /// The workspace that a query path names: by `accountId` or by handle, without regard to case.
    pub fn workspace(&self, name: &str) -> Option<&Arc<Workspace>> {
        match name.parse::<AccountId>() {
            Ok(account) => self.by_account.get(&account),
            Err(_) => self.by_handle.get(&*name.to_ascii_lowercase()),
        }
    }

    /// The workspace with this identity.
    pub fn workspace_by_account(&self, account: AccountId) -> Option<&Arc<Workspace>> {
        self.by_account.get(&account)
    }

    /// The endpoint whose own part of host names this is, in lower case.
    pub fn endpoint_by_host_label(&self, label: &str) -> Option<&Arc<Endpoint>> {
        self.by_host_label.get(label)
    }

    /// All subscriptions.
    pub fn subscriptions(&self) -> &OrdMap<Uuid, Arc<Subscription>> {
        &self.subscriptions
    }

    /// All resource groups.
    pub fn groups(&self) -> &Table<ResourceGroup> {
        &self.groups
    }

    /// All workspaces.
    pub fn workspaces(&self) -> &Table<Workspace> {
        &self.workspaces
    }

    /// All endpoints.
    pub fn endpoints(&self) -> &Table<Endpoint> {
        &self.endpoints
    }

    /// All rules.
    pub fn rules(&self) -> &Table<Rule> {
        &self.rules
    }

    /// All managed identities.
    pub fn identities(&self) -> &Table<Identity> {
        &self.identities
    }

    /// All role assignments.
    pub fn assignments(&self) -> &Table<Assignment> {
        &self.assignments
    }

    /// All applications, by client id.
    pub fn applications(&self) -> &OrdMap<Uuid, Arc<Application>> {
        &self.applications
    }

    /// Workspaces that can be restored.
    pub fn deleted_workspaces(&self) -> &OrdMap<AccountId, Arc<DeletedWorkspace>> {
        &self.deleted
    }

    /// The resource group with this id.
    pub fn group_by_id(&self, id: &ResourceId) -> Option<&Arc<ResourceGroup>> {
        self.groups.get(&key(id))
    }

    /// The workspace with this ARM id.
    pub fn workspace_by_id(&self, id: &ResourceId) -> Option<&Arc<Workspace>> {
        self.workspaces.get(&key(id))
    }

    /// The endpoint with this ARM id.
    pub fn endpoint_by_id(&self, id: &ResourceId) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(&key(id))
    }

    /// The rule with this ARM id.
    pub fn rule_by_id(&self, id: &ResourceId) -> Option<&Arc<Rule>> {
        self.rules.get(&key(id))
    }

    /// The managed identity with this ARM id.
    pub fn identity_by_id(&self, id: &ResourceId) -> Option<&Arc<Identity>> {
        self.identities.get(&key(id))
    }

    /// The managed identity with this client id.
    pub fn identity_by_client_id(&self, client_id: Uuid) -> Option<&Arc<Identity>> {
        self.by_identity_client.get(&client_id)
    }

    /// The managed identity with this object id.
    pub fn identity_by_principal_id(&self, principal_id: Uuid) -> Option<&Arc<Identity>> {
        self.by_identity_principal.get(&principal_id)
    }

    /// The application with this object id: its service principal's, or its own.
    pub fn application_by_object_id(&self, object_id: Uuid) -> Option<&Arc<Application>> {
        self.by_application_object.get(&object_id)
    }

    /// The role assignment with this ARM id.
    pub fn assignment_by_id(&self, id: &ResourceId) -> Option<&Arc<Assignment>> {
        self.assignments.get(&key(id))
    }

    /// All role assignments of the principal with this object id.
    pub fn assignments_of(&self, principal_id: &str) -> impl Iterator<Item = &Arc<Assignment>> {
        self.by_principal.get(&*principal_id.to_ascii_lowercase()).into_iter().flat_map(OrdMap::values)
    }

    /// What of `table` (one of this snapshot's) lies at `scope` or below it, in the order of ids in lower case.
    pub fn below<'a, T>(table: &'a Table<T>, scope: &ResourceId) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
        index::below(table, scope)
    }

    /// Whether something that a settings file declares under this name was made before.
    pub fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }

    /// Whether every reference names something here, and every lookup finds all there is.
    pub(crate) fn check(&self) -> Result<(), CatalogError> {
        let lookups = [
            (self.by_account.len(), self.workspaces.len()),
            (self.by_handle.len(), self.workspaces.len()),
            (self.by_rule.len(), self.rules.len()),
            (self.by_host_label.len(), self.endpoints.len()),
            (self.by_identity_client.len(), self.identities.len()),
            (self.by_identity_principal.len(), self.identities.len()),
            (self.by_application_object.len(), 2 * self.applications.len()),
        ];
        if lookups.iter().any(|(lookup, table)| lookup != table) {
            return Err(CatalogError::DuplicateKey);
        }
        self.rules.values().try_for_each(|rule| self.check_references(rule))
    }

    fn check_references(&self, rule: &Rule) -> Result<(), CatalogError> {
        let destinations = || rule.routes.iter().flat_map(|route| &route.workspaces);
        if let Some(account) = destinations().find(|account| !self.by_account.contains_key(*account)) {
            return Err(CatalogError::UnknownDestination { account: *account, rule: rule.immutable_id.clone() });
        }
        match rule.endpoint.as_ref().filter(|endpoint| !self.endpoints.contains_key(&key(endpoint))) {
            Some(endpoint) => {
                Err(CatalogError::UnknownEndpoint { endpoint: endpoint.clone(), rule: rule.immutable_id.clone() })
            }
            None => Ok(()),
        }
    }

    fn add_workspace(&mut self, workspace: Workspace) -> Result<(), CatalogError> {
        let (account, workspace) = (workspace.account_id, Arc::new(workspace));
        if self.by_handle.insert(workspace.handle.to_ascii_lowercase().into(), Arc::clone(&workspace)).is_some() {
            return Err(CatalogError::DuplicateHandle(workspace.handle.clone()));
        }
        self.workspaces.insert(key(&workspace.envelope.id), Arc::clone(&workspace));
        match self.by_account.insert(account, workspace) {
            Some(_) => Err(CatalogError::DuplicateAccount(account)),
            None => Ok(()),
        }
    }

    fn add_endpoint(&mut self, endpoint: Endpoint) -> Result<(), CatalogError> {
        check_immutable_id(&endpoint.immutable_id, "dce-")?;
        let endpoint = Arc::new(endpoint);
        self.by_host_label.insert(endpoint.host_label.as_str().into(), Arc::clone(&endpoint));
        match self.endpoints.insert(key(&endpoint.envelope.id), endpoint) {
            Some(double) => Err(CatalogError::DuplicateEndpoint(double.envelope.id.clone())),
            None => Ok(()),
        }
    }

    fn add_rule(&mut self, rule: Rule) -> Result<(), CatalogError> {
        check_immutable_id(&rule.immutable_id, "dcr-")?;
        if rule.routes.iter().all(|route| route.workspaces.is_empty()) {
            return Err(CatalogError::NoDestination(rule.immutable_id));
        }
        self.check_references(&rule)?;
        let rule = Arc::new(rule);
        self.rules.insert(key(&rule.envelope.id), Arc::clone(&rule));
        match self.by_rule.insert(rule.immutable_id.as_str().into(), rule) {
            Some(double) => Err(CatalogError::DuplicateRule(double.immutable_id.clone())),
            None => Ok(()),
        }
    }
}

pub(crate) fn check_immutable_id(id: &str, prefix: &'static str) -> Result<(), CatalogError> {
    let digits = id.strip_prefix(prefix).filter(|rest| rest.len() == 32);
    match digits {
        Some(digits) if digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) => Ok(()),
        _ => Err(CatalogError::ImmutableId(id.to_owned(), prefix)),
    }
}

/// `dcr-` and 32 digits.
const IMMUTABLE_ID_BYTES: usize = 36;

#[cfg(test)]
mod tests;
