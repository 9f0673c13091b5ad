//! Keeps a snapshot's tables and lookups in step: each change of one goes through here.

use std::sync::Arc;

use imbl::OrdMap;
use model::{AccountId, ResourceId};

use super::{Snapshot, Table, key};
use crate::{
    Application, Assignment, DeletedWorkspace, Endpoint, Identity, ResourceGroup, Rule, Subscription, Workspace,
};

impl Snapshot {
    pub(crate) fn set_subscription(&mut self, subscription: Arc<Subscription>) {
        self.subscriptions.insert(subscription.id, subscription);
    }

    pub(crate) fn set_group(&mut self, group: Arc<ResourceGroup>) {
        self.groups.insert(key(&group.envelope.id), group);
    }

    pub(crate) fn unset_group(&mut self, id: &ResourceId) {
        self.groups.remove(&key(id));
    }

    pub(crate) fn set_workspace(&mut self, workspace: Arc<Workspace>) {
        self.by_account.insert(workspace.account_id, Arc::clone(&workspace));
        self.by_handle.insert(workspace.handle.to_ascii_lowercase().into(), Arc::clone(&workspace));
        self.workspaces.insert(key(&workspace.envelope.id), workspace);
    }

    pub(crate) fn unset_workspace(&mut self, workspace: &Workspace) {
        self.by_account.remove(&workspace.account_id);
        self.by_handle.remove(&*workspace.handle.to_ascii_lowercase());
        self.workspaces.remove(&key(&workspace.envelope.id));
    }

    pub(crate) fn set_endpoint(&mut self, endpoint: Arc<Endpoint>) {
        self.by_host_label.insert(endpoint.host_label.as_str().into(), Arc::clone(&endpoint));
        self.endpoints.insert(key(&endpoint.envelope.id), endpoint);
    }

    pub(crate) fn unset_endpoint(&mut self, endpoint: &Endpoint) {
        self.by_host_label.remove(endpoint.host_label.as_str());
        self.endpoints.remove(&key(&endpoint.envelope.id));
    }

    pub(crate) fn set_rule(&mut self, rule: Arc<Rule>) {
        self.by_rule.insert(rule.immutable_id.as_str().into(), Arc::clone(&rule));
        self.rules.insert(key(&rule.envelope.id), rule);
    }

    pub(crate) fn unset_rule(&mut self, rule: &Rule) {
        self.by_rule.remove(rule.immutable_id.as_str());
        self.rules.remove(&key(&rule.envelope.id));
    }

    pub(crate) fn set_identity(&mut self, identity: Arc<Identity>) {
        self.by_identity_client.insert(identity.client_id, Arc::clone(&identity));
        self.by_identity_principal.insert(identity.principal_id, Arc::clone(&identity));
        self.identities.insert(key(&identity.envelope.id), identity);
    }

    pub(crate) fn unset_identity(&mut self, identity: &Identity) {
        self.by_identity_client.remove(&identity.client_id);
        self.by_identity_principal.remove(&identity.principal_id);
        self.identities.remove(&key(&identity.envelope.id));
    }

    pub(crate) fn set_assignment(&mut self, assignment: Arc<Assignment>) {
        let grant = grant_key(&assignment.scope, &assignment.role);
        self.by_principal
            .entry(assignment.principal_id.to_ascii_lowercase().into())
            .or_default()
            .insert(grant, Arc::clone(&assignment));
        self.assignments.insert(key(&assignment.id), assignment);
    }

    pub(crate) fn unset_assignment(&mut self, assignment: &Assignment) {
        let principal = assignment.principal_id.to_ascii_lowercase();
        if let Some(grants) = self.by_principal.get_mut(&*principal) {
            grants.remove(&grant_key(&assignment.scope, &assignment.role));
            if grants.is_empty() {
                self.by_principal.remove(&*principal);
            }
        }
        self.assignments.remove(&key(&assignment.id));
    }

    pub(crate) fn set_application(&mut self, application: Arc<Application>) {
        self.by_application_object.insert(application.object_id, Arc::clone(&application));
        self.by_application_object.insert(application.application_object_id, Arc::clone(&application));
        self.applications.insert(application.client_id, application);
    }

    pub(crate) fn unset_application(&mut self, application: &Application) {
        self.by_application_object.remove(&application.object_id);
        self.by_application_object.remove(&application.application_object_id);
        self.applications.remove(&application.client_id);
    }

    pub(crate) fn set_deleted(&mut self, deleted: Arc<DeletedWorkspace>) {
        self.deleted.insert(deleted.workspace.account_id, deleted);
    }

    pub(crate) fn unset_deleted(&mut self, account: AccountId) {
        self.deleted.remove(&account);
    }

    /// The assignment of this role to this principal at exactly this scope.
    pub(crate) fn grant(&self, principal: &str, scope: &ResourceId, role: &str) -> Option<&Arc<Assignment>> {
        self.by_principal.get(&*principal.to_ascii_lowercase())?.get(&grant_key(scope, role))
    }
}

/// What tells the grants of one principal apart.
fn grant_key(scope: &ResourceId, role: &str) -> Arc<str> {
    // No scope holds a blank, so that no two pairs have one text.
    let mut text = String::with_capacity(scope.as_str().len() + role.len() + 1);
    text.push_str(scope.as_str());
    text.push(' ');
    text.push_str(role);
    text.make_ascii_lowercase();
    text.into()
}

/// All of `table` at `scope` and below it, in order.
pub(super) fn below<'a, T>(table: &'a Table<T>, scope: &ResourceId) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
    let own = key(scope);
    let prefix: Arc<str> = format!("{}/", own.trim_end_matches('/')).into();
    let at = table.get(&own);
    at.into_iter()
        .chain(from(table, prefix.clone()).take_while(move |(id, _)| id.starts_with(&*prefix)).map(|(_, v)| v))
}

fn from<T>(table: &OrdMap<Arc<str>, Arc<T>>, start: Arc<str>) -> impl Iterator<Item = (&Arc<str>, &Arc<T>)> {
    table.range(start..)
}
