//! The shape of a settings file's text.

use std::path::PathBuf;

use access::{Issuer, IssuerError};
use serde::Deserialize;

use super::queries::QueriesEntry;
use super::{Audiences, TlsFiles};

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct File {
    #[serde(default = "default_listen")]
    pub(super) listen: String,
    pub(super) tls: Option<TlsFiles>,
    pub(super) plain_http: Option<String>,
    pub(super) public_url: Option<String>,
    pub(super) endpoint_domain: Option<String>,
    pub(super) region: Option<String>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) backup_dir: Option<PathBuf>,
    pub(super) wal_sync: Option<String>,
    pub(super) retention: Option<String>,
    pub(super) retention_bytes: Option<u64>,
    pub(super) out_of_order_window: Option<String>,
    #[serde(default)]
    pub(super) databases: DatabasesEntry,
    #[serde(default)]
    pub(super) issuers: Vec<IssuerEntry>,
    pub(super) authority: Option<AuthorityEntry>,
    #[serde(default)]
    pub(super) audiences: Audiences,
    pub(super) body_bytes_max: Option<u64>,
    #[serde(default)]
    pub(super) queries: QueriesEntry,
    pub(super) subscription: Option<SubscriptionEntry>,
    pub(super) default_profile: Option<String>,
    #[serde(default)]
    pub(super) limits: LimitsEntry,
    pub(super) role_propagation: Option<PropagationEntry>,
    pub(super) deleted_workspace_retention: Option<String>,
    pub(super) audit_retention: Option<String>,
    #[serde(default)]
    pub(super) workspaces: Vec<WorkspaceEntry>,
    #[serde(default)]
    pub(super) endpoints: Vec<EndpointEntry>,
    #[serde(default)]
    pub(super) rules: Vec<RuleEntry>,
    #[serde(default)]
    pub(super) role_assignments: Vec<AssignmentEntry>,
}

/// Whose tokens are taken.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum IssuerEntry {
    /// A Microsoft Entra tenant, by its id; `authority` for another cloud than the public one.
    Entra { tenant: String, authority: Option<String> },
    /// Any OpenID Connect issuer; the key set's address is discovered unless it is given.
    Oidc { issuer: String, jwks_uri: Option<String> },
}

impl IssuerEntry {
    pub(super) fn issuer(&self) -> Result<Issuer, IssuerError> {
        match self {
            Self::Entra { tenant, authority } => {
                Issuer::entra_tenant(authority.as_deref().unwrap_or(PUBLIC_AUTHORITY), tenant)
            }
            Self::Oidc { issuer, jwks_uri: None } => Issuer::openid(issuer),
            Self::Oidc { issuer, jwks_uri: Some(uri) } => Issuer::openid(issuer)?.with_key_set_at(uri),
        }
    }
}

/// The local authority beside the service.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AuthorityEntry {
    pub(super) listen: String,
    pub(super) public_url: String,
    pub(super) tenant: String,
    pub(super) tls: Option<TlsFiles>,
    #[serde(default)]
    pub(super) host_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SubscriptionEntry {
    pub(super) id: String,
    pub(super) name: Option<String>,
}

/// What rules and workspaces may take; the installation's defaults.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LimitsEntry {
    pub(super) rule_requests_per_minute: Option<u64>,
    pub(super) rule_bytes_per_minute: Option<u64>,
    pub(super) workspace_events_per_minute: Option<u64>,
    pub(super) workspace_active_series: Option<u64>,
}

/// How databases are held open.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DatabasesEntry {
    pub(super) close_after_idle: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PropagationEntry {
    pub(super) min: String,
    pub(super) max: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WorkspaceEntry {
    pub(super) name: String,
    pub(super) account_id: String,
    pub(super) resource_id: Option<String>,
    pub(super) profile: Option<String>,
    #[serde(default)]
    pub(super) storage: StorageEntry,
}

/// How a workspace's data are kept.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StorageEntry {
    pub(super) retention: Option<String>,
    pub(super) retention_bytes: Option<u64>,
    pub(super) out_of_order_window: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EndpointEntry {
    pub(super) name: String,
    pub(super) immutable_id: String,
    pub(super) resource_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RuleEntry {
    pub(super) name: String,
    pub(super) immutable_id: String,
    pub(super) resource_id: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) streams: Option<Vec<String>>,
    pub(super) workspaces: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AssignmentEntry {
    pub(super) principal: String,
    pub(super) role: String,
    /// `workspace/NAME`, `rule/NAME` or a resource id.
    pub(super) scope: String,
    /// The issuer that the principal must come from; any of those configured when it is left out.
    pub(super) issuer: Option<String>,
}

fn default_listen() -> String {
    DEFAULT_LISTEN.to_owned()
}

const DEFAULT_LISTEN: &str = "127.0.0.1:7090";

/// Where the public cloud's directories are.
const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";
