//! Everything that can be set: the environment variables, and the keys of the settings file that stand for them. What is
//! not in this table is not read.

use std::fmt::Write as _;

/// A variable, and the key of the settings file that means the same.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Another spelling that is read where there is no value under `name`.
    pub alias: Option<&'static str>,
    /// Key in the settings file, `section.key`; none for what the platform sets, and for secrets.
    pub key: Option<&'static str>,
    /// What stands when nothing is given, in words where it is not one value.
    pub default: Option<&'static str>,
    /// Whether a change in the settings file is taken up by a running sidecar.
    pub reloads: bool,
    /// Whether its value is never shown.
    pub secret: bool,
    /// What it is for.
    pub help: &'static str,
}

impl Variable {
    const fn key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    const fn at_start(mut self) -> Self {
        self.reloads = false;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

const fn variable(name: &'static str, help: &'static str) -> Variable {
    Variable { name, alias: None, key: None, default: None, reloads: true, secret: false, help }
}

/// The variable with this name or alias.
pub fn by_name(name: &str) -> Option<&'static Variable> {
    all().find(|variable| variable.name == name || variable.alias == Some(name))
}

/// The variable that this key of the settings file stands for.
pub fn by_key(key: &str) -> Option<&'static Variable> {
    all().find(|variable| variable.key == Some(key))
}

/// Names among `names` that nobody reads and that look like misspelt ones, each with the name that was meant.
///
/// An unknown variable is no mistake: Kubernetes sets some for every service, such as `REMORA_SERVICE_HOST`.
pub fn misspelt(names: impl Iterator<Item = String>) -> Vec<(String, &'static str)> {
    let nearest = |name: &str| {
        let likeness = |variable: &Variable| strsim::jaro_winkler(name, variable.name);
        let nearest = all().map(|variable| (variable.name, likeness(variable)));
        nearest.max_by(|(_, left), (_, right)| left.total_cmp(right)).filter(|(_, likeness)| *likeness > LIKENESS_MIN)
    };
    let of_kubernetes = |name: &str| name.ends_with("_HOST") || name.contains("_PORT");
    names
        .filter(|name| name.starts_with("REMORA_") && by_name(name).is_none() && !of_kubernetes(name))
        .filter_map(|name| nearest(&name).map(|(meant, _)| (name.clone(), meant)))
        .collect()
}

const LIKENESS_MIN: f64 = 0.93;

/// All of them, in the order of the help.
pub fn all() -> impl Iterator<Item = &'static Variable> {
    GROUPS.iter().flat_map(|(_, variables)| variables.iter())
}

