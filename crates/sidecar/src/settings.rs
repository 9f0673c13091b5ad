//! Settings: strings of the environment and of the settings file in, checked values out, or everything that is wrong with
//! them.
//!
//! A file's key is read as the variable that it stands for; the variable outranks it. There is one target today. Several
//! would be a list beside `target`, each with an identity of its own: then what is read here under `target` and `identity`
//! is read once for each.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::OutboundProxy;
use http_serving::{Certificate, CertificateError};
use identity::{Cloud, Scope};
use proxy::{Limits, Medium, RemoteWrite2};
use rustls::RootCertStore;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use url::Url;

use crate::mistake::InvalidSettings;
use crate::variables;
pub(crate) use contents::Contents;
pub use identity_settings::IdentitySettings;
pub(crate) use ledger::LedgerSettings;
pub(crate) use reader::{Given, Reader};
use reader::{parse_bool, read_bounded};

mod contents;
mod credential;
mod identity_settings;
mod ledger;
mod listener;
mod queue;
mod reader;
mod target;

/// Everything the sidecar is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where samples go.
    pub ingestion_url: Url,
    /// Audience of the tokens for it.
    pub ingestion_scope: Scope,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who we are.
    pub identity: IdentitySettings,
    /// Which cloud, for the log.
    pub cloud: Cloud,
    /// Name of the cluster, for the log.
    pub cluster: Option<String>,
    /// Where queries go, if anywhere.
    pub query: Option<QuerySettings>,
    /// Whom to trust.
    pub roots: Arc<RootCertStore>,
    /// The forward proxy on the way to targets and Entra, if any.
    pub outbound_proxy: Option<OutboundProxy>,
    /// What senders must bring.
    pub listener: ListenerSettings,
    /// The queue; without one requests pass straight through.
    pub queue: Option<QueueSettings>,
    /// How the queue is emptied.
    pub delivery: DeliverySettings,
    /// Whether `/ready` is red also while the queue refuses requests.
    pub ready_strict: bool,
    /// Whether to log everything.
    pub trace: bool,
    /// Bounds of the proxy.
    pub limits: Limits,
    /// The settings file, if there is one.
    pub config: Option<PathBuf>,
    /// Everything that was given, and where.
    pub(crate) given: Vec<Given>,
    /// The files whose content is part of the settings.
    pub(crate) contents: Contents,
}

/// What senders must bring.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// With it the listener speaks TLS alone.
    pub certificate: Option<Arc<CertificatePem>>,
    /// The bearer token that writes and queries must bring.
    pub token: Option<SecretString>,
}

/// A certificate with its chain and private key, both PEM.
#[derive(Debug)]
pub struct CertificatePem {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: SecretSlice<u8>,
}

impl CertificatePem {
    /// As the listener uses it.
    pub(crate) fn certificate(&self) -> Result<Certificate, CertificateError> {
        Certificate::from_pem(host::tls::provider(), &self.chain, self.key.expose_secret())
    }
}

/// Where requests wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueSettings {
    /// On what.
    pub medium: Medium,
    /// Where on it.
    pub directory: PathBuf,
    /// Bounds and promises.
    pub settings: spool::Settings,
}

/// How the queue is emptied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliverySettings {
    /// Requests on their way at once.
    pub in_flight_max: usize,
    /// How long 401, 403 and 404 are taken for something that passes.
    pub authorization_grace: Duration,
    /// What becomes of remote write 2.0.
    pub remote_write_2: RemoteWrite2,
    /// How long the end may take.
    pub drain_timeout: Duration,
}

/// Where queries go.
#[derive(Clone, Debug)]
pub struct QuerySettings {
    /// The workspace's query endpoint.
    pub url: Url,
    /// Audience of the tokens for it.
    pub scope: Scope,
    /// Whether other machines may query.
    pub allow_remote: bool,
}

