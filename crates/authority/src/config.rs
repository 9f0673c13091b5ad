//! What an authority is configured with.

use std::time::Duration;

use model::ResourceId;
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use crate::{ClientSecret, RegisteredCertificate};

/// An authority's settings. [`crate::Authority::open`] checks that they fit together.
#[derive(Debug)]
pub struct Config {
    /// The directory.
    pub tenant_id: Uuid,
    /// Further names of the directory in paths, such as `contoso.onmicrosoft.com`.
    pub tenant_names: Vec<String>,
    /// Scheme, host and port that the issuer is named under, without a path: `https://127.0.0.1:7091`. Tokens carry
    /// `{issuer_base}/{tenant_id}/v2.0` as issuer.
    pub issuer_base: String,
    /// Host names (no ports) that requests may be addressed to, beside the issuer's, `localhost` and loopback addresses.
    pub host_names: Vec<String>,
    /// Resources that tokens are given out for: `https://monitor.azure.com`. With or without a slash at the end makes no
    /// difference here; a token carries the one that was asked for.
    pub audiences: Vec<String>,
    /// Applications.
    pub applications: Vec<Application>,
    /// Managed identities of this machine.
    pub managed_identities: Vec<ManagedIdentity>,
    /// Whether the metadata service answers. Any process of this machine can then be any of its managed identities.
    pub imds: bool,
    /// The value of `X-IDENTITY-HEADER`, if the App Service form of the metadata service is to answer.
    pub app_service_header: Option<SecretString>,
    /// Whether there is an issuer of workload tokens too, as a Kubernetes cluster has one. Federations may name it.
    pub workload_issuer: bool,
    /// How long tokens are valid.
    pub lifetimes: TokenLifetimes,
}

/// How long tokens are valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenLifetimes {
    /// Those of managed identities.
    pub managed_identity: Duration,
    /// Those of applications, at least.
    pub application_min: Duration,
    /// Those of applications, at most. Each token's is picked at random, so that not all are renewed at once.
    pub application_max: Duration,
}

impl Default for TokenLifetimes {
    fn default() -> Self {
        Self {
            managed_identity: Duration::from_secs(24 * 3600),
            application_min: Duration::from_secs(60 * 60),
            application_max: Duration::from_secs(90 * 60),
        }
    }
}

/// An application with its service principal.
#[derive(Debug)]
pub struct Application {
    /// Its client id.
    pub client_id: Uuid,
    /// Its service principal's object id, which roles are given to.
    pub object_id: Uuid,
    /// Its name for people.
    pub name: String,
    /// Secrets it may present.
    pub secrets: Vec<ClientSecret>,
    /// Certificates it may sign with.
    pub certificates: Vec<RegisteredCertificate>,
    /// Tokens of others it may present.
    pub federations: Vec<Federation>,
}

/// A user-assigned managed identity.
#[derive(Debug)]
pub struct ManagedIdentity {
    /// Its client id.
    pub client_id: Uuid,
    /// Its object id, which roles are given to.
    pub object_id: Uuid,
    /// Its ARM id.
    pub resource_id: ResourceId,
    /// Whether it is the one given to whoever names none.
    pub is_default: bool,
    /// Tokens of others that stand for it.
    pub federations: Vec<Federation>,
}

/// Tokens of another issuer that stand for an application. All three are compared exactly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Federation {
    /// Their `iss`.
    pub issuer: String,
    /// Their `sub`.
    pub subject: String,
    /// Their `aud`, usually `api://AzureADTokenExchange`.
    pub audience: String,
    /// Where the issuer's keys are, if not where its discovery document says.
    pub key_set: Option<String>,
}

/// Settings that do not fit together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// The issuer is no base URL.
    #[error("the issuer base {0:?} must be a URL of scheme, host and port alone, such as https://127.0.0.1:7091")]
    IssuerBase(String),
    /// The issuer is one of Microsoft's.
    #[error("the issuer base {0:?} is a Microsoft host: tokens made here must not look like Entra's")]
    MicrosoftIssuer(String),
    /// An id that two principals have.
    #[error("two principals have the id {0}")]
    DuplicateId(Uuid),
    /// Two managed identities with one ARM id.
    #[error("two managed identities have the resource id {0}")]
    DuplicateResourceId(ResourceId),
    /// Two default identities.
    #[error("two managed identities are the default: {0} and {1}")]
    TwoDefaults(Uuid, Uuid),
    /// A name that cannot be a host's.
    #[error("{0:?} is not a host name: give it without scheme, port and path")]
    HostName(String),
    /// A name that cannot be a directory's.
    #[error("{0:?} cannot name the directory in paths")]
    TenantName(String),
    /// Lifetimes the wrong way round, or none.
    #[error("token lifetimes must be at least a second, the longest no shorter than the shortest")]
    Lifetimes,
    /// A federation whose issuer cannot be reached safely.
    #[error("the federation of {client_id}: {source}")]
    Federation {
        /// Whose.
        client_id: Uuid,
        /// What is wrong.
        source: access::IssuerError,
    },
}

impl Config {
    /// The issuer of all its tokens.
    pub fn issuer(&self) -> String {
        format!("{}/{}/v2.0", self.issuer_base.trim_end_matches('/'), self.tenant_id)
    }

    /// The issuer of workload tokens.
    pub fn workload_issuer_name(&self) -> String {
        format!("{}/workload", self.issuer_base.trim_end_matches('/'))
    }

    /// Checks everything that needs no other place to be known.
    pub(crate) fn check(&self) -> Result<Url, ConfigError> {
        let base = parse_base(&self.issuer_base)?;
        for name in &self.host_names {
            let fine = Url::parse(&format!("https://{name}/"))
                .is_ok_and(|url| url.port().is_none() && url.path() == "/" && url.host_str() == Some(name));
            if !fine {
                return Err(ConfigError::HostName(name.clone()));
            }
        }
        for name in &self.tenant_names {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
            if name.is_empty() || !plain || RESERVED_TENANTS.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(ConfigError::TenantName(name.clone()));
            }
        }
        let TokenLifetimes { managed_identity, application_min, application_max } = self.lifetimes;
        let second = Duration::from_secs(1);
        if managed_identity < second || application_min < second || application_max < application_min {
            return Err(ConfigError::Lifetimes);
        }
        Ok(base)
    }
}

fn parse_base(text: &str) -> Result<Url, ConfigError> {
    let wrong = || ConfigError::IssuerBase(text.to_owned());
    let url = Url::parse(text).map_err(|_| wrong())?;
    let bare = matches!(url.scheme(), "https" | "http")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let Some(host) = url.host_str().filter(|_| bare) else { return Err(wrong()) };
    let microsoft = |domain: &str| host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    if MICROSOFT_DOMAINS.into_iter().any(microsoft) {
        return Err(ConfigError::MicrosoftIssuer(text.to_owned()));
    }
    Ok(url)
}

/// First path segments that mean something else.
const RESERVED_TENANTS: [&str; 6] = ["common", "organizations", "consumers", "metadata", "msi", "workload"];
/// Domains of Microsoft's authorities.
const MICROSOFT_DOMAINS: [&str; 9] = [
    "microsoftonline.com",
    "microsoftonline.us",
    "microsoftonline.de",
    "microsoftonline.cn",
    "microsoft.com",
    "windows.net",
    "chinacloudapi.cn",
    "usgovcloudapi.net",
    "windows-ppe.net",
];
