//! What to do about the errors that people meet: one line each.

/// The mend for an Entra error code.
pub(crate) fn for_aadsts(code: u32) -> Option<&'static str> {
    Some(match code {
        7_000_215 => {
            "set the client secret to the secret's value, not its id, and check that it belongs to this application"
        }
        7_000_222 => "the client secret has expired: create a new one for the application and set it",
        700_016 => "check the client id and the tenant id: this application is not in this directory",
        90_002 => "check the tenant id and the cloud: this directory does not exist at this authority",
        900_023 | 900_021 => "check the tenant id: it is neither a GUID nor a domain of a directory",
        900_144 => "check that the client id and the tenant id are set",
        500_011 | 50_001 => "check the audience and the cloud: no such resource in this directory",
        70_011 | 1_002_012 => "check the audience: it must be one resource followed by /.default",
        700_027 => {
            "upload this certificate to the application, or check that the file holds the one that is registered"
        }
        700_024 => "check this machine's clock, and that the token file is being renewed",
        700_211 => {
            "add a federated credential whose issuer equals the cluster's OIDC issuer exactly, trailing slash included"
        }
        700_212 => {
            "the federated credential's audience differs from the token's: both should be api://AzureADTokenExchange"
        }
        700_213 => {
            "the federated credential's subject differs from the token's: it must be system:serviceaccount:<namespace>:<name>"
        }
        70_021 => "add a federated credential that matches the token's issuer, subject and audience",
        700_223 => "the directory's policy forbids federated credentials: ask its administrator",
        7_000_112 => "the application is disabled in this directory: enable it",
        7_000_229 => "the application has no service principal in this directory: create one",
        53_003 => {
            "a conditional access policy blocks this application or this network: ask the directory's administrator"
        }
        _ => return None,
    })
}

/// The mend for an answer of a managed identity endpoint.
pub(crate) fn for_managed_identity(status: u16, id: Option<&str>, text: &str) -> Option<&'static str> {
    Some(match (status, id) {
        (400, Some("bad_request_102")) => {
            "something on the way removes the Metadata header: do not send this through a proxy"
        }
        (400, Some("invalid_resource")) => "check the audience and the cloud: no such resource in this directory",
        (400, Some("invalid_scope")) => "check the audience: it must be one resource",
        (400, _) => "assign this identity to the machine, scale set or pod, or correct AZURE_CLIENT_ID",
        (401, Some("unknown_source")) => "the address is not that of a managed identity endpoint: check it",
        (401, _) => "the endpoint refuses this process: check the identity header",
        (403, _) if text.contains("unreachable") => {
            "this machine has no managed identity endpoint: use another credential"
        }
        (403, _) => "the endpoint refuses this process or pod: check who may use the identity",
        (404, _) => "the endpoint is being updated, or knows no identity for this pod yet; it is asked again",
        (410, _) => "the endpoint is being updated and should be back within 70 s; it is asked again",
        (429, _) => "the endpoint throttles this machine; it is asked again later",
        (500..=599, _) => "the endpoint cannot get a token now; it is asked again",
        _ => return None,
    })
}
