//! Applications and service principals as Graph's JSON.

use catalog::{Application, ApplicationCertificate, ApplicationSecret, Identity};
use serde_json::{Value, json};

use super::certificates::Certificate;

/// An application. Of secrets and certificates only what identifies them is told.
pub(super) fn application(application: &Application) -> Value {
    json!({
        "id": application.application_object_id,
        "appId": application.client_id,
        "displayName": application.name,
        "createdDateTime": utc_ms(application.created.at_ms),
        "deletedDateTime": null,
        "description": null,
        "identifierUris": [],
        "signInAudience": SIGN_IN_AUDIENCE,
        "isFallbackPublicClient": null,
        "appRoles": [],
        "requiredResourceAccess": [],
        "optionalClaims": null,
        "tags": [],
        "api": { "oauth2PermissionScopes": [], "requestedAccessTokenVersion": null },
        "web": { "homePageUrl": null, "redirectUris": [] },
        "publicClient": { "redirectUris": [] },
        "keyCredentials": keys(application),
        "passwordCredentials": passwords(application),
    })
}

/// The service principal of an application.
pub(super) fn principal_of_application(application: &Application, tenant_id: &str) -> Value {
    let mut principal = principal(&application.name, tenant_id, "Application");
    principal["id"] = json!(application.object_id);
    principal["appId"] = json!(application.client_id);
    principal["servicePrincipalNames"] = json!([application.client_id]);
    principal["createdDateTime"] = json!(utc_ms(application.created.at_ms));
    principal["keyCredentials"] = keys(application);
    principal["passwordCredentials"] = passwords(application);
    principal
}

/// The service principal of a managed identity.
pub(super) fn principal_of_identity(identity: &Identity, tenant_id: &str) -> Value {
    let mut principal = principal(identity.envelope.id.name(), tenant_id, "ManagedIdentity");
    principal["id"] = json!(identity.principal_id);
    principal["appId"] = json!(identity.client_id);
    principal["servicePrincipalNames"] = json!([identity.client_id]);
    principal["alternativeNames"] = json!(["isExplicit=True", identity.envelope.id.as_str()]);
    principal["createdDateTime"] = json!(utc_ms(identity.envelope.created.at_ms));
    principal
}

/// A secret, without the secret.
pub(super) fn password(secret: &ApplicationSecret) -> Value {
    json!({
        "keyId": secret.key_id,
        "displayName": secret.name,
        "hint": secret.hint,
        "secretText": null,
        "customKeyIdentifier": null,
        "startDateTime": null,
        "endDateTime": secret.expires_at.and_then(utc_secs),
    })
}

/// Milliseconds since 1970 as text.
pub(super) fn utc_ms(at_ms: i64) -> Option<String> {
    jiff::Timestamp::from_millisecond(at_ms).map(|at| at.to_string()).ok()
}

/// Seconds since 1970 as text.
pub(super) fn utc_secs(at: i64) -> Option<String> {
    jiff::Timestamp::from_second(at).map(|at| at.to_string()).ok()
}

fn principal(name: &str, tenant_id: &str, kind: &str) -> Value {
    json!({
        "displayName": name,
        "appDisplayName": name,
        "servicePrincipalType": kind,
        "alternativeNames": [],
        "accountEnabled": true,
        "appOwnerOrganizationId": tenant_id,
        "appRoleAssignmentRequired": false,
        "appRoles": [],
        "oauth2PermissionScopes": [],
        "replyUrls": [],
        "signInAudience": SIGN_IN_AUDIENCE,
        "tags": [],
        "keyCredentials": [],
        "passwordCredentials": [],
    })
}

fn passwords(application: &Application) -> Value {
    application.secrets.iter().map(password).collect()
}

fn keys(application: &Application) -> Value {
    application.certificates.iter().map(key).collect()
}

fn key(certificate: &ApplicationCertificate) -> Value {
    let read = Certificate::parse(&certificate.der_base64).ok();
    json!({
        "keyId": certificate.key_id,
        "displayName": certificate.name,
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
        "key": null,
        "customKeyIdentifier": read.as_ref().map(|read| read.thumbprint.as_str()),
        "startDateTime": read.as_ref().and_then(|read| utc_secs(read.not_before)),
        "endDateTime": read.as_ref().and_then(|read| utc_secs(read.not_after)),
    })
}

/// Tokens are of this directory only.
pub(super) const SIGN_IN_AUDIENCE: &str = "AzureADMyOrg";