impl Settings {
    /// Reads the settings from what `lookup` gives for a variable's name, without a settings file. An empty value counts as
    /// none.
    ///
    /// # Errors
    /// [`InvalidSettings`] names every mistake that can be seen from here; whether a credential works shows later.
    ///
    /// Of the machine itself nothing decides but, for managed identities, whether it has Azure Arc's agent; that is not
    /// looked up when `AZURE_POD_IDENTITY_AUTHORITY_HOST` is set.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        Self::read(&lookup, None, &has_arc_agent).1
    }

    /// The same with a settings file: `config`, else the one that `REMORA_CONFIG` names, if any. A variable outranks its key.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn load(lookup: impl Fn(&str) -> Option<String>, config: Option<&Path>) -> Result<Self, InvalidSettings> {
        Self::load_watched(&lookup, config).1
    }

    /// The same, with the files that decided, also where the settings are wrong.
    pub(crate) fn load_watched(
        lookup: &dyn Fn(&str) -> Option<String>,
        config: Option<&Path>,
    ) -> (Contents, Result<Self, InvalidSettings>) {
        Self::read(lookup, config_path(lookup, config), &has_arc_agent)
    }

    /// The same on a machine of which `has_arc_agent` tells whether it has Azure Arc's agent; only asked if it matters.
    fn read(
        lookup: &dyn Fn(&str) -> Option<String>,
        config: Option<PathBuf>,
        has_arc_agent: &dyn Fn() -> bool,
    ) -> (Contents, Result<Self, InvalidSettings>) {
        let mut reader = Reader::new(lookup, config.as_deref(), has_arc_agent);
        let settings = Self::read_all(&mut reader, config);
        let contents = std::mem::take(&mut reader.contents);
        let settings = settings.filter(|_| reader.mistakes.is_empty());
        let settings = settings.ok_or_else(|| InvalidSettings(std::mem::take(&mut reader.mistakes)));
        let given = reader.given.into_inner();
        (contents.clone(), settings.map(|settings| Self { given, contents, ..settings }))
    }

    /// None if there is a mistake; there may be one all the same.
    fn read_all(reader: &mut Reader<'_>, config: Option<PathBuf>) -> Option<Self> {
        let ingestion_url = reader.ingestion_url();
        let named_cloud = reader.cloud();
        let ingestion_scope = reader.ingestion_scope(named_cloud.unwrap_or_default());
        let cloud = reader.agreed_cloud(named_cloud, ingestion_scope.as_ref());
        let listen = reader.listen();
        let identity = reader.identity(cloud);
        let query = reader.query(cloud, ingestion_scope.as_ref());
        let roots = reader.roots();
        let outbound_proxy = reader.outbound_proxy();
        let listener = reader.listener();
        let connections_max = reader.number("REMORA_CONNECTIONS_MAX", CONNECTIONS_MAX, (1, 1_000_000));
        let queue = reader.queue();
        let delivery = reader.delivery();
        let ready_strict = reader.bool("REMORA_READY_STRICT");
        let cluster = reader.text("CLUSTER");
        // Its presence alone switched it on in the sidecar's open relative; only a clear no switches it off.
        let trace = reader.text("TRACE_LOGGING").is_some_and(|text| parse_bool(&text) != Some(false));
        let limits = Limits { connections_max, drain_timeout: delivery.drain_timeout, ..Limits::default() };
        Some(Self {
            ingestion_url: ingestion_url?,
            ingestion_scope: ingestion_scope?,
            listen: listen?,
            identity: identity?,
            cloud,
            cluster,
            query,
            roots: roots?,
            outbound_proxy,
            listener,
            queue,
            delivery,
            ready_strict,
            trace,
            limits,
            config,
            given: Vec::new(),
            contents: Contents::default(),
        })
    }

    /// What was given for a variable, and where.
    pub(crate) fn given(&self, variable: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.variable == variable)
    }

    /// The variables that mean something else than in `other`, themselves or by the file that they name.
    pub(crate) fn changed(&self, other: &Self) -> BTreeSet<&'static str> {
        let text = |settings: &Self, variable| settings.given(variable).map(|given| given.text.clone());
        variables::all()
            .map(|variable| variable.name)
            .filter(|name| text(self, name) != text(other, name))
            .chain(self.contents.changed(&other.contents).filter(|name| *name != CONFIG))
            .collect()
    }
}

/// The settings file: the one given, else the one that its variable names.
pub(crate) fn config_path(lookup: &dyn Fn(&str) -> Option<String>, config: Option<&Path>) -> Option<PathBuf> {
    config.map(Path::to_owned).or_else(|| {
        let named = lookup(CONFIG)?;
        (!named.trim().is_empty()).then(|| PathBuf::from(named.trim()))
    })
}

fn has_arc_agent() -> bool {
    Path::new(identity::HIMDS_PATH).exists()
}

const CONFIG: &str = "REMORA_CONFIG";

/// The program raises the system's limit of open files itself.
const CONNECTIONS_MAX: usize = 12_000;

#[cfg(test)]
mod tests;
