//! An application at an Entra authority: where its token endpoint is, and one exchange with it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use environment::{Monotonic, Request, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::credential::Environment;
use crate::exchange::{Asker, Endpoint, get, place};
use crate::token_error::{TokenError, TokenErrorKind};
use crate::{AccessToken, Cloud, Scope, SettingError};

#[cfg(test)]
mod tests;

/// The base URL of an authority: https, or http to loopback.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authority(Url);

impl Authority {
    /// Reads a base URL such as `https://login.microsoftonline.com/`.
    ///
    /// # Errors
    /// When it is no URL, holds a user, a query or a fragment, or would send secrets in the clear to another machine.
    pub fn parse(text: &str) -> Result<Self, SettingError> {
        let wrong = |url: &str, reason| Err(SettingError::Authority { url: url.chars().take(200).collect(), reason });
        let Ok(mut url) = Url::parse(text.trim()) else { return wrong(text, "is no URL") };
        if !url.username().is_empty() || url.password().is_some() {
            return wrong(url.host_str().unwrap_or_default(), "holds a user name");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return wrong(text, "holds a query or fragment");
        }
        if !keeps_secrets(&url) {
            return wrong(text, "is not https");
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// The authority of `cloud`; none for a custom one.
    pub fn of(cloud: Cloud) -> Option<Self> {
        cloud.authority_host().map(|host| Self::parse(host).expect("the hosts of the known clouds are https URLs"))
    }

    fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url
    }
}

impl std::fmt::Display for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// An application (or an identity with a client id) in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Application {
    authority: Authority,
    tenant: String,
    client_id: String,
}

impl Application {
    /// The application `client_id` in the directory `tenant`, a GUID or a domain.
    ///
    /// # Errors
    /// See [`Application::check_tenant`] and [`Application::check_client_id`].
    pub fn new(authority: Authority, tenant: &str, client_id: &str) -> Result<Self, SettingError> {
        Self::check_tenant(tenant)?;
        Self::check_client_id(client_id)?;
        Ok(Self { authority, tenant: tenant.trim().to_owned(), client_id: client_id.trim().to_owned() })
    }

    /// Whether `text` can name a directory: a GUID or a domain.
    ///
    /// # Errors
    /// When it is empty or holds characters that neither has.
    pub fn check_tenant(text: &str) -> Result<(), SettingError> {
        let tenant = text.trim();
        let is_name = !tenant.is_empty()
            && tenant.len() <= 253
            && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
            && !tenant.starts_with('.');
        if is_name { Ok(()) } else { Err(SettingError::Tenant(tenant.chars().take(80).collect())) }
    }

    /// Whether `text` is the client id of an application or managed identity: a GUID with its hyphens.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn check_client_id(text: &str) -> Result<(), SettingError> {
        let client_id = text.trim();
        let is_guid = client_id.len() == GUID_BYTES && uuid::Uuid::try_parse(client_id).is_ok();
        if is_guid { Ok(()) } else { Err(SettingError::ClientId(client_id.chars().take(80).collect())) }
    }

    /// Its client id.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
}

/// Finds an application's token endpoint and posts to it.
pub(crate) struct EntraClient {
    pub(crate) application: Application,
    pub(crate) environment: Environment,
    known: Mutex<Option<Known>>,
}

#[derive(Clone)]
struct Known {
    token_endpoint: Url,
    until: Monotonic,
}

/// A discovered endpoint hardly ever changes.
const DISCOVERED_FOR: Duration = Duration::from_secs(24 * 3600);
/// A guessed one is checked again soon.
const GUESSED_FOR: Duration = Duration::from_secs(5 * 60);

