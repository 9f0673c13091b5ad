//! The resources, as data. Each one that Azure Resource Manager knows begins with an [`Envelope`].

use std::collections::BTreeMap;
use std::sync::Arc;

use environment::UnixTime;
use model::{AccountId, ResourceId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// What every managed resource has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Its ARM id, as it was first written; ids compare without regard to case.
    pub id: ResourceId,
    /// Its region.
    pub location: String,
    /// Tags, with their case kept.
    pub tags: BTreeMap<String, String>,
    /// Changes with every change of the resource; without quotes.
    pub etag: String,
    /// The resource that manages this one; such ones are changed and deleted with their manager only.
    pub managed_by: Option<ResourceId>,
    /// Who made it, when.
    pub created: Stamp,
    /// Who changed it last, when.
    pub modified: Stamp,
}

/// Who did something, when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stamp {
    /// The principal's object id, or a name of this program's own.
    pub by: String,
    /// What kind of principal it is.
    pub kind: ActorKind,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// What kind of principal does something (`createdByType`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ActorKind {
    /// A person.
    User,
    /// An application.
    Application,
    /// A managed identity.
    ManagedIdentity,
    /// This program: start-up files, expiry.
    Key,
}

/// Who asks for a change, for stamps and the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actor {
    /// The principal's object id, or a name of this program's own such as `settings`.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// What kind of principal it is.
    pub kind: ActorKind,
    /// The address that the request came from; none for the program's own changes.
    pub address: Option<String>,
    /// The request's id, which the answer carries.
    pub request_id: Option<String>,
}

impl Actor {
    /// This program itself, in the part called `name`: `settings`, `expiry`.
    pub fn program(name: &str) -> Self {
        let (id, name) = (name.to_owned(), name.to_owned());
        Self { id, name, kind: ActorKind::Key, address: None, request_id: None }
    }
}

/// A subscription: the outermost container.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id.
    pub id: Uuid,
    /// Its name for people.
    pub name: String,
    /// Who made it, when.
    pub created: Stamp,
}

/// A resource group.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ResourceGroup {
    /// As of every resource.
    pub envelope: Envelope,
}

/// How strictly a workspace treats what it is sent (design §5.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// No success for what is not stored: partial failures are a 400 with counts and reasons.
    #[default]
    Strict,
    /// As Azure does it: silent drops, counted by reason.
    Azure,
}

/// An isolated store with a query endpoint (`Microsoft.Monitor/accounts`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Workspace {
    /// As of every resource.
    pub envelope: Envelope,
    /// Its identity.
    pub account_id: AccountId,
    /// Its name in query paths, unique in the installation without regard to case.
    pub handle: String,
    /// How strict it is.
    pub profile: Profile,
    /// `publicNetworkAccess`.
    pub public_network_access: bool,
    /// What it may take.
    pub limits: WorkspaceLimits,
    /// How its data are kept.
    #[serde(default)]
    pub storage: WorkspaceStorage,
    /// The rule that was made with it, if one was.
    pub default_rule: Option<ResourceId>,
    /// The endpoint that was made with it, if one was.
    pub default_endpoint: Option<ResourceId>,
}

/// What a workspace may take (contract §4.1). `None`: the installation's default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WorkspaceLimits {
    /// Series seen within 12 hours.
    pub active_series_max: Option<u64>,
    /// Samples, histograms and exemplars a minute.
    pub events_per_minute_max: Option<u64>,
}

/// How a workspace's data are kept. `None`: as the installation is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkspaceStorage {
    /// Days after which samples are removed.
    pub retention_days: Option<u32>,
    /// Bytes of blocks, beyond which the oldest samples are removed.
    pub retention_bytes: Option<u64>,
    /// How many seconds older than the workspace's newest a sample may be.
    pub out_of_order_window_secs: Option<u64>,
}

impl WorkspaceStorage {
    /// The least of `retention_bytes` that makes sense, but for a zero: less would remove blocks as soon as they are written.
    pub const RETENTION_BYTES_MIN: u64 = 16 << 20;

    /// With what `change` sets: a zero goes back to the installation's setting, what it leaves out stays.
    #[must_use]
    pub fn changed(self, change: Self) -> Self {
        fn one<T: Default + PartialEq>(before: Option<T>, change: Option<T>) -> Option<T> {
            change.map_or(before, |value| Some(value).filter(|value| *value != T::default()))
        }
        Self {
            retention_days: one(self.retention_days, change.retention_days),
            retention_bytes: one(self.retention_bytes, change.retention_bytes),
            out_of_order_window_secs: one(self.out_of_order_window_secs, change.out_of_order_window_secs),
        }
    }
}

/// A workspace that was deleted and can still be restored.
#[derive(Clone, PartialEq, Debug)]
pub struct DeletedWorkspace {
    /// As it was.
    pub workspace: Arc<Workspace>,
    /// Who deleted it, when.
    pub deleted: Stamp,
    /// When it goes for good.
    pub purge_at: UnixTime,
    /// What comes back with it.
    pub(crate) kept: Arc<crate::stored::Kept>,
}

