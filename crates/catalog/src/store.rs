//! The catalogue on disk, and every change of it.
//!
//! A change is checked against the current snapshot, written in one transaction together with its line in the audit log,
//! and only then seen: by a new snapshot, and by the [`Observer`]s, before the caller is told that it is made.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use environment::{Clock, Rng, UnixTime};
use model::{AccountId, ResourceId};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    Actor, Application, ApplicationCertificate, ApplicationSecret, Assignment, Catalog, DeletedWorkspace, Endpoint,
    Federation, Identity, Profile, ResourceGroup, Rule, Snapshot, StoreError, Subscription, Workspace, WorkspaceLimits,
};

/// What a store can be set to.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// For how long a deleted workspace can be restored.
    pub workspace_retention: Duration,
    /// What workspaces are created with when the request does not say.
    pub profile: Profile,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { workspace_retention: Duration::from_secs(14 * 24 * 3600), profile: Profile::Strict }
    }
}

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
}

/// A part of an application or identity that is added or taken away.
#[derive(Clone, Debug)]
pub enum CredentialChange {
    /// Adds a secret.
    AddSecret(ApplicationSecret),
    /// Adds a certificate.
    AddCertificate(ApplicationCertificate),
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

/// The catalogue on disk.
pub struct Store {
    catalog: Arc<Catalog>,
    settings: StoreSettings,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

impl Store {
    /// Opens the catalogue in the file `path`; makes it when there is none. `:memory:` is one that is forgotten.
    ///
    /// # Errors
    /// When the file cannot be used, or was written by a newer version.
    pub async fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        settings: StoreSettings,
    ) -> Result<Self, StoreError> {
        let _ = path;
        Ok(Self { catalog: Arc::new(Catalog::new(Snapshot::default())), settings, clock, rng })
    }

    /// The snapshots of this store, for those who only read.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    /// Tells `observer` of every change from now on.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        let _ = observer;
    }

    /// Makes a subscription, or renames it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed then. So for all methods below.
    pub async fn put_subscription(
        &self,
        actor: &Actor,
        id: Uuid,
        name: &str,
    ) -> Result<Put<Subscription>, StoreError> {
        self.later()
    }

    /// Makes or changes a resource group.
    pub async fn put_group(
        &self,
        actor: &Actor,
        id: &ResourceId,
        spec: GroupSpec,
        precondition: Precondition,
    ) -> Result<Put<ResourceGroup>, StoreError> {
        self.later()
    }

    /// Deletes a resource group with everything in it (workspaces softly). `false`: there was none.
    pub async fn delete_group(
        &self,
        actor: &Actor,
        id: &ResourceId,
        precondition: Precondition,
    ) -> Result<bool, StoreError> {
        self.later()
    }

    /// Makes or changes a workspace; one that is made with defaults gets its managed group, endpoint and rule in the same
    /// transaction.
    pub async fn put_workspace(
        &self,
        actor: &Actor,
        id: &ResourceId,
        spec: WorkspaceSpec,
        precondition: Precondition,
    ) -> Result<Put<Workspace>, StoreError> {
        self.later()
    }

    /// Sets what a workspace may take. Whether that is allowed (contract §4.3) is for the caller to say.
    pub async fn set_limits(
        &self,
        actor: &Actor,
        id: &ResourceId,
        limits: WorkspaceLimits,
        precondition: Precondition,
    ) -> Result<Put<Workspace>, StoreError> {
        self.later()
    }

    /// Deletes a workspace with what was made with it; rules of others lose it as a destination (a rule without one stays and
    /// takes nothing). It can be restored until `workspace_retention` has passed, or is gone at once with `purge`.
    /// `None`: there was none.
    pub async fn delete_workspace(
        &self,
        actor: &Actor,
        id: &ResourceId,
        precondition: Precondition,
        purge: bool,
    ) -> Result<Option<Arc<Workspace>>, StoreError> {
        self.later()
    }

    /// Brings a deleted workspace back, with its data, its default endpoint and rule, and the role assignments on them;
    /// a handle that was taken meanwhile is replaced by a free one.
    pub async fn restore_workspace(&self, actor: &Actor, account: AccountId) -> Result<Put<Workspace>, StoreError> {
        self.later()
    }

    /// Forgets a deleted workspace before its time.
    pub async fn purge_workspace(
        &self,
        actor: &Actor,
        account: AccountId,
    ) -> Result<Arc<DeletedWorkspace>, StoreError> {
        self.later()
    }

