//! Managed identities: tokens from an endpoint on this machine, without any secret of ours.
//!
//! The instance metadata service (IMDS) of virtual machines and clusters, App Service and its kin, and Azure Arc's agent.
//! AAD Pod Identity needs nothing of its own: it intercepts the request to IMDS.

use std::path::Path;

use environment::{BoxFuture, Request, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroizing;

use crate::credential::{Credential, Environment};
use crate::exchange::{Asker, Endpoint, get, place};
use crate::token_answer::TokenAnswer;
use crate::token_error::{TokenError, TokenErrorKind};
use crate::{AccessToken, Scope, SettingError};

#[cfg(test)]
mod tests;

/// Which identity is meant, where a machine has several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IdentitySelector {
    /// The machine's own.
    SystemAssigned,
    /// A user-assigned one, by its client id.
    ClientId(String),
    /// A user-assigned one, by its object (principal) id.
    ObjectId(String),
    /// A user-assigned one, by its ARM resource id.
    ResourceId(String),
}

/// Who issues tokens for identities of this machine.
#[derive(Clone, Debug)]
pub enum IdentitySource {
    /// The instance metadata service.
    Imds {
        /// Its base URL, usually `http://169.254.169.254`.
        base: Url,
    },
    /// App Service, Functions, Container Apps.
    AppService {
        /// The token endpoint.
        endpoint: Url,
        /// What to send as `X-IDENTITY-HEADER`.
        header: SecretString,
    },
    /// Azure Arc's agent.
    Arc {
        /// The token endpoint.
        endpoint: Url,
    },
}