/// All variables by what they are about.
pub const GROUPS: &[(&str, &[Variable])] = &[
    (
        "Settings file",
        &[variable(
            "REMORA_CONFIG",
            "A YAML file with the keys given below; --config outranks it. A variable outranks its key in the file.",
        )
        .at_start()],
    ),
    (
        "Where samples go",
        &[
            variable(
                "INGESTION_URL",
                "Required. The metrics ingestion endpoint with path and query, as the workspace's overview page shows it.\n\
                 https, or http for a loopback address.",
            )
            .key("target.ingestion_url"),
            variable("SSL_CERT_FILE", "PEM file with certificate authorities to trust besides the built-in ones.")
                .key("outbound.ca_file"),
            variable(
                "HTTPS_PROXY",
                "Forward proxy to the ingestion endpoint, the query endpoint and Entra, such as http://proxy:3128; never\n\
                 used for the instance metadata service. HTTP_PROXY is not read.",
            )
            .alias("https_proxy")
            .key("outbound.https_proxy")
            .secret(),
            variable(
                "NO_PROXY",
                "Hosts that are reached without the proxy, with commas between: names (with their subdomains), addresses,\n\
                 networks such as 10.0.0.0/8, or * for all.",
            )
            .alias("no_proxy")
            .key("outbound.no_proxy"),
        ],
    ),
    (
        "Where to listen",
        &[
            variable(
                "LISTENING_PORT",
                "Port of /api/v1/write, /health, /ready, /metrics and /status; 0 takes a free one.",
            )
            .key("listen.port")
            .default("8081")
            .at_start(),
            variable(
                "REMORA_LISTEN_ADDRESS",
                "IP address to listen on. By default on all, as probes come to the pod's address.",
            )
            .key("listen.address")
            .default("::")
            .at_start(),
            variable(
                "REMORA_LISTEN_TLS_CERTIFICATE",
                "PEM file with the listener's certificate and those that lead to its root. With it the listener speaks TLS\n\
                 alone. Read anew when it changes.",
            )
            .key("listen.tls_certificate"),
            variable(
                "REMORA_LISTEN_TLS_KEY",
                "PEM file with the private key of that certificate. Read anew when it changes.",
            )
            .key("listen.tls_key"),
            variable(
                "REMORA_LISTEN_TOKEN_FILE",
                "File with a bearer token that writes and queries must bring; probes and /metrics need none. Read anew when\n\
                 it changes.",
            )
            .key("listen.token_file"),
            variable(
                "REMORA_CONNECTIONS_MAX",
                "Connections of senders at once; a further one is answered 503.",
            )
            .key("listen.connections_max")
            .default("12000"),
        ],
    ),
    (
        "Who we are",
        &[
            variable(
                "IDENTITY_TYPE",
                "Required. userAssigned, systemAssigned, aadApplication, workloadIdentity or default (the first of secret,\n\
                 certificate, workload identity and managed identity that is configured and works). Case does not count.",
            )
            .key("identity.type"),
            variable(
                "AZURE_CLIENT_ID",
                "Client id (a GUID) of the managed identity or application. For userAssigned, aadApplication,\n\
                 workloadIdentity.",
            )
            .key("identity.client_id"),
            variable("AZURE_TENANT_ID", "Directory (tenant) id. For aadApplication and workloadIdentity.")
                .key("identity.tenant_id"),
            variable(
                "AZURE_CLIENT_CERTIFICATE_PATH",
                "File with certificate and private key: PEM, PKCS#12 or base64 of it. For aadApplication. Read anew for\n\
                 every token, so that a rotated certificate is picked up.",
            )
            .key("identity.certificate_path"),
            variable("AZURE_CLIENT_SECRET", "Client secret. For aadApplication without a certificate path.").secret(),
            variable(
                "REMORA_CLIENT_SECRET_FILE",
                "File with the client secret, where AZURE_CLIENT_SECRET is not set. Read anew when it changes.",
            )
            .key("identity.client_secret_file"),
            variable(
                "AZURE_FEDERATED_TOKEN_FILE",
                "File with the service account's token. For workloadIdentity; set by its webhook.",
            )
            .key("identity.token_file"),
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
                "AZUREPUBLIC, AZUREGOVERNMENT, AZURECHINA or AZURECUSTOM. Case and underscores do not count.",
            )
            .key("cloud")
            .default("AZUREPUBLIC"),
            variable(
                "INGESTION_AAD_AUDIENCE",
                "Audience of the tokens, with or without /.default. Default: the cloud's, such as https://monitor.azure.com.\n\
                 Required for AZURECUSTOM. One of a known cloud stands for CLOUD when that is not set.",
            )
            .key("target.audience"),
            variable(
                "AZURE_AUTHORITY_HOST",
                "Base URL of the Entra authority. Default: the cloud's. Required for AZURECUSTOM but with managed identities.",
            )
            .key("identity.authority_host"),
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
            variable("IDENTITY_HEADER", "Secret for IDENTITY_ENDPOINT on App Service; set by the platform.").secret(),
            variable("IMDS_ENDPOINT", "Marks IDENTITY_ENDPOINT as Azure Arc's; set by the platform."),
            variable(
                "IDENTITY_SERVER_THUMBPRINT",
                "Set by Service Fabric, whose managed identities are named as unsupported.",
            ),
            variable(
                "MSI_ENDPOINT",
                "Set by Cloud Shell and Azure Machine Learning, whose managed identities are named as unsupported.",
            ),
            variable("MSI_SECRET", "Set by Azure Machine Learning; see MSI_ENDPOINT.").secret(),
        ],
    ),
    (
        "The queue",
        &[
            variable(
                "REMORA_QUEUE_DIR",
                "Directory of the durable queue, which this switches on: a request is answered when it is kept there, and\n\
                 delivered from there, also after a restart. For this process alone.",
            )
            .key("queue.directory")
            .at_start(),
            variable(
                "REMORA_QUEUE",
                "off (pass requests through), disk, or memory: the same queue without a disk, which does NOT survive the end\n\
                 of the process.",
            )
            .key("queue.medium")
            .default("disk if a directory is given, else off")
            .at_start(),
            variable("REMORA_QUEUE_BYTES_MAX", "Bytes that the queue may take. Units: kB, MB, GB, KiB, MiB, GiB.")
                .key("queue.bytes_max")
                .default("1GiB; in memory 64MiB"),
            variable(
                "REMORA_QUEUE_AGE_MAX",
                "How long a request may wait; then it expires, and the ledger says so. Units: ms, s, m, h, d.",
            )
            .key("queue.age_max")
            .default("24h"),
            variable(
                "REMORA_QUEUE_WHEN_FULL",
                "push-back (answer 503 with Retry-After: the sender keeps its samples), drop-oldest or drop-newest.",
            )
            .key("queue.when_full")
            .default("push-back"),
            variable(
                "REMORA_QUEUE_SYNC",
                "When what is kept is forced to the disk: interval (every second: a power cut may cost that much),\n\
                 every-request (before the answer) or never. The end of the process costs nothing in any case.",
            )
            .key("queue.sync")
            .default("interval")
            .at_start(),
            variable(
                "REMORA_QUEUE_REFUSALS_BYTES_MAX",
                "Bytes for refused series that are kept to be looked at and sent again (`ledger`); the oldest go first.",
            )
            .key("queue.refusals_bytes_max")
            .default("16MiB"),
        ],
    ),
    (
        "Delivery from the queue",
        &[
            variable("REMORA_IN_FLIGHT_MAX", "Requests to the ingestion endpoint at once.")
                .key("delivery.in_flight_max")
                .default("16"),
            variable(
                "REMORA_AUTHORIZATION_GRACE",
                "How long 401, 403 and 404 are taken for something that passes: granted roles take 10 to 30 minutes to work.",
            )
            .key("delivery.authorization_grace")
            .default("45m"),
            variable(
                "REMORA_REMOTE_WRITE_2",
                "Whether remote write 2.0 is taken: probe (ask the endpoint once), accept, transcode (take 2.0, send 1.0)\n\
                 or refuse (answer 415). A Prometheus that is answered 415 does not fall back: it is to be configured\n\
                 for 1.0.",
            )
            .key("delivery.remote_write_2")
            .default("probe"),
            variable(
                "REMORA_DRAIN_TIMEOUT",
                "At shutdown: how long requests under way, and what waits in the queue, may take to arrive.",
            )
            .key("delivery.drain_timeout")
            .default("20s"),
            variable(
                "REMORA_READY_STRICT",
                "true makes /ready red also while the queue refuses requests; --ready-strict does the same.",
            )
            .key("ready_strict")
            .default("false"),
        ],
    ),
    (
        "Queries",
        &[
            variable(
                "REMORA_QUERY_URL",
                "Query endpoint of the workspace. When set, GET and POST below /api/v1/ (but write) are passed to it with a\n\
                 token, so that a plain Prometheus data source works.",
            )
            .key("query.url"),
            variable("REMORA_QUERY_ALLOW_REMOTE", "true lets other machines query too, with this sidecar's rights.")
                .key("query.allow_remote")
                .default("false"),
        ],
    ),
    (
        "Other",
        &[
            variable("CLUSTER", "Name of the cluster; appears in the log.").key("cluster"),
            variable("TRACE_LOGGING", "true writes everything to the log.").key("log.trace").default("false"),
        ],
    ),
];

