//! Who the command line is: the environment's credential, as the sidecar reads it, or the administrator of a `remora up`.

use std::path::Path;

use host::OutboundProxy;
use sidecar::{IdentitySettings, Settings};

use super::ClientError;
use crate::up_facts::Facts;

/// Where a credential comes from.
pub(super) enum Source<'a> {
    /// The administrator that `remora up` made.
    Administrator {
        /// Of the running `remora up`.
        facts: &'a Facts,
        /// Its data directory.
        directory: &'a Path,
    },
    /// What the environment names.
    Environment {
        /// Reads a variable.
        lookup: &'a dyn Fn(&str) -> Option<String>,
        /// The `remora up` whose authority issues the tokens, unless the environment names another.
        authority: Option<&'a Facts>,
    },
}

/// A credential, not yet at work.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) identity: IdentitySettings,
    pub(super) outbound_proxy: Option<OutboundProxy>,
    /// Where it is from, for people.
    pub(super) description: String,
}

impl Source<'_> {
    /// Reads the credential.
    pub(super) fn read(&self) -> Result<Found, ClientError> {
        let settings = Settings::from_env(|name| self.variable(name));
        let settings = settings.map_err(|error| ClientError::Usage(error.to_string()))?;
        Ok(Found {
            identity: settings.identity,
            outbound_proxy: settings.outbound_proxy,
            description: match self {
                Self::Administrator { directory, .. } => {
                    format!("`remora up` on {} (its administrator)", directory.display())
                }
                Self::Environment { lookup, .. } if is_named(lookup) => {
                    "the environment (AZURE_…, IDENTITY_…)".to_owned()
                }
                Self::Environment { .. } => {
                    "this machine, as the environment names none (AZURE_CLIENT_ID, AZURE_CLIENT_SECRET …)".to_owned()
                }
            },
        })
    }

    /// What the sidecar's settings are read from. What only a sidecar needs is not looked at.
    fn variable(&self, name: &str) -> Option<String> {
        if name == "INGESTION_URL" {
            return Some("http://127.0.0.1/".to_owned());
        }
        match self {
            Self::Administrator { facts, .. } => match name {
                "IDENTITY_TYPE" => Some("aadApplication".to_owned()),
                "AZURE_CLIENT_ID" => Some(facts.admin_client_id.clone()),
                "AZURE_TENANT_ID" => Some(facts.tenant_id.clone()),
                "AZURE_AUTHORITY_HOST" => Some(facts.authority_tls.clone()),
                "REMORA_CLIENT_SECRET_FILE" => Some(facts.admin_secret_file.display().to_string()),
                _ => None,
            },
            Self::Environment { lookup, authority } => {
                let is_known = NAMING.contains(&name) || DESCRIBING.contains(&name);
                let given = if is_known { lookup(name) } else { None };
                given.or_else(|| match (name, authority) {
                    ("IDENTITY_TYPE", _) => Some("default".to_owned()),
                    ("AZURE_TENANT_ID", Some(facts)) => Some(facts.tenant_id.clone()),
                    ("AZURE_AUTHORITY_HOST", Some(facts)) => Some(facts.authority_tls.clone()),
                    _ => None,
                })
            }
        }
    }
}

/// Whether the environment names a credential.
pub(super) fn is_named(lookup: &dyn Fn(&str) -> Option<String>) -> bool {
    NAMING.iter().any(|name| lookup(name).is_some())
}

/// Variables each of which names a credential.
const NAMING: &[&str] = &[
    "IDENTITY_TYPE",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "REMORA_CLIENT_SECRET_FILE",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TOKEN_CREDENTIALS",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "MSI_ENDPOINT",
];

/// Variables that say more about one.
const DESCRIBING: &[&str] = &[
    "AZURE_TENANT_ID",
    "AZURE_AUTHORITY_HOST",
    "AAD_HOST_ENDPOINT",
    "CLOUD",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_SECRET",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
];