/// What decides about the source; each field is the environment variable of its name.
#[derive(Clone, Default, Debug)]
pub struct ManagedIdentitySettings {
    /// `IDENTITY_ENDPOINT`
    pub identity_endpoint: Option<String>,
    /// `IDENTITY_HEADER`
    pub identity_header: Option<SecretString>,
    /// `IDENTITY_SERVER_THUMBPRINT`
    pub identity_server_thumbprint: Option<String>,
    /// `IMDS_ENDPOINT`
    pub imds_endpoint: Option<String>,
    /// `MSI_ENDPOINT`
    pub msi_endpoint: Option<String>,
    /// `MSI_SECRET`
    pub msi_secret: Option<SecretString>,
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST`: the base of IMDS
    pub azure_pod_identity_authority_host: Option<String>,
    /// Whether [`HIMDS_PATH`] exists. Does not count, and need not be looked up, when the base of IMDS is given.
    pub himds_present: bool,
}

/// The program of Azure Arc's agent; a machine that has it is an Arc machine.
pub const HIMDS_PATH: &str = "/opt/azcmagent/bin/himds";
/// Where IMDS answers unless told otherwise.
pub const IMDS_BASE: &str = "http://169.254.169.254";

const IMDS_PATH: &str = "/metadata/identity/oauth2/token";
const ARC_ENDPOINT: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
const ARC_KEY_DIRECTORY: &str = "/var/opt/azcmagent/tokens";
const ARC_KEY_BYTES_MAX: usize = 4096;

impl ManagedIdentitySettings {
    /// Picks the source in the order of the Azure libraries: App Service, Arc, IMDS. An empty value counts as none.
    ///
    /// A base of IMDS that is given outranks the mere presence of Arc's agent: somebody meant it, while the agent is on
    /// the machine for reasons of its own.
    ///
    /// # Errors
    /// When a source is selected that is not supported (Service Fabric, Azure ML, Cloud Shell), or an address is no URL.
    pub fn source(&self) -> Result<IdentitySource, SettingError> {
        let set = |value: &Option<String>| value.clone().filter(|value| !value.trim().is_empty());
        let set_secret = |value: &Option<SecretString>| value.clone().filter(|value| !value.expose_secret().is_empty());
        let unsupported = |source_name, variable| Err(SettingError::UnsupportedSource { source_name, variable });
        let endpoint = set(&self.identity_endpoint);
        if let (Some(endpoint), Some(header)) = (&endpoint, set_secret(&self.identity_header)) {
            if set(&self.identity_server_thumbprint).is_some() {
                return unsupported("Service Fabric", "IDENTITY_SERVER_THUMBPRINT");
            }
            return Ok(IdentitySource::AppService { endpoint: address("IDENTITY_ENDPOINT", endpoint)?, header });
        }
        if set(&self.msi_endpoint).is_some() {
            return match set_secret(&self.msi_secret) {
                Some(_) => unsupported("Azure Machine Learning", "MSI_SECRET"),
                None => unsupported("Cloud Shell", "MSI_ENDPOINT"),
            };
        }
        let base = set(&self.azure_pod_identity_authority_host);
        let is_marked_as_arc = endpoint.is_some() && set(&self.imds_endpoint).is_some();
        if is_marked_as_arc || (self.himds_present && base.is_none()) {
            let endpoint = address("IDENTITY_ENDPOINT", endpoint.as_deref().unwrap_or(ARC_ENDPOINT))?;
            return Ok(IdentitySource::Arc { endpoint });
        }
        IdentitySource::imds(base.as_deref().unwrap_or(IMDS_BASE))
    }

    /// Everything that keeps [`ManagedIdentitySettings::source`] from picking one; nothing when it picks one. Besides what
    /// it stumbles over, these are the addresses that would be next once that is mended.
    pub fn mistakes(&self) -> Vec<SettingError> {
        let Err(first) = self.source() else { return Vec::new() };
        let mut mistakes = vec![first];
        for (variable, text) in [
            ("IDENTITY_ENDPOINT", &self.identity_endpoint),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &self.azure_pod_identity_authority_host),
        ] {
            let text = text.as_deref().filter(|text| !text.trim().is_empty());
            if let Some(Err(error)) = text.map(|text| address(variable, text))
                && !mistakes.contains(&error)
            {
                mistakes.push(error);
            }
        }
        mistakes
    }
}

impl IdentitySource {
    /// IMDS at `base`.
    ///
    /// # Errors
    /// When `base` is not an http or https URL.
    pub fn imds(base: &str) -> Result<Self, SettingError> {
        Ok(Self::Imds { base: address("AZURE_POD_IDENTITY_AUTHORITY_HOST", base)? })
    }

    fn url(&self, selector: &IdentitySelector, scope: &Scope) -> Url {
        let (mut url, version, resource_id) = match self {
            Self::Imds { base } => (below(base, IMDS_PATH), "2018-02-01", "msi_res_id"),
            Self::AppService { endpoint, .. } => (endpoint.clone(), "2019-08-01", "mi_res_id"),
            Self::Arc { endpoint } => (endpoint.clone(), "2020-06-01", "msi_res_id"),
        };
        let mut query = url.query_pairs_mut();
        query.append_pair("api-version", version).append_pair("resource", scope.resource());
        match selector {
            IdentitySelector::SystemAssigned => {}
            IdentitySelector::ClientId(id) => drop(query.append_pair("client_id", id)),
            IdentitySelector::ObjectId(id) => drop(query.append_pair("object_id", id)),
            IdentitySelector::ResourceId(id) => drop(query.append_pair(resource_id, id)),
        }
        drop(query);
        url
    }
}

/// A managed identity of this machine.
pub struct ManagedIdentity {
    selector: IdentitySelector,
    source: IdentitySource,
    environment: Environment,
}

impl ManagedIdentity {
    /// The identity that `selector` names, from `source`.
    pub fn new(selector: IdentitySelector, source: IdentitySource, environment: Environment) -> Self {
        Self { selector, source, environment }
    }

    async fn fetch_once(&self, scope: &Scope) -> Result<AccessToken, TokenError> {
        let credential = self.describe();
        let url = self.source.url(&self.selector, scope);
        let secret = match &self.source {
            IdentitySource::AppService { header, .. } => header.expose_secret(),
            IdentitySource::Imds { .. } | IdentitySource::Arc { .. } => "",
        };
        let secrets = [secret];
        let asker = Asker { environment: &self.environment, credential: &credential, secrets: &secrets };
        let (endpoint, response) = match &self.source {
            IdentitySource::Imds { .. } => {
                let id = self.environment.request_id();
                let request = self.request(&asker, &url, &[("metadata", "true"), ("x-ms-client-request-id", &id)])?;
                (Endpoint::Imds, asker.send(request, &url).await?)
            }
            IdentitySource::AppService { header, .. } => {
                let request = self.request(&asker, &url, &[("x-identity-header", header.expose_secret())])?;
                (Endpoint::LocalAgent, asker.send(request, &url).await?)
            }
            IdentitySource::Arc { .. } => (Endpoint::LocalAgent, self.ask_arc(&asker, &url).await?),
        };
        let answer = asker.read(endpoint, &url, &response)?;
        if matches!(self.source, IdentitySource::Arc { .. }) && !self.is_echoed(&answer) {
            let message = format!("{} answered for another identity than the one asked for", place(&url));
            return Err(TokenError::new(TokenErrorKind::Refused, credential.clone(), message)
                .at(place(&url))
                .with_mend("update the Azure Arc agent, or use the system-assigned identity"));
        }
        Ok(answer.token)
    }

    /// The agent proves that we may read its files: it names one, and wants its content.
    async fn ask_arc(&self, asker: &Asker<'_>, url: &Url) -> Result<Response, TokenError> {
        let challenge = asker.send(self.request(asker, url, &[("metadata", "true")])?, url).await?;
        if challenge.status() != http::StatusCode::UNAUTHORIZED {
            return match challenge.status().is_success() {
                true => Err(self.distrusted(url, "answered without a challenge")),
                false => Err(asker.refusal(Endpoint::LocalAgent, url, &challenge)),
            };
        }
        let header = challenge.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let Some(path) = header.and_then(challenge_path) else {
            return Err(self.distrusted(url, "names no key file below /var/opt/azcmagent/tokens in its challenge"));
        };
        let key = self.environment.disk.read(Path::new(path)).map(Zeroizing::new).map_err(|error| {
            TokenError::new(TokenErrorKind::Local, asker.credential, format!("cannot read {path}: {error}"))
                .at(place(url))
                .with_mend("add the user that runs this to the group himds")
        })?;
        if key.len() > ARC_KEY_BYTES_MAX {
            return Err(self.distrusted(url, "names a key file of more than 4096 bytes"));
        }
        let key = String::from_utf8_lossy(&key);
        let authorization = Zeroizing::new(format!("Basic {}", key.trim_end()));
        let asker = Asker { secrets: &[key.trim_end()], ..*asker };
        let request = self.request(&asker, url, &[("metadata", "true"), (AUTHORIZATION.as_str(), &authorization)])?;
        asker.send(request, url).await
    }

    fn request(&self, asker: &Asker<'_>, url: &Url, headers: &[(&'static str, &str)]) -> Result<Request, TokenError> {
        get(url, headers).ok_or_else(|| {
            TokenError::new(
                TokenErrorKind::Local,
                asker.credential,
                "the identity header holds characters no header can",
            )
            .at(place(url))
            .with_mend("set IDENTITY_HEADER to the value that the platform provides")
        })
    }

    fn distrusted(&self, url: &Url, what: &str) -> TokenError {
        TokenError::new(TokenErrorKind::Refused, self.describe(), format!("{} {what}", place(url)))
            .at(place(url))
            .with_mend("check that IDENTITY_ENDPOINT is that of the Azure Arc agent")
    }

    fn is_echoed(&self, answer: &TokenAnswer) -> bool {
        let same = |echo: &Option<String>, id: &str| echo.as_deref().is_some_and(|echo| echo.eq_ignore_ascii_case(id));
        match &self.selector {
            IdentitySelector::SystemAssigned => true,
            IdentitySelector::ClientId(id) => same(&answer.client_id, id),
            IdentitySelector::ObjectId(id) => same(&answer.object_id, id),
            IdentitySelector::ResourceId(id) => same(&answer.resource_id, id),
        }
    }
}

impl Credential for ManagedIdentity {
    fn fetch<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        Box::pin(self.fetch_once(scope))
    }

    fn describe(&self) -> String {
        let source = match &self.source {
            IdentitySource::Imds { .. } => "IMDS",
            IdentitySource::AppService { .. } => "App Service",
            IdentitySource::Arc { .. } => "Azure Arc",
        };
        match &self.selector {
            IdentitySelector::SystemAssigned => format!("system-assigned managed identity from {source}"),
            IdentitySelector::ClientId(id) => format!("managed identity with client id {id} from {source}"),
            IdentitySelector::ObjectId(id) => format!("managed identity with object id {id} from {source}"),
            IdentitySelector::ResourceId(id) => format!("managed identity {id} from {source}"),
        }
    }

    fn kind(&self) -> &'static str {
        match &self.source {
            IdentitySource::Imds { .. } => "managed identity from IMDS",
            IdentitySource::AppService { .. } => "managed identity from App Service",
            IdentitySource::Arc { .. } => "managed identity from Azure Arc",
        }
    }
}

/// The path in `Basic realm=<path>`, if it is one that the agent would name.
fn challenge_path(header: &str) -> Option<&str> {
    let (scheme, parameter) = header.trim().split_once(' ')?;
    let (name, path) = parameter.trim().split_once('=')?;
    let path = path.trim().trim_matches('"');
    let expected = scheme.eq_ignore_ascii_case("basic")
        && name.trim().eq_ignore_ascii_case("realm")
        && Path::new(path).parent() == Some(Path::new(ARC_KEY_DIRECTORY))
        && path.ends_with(".key");
    expected.then_some(path)
}

fn address(variable: &'static str, text: &str) -> Result<Url, SettingError> {
    let wrong = |reason| SettingError::Endpoint { variable, url: text.chars().take(200).collect(), reason };
    let url = Url::parse(text.trim()).map_err(|_| wrong("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not quoted: it may hold a password.
        return Err(SettingError::Endpoint { variable, url: place_without_user(&url), reason: "holds a user name" });
    }
    Ok(url)
}

fn place_without_user(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default())
}

/// `base` with `path` appended to its own.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}