    /// Forgets deleted workspaces whose time is over at `now`; how many.
    pub async fn purge_expired(&self, now: UnixTime) -> Result<usize, StoreError> {
        self.later()
    }

    /// Makes or changes an endpoint.
    pub async fn put_endpoint(
        &self,
        actor: &Actor,
        id: &ResourceId,
        spec: EndpointSpec,
        precondition: Precondition,
    ) -> Result<Put<Endpoint>, StoreError> {
        self.later()
    }

    /// Deletes an endpoint. Refused while a rule is bound to it. `false`: there was none.
    pub async fn delete_endpoint(
        &self,
        actor: &Actor,
        id: &ResourceId,
        precondition: Precondition,
    ) -> Result<bool, StoreError> {
        self.later()
    }

    /// Makes or changes a rule. Everything that is wrong with its references is said at once.
    pub async fn put_rule(
        &self,
        actor: &Actor,
        id: &ResourceId,
        spec: RuleSpec,
        precondition: Precondition,
    ) -> Result<Put<Rule>, StoreError> {
        self.later()
    }

    /// Deletes a rule. `false`: there was none.
    pub async fn delete_rule(
        &self,
        actor: &Actor,
        id: &ResourceId,
        precondition: Precondition,
    ) -> Result<bool, StoreError> {
        self.later()
    }

    /// Makes or changes a managed identity.
    pub async fn put_identity(
        &self,
        actor: &Actor,
        id: &ResourceId,
        spec: IdentitySpec,
        precondition: Precondition,
    ) -> Result<Put<Identity>, StoreError> {
        self.later()
    }

    /// Changes what stands for a managed identity (federations alone).
    pub async fn change_identity(
        &self,
        actor: &Actor,
        id: &ResourceId,
        change: CredentialChange,
    ) -> Result<Arc<Identity>, StoreError> {
        self.later()
    }

    /// Deletes a managed identity. Role assignments of it stay, as in Azure. `false`: there was none.
    pub async fn delete_identity(
        &self,
        actor: &Actor,
        id: &ResourceId,
        precondition: Precondition,
    ) -> Result<bool, StoreError> {
        self.later()
    }

    /// Makes a role assignment. The same one again changes nothing; another of the same principal, role and scope is a
    /// conflict `RoleAssignmentExists`, and so is one of the same id with other contents (`RoleAssignmentUpdateNotPermitted`).
    pub async fn put_assignment(&self, actor: &Actor, spec: AssignmentSpec) -> Result<Put<Assignment>, StoreError> {
        self.later()
    }

    /// Deletes a role assignment. `None`: there was none.
    pub async fn delete_assignment(
        &self,
        actor: &Actor,
        id: &ResourceId,
    ) -> Result<Option<Arc<Assignment>>, StoreError> {
        self.later()
    }

    /// Makes an application.
    pub async fn create_application(
        &self,
        actor: &Actor,
        spec: ApplicationSpec,
    ) -> Result<Arc<Application>, StoreError> {
        self.later()
    }

    /// Changes what stands for an application.
    pub async fn change_application(
        &self,
        actor: &Actor,
        client_id: Uuid,
        change: CredentialChange,
    ) -> Result<Arc<Application>, StoreError> {
        self.later()
    }

    /// Deletes an application. `false`: there was none.
    pub async fn delete_application(&self, actor: &Actor, client_id: Uuid) -> Result<bool, StoreError> {
        self.later()
    }

    /// Whether something that a settings file declares was made before, and notes that it is from now on: what was declared
    /// and then deleted by somebody stays deleted.
    pub async fn declare(&self, name: &str) -> Result<bool, StoreError> {
        self.later()
    }

    /// The newest lines of the audit log that match, newest first: from `before` (a sequence, exclusive) backwards.
    pub async fn audit(
        &self,
        target_prefix: Option<&str>,
        since_ms: Option<i64>,
        before: Option<i64>,
        count_max: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        self.later()
    }

    /// Writes a copy of the catalogue, consistent in itself, to the file `to`, which must not exist; changes go on meanwhile.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.later()
    }

    /// Waits for changes under way and closes the file.
    pub async fn close(&self) {}

    fn later<T>(&self) -> Result<T, StoreError> {
        let _ = (&self.settings, &self.clock, &self.rng);
        Err(StoreError::Database { action: "written", reason: "not there yet".to_owned() })
    }
}