/// Help for all of them, as `--help` ends with it.
pub fn help() -> String {
    let mut text = String::from(
        "Settings are environment variables, or keys of a YAML file (`section.key`). Keys marked * are taken up by a running\n\
         sidecar when the file changes or on SIGHUP.\n",
    );
    for (group, variables) in GROUPS {
        let _ = write!(text, "\n{group}\n");
        for variable in *variables {
            let _ = writeln!(text, "  {}", heading(variable));
            let _ = writeln!(text, "      {}", variable.help.replace('\n', "\n      "));
        }
    }
    text
}

/// `NAME   section.key*   default`.
fn heading(variable: &Variable) -> String {
    let mut text = variable.name.to_owned();
    if let Some(alias) = variable.alias {
        let _ = write!(text, ", {alias}");
    }
    if let Some(key) = variable.key {
        let _ = write!(text, "  ({key}{})", if variable.reloads { "*" } else { "" });
    }
    if let Some(default) = variable.default {
        let _ = write!(text, "  [default: {default}]");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_keys_stand_once() {
        let mut seen = BTreeSet::new();
        for variable in all() {
            for name in [Some(variable.name), variable.alias, variable.key].into_iter().flatten() {
                assert!(seen.insert(name), "{name} stands twice");
            }
            if let Some(key) = variable.key {
                let plain =
                    |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte));
                assert!(key.split('.').count() <= 2 && key.split('.').all(plain), "{key}");
                assert_eq!(by_key(key).unwrap().name, variable.name);
            }
            assert_eq!(by_name(variable.alias.unwrap_or(variable.name)).unwrap().name, variable.name);
        }
    }

    #[test]
    fn misspelt_names_are_noticed() {
        for (name, meant) in [
            ("REMORA_QUEUE_DIRECTORY", Some("REMORA_QUEUE_DIR")),
            ("REMORA_QUEUE_MAX_BYTES", Some("REMORA_QUEUE_BYTES_MAX")),
            ("REMORA_INFLIGHT_MAX", Some("REMORA_IN_FLIGHT_MAX")),
            ("REMORA_QUEUE_DIR", None),
            ("REMORA_QUEUE_SERVICE_HOST", None),
            ("REMORA_QUEUE_PORT_8081_TCP", None),
            ("REMORA_LOG", None),
            ("QUEUE_DIR", None),
        ] {
            let found = misspelt(std::iter::once(name.to_owned()));
            assert_eq!(found.first().map(|(_, meant)| *meant), meant, "{name}");
        }
    }

    #[test]
    fn secrets_of_the_environment_have_no_key() {
        // A proxy's URL is one only if it holds a password.
        for variable in all().filter(|variable| variable.secret && variable.name != "HTTPS_PROXY") {
            assert_eq!(variable.key, None, "{}", variable.name);
        }
    }
}
