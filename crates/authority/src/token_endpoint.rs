//! The token endpoint: who asks, for what, with which proof.

use std::sync::Arc;

use crate::directory::{Directory, Principal};
use crate::entra_error::EntraError;
use crate::parameters::Parameters;
use crate::token::Proof;
use environment::UnixTime;
use uuid::Uuid;

/// Which of the two endpoints. They differ in how the resource is named and in how numbers are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version {
    V1,
    V2,
}

/// What a request presents to prove who it comes from.
pub(crate) enum Credential<'p> {
    Secret(&'p str),
    Assertion(&'p str),
}

impl Credential<'_> {
    pub(crate) const fn proof(&self) -> Proof {
        match self {
            Self::Secret(_) => Proof::Secret,
            Self::Assertion(_) => Proof::Assertion,
        }
    }
}

/// Checks that the request is a client credentials grant and finds the application.
pub(crate) fn client<'d>(
    parameters: &Parameters,
    directory: &'d Directory,
    tenant_id: Uuid,
) -> Result<&'d Arc<Principal>, EntraError> {
    let grant_type = parameters.get("grant_type").ok_or_else(|| EntraError::missing_parameter("grant_type"))?;
    if grant_type != "client_credentials" {
        return Err(EntraError::grant_type(grant_type));
    }
    let client_id = parameters.get("client_id").ok_or_else(|| EntraError::missing_parameter("client_id"))?;
    directory.by_client_id(client_id).ok_or_else(|| EntraError::unknown_application(client_id, tenant_id))
}

/// The credential presented.
pub(crate) fn credential(parameters: &Parameters) -> Result<Credential<'_>, EntraError> {
    match (parameters.get("client_assertion"), parameters.get("client_secret")) {
        (Some(assertion), None) => match parameters.get("client_assertion_type") {
            Some(ASSERTION_TYPE) => Ok(Credential::Assertion(assertion)),
            Some(_) => Err(EntraError::malformed_assertion("client_assertion_type must be the one of JWT bearers")),
            None => Err(EntraError::missing_parameter("client_assertion_type")),
        },
        (None, Some(secret)) => Ok(Credential::Secret(secret)),
        (Some(_), Some(_)) => Err(EntraError::malformed_request("it has both a client_secret and a client_assertion")),
        (None, None) => Err(EntraError::no_credential()),
    }
}

/// Whether `secret` is one of the principal's. All of them are compared, so that time tells nothing.
pub(crate) fn check_secret(principal: &Principal, secret: &str, now: UnixTime) -> Result<(), EntraError> {
    let (mut valid, mut expired) = (false, false);
    for own in &principal.secrets {
        let matches = own.matches(secret);
        valid |= matches && !own.is_expired(now);
        expired |= matches && own.is_expired(now);
    }
    match (valid, expired) {
        (true, _) => Ok(()),
        (false, true) => Err(EntraError::expired_secret(principal.client_id)),
        (false, false) => Err(EntraError::wrong_secret(principal.client_id)),
    }
}

/// The resource asked for, as the token will carry it.
pub(crate) fn resource(
    parameters: &Parameters,
    version: Version,
    audiences: &[String],
    tenant_id: Uuid,
) -> Result<String, EntraError> {
    let asked = match (version, parameters.get("resource"), parameters.get("scope")) {
        (Version::V1, Some(resource), _) => resource,
        (Version::V1, None, _) => return Err(EntraError::missing_parameter("resource")),
        (Version::V2, _, Some(scope)) => resource_of_scope(scope)?,
        (Version::V2, _, None) => return Err(EntraError::missing_parameter("scope")),
    };
    if is_known_resource(asked, audiences) {
        Ok(asked.to_owned())
    } else {
        Err(EntraError::unknown_resource(asked, tenant_id))
    }
}

/// Whether tokens are given out for it, with or without a slash at the end.
pub(crate) fn is_known_resource(resource: &str, audiences: &[String]) -> bool {
    let bare = |text: &str| text.strip_suffix('/').map_or(text.len(), str::len);
    audiences.iter().any(|audience| audience[..bare(audience)] == resource[..bare(resource)])
}

/// `https://r/.default` asks for `https://r`, `https://r//.default` for `https://r/`. MSAL adds scopes of sign-ins,
/// which mean nothing to an application.
fn resource_of_scope(scope: &str) -> Result<&str, EntraError> {
    let mut asked = scope.split_ascii_whitespace().filter(|name| !SIGN_IN_SCOPES.contains(name));
    let (Some(only), None) = (asked.next(), asked.next()) else { return Err(EntraError::scope(scope)) };
    match only.strip_suffix("/.default") {
        Some(resource) if !resource.is_empty() => Ok(resource),
        _ => Err(EntraError::scope(scope)),
    }
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SIGN_IN_SCOPES: [&str; 4] = ["openid", "offline_access", "profile", "email"];
