//! The environment variables, one line of help each. What is not in this table is not read.

use std::fmt::Write as _;

/// A variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub help: &'static str,
}

const fn variable(name: &'static str, help: &'static str) -> Variable {
    Variable { name, help }
}

/// All variables by what they are about.
pub const GROUPS: &[(&str, &[Variable])] = &[
    (
        "Where samples go",
        &[
            variable(
                "INGESTION_URL",
                "Required. The metrics ingestion endpoint with path and query, as the workspace's overview page shows it.\n\
                 https, or http for a loopback address.",
            ),
            variable("SSL_CERT_FILE", "PEM file with certificate authorities to trust besides the built-in ones."),
        ],
    ),
    (
        "Where to listen",
        &[
            variable(
                "LISTENING_PORT",
                "Port of /api/v1/write, /health, /ready, /metrics and /status. Default 8081; 0 takes a free one.",
            ),
            variable(
                "REMORA_LISTEN_ADDRESS",
                "IP address to listen on. Default: all, as probes come to the pod's address.",
            ),
        ],
    ),
    (
        "Who we are",
        &[
            variable(
                "IDENTITY_TYPE",
                "Required. userAssigned, systemAssigned, aadApplication, workloadIdentity or default (the first of secret,\n\
                 certificate, workload identity and managed identity that is configured and works). Case does not count.",
            ),
            variable(
                "AZURE_CLIENT_ID",
                "Client id (a GUID) of the managed identity or application. For userAssigned, aadApplication,\n\
                 workloadIdentity.",
            ),
            variable("AZURE_TENANT_ID", "Directory (tenant) id. For aadApplication and workloadIdentity."),
            variable(
                "AZURE_CLIENT_CERTIFICATE_PATH",
                "File with certificate and private key: PEM, PKCS#12 or base64 of it. For aadApplication. Read anew for\n\
                 every token, so that a rotated certificate is picked up.",
            ),
            variable("AZURE_CLIENT_SECRET", "Client secret. For aadApplication without a certificate path."),
            variable(
                "AZURE_FEDERATED_TOKEN_FILE",
                "File with the service account's token. For workloadIdentity; set by its webhook.",
            ),
            variable(
                "AZURE_TOKEN_CREDENTIALS",
                "For default: the one credential to use, EnvironmentCredential (secret or certificate),\n\
                 WorkloadIdentityCredential or ManagedIdentityCredential; or prod, which is all of them, as without it.\n\
                 Credentials of developers' tools (dev, AzureCliCredential and so on) are not supported.",
            ),
        ],
    ),
    (
        "Where tokens come from",
        &[
            variable(
                "CLOUD",
                "AZUREPUBLIC (default), AZUREGOVERNMENT, AZURECHINA or AZURECUSTOM. Case and underscores do not count.",
            ),
            variable(
                "INGESTION_AAD_AUDIENCE",
                "Audience of the tokens, with or without /.default. Default: the cloud's, such as https://monitor.azure.com.\n\
                 Required for AZURECUSTOM. One of a known cloud stands for CLOUD when that is not set.",
            ),
            variable(
                "AZURE_AUTHORITY_HOST",
                "Base URL of the Entra authority. Default: the cloud's. Required for AZURECUSTOM but with managed identities.",
            ),
            variable("AAD_HOST_ENDPOINT", "Older name of AZURE_AUTHORITY_HOST, which outranks it."),
            variable(
                "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                "Base URL of the instance metadata service. Default http://169.254.169.254. When set, a machine is not\n\
                 taken for one of Azure Arc because it has Arc's agent.",
            ),
            variable(
                "IDENTITY_ENDPOINT",
                "Token endpoint of App Service (with IDENTITY_HEADER) or Azure Arc (with IMDS_ENDPOINT); set by the platform.",
            ),
            variable("IDENTITY_HEADER", "Secret for IDENTITY_ENDPOINT on App Service; set by the platform."),
            variable("IMDS_ENDPOINT", "Marks IDENTITY_ENDPOINT as Azure Arc's; set by the platform."),
            variable(
                "IDENTITY_SERVER_THUMBPRINT",
                "Set by Service Fabric, whose managed identities are named as unsupported.",
            ),
            variable(
                "MSI_ENDPOINT",
                "Set by Cloud Shell and Azure Machine Learning, whose managed identities are named as unsupported.",
            ),
            variable("MSI_SECRET", "Set by Azure Machine Learning; see MSI_ENDPOINT."),
        ],
    ),
    (
        "Queries",
        &[
            variable(
                "REMORA_QUERY_URL",
                "Query endpoint of the workspace. When set, GET and POST below /api/v1/ (but write) are passed to it with a\n\
                 token, so that a plain Prometheus data source works.",
            ),
            variable(
                "REMORA_QUERY_ALLOW_REMOTE",
                "true lets other machines query too, with this sidecar's rights. Default false.",
            ),
        ],
    ),
    (
        "Other",
        &[
            variable("CLUSTER", "Name of the cluster; appears in the log."),
            variable("TRACE_LOGGING", "true writes everything to the log."),
        ],
    ),
];

/// Help for all of them, as `--help` ends with it.
pub fn help() -> String {
    let mut text = String::from("Environment variables:\n");
    for (group, variables) in GROUPS {
        let _ = write!(text, "\n{group}\n");
        for variable in *variables {
            let _ = writeln!(text, "  {}\n      {}", variable.name, variable.help.replace('\n', "\n      "));
        }
    }
    text
}
