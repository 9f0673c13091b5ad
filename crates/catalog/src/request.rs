//! What is asked of the store, and what it tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{AccountId, ResourceId};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    Actor, ApplicationCertificate, ApplicationSecret, Assignment, Federation, Profile, Snapshot, WorkspaceStorage,
};

/// In what state a resource must be for a change to be made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Precondition {
    /// In any.
    #[default]
    None,
    /// It exists with this etag (`If-Match: "…"`).
    Match(String),
    /// It exists (`If-Match: *`).
    Exists,
    /// It does not exist (`If-None-Match: *`).
    Absent,
}

/// The outcome of a PUT.
#[derive(Clone, Debug)]
pub struct Put<T> {
    /// As it now is.
    pub resource: Arc<T>,
    /// Whether it did not exist before.
    pub created: bool,
}

/// What a resource group is to be.
#[derive(Clone, Debug, Default)]
pub struct GroupSpec {
    /// Its region.
    pub location: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// What a workspace is to be. A workspace's location, identity and handle never change.
#[derive(Clone, Debug, Default)]
pub struct WorkspaceSpec {
    /// Its region.
    pub location: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// `publicNetworkAccess`; unchanged, or true, when not given.
    pub public_network_access: Option<bool>,
    /// How strict it is; unchanged, or as the store's settings say, when not given.
    pub profile: Option<Profile>,
    /// How its data are kept. What is not given is unchanged; zeros are as the installation is set.
    pub storage: WorkspaceStorage,
    /// Its identity, for declared ones; drawn when not given.
    pub account_id: Option<AccountId>,
    /// Whether it comes with a managed resource group, an endpoint and a rule of its own (Azure's way). Counts at creation only.
    pub with_defaults: bool,
}

/// What an endpoint is to be.
#[derive(Clone, Debug, Default)]
pub struct EndpointSpec {
    /// Its region.
    pub location: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// `kind`.
    pub kind: Option<String>,
    /// `properties.description`.
    pub description: Option<String>,
    /// `Enabled` when not given.
    pub public_network_access: Option<String>,
    /// For declared ones; drawn when not given.
    pub immutable_id: Option<String>,
}

/// What a rule is to be: its properties as written, of which destinations and flows are understood.
#[derive(Clone, Debug, Default)]
pub struct RuleSpec {
    /// Its region.
    pub location: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// `kind`.
    pub kind: Option<String>,
    /// `properties`, without what is only ever answered (`immutableId`, `provisioningState` …).
    pub properties: Map<String, Value>,
    /// For declared ones; drawn when not given.
    pub immutable_id: Option<String>,
}

/// What a managed identity is to be.
#[derive(Clone, Debug, Default)]
pub struct IdentitySpec {
    /// Its region.
    pub location: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Client id and object id, for declared ones; drawn when not given.
    pub ids: Option<(Uuid, Uuid)>,
    /// Whether it is the one given to whoever names none.
    pub is_default: bool,
}

/// What a role assignment is to be.
#[derive(Clone, Debug)]
pub struct AssignmentSpec {
    /// `{scope}/providers/Microsoft.Authorization/roleAssignments/{guid}`.
    pub id: ResourceId,
    /// The role definition's GUID.
    pub role: String,
    /// The principal's object id.
    pub principal_id: String,
    /// `ServicePrincipal`, `User` or `Group`.
    pub principal_type: String,
    /// The issuer the principal must come from.
    pub issuer: Option<String>,
    /// For people.
    pub description: Option<String>,
}

/// What an application is to be.
#[derive(Clone, Debug, Default)]
pub struct ApplicationSpec {
    /// Its name.
    pub name: String,
    /// Client id and service principal's object id, for declared ones; drawn when not given.
    pub ids: Option<(Uuid, Uuid)>,
    /// Certificates that it has from the beginning.
    pub certificates: Vec<ApplicationCertificate>,
}

/// One of many resources that are made together.
#[derive(Clone, Debug)]
pub enum Item {
    /// A resource group.
    Group(ResourceId, GroupSpec),
    /// A workspace.
    Workspace(ResourceId, WorkspaceSpec),
    /// An endpoint.
    Endpoint(ResourceId, EndpointSpec),
    /// A rule.
    Rule(ResourceId, RuleSpec),
    /// A managed identity.
    Identity(ResourceId, IdentitySpec),
    /// A role assignment.
    Assignment(AssignmentSpec),
    /// The note that something was declared, see [`Store::declare`](crate::Store::declare).
    Declaration(String),
}

/// A part of an application or identity that is added or taken away.
#[derive(Clone, Debug)]
pub enum CredentialChange {
    /// Adds a secret.
    AddSecret(ApplicationSecret),
    /// Adds a certificate.
    AddCertificate(ApplicationCertificate),
    /// Takes certificates away and adds others, all or nothing.
    Certificates {
        /// New ones.
        add: Vec<ApplicationCertificate>,
        /// Ids of those that go.
        remove: Vec<Uuid>,
    },
    /// Takes the secret or certificate with this id away.
    RemoveKey(Uuid),
    /// Adds a federation, or replaces the one of the same name.
    PutFederation(Federation),
    /// Takes the federation of this name (or id) away.
    RemoveFederation(String),
}

/// What a change touched, for those who keep something beside the catalogue.
#[derive(Clone, Debug)]
pub enum Change {
    /// A workspace was made, changed, restored or deleted (then it is not in the new snapshot).
    Workspace(AccountId),
    /// A deleted workspace is gone for good: its data go with it.
    Purged(AccountId),
    /// An endpoint, rule, group or subscription was made, changed or deleted.
    Resource(ResourceId),
    /// A role assignment was made (no `before`), changed, or deleted (no `after`).
    Assignment {
        /// As it was.
        before: Option<Arc<Assignment>>,
        /// As it is.
        after: Option<Arc<Assignment>>,
    },
    /// Applications or managed identities changed.
    Principals,
}

/// Is told of every change after it is durable, before the one who asked for it is; in order, one at a time.
pub trait Observer: Send + Sync + 'static {
    /// `changes` led to the snapshot `now`. Must not block for long, and must not change the catalogue.
    fn changed(&self, now: &Arc<Snapshot>, changes: &[Change]);
}

/// One line of the audit log.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditRecord {
    /// Its place in the log.
    pub sequence: i64,
    /// When.
    pub at_ms: i64,
    /// Who, and from where.
    pub actor: Actor,
    /// What: Azure's name of the operation, such as `Microsoft.Monitor/accounts/write`.
    pub operation: String,
    /// On what: an ARM id, or `applications/{client id}`.
    pub target: String,
    /// What it became, as JSON without secrets; none for deletions.
    pub detail: Option<Value>,
}
