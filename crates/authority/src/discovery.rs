//! Discovery documents.
//!
//! Endpoints are named under the host that was asked, so that one authority works under every name it has. The document's
//! `issuer` follows the host too, because MSAL demands that its scheme and host are those of the authority it talks to;
//! asked by its configured name, it is exactly the issuer in the tokens.

use serde_json::{Value, json};

use crate::asked::Asked;

/// OpenID Connect discovery, v2. `tenant` is the path segment to use, `issuer_tenant` the one in the issuer.
pub(crate) fn openid_v2(asked: &Asked, tenant: &str, issuer_tenant: &str) -> Value {
    let mut document = openid(asked, tenant, "oauth2/v2.0", "discovery/v2.0/keys");
    document["issuer"] = json!(format!("{}/{issuer_tenant}/v2.0", asked.base));
    document["device_authorization_endpoint"] = json!(format!("{}/{tenant}/oauth2/v2.0/devicecode", asked.base));
    document
}

/// OpenID Connect discovery, v1. Its issuer is the same one: all tokens carry it, whichever endpoint made them.
pub(crate) fn openid_v1(asked: &Asked, tenant: &str, issuer_tenant: &str) -> Value {
    let mut document = openid(asked, tenant, "oauth2", "discovery/keys");
    document["issuer"] = json!(format!("{}/{issuer_tenant}/v2.0", asked.base));
    document["check_session_iframe"] = json!(format!("{}/{tenant}/oauth2/checksession", asked.base));
    document
}

fn openid(asked: &Asked, tenant: &str, oauth: &str, keys: &str) -> Value {
    let base = &asked.base;
    json!({
        "authorization_endpoint": format!("{base}/{tenant}/{oauth}/authorize"),
        "token_endpoint": format!("{base}/{tenant}/{oauth}/token"),
        "jwks_uri": format!("{base}/{tenant}/{keys}"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "grant_types_supported": ["client_credentials"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "request_uri_parameter_supported": false,
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nbf", "oid", "appid", "tid", "ver", "xms_mirid"],
        "tenant_region_scope": null,
        "cloud_instance_name": asked.authority,
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
        "rbac_url": "https://pas.windows.net",
    })
}

/// Instance discovery: which names stand for the same authority. Echoes the host that was asked about, if it is ours.
pub(crate) fn instance(asked: &Asked, tenant: &str) -> Value {
    let host = &asked.authority;
    json!({
        "tenant_discovery_endpoint": format!("{}/{tenant}/v2.0/.well-known/openid-configuration", asked.base),
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    })
}

/// Discovery of the issuer of workload tokens. `issuer` is exactly its name: verifiers compare.
pub(crate) fn workload(asked: &Asked, issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{}/workload/openid/v1/jwks", asked.base),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}
