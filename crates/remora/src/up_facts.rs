//! What runs where: for people on standard output, for scripts in `up.json`.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use authority::LocalCa;
use environment::Disk;
use serde::{Deserialize, Serialize};

use crate::data_directory::DataDirectory;
use crate::declared;
use crate::installation::Installation;
use crate::private_file;
use crate::up::Listeners;
use crate::up_declared::WORKSPACE;

/// The content of `up.json`. URLs have no slash at the end. Holds no secret, only names of files that do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) service: String,
    pub(crate) service_tls: String,
    pub(crate) authority: String,
    pub(crate) authority_tls: String,
    pub(crate) imds: String,
    /// The App Service form of IMDS, with the file that holds its header's value.
    pub(crate) identity_endpoint: String,
    pub(crate) identity_header_file: PathBuf,
    pub(crate) sidecar: String,
    pub(crate) ingestion_url: String,
    pub(crate) query_url: String,
    /// The management API, and the directory's (Microsoft Graph).
    pub(crate) management: String,
    pub(crate) subscription_id: String,
    pub(crate) resource_group: String,
    pub(crate) workspace: String,
    pub(crate) account_id: String,
    pub(crate) rule: String,
    pub(crate) tenant_id: String,
    /// Of the managed identity.
    pub(crate) client_id: String,
    pub(crate) application_id: String,
    pub(crate) admin_client_id: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) client_secret_file: PathBuf,
    pub(crate) certificate_file: PathBuf,
    pub(crate) certificate_pfx_file: PathBuf,
    pub(crate) federated_token_file: PathBuf,
    pub(crate) admin_secret_file: PathBuf,
}

impl Facts {
    /// Everything but the sidecar's address.
    pub(crate) fn new(installation: &Installation, ca: &LocalCa, listeners: &Listeners) -> Self {
        let (ids, files) = (&installation.ids, &installation.files);
        let service = listeners.service_url("http");
        let authority = listeners.authority_url("http");
        Self {
            ingestion_url: format!(
                "{service}/dataCollectionRules/{}/streams/{}/api/v1/write?api-version=2023-04-24",
                ids.rule,
                catalog::PROMETHEUS_STREAM
            ),
            query_url: format!("{service}/workspaces/{WORKSPACE}"),
            service,
            management: listeners.service_url("https"),
            subscription_id: ids.subscription_id.to_string(),
            resource_group: declared::GROUP.to_owned(),
            service_tls: listeners.service_url("https"),
            imds: authority.clone(),
            identity_endpoint: format!("{authority}/msi/token"),
            identity_header_file: files.identity_header.clone(),
            authority,
            authority_tls: listeners.authority_url("https"),
            sidecar: String::new(),
            workspace: WORKSPACE.to_owned(),
            account_id: ids.account_id().to_string(),
            rule: ids.rule.clone(),
            tenant_id: ids.tenant_id.to_string(),
            client_id: ids.managed_identity.client_id.to_string(),
            application_id: ids.application.client_id.to_string(),
            admin_client_id: ids.admin.client_id.to_string(),
            ca_file: ca.ca_file(),
            client_secret_file: files.client_secret.clone(),
            certificate_file: files.certificate.clone(),
            certificate_pfx_file: files.certificate_pfx.clone(),
            federated_token_file: files.federated_token.clone(),
            admin_secret_file: files.admin_secret.clone(),
        }
    }

    /// With the sidecar's address.
    pub(crate) fn with_sidecar(self, address: SocketAddr) -> Self {
        Self { sidecar: format!("http://{address}"), ..self }
    }

    /// The settings of the sidecar, with its queue in the data directory `directory`.
    pub(crate) fn sidecar_variables(&self, directory: &Path) -> Vec<(&'static str, String)> {
        let authority = self.sidecar.strip_prefix("http://").unwrap_or_default();
        let address: Option<SocketAddr> = authority.parse().ok();
        let listen = address
            .map_or((String::new(), String::new()), |address| (address.ip().to_string(), address.port().to_string()));
        vec![
            ("INGESTION_URL", self.ingestion_url.clone()),
            ("LISTENING_PORT", listen.1),
            ("REMORA_LISTEN_ADDRESS", listen.0),
            ("IDENTITY_TYPE", "userAssigned".to_owned()),
            ("AZURE_CLIENT_ID", self.client_id.clone()),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.imds.clone()),
            ("REMORA_QUERY_URL", self.query_url.clone()),
            ("REMORA_QUEUE_DIR", directory.join("sidecar-queue").display().to_string()),
        ]
    }

    /// Those that a running `remora up` published in `directory`; `None` when none runs there. A file that a killed one
    /// left behind does not count.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub(crate) fn published(directory: &Path, disk: &dyn Disk) -> anyhow::Result<Option<Self>> {
        if !DataDirectory::is_taken(directory) {
            return Ok(None);
        }
        let path = path(directory);
        let Some(text) = private_file::read(disk, &path).with_context(|| path.display().to_string())? else {
            return Ok(None);
        };
        serde_json::from_slice(&text).map(Some).with_context(|| format!("{} cannot be understood", path.display()))
    }

    /// Whether `url` is the service's.
    pub(crate) fn is_service(&self, url: &str) -> bool {
        [&self.service, &self.service_tls].iter().any(|own| own.as_str() == url.trim_end_matches('/'))
    }

    /// Puts `up.json` in place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn publish(&self, directory: &Path, disk: &dyn Disk) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(self).context("facts are plain data")?;
        let path = path(directory);
        private_file::replace(disk, &path, &text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Takes `up.json` away, if it is there.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(crate) fn remove(directory: &Path, disk: &dyn Disk) -> anyhow::Result<()> {
        match disk.remove_file(&path(directory)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path(directory).display()))
            }
            _ => Ok(()),
        }
    }

    /// Tells the user what runs where, what to paste, and what to try.
    pub(crate) fn print(&self, directory: &Path) {
        // The path of this very program, so that the line works as pasted wherever it was built.
        let program = std::env::current_exe().map_or_else(|_| "remora".to_owned(), |path| path.display().to_string());
        // A closed standard output is no reason to end.
        let _closed = io::stdout().write_all(self.text(&program, directory).as_bytes());
    }

    fn text(&self, program: &str, directory: &Path) -> String {
        format!(
            "\
Remora is up.

  sidecar      {sidecar}   remote write in, queries too; adds the token of a managed identity
  service      {service}   data collection endpoint and query API, with a token; {service_tls} too
  management   {service_tls}  Azure Resource Manager's paths, with the admin's token; `az` can use it
  authority    {authority}   local Entra and IMDS; {authority_tls} too, certificates of {ca}

Paste into prometheus.yml:

  remote_write:
    - url: {sidecar}/api/v1/write

Its own metrics are in it already. Try:

  curl '{sidecar}/api/v1/query?query=up'
  curl -H \"Authorization: Bearer $({program} token \\
    --data-dir {directory} --resource https://prometheus.monitor.azure.com)\" \\
    '{query}/api/v1/query?query=up'

",
            sidecar = self.sidecar,
            service = self.service,
            service_tls = self.service_tls,
            authority = self.authority,
            authority_tls = self.authority_tls,
            ca = self.ca_file.display(),
            query = self.query_url,
            directory = directory.display(),
        )
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("up.json")
}
