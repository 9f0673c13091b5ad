//! Errors as Entra words them: an OAuth error with an AADSTS code.

use environment::UnixTime;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::utc::utc_text;

/// An error of the token endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EntraError {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    pub(crate) code: u32,
    message: String,
}

impl EntraError {
    fn new(status: u16, error: &'static str, code: u32, message: impl Into<String>) -> Self {
        Self { status, error, code, message: message.into() }
    }

    pub(crate) fn missing_parameter(name: &str) -> Self {
        let message = format!("The request body must contain the following parameter: '{name}'.");
        Self::new(400, "invalid_request", 900_144, message)
    }

    pub(crate) fn duplicate_parameter(name: &str) -> Self {
        let message =
            format!("The request is not properly formatted. The parameter '{}' is duplicated.", shortened(name));
        Self::new(400, "invalid_request", 9_000_411, message)
    }

    pub(crate) fn malformed_request(what: &str) -> Self {
        Self::new(400, "invalid_request", 900_023, format!("The request cannot be read: {what}."))
    }

    pub(crate) fn grant_type(found: &str) -> Self {
        let message =
            format!("The grant type '{}' is not supported here, only 'client_credentials'.", shortened(found));
        Self::new(400, "unsupported_grant_type", 70_003, message)
    }

    pub(crate) fn unknown_tenant(name: &str) -> Self {
        let message = format!(
            "Tenant '{}' not found. Check that it is the id of the directory this authority was configured with.",
            shortened(name)
        );
        Self::new(400, "invalid_request", 90_002, message)
    }

    /// Discovery words it differently.
    pub(crate) fn unknown_tenant_in_discovery(name: &str) -> Self {
        Self { error: "invalid_tenant", ..Self::unknown_tenant(name) }
    }

    pub(crate) fn not_multi_tenant(client_id: &str, name: &str) -> Self {
        let message = format!(
            "Application '{}' is not configured as a multi-tenant application. Usage of the /{} endpoint is not supported for it: name the directory.",
            shortened(client_id),
            shortened(name)
        );
        Self::new(400, "invalid_request", 50_194, message)
    }

    pub(crate) fn unknown_application(client_id: &str, directory: Uuid) -> Self {
        let message = format!(
            "Application with identifier '{}' was not found in the directory '{directory}'. This can happen if it is not configured there, or if the request went to the wrong directory.",
            shortened(client_id)
        );
        Self::new(400, "unauthorized_client", 700_016, message)
    }

    pub(crate) fn scope(found: &str) -> Self {
        let message = format!(
            "The provided value for scope '{}' is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.",
            shortened(found)
        );
        Self::new(400, "invalid_scope", 1_002_012, message)
    }

    pub(crate) fn unknown_resource(resource: &str, directory: Uuid) -> Self {
        let message = format!(
            "The resource principal named {} was not found in the tenant named {directory}. Add it to the audiences of this authority.",
            shortened(resource)
        );
        Self::new(400, "invalid_resource", 500_011, message)
    }

    pub(crate) fn no_credential() -> Self {
        let message = "'client_assertion' or 'client_secret' is required for the 'client_credentials' grant type.";
        Self::new(401, "invalid_client", 7_000_216, message)
    }

    pub(crate) fn wrong_secret(client_id: Uuid) -> Self {
        let message = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client_id}'."
        );
        Self::new(401, "invalid_client", 7_000_215, message)
    }

    pub(crate) fn expired_secret(client_id: Uuid) -> Self {
        let message = format!("The provided client secret keys for app '{client_id}' are expired. Create a new one.");
        Self::new(401, "invalid_client", 7_000_222, message)
    }

    pub(crate) fn malformed_assertion(what: &str) -> Self {
        Self::new(401, "invalid_client", 50_027, format!("JWT token is invalid or malformed: {what}."))
    }

    pub(crate) fn assertion_of_another(client_id: Uuid) -> Self {
        let message = format!(
            "Client assertion application identifier doesn't match 'client_id' parameter '{client_id}': its 'iss' and 'sub' must both be the client id."
        );
        Self::new(401, "invalid_client", 700_021, message)
    }

    pub(crate) fn assertion_audience(found: &str, expected: &str) -> Self {
        let message = format!(
            "Client assertion audience claim '{}' does not match this authority, for example '{expected}'.",
            shortened(found)
        );
        Self::new(401, "invalid_client", 700_023, message)
    }

    pub(crate) fn assertion_time(now: UnixTime, not_before: Option<UnixTime>, expires_at: UnixTime) -> Self {
        let message = format!(
            "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry time of assertion {}.",
            utc_text(now),
            not_before.map_or_else(|| "any time".to_owned(), utc_text),
            utc_text(expires_at)
        );
        Self::new(401, "invalid_client", 700_024, message)
    }

    pub(crate) fn assertion_key(reason: &str, thumbprint: &str, client_id: Uuid) -> Self {
        let message = format!(
            "Client assertion failed signature validation. [Reason - {reason}, Thumbprint of key used by client: '{thumbprint}', app '{client_id}']"
        );
        Self::new(401, "invalid_client", 700_027, message)
    }

    pub(crate) fn federation_issuer(issuer: &str) -> Self {
        let message = format!(
            "No matching federated identity record found for presented assertion issuer '{}'. Issuers compare exactly, a trailing slash matters.",
            shortened(issuer)
        );
        Self::new(401, "invalid_client", 700_211, message)
    }

    pub(crate) fn federation_audience(audience: &str) -> Self {
        let message = format!(
            "No matching federated identity record found for presented assertion audience '{}'. Audiences compare exactly.",
            shortened(audience)
        );
        Self::new(401, "invalid_client", 700_212, message)
    }

    pub(crate) fn federation_subject(subject: &str) -> Self {
        let message = format!(
            "No matching federated identity record found for presented assertion subject '{}'. Subjects compare exactly, with case.",
            shortened(subject)
        );
        Self::new(401, "invalid_client", 700_213, message)
    }

    /// Not the client's fault, and over when the issuer is back: a status that clients repeat on.
    pub(crate) fn federation_unreachable(cause: &str) -> Self {
        let message = format!("Request to external OIDC endpoint failed: {cause}.");
        Self::new(503, "temporarily_unavailable", 50_166, message)
    }

    pub(crate) fn host(found: &str) -> Self {
        let message = format!(
            "The host '{}' is none of this authority's names. Add it to them, or ask it by one of those.",
            shortened(found)
        );
        Self::new(400, "invalid_request", 900_023, message)
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        Self::new(413, "invalid_request", 900_023, format!("The request is larger than {bytes_max} bytes."))
    }

    pub(crate) fn not_found(path: &str) -> Self {
        Self::new(404, "invalid_request", 900_023, format!("There is nothing at '{}'.", shortened(path)))
    }

    pub(crate) fn method(allowed: &str) -> Self {
        let message = format!("The endpoint only accepts {allowed} requests.");
        Self::new(405, "invalid_request", 900_561, message)
    }

    pub(crate) fn description(&self) -> String {
        format!("AADSTS{}: {}", self.code, self.message)
    }

    /// The answer's body.
    pub(crate) fn body(&self, trace_id: Uuid, correlation_id: Uuid, now: UnixTime) -> Value {
        let (code, timestamp) = (self.code, utc_text(now));
        let description = format!(
            "{}\r\nTrace ID: {trace_id}\r\nCorrelation ID: {correlation_id}\r\nTimestamp: {timestamp}",
            self.description()
        );
        json!({
            "error": self.error,
            "error_description": description,
            "error_codes": [code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        })
    }
}

/// Values out of requests stand in errors cut short and without control characters.
fn shortened(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}