/// Hexadecimal digits and hyphens of a GUID.
const GUID_BYTES: usize = 36;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What proves that we are the application.
pub(crate) enum Proof<'a> {
    Secret(&'a str),
    Assertion(&'a str),
}

impl EntraClient {
    pub(crate) fn new(application: Application, environment: Environment) -> Self {
        Self { application, environment, known: Mutex::new(None) }
    }

    /// The token endpoint: as discovered, else at its well-known place.
    ///
    /// # Errors
    /// When discovery says that the directory does not exist, or names an endpoint that secrets must not be sent to.
    pub(crate) async fn token_endpoint(&self, credential: &str) -> Result<Url, TokenError> {
        let now = self.environment.clock.monotonic();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.until > now) {
            return Ok(known.token_endpoint);
        }
        let (token_endpoint, valid_for) = match self.discover(credential).await? {
            Some(endpoint) => (endpoint, DISCOVERED_FOR),
            None => (self.at_authority("/oauth2/v2.0/token"), GUESSED_FOR),
        };
        let known = Known { token_endpoint: token_endpoint.clone(), until: now.plus(valid_for) };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(token_endpoint)
    }

    /// Exchanges `proof` for a token at `token_endpoint`.
    pub(crate) async fn exchange(
        &self,
        credential: &str,
        token_endpoint: &Url,
        scope: &Scope,
        proof: Proof<'_>,
    ) -> Result<AccessToken, TokenError> {
        let form = self.form(scope, &proof);
        let (Proof::Secret(secret) | Proof::Assertion(secret)) = proof;
        let secrets = [secret];
        let asker = Asker { environment: &self.environment, credential, secrets: &secrets };
        let response = asker.send(self.post(token_endpoint, form), token_endpoint).await?;
        if response.status() == http::StatusCode::NOT_FOUND {
            // It moved, or was a wrong guess: discover anew before the next attempt.
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        asker.read(Endpoint::Entra, token_endpoint, &response).map(|answer| answer.token)
    }

    fn form(&self, scope: &Scope, proof: &Proof<'_>) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.append_pair("client_id", &self.application.client_id);
        form.append_pair("scope", &scope.v2());
        match proof {
            Proof::Secret(secret) => {
                form.append_pair("client_secret", secret);
            }
            Proof::Assertion(assertion) => {
                form.append_pair("client_info", "1");
                form.append_pair("client_assertion_type", ASSERTION_TYPE);
                form.append_pair("client_assertion", assertion);
            }
        }
        form.finish()
    }

    async fn discover(&self, credential: &str) -> Result<Option<Url>, TokenError> {
        let url = self.at_authority("/v2.0/.well-known/openid-configuration");
        let asker = Asker { environment: &self.environment, credential, secrets: &[] };
        let Some(request) = get(&url, &[(ACCEPT.as_str(), "application/json")]) else { return Ok(None) };
        let response = match asker.send(request, &url).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!("discovery failed, using the well-known token endpoint: {error}");
                return Ok(None);
            }
        };
        match response.status().as_u16() {
            200 => self.endpoint_named_in(&response, &url, credential),
            // How Entra says that there is no such directory.
            400 => Err(asker.refusal(Endpoint::Entra, &url, &response)),
            status => {
                tracing::debug!(status, "discovery failed, using the well-known token endpoint");
                Ok(None)
            }
        }
    }

    fn endpoint_named_in(&self, document: &Response, url: &Url, credential: &str) -> Result<Option<Url>, TokenError> {
        let fields = serde_json::from_slice::<Value>(document.body()).unwrap_or(Value::Null);
        let Some(endpoint) = fields["token_endpoint"].as_str().and_then(|text| Url::parse(text).ok()) else {
            return Ok(None);
        };
        if keeps_secrets(&endpoint) {
            return Ok(Some(endpoint));
        }
        let message = format!("{} names a token endpoint that is not https: {}", place(url), place(&endpoint));
        Err(TokenError::new(TokenErrorKind::Refused, credential, message)
            .at(place(url))
            .with_mend("check the authority: a secret is not sent there"))
    }

    fn at_authority(&self, path: &str) -> Url {
        self.application.authority.join(&format!("/{}{path}", self.application.tenant))
    }

    fn post(&self, url: &Url, body: String) -> Request {
        http::Request::post(url.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .header(ACCEPT, "application/json")
            .header("client-request-id", self.environment.request_id())
            // Wiped when the request is dropped: it holds the secret.
            .body(Bytes::from_owner(Zeroizing::new(body.into_bytes())))
            .expect("a parsed URL and constant headers make a request")
    }
}

/// Whether what is sent there stays between us and the server.
fn keeps_secrets(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}
