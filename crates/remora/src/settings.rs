//! The settings file of `remora serve`: what may stand in it, and what it means.
//!
//! Parsed in two steps: `file` is the text's shape, [`Settings`] what a service can be built from. Every mistake of a
//! file is reported at once, with the place and the mend.

mod file;
mod queries;
mod resolver;
mod resources;
mod storage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use access::Issuer;
use catalog::Profile;
use model::EndpointDomain;
use serde::Deserialize;
use uuid::Uuid;

use crate::databases::Resting;
use crate::declared::Declared;
use crate::propagation::Span;

pub(crate) use queries::QuerySettings;
pub(crate) use storage::{StorageSettings, WalSync};

/// What `remora serve` runs with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub listen: SocketAddr,
    pub tls: Option<TlsFiles>,
    pub plain_http: PlainHttp,
    pub public_url: Option<String>,
    pub endpoint_domain: Option<EndpointDomain>,
    pub region: String,
    pub data_directory: PathBuf,
    pub backup_directory: Option<PathBuf>,
    pub storage: StorageSettings,
    pub resting: Resting,
    pub issuers: Vec<Issuer>,
    pub authority: Option<AuthoritySettings>,
    pub audiences: Audiences,
    pub body_bytes_max: Option<u64>,
    pub queries: QuerySettings,
    pub default_profile: Profile,
    pub limits: quota::Limits,
    pub role_propagation: Span,
    pub workspace_retention: Duration,
    pub audit_retention: Duration,
    pub declared: Declared,
}

/// The local authority beside the service.
#[derive(Clone, Debug)]
pub(crate) struct AuthoritySettings {
    pub listen: SocketAddr,
    /// Scheme, host and port that clients use; without a slash at the end.
    pub public_url: String,
    pub tenant_id: Uuid,
    /// None: a certificate of the local authority's own CA.
    pub tls: Option<TlsFiles>,
    pub host_names: Vec<String>,
}

/// Certificate and key, both PEM; read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Whether requests without TLS are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainHttp {
    /// Only where the listener itself is on loopback.
    Loopback,
    /// Everywhere: behind a proxy that ends TLS.
    Allow,
    /// Nowhere.
    Refuse,
}

/// Audiences that tokens must name, per edge.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Audiences {
    pub ingestion: Vec<String>,
    pub query: Vec<String>,
    pub management: Vec<String>,
}

impl Default for Audiences {
    fn default() -> Self {
        let own = |names: &[&str]| names.iter().copied().map(str::to_owned).collect();
        Self {
            ingestion: own(&["https://monitor.azure.com"]),
            query: own(&["https://prometheus.monitor.azure.com"]),
            management: own(&MANAGEMENT_AUDIENCES),
        }
    }
}

/// Settings that cannot be used: every mistake, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct SettingsError(pub Vec<String>);

impl Settings {
    /// Reads a settings file's text. `default_data_directory` stands in for `dataDir`.
    ///
    /// # Errors
    /// Every mistake in it, with its place.
    pub(crate) fn parse(text: &str, default_data_directory: PathBuf) -> Result<Self, SettingsError> {
        let file: file::File = serde_saphyr::from_str(text).map_err(|error| SettingsError(vec![error.to_string()]))?;
        resolver::Resolver::default().resolve(file, default_data_directory)
    }
}

/// What tokens for the management API may be for.
pub(crate) const MANAGEMENT_AUDIENCES: [&str; 2] =
    ["https://management.azure.com", "https://management.core.windows.net"];

/// What tokens for the directory's API may be for.
pub(crate) const GRAPH_AUDIENCES: [&str; 2] = ["https://graph.microsoft.com", "https://graph.windows.net"];

/// Profiles by name; the first is the default.
pub(crate) const PROFILES: &[(&str, Profile)] = &[("strict", Profile::Strict), ("azure", Profile::Azure)];

/// The region of resources when nobody says another.
pub(crate) const DEFAULT_REGION: &str = "local";

/// The name of the default subscription.
pub(crate) const DEFAULT_SUBSCRIPTION_NAME: &str = "remora";

#[cfg(test)]
mod tests;
