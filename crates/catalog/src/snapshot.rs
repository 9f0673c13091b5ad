//! One consistent state of everything that exists.

use std::collections::HashMap;
use std::sync::Arc;

use model::{AccountId, ResourceId};

use crate::{Endpoint, Rule, Workspace};

/// Resources that fit together: every reference names something in the same snapshot, every lookup key is unique.
#[derive(Default, Debug)]
pub struct Snapshot {
    workspaces: HashMap<AccountId, Arc<Workspace>>,
    handles: HashMap<String, AccountId>,
    endpoints: HashMap<ResourceId, Arc<Endpoint>>,
    rules: HashMap<String, Arc<Rule>>,
}

/// Resources that do not fit together.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum CatalogError {
    /// Two workspaces with one identity.
    #[error("two workspaces have the accountId {0}")]
    DuplicateAccount(AccountId),
    /// Two workspaces with one name in query paths.
    #[error("two workspaces have the handle {0:?} (handles compare without regard to case)")]
    DuplicateHandle(String),
    /// Two rules with one identity.
    #[error("two data collection rules have the immutable id {0:?}")]
    DuplicateRule(String),
    /// Two endpoints with one ARM id.
    #[error("two data collection endpoints have the resource id {0}")]
    DuplicateEndpoint(ResourceId),
    /// An immutable id of the wrong form.
    #[error("{0:?} is not an immutable id: it must be `{1}` and 32 hexadecimal digits in lower case")]
    ImmutableId(String, &'static str),
    /// A rule that writes nowhere.
    #[error("data collection rule {0:?} has no destination")]
    NoDestination(String),
    /// A rule that writes to a workspace that does not exist.
    #[error("data collection rule {rule:?} writes to the workspace {account}, which does not exist")]
    UnknownDestination {
        /// The rule's immutable id.
        rule: String,
        /// The workspace it names.
        account: AccountId,
    },
    /// A rule bound to an endpoint that does not exist.
    #[error("data collection rule {rule:?} is bound to the endpoint {endpoint}, which does not exist")]
    UnknownEndpoint {
        /// The rule's immutable id.
        rule: String,
        /// The endpoint it names.
        endpoint: ResourceId,
    },
}

impl Snapshot {
    /// Checks that everything fits together.
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

    /// The rule with this immutable id; compared without regard to case, as all of an ingestion path.
    pub fn rule(&self, immutable_id: &str) -> Option<&Arc<Rule>> {
        match self.rules.get(immutable_id) {
            None if immutable_id.len() == IMMUTABLE_ID_BYTES => self.rules.get(&immutable_id.to_ascii_lowercase()),
            found => found,
        }
    }

    /// The workspace that a query path names: by `accountId` or by handle, without regard to case.
    pub fn workspace(&self, name: &str) -> Option<&Arc<Workspace>> {
        let account = match name.parse() {
            Ok(account) => account,
            Err(_) => *self.handles.get(&name.to_ascii_lowercase())?,
        };
        self.workspaces.get(&account)
    }

    /// The workspace with this identity.
    pub fn workspace_by_account(&self, account: AccountId) -> Option<&Arc<Workspace>> {
        self.workspaces.get(&account)
    }

    /// All workspaces, in no particular order.
    pub fn workspaces(&self) -> impl Iterator<Item = &Arc<Workspace>> {
        self.workspaces.values()
    }

    /// All rules, in no particular order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.values()
    }

    fn add_workspace(&mut self, workspace: Workspace) -> Result<(), CatalogError> {
        let account = workspace.account_id;
        if self.handles.insert(workspace.handle.to_ascii_lowercase(), account).is_some() {
            return Err(CatalogError::DuplicateHandle(workspace.handle));
        }
        match self.workspaces.insert(account, Arc::new(workspace)) {
            Some(_) => Err(CatalogError::DuplicateAccount(account)),
            None => Ok(()),
        }
    }

    fn add_endpoint(&mut self, endpoint: Endpoint) -> Result<(), CatalogError> {
        check_immutable_id(&endpoint.immutable_id, "dce-")?;
        match self.endpoints.insert(endpoint.resource_id.clone(), Arc::new(endpoint)) {
            Some(double) => Err(CatalogError::DuplicateEndpoint(double.resource_id.clone())),
            None => Ok(()),
        }
    }

    fn add_rule(&mut self, rule: Rule) -> Result<(), CatalogError> {
        check_immutable_id(&rule.immutable_id, "dcr-")?;
        if rule.destinations.is_empty() {
            return Err(CatalogError::NoDestination(rule.immutable_id));
        }
        if let Some(account) = rule.destinations.iter().find(|account| !self.workspaces.contains_key(account)) {
            return Err(CatalogError::UnknownDestination { account: *account, rule: rule.immutable_id });
        }
        if let Some(endpoint) = rule.endpoint.as_ref().filter(|endpoint| !self.endpoints.contains_key(endpoint)) {
            return Err(CatalogError::UnknownEndpoint { endpoint: endpoint.clone(), rule: rule.immutable_id });
        }
        match self.rules.insert(rule.immutable_id.clone(), Arc::new(rule)) {
            Some(double) => Err(CatalogError::DuplicateRule(double.immutable_id.clone())),
            None => Ok(()),
        }
    }
}

fn check_immutable_id(id: &str, prefix: &'static str) -> Result<(), CatalogError> {
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