/// A host that accepts writes (`Microsoft.Insights/dataCollectionEndpoints`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// As of every resource.
    pub envelope: Envelope,
    /// `dce-` and 32 hexadecimal digits.
    pub immutable_id: String,
    /// Its own part of host names: the name in lower case, a hyphen, four characters.
    pub host_label: String,
    /// `kind`, as it was written.
    pub kind: Option<String>,
    /// `properties.description`.
    pub description: Option<String>,
    /// `properties.networkAcls.publicNetworkAccess`: `Enabled`, `Disabled` or `SecuredByPerimeter`.
    pub public_network_access: String,
}

/// Routes streams to workspaces (`Microsoft.Insights/dataCollectionRules`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// As of every resource.
    pub envelope: Envelope,
    /// `dcr-` and 32 hexadecimal digits; its name in ingestion paths.
    pub immutable_id: String,
    /// `kind`, as it was written.
    pub kind: Option<String>,
    /// The endpoint it is bound to, if any.
    pub endpoint: Option<ResourceId>,
    /// Which workspaces each stream goes to, of `dataFlows`; streams compare without regard to case.
    pub routes: Vec<Route>,
    /// `properties` as they were written, without what is only ever answered.
    pub properties: Map<String, Value>,
}

/// Where a stream goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Route {
    /// The stream's name.
    pub stream: String,
    /// Workspaces; each once.
    pub workspaces: Vec<AccountId>,
}

impl Rule {
    /// Workspaces that a stream goes to; `None` for a stream that this rule does not carry.
    pub fn destinations(&self, stream: &str) -> Option<&[AccountId]> {
        self.routes
            .iter()
            .find(|route| route.stream.eq_ignore_ascii_case(stream))
            .map(|route| route.workspaces.as_slice())
    }
}

/// A user-assigned managed identity (`Microsoft.ManagedIdentity/userAssignedIdentities`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// As of every resource.
    pub envelope: Envelope,
    /// Its client id.
    pub client_id: Uuid,
    /// Its object id, which roles are given to.
    pub principal_id: Uuid,
    /// Whether it is the one given to whoever names none.
    pub is_default: bool,
    /// Tokens of others that stand for it.
    pub federations: Vec<Federation>,
}

/// An application of the local authority, with its service principal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Application {
    /// Its client id.
    pub client_id: Uuid,
    /// The application's own object id, which Microsoft Graph names.
    pub application_object_id: Uuid,
    /// Its service principal's object id, which roles are given to.
    pub object_id: Uuid,
    /// Its name for people.
    pub name: String,
    /// Who made it, when.
    pub created: Stamp,
    /// Changes with every change.
    pub etag: String,
    /// Secrets it may present.
    pub secrets: Vec<ApplicationSecret>,
    /// Certificates it may sign with.
    pub certificates: Vec<ApplicationCertificate>,
    /// Tokens of others it may present.
    pub federations: Vec<Federation>,
}

/// A client secret, of which only the digest is known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationSecret {
    /// Its id.
    pub key_id: Uuid,
    /// Its name for people.
    pub name: String,
    /// Its first three characters, so that people can tell it from others.
    pub hint: String,
    /// SHA-256 of it, in hexadecimal.
    pub sha256_hex: String,
    /// Seconds since 1970 from when on it is not taken.
    pub expires_at: Option<i64>,
}

impl std::fmt::Debug for ApplicationSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApplicationSecret({}, ***)", self.key_id)
    }
}

/// A certificate whose key an application signs with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApplicationCertificate {
    /// Its id.
    pub key_id: Uuid,
    /// Its name for people.
    pub name: String,
    /// The certificate, DER in standard base64.
    pub der_base64: String,
}

/// Tokens of another issuer that stand for a principal; issuer, subject and audience are compared exactly.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Federation {
    /// Its id.
    pub id: Uuid,
    /// Its name, unique in its principal without regard to case.
    pub name: String,
    /// Their `iss`.
    pub issuer: String,
    /// Their `sub`.
    pub subject: String,
    /// Their `aud`, usually `api://AzureADTokenExchange`.
    pub audience: String,
    /// Where the issuer's keys are, if not where its discovery document says.
    pub key_set: Option<String>,
}

/// A role given to a principal at a scope and everything below it (`Microsoft.Authorization/roleAssignments`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Assignment {
    /// `{scope}/providers/Microsoft.Authorization/roleAssignments/{name}`.
    pub id: ResourceId,
    /// Where it holds.
    pub scope: ResourceId,
    /// The role definition's GUID, in lower case.
    pub role: String,
    /// The principal's object id.
    pub principal_id: String,
    /// `ServicePrincipal`, `User` or `Group`.
    pub principal_type: String,
    /// The issuer the principal must come from; any that is configured when there is none.
    pub issuer: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Who made it, when.
    pub created: Stamp,
    /// Who changed it last, when.
    pub updated: Stamp,
}

impl Envelope {
    /// One without tags or history: for tests, and as a start.
    pub fn of(id: ResourceId) -> Self {
        let stamp = Stamp { by: String::new(), kind: ActorKind::Key, at_ms: 0 };
        Self {
            id,
            location: "local".to_owned(),
            tags: BTreeMap::new(),
            etag: String::new(),
            managed_by: None,
            created: stamp.clone(),
            modified: stamp,
        }
    }
}
