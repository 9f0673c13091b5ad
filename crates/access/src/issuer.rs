//! The issuers whose tokens are believed, as configured.

use std::fmt;
use std::sync::Arc;

use url::{Host, Url};

use crate::KeySet;
use crate::principal::is_guid;

/// An issuer whose tokens are believed, and where its keys come from.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The first is the one named in messages and principals.
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) tenant_id: Option<String>,
    pub(crate) principal_id: PrincipalId,
    pub(crate) keys: KeySource,
    pub(crate) plain_http: bool,
}

/// Which claim names the principal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PrincipalId {
    /// `oid` and nothing else: Entra's `sub` is another thing for users.
    ObjectId,
    /// `oid` if there is one, else `sub`.
    ObjectIdOrSubject,
}

/// Where keys come from.
#[derive(Clone)]
pub(crate) enum KeySource {
    /// Discovery documents that name key sets.
    Discovery(Vec<Url>),
    /// A key set.
    KeySet(Url),
    /// This process.
    Local(Arc<dyn LocalKeys>),
}

/// Keys that live in this process, such as those of a local authority. Asked at every verification: answer from memory.
pub trait LocalKeys: Send + Sync + 'static {
    /// The keys published now.
    fn keys(&self) -> Arc<KeySet>;
}

impl<F: Fn() -> Arc<KeySet> + Send + Sync + 'static> LocalKeys for F {
    fn keys(&self) -> Arc<KeySet> {
        self()
    }
}

/// A configuration of issuers that cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IssuerError {
    /// Not an absolute URL.
    #[error("{0:?} is not an absolute https URL without query and fragment")]
    Url(String),
    /// Plain HTTP to another machine.
    #[error(
        "{0:?} is plain http to another machine, where anybody between could replace the keys: use https, or allow plain http for this issuer"
    )]
    PlainHttp(String),
    /// Not the id of a directory.
    #[error(
        "{0:?} is not a directory (tenant) id: give its GUID; `common` and domain names are refused because any directory would be trusted"
    )]
    Tenant(String),
    /// One name with two key sets.
    #[error("the issuer {0:?} is configured twice: one name must have one key set")]
    Duplicate(String),
}

impl Issuer {
    /// An Entra directory. Its v1 and v2 tokens are believed, signed with the keys of both discovery documents.
    ///
    /// `authority` is the cloud's login address, such as `https://login.microsoftonline.com`; for Microsoft's own clouds
    /// v1 tokens come from their `sts` names, for any other authority from `{authority}/{tenant}/`.
    ///
    /// # Errors
    /// When the address is no URL or the directory no GUID.
    pub fn entra_tenant(authority: &str, tenant_id: &str) -> Result<Self, IssuerError> {
        if !is_guid(tenant_id) {
            return Err(IssuerError::Tenant(tenant_id.to_owned()));
        }
        let url = parse_url(authority)?;
        let (base, tenant_id) = (authority.trim_end_matches('/'), tenant_id.to_ascii_lowercase());
        let (v2_base, v1_base) = match url.host_str() {
            Some("login.microsoftonline.com" | "login.windows.net") => {
                ("https://login.microsoftonline.com", "https://sts.windows.net")
            }
            Some("login.microsoftonline.us") => (base, "https://sts.windows.net"),
            Some("login.partner.microsoftonline.cn" | "login.chinacloudapi.cn") => {
                ("https://login.partner.microsoftonline.cn", "https://sts.chinacloudapi.cn")
            }
            _ => (base, base),
        };
        let documents = [
            format!("{base}/{tenant_id}/v2.0/.well-known/openid-configuration"),
            format!("{base}/{tenant_id}/.well-known/openid-configuration"),
        ];
        Ok(Self {
            names: vec![format!("{v2_base}/{tenant_id}/v2.0").into(), format!("{v1_base}/{tenant_id}/").into()],
            tenant_id: Some(tenant_id),
            principal_id: PrincipalId::ObjectId,
            keys: KeySource::Discovery(documents.iter().map(|document| parse_url(document)).collect::<Result<_, _>>()?),
            plain_http: false,
        })
    }

    /// Any OpenID Connect issuer: a Kubernetes cluster, Keycloak. Keys are found through
    /// `{issuer}/.well-known/openid-configuration`, unless [`Issuer::with_key_set_at`] says where they are.
    ///
    /// # Errors
    /// When the issuer is no URL.
    pub fn openid(issuer: &str) -> Result<Self, IssuerError> {
        parse_url(issuer)?;
        let document = parse_url(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))?;
        Ok(Self::named(issuer, KeySource::Discovery(vec![document])))
    }

    /// An issuer in this process, such as a local authority: no HTTP is spoken to get its keys.
    pub fn local(issuer: &str, keys: impl LocalKeys) -> Self {
        Self::named(issuer, KeySource::Local(Arc::new(keys)))
    }

    /// Takes the keys from the key set at `jwks_uri`, without discovery.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn with_key_set_at(mut self, jwks_uri: &str) -> Result<Self, IssuerError> {
        self.keys = KeySource::KeySet(parse_url(jwks_uri)?);
        Ok(self)
    }

    /// Finds the keys through the discovery document at `url`, whose `issuer` must still be this one: for issuers that
    /// are reached under another address than their name.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn with_discovery_at(mut self, url: &str) -> Result<Self, IssuerError> {
        self.keys = KeySource::Discovery(vec![parse_url(url)?]);
        Ok(self)
    }

    /// Accepts key sets and discovery over plain HTTP from other machines too. From loopback they always are.
    #[must_use]
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Its name: the `iss` of its tokens (the v2 one of an Entra directory).
    pub fn name(&self) -> &str {
        &self.names[0]
    }

    fn named(issuer: &str, keys: KeySource) -> Self {
        Self {
            names: vec![issuer.into()],
            tenant_id: None,
            principal_id: PrincipalId::ObjectIdOrSubject,
            keys,
            plain_http: false,
        }
    }

    /// Checks what only the finished configuration shows.
    pub(crate) fn check(&self) -> Result<(), IssuerError> {
        let addresses = match &self.keys {
            KeySource::Discovery(documents) => documents.as_slice(),
            KeySource::KeySet(document) => std::slice::from_ref(document),
            KeySource::Local(_) => &[],
        };
        match addresses.iter().find(|url| !self.may_fetch(url)) {
            Some(url) => Err(IssuerError::PlainHttp(url.to_string())),
            None => Ok(()),
        }
    }

    /// Whether keys may be fetched from `url`.
    pub(crate) fn may_fetch(&self, url: &Url) -> bool {
        url.scheme() == "https" || (url.scheme() == "http" && (self.plain_http || is_loopback(url)))
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery(documents) => write!(f, "discovery at {documents:?}"),
            Self::KeySet(document) => write!(f, "key set at {document}"),
            Self::Local(_) => f.write_str("this process"),
        }
    }
}

fn parse_url(text: &str) -> Result<Url, IssuerError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    let url = url.filter(|url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
    url.ok_or_else(|| IssuerError::Url(text.to_owned()))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
