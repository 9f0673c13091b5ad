//! A running `remora up`, as a user has it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::arm::{Arm, token_claims};
use crate::client::Client;
use crate::process::{Process, eventually, free_port};

/// The `remora` program.
pub(crate) fn remora() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remora"));
    command.env_clear();
    command
}

/// `remora up` on free ports with a data directory of its own.
pub(crate) struct Installation {
    pub(crate) process: Process,
    pub(crate) facts: Value,
    pub(crate) client: Arc<Client>,
    directory: TempDir,
}

impl Installation {
    /// Starts it and waits until everything answers.
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// Starts it on data that may be there already.
    pub(crate) fn start_in(directory: TempDir) -> Self {
        Self::start_with(directory, &[])
    }

    /// Starts it with further arguments.
    pub(crate) fn start_with(directory: TempDir, arguments: &[&str]) -> Self {
        let data = directory.path().join("data");
        let mut command = remora();
        // A relative directory: everything that is published must be absolute all the same.
        command.args(["up", "--data-dir", "data"]).args(arguments).current_dir(directory.path());
        for part in ["service", "authority", "sidecar"] {
            command.arg(format!("--{part}-address")).arg("127.0.0.1:0");
        }
        let facts_file = data.join("up.json");
        // One that a killed process left behind must not be taken for this one's.
        let _none_left = std::fs::remove_file(&facts_file);
        let mut process = Process::start("up", directory.path(), &mut command);
        let facts: Value = eventually("up.json", Duration::from_secs(60), || {
            process.assert_running();
            serde_json::from_slice(&std::fs::read(&facts_file).ok()?).ok()
        });
        let ca_file = PathBuf::from(facts["ca_file"].as_str().unwrap());
        Self { process, client: Client::new(Some(&ca_file)), facts, directory }
    }

    /// Ends it with SIGTERM, which must go well, and gives its directory back.
    pub(crate) fn stop(self) -> TempDir {
        let Self { process, directory, .. } = self;
        let (status, log) = process.terminate();
        assert!(status.success(), "`remora up` must end well on SIGTERM, not with {status}; its log:\n{log}");
        directory
    }

    /// Ends it with SIGKILL and gives its directory back.
    pub(crate) fn kill(self) -> TempDir {
        let Self { process, directory, .. } = self;
        process.kill();
        directory
    }

    /// A text of `up.json`.
    #[track_caller]
    pub(crate) fn fact(&self, key: &str) -> &str {
        self.facts[key].as_str().unwrap_or_else(|| panic!("up.json has no {key}: {}", self.facts))
    }

    /// The ingestion URL with TLS.
    pub(crate) fn ingestion_url_tls(&self) -> String {
        self.fact("ingestion_url").replacen(self.fact("service"), self.fact("service_tls"), 1)
    }

    /// A scratch directory that lives as long as this.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The directory that it was told to keep data in.
    pub(crate) fn data_directory(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A token of the default managed identity, printed by `remora token`.
    pub(crate) fn token(&self, resource: &str) -> String {
        let output =
            remora().args(["token", "--resource", resource, "--data-dir"]).arg(self.data_directory()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A token by client secret from the local authority.
    #[track_caller]
    pub(crate) fn token_by_secret(&self, client_id: &str, secret_file: &str, scope: &str) -> String {
        let secret = std::fs::read_to_string(self.fact(secret_file)).unwrap();
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", self.fact(client_id))
            .append_pair("client_secret", secret.trim())
            .append_pair("scope", scope)
            .finish();
        let url = format!("{}/{}/oauth2/v2.0/token", self.fact("authority_tls"), self.fact("tenant_id"));
        let answer = self.client.send("POST", &url, &[("content-type", "application/x-www-form-urlencoded")], form);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// A token of the admin for the management API.
    pub(crate) fn token_of_admin(&self) -> String {
        self.token_by_secret("admin_client_id", "admin_secret_file", MANAGEMENT_SCOPE)
    }

    /// The object id of the admin.
    pub(crate) fn object_id_of_admin(&self) -> String {
        token_claims(&self.token_of_admin())["oid"].as_str().unwrap().to_owned()
    }

    /// The object id of the application.
    pub(crate) fn object_id_of_application(&self) -> String {
        let token = self.token_by_secret("application_id", "client_secret_file", INGESTION_SCOPE);
        token_claims(&token)["oid"].as_str().unwrap().to_owned()
    }

    /// The management API, for the admin.
    pub(crate) fn arm(&self) -> Arm {
        Arm::new(&self.client, self.fact("management"), self.token_of_admin(), self.fact("subscription_id"))
    }

    /// Starts a `remora sidecar` of its own towards the TLS ingestion URL, with `identity`'s variables.
    pub(crate) fn sidecar(&self, name: &str, identity: &[(&str, &str)]) -> Sidecar {
        let port = free_port();
        let mut command = remora();
        command
            .arg("sidecar")
            .env("INGESTION_URL", self.ingestion_url_tls())
            .env("LISTENING_PORT", port.to_string())
            .env("REMORA_LISTEN_ADDRESS", "127.0.0.1")
            .env("REMORA_QUERY_URL", self.fact("query_url"))
            .env("SSL_CERT_FILE", self.fact("ca_file"))
            .envs(identity.iter().copied());
        let mut process = Process::start(name, self.directory(), &mut command);
        let base = format!("http://127.0.0.1:{port}");
        eventually(&format!("readiness of sidecar {name}"), Duration::from_secs(30), || {
            process.assert_running();
            let answer = self.client.try_send("GET", &format!("{base}/ready"), &[], "")?;
            (answer.status == 200).then_some(())
        });
        Sidecar { process, base }
    }
}

/// A running sidecar.
pub(crate) struct Sidecar {
    pub(crate) process: Process,
    pub(crate) base: String,
}

impl Sidecar {
    /// Where a Prometheus writes.
    pub(crate) fn write_url(&self) -> String {
        format!("{}/api/v1/write", self.base)
    }
}

/// What tokens for writing are for.
pub(crate) const INGESTION_SCOPE: &str = "https://monitor.azure.com/.default";

/// What tokens for queries are for.
pub(crate) const QUERY_RESOURCE: &str = "https://prometheus.monitor.azure.com";

/// What tokens for management are for: the resource of the public cloud ends in a slash.
pub(crate) const MANAGEMENT_SCOPE: &str = "https://management.core.windows.net//.default";
