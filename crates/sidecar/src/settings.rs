//! Settings: strings of the environment in, checked values out, or everything that is wrong with them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use identity::{
    Application, ClientCertificate, ClientSecret, Cloud, Credential, DefaultCredential, DefaultSettings, Environment,
    IdentitySelector, IdentitySource, ManagedIdentity, Scope, SettingError, WorkloadIdentity,
};
use proxy::{Limits, check_upstream_url};
use rustls::RootCertStore;
use secrecy::SecretString;
use url::Url;

use crate::mistake::{InvalidSettings, Mistake};

mod credential;

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
    /// Whether to log everything.
    pub trace: bool,
    /// Bounds of the proxy.
    pub limits: Limits,
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

/// A credential, not yet at work.
#[derive(Clone, Debug)]
pub enum IdentitySettings {
    /// An identity of this machine.
    Managed {
        /// Which.
        selector: IdentitySelector,
        /// Who issues its tokens.
        source: IdentitySource,
    },
    /// An application with a certificate in a file.
    Certificate {
        /// The application.
        application: Application,
        /// The file.
        path: PathBuf,
    },
    /// An application with a secret.
    Secret {
        /// The application.
        application: Application,
        /// Its secret.
        secret: SecretString,
    },
    /// An application that trusts the cluster's tokens.
    Workload {
        /// The application.
        application: Application,
        /// The file with the cluster's token.
        token_file: PathBuf,
    },
    /// The first of all these that is configured and works.
    Default(Box<DefaultSettings>),
}

impl IdentitySettings {
    /// The credential.
    ///
    /// # Errors
    /// For [`IdentitySettings::Default`], when a part of it cannot be used; [`Settings::from_env`] has checked that.
    pub fn credential(&self, environment: Environment) -> Result<Arc<dyn Credential>, SettingError> {
        Ok(match self.clone() {
            Self::Managed { selector, source } => Arc::new(ManagedIdentity::new(selector, source, environment)),
            Self::Certificate { application, path } => {
                Arc::new(ClientCertificate::new(application, path, None, environment))
            }
            Self::Secret { application, secret } => Arc::new(ClientSecret::new(application, secret, environment)),
            Self::Workload { application, token_file } => {
                Arc::new(WorkloadIdentity::new(application, token_file, environment))
            }
            Self::Default(settings) => Arc::new(DefaultCredential::from_settings(&settings, &environment)?),
        })
    }

    /// Its name as `IDENTITY_TYPE` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Managed { selector: IdentitySelector::SystemAssigned, .. } => "systemAssigned",
            Self::Managed { .. } => "userAssigned",
            Self::Certificate { .. } | Self::Secret { .. } => "aadApplication",
            Self::Workload { .. } => "workloadIdentity",
            Self::Default(_) => "default",
        }
    }
}

impl Settings {
    /// Reads the settings from what `lookup` gives for a variable's name. An empty value counts as none.
    ///
    /// # Errors
    /// [`InvalidSettings`] names every mistake that can be seen from here; whether a credential works shows later.
    ///
    /// Of the machine itself nothing decides but, for managed identities, whether it has Azure Arc's agent; that is not
    /// looked up when `AZURE_POD_IDENTITY_AUTHORITY_HOST` is set.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        Self::from_env_on(lookup, &|| std::path::Path::new(identity::HIMDS_PATH).exists())
    }

    /// The same on a machine of which `has_arc_agent` tells whether it has Azure Arc's agent; only asked if it matters.
    fn from_env_on(
        lookup: impl Fn(&str) -> Option<String>,
        has_arc_agent: &dyn Fn() -> bool,
    ) -> Result<Self, InvalidSettings> {
        let mut reader = Reader { lookup: &lookup, has_arc_agent, mistakes: Vec::new() };
        let ingestion_url = reader.ingestion_url();
        let named_cloud = reader.cloud();
        let ingestion_scope = reader.ingestion_scope(named_cloud.unwrap_or_default());
        let cloud = reader.agreed_cloud(named_cloud, ingestion_scope.as_ref());
        let listen = reader.listen();
        let identity = reader.identity(cloud);
        let query = reader.query(cloud, ingestion_scope.as_ref());
        let roots = reader.roots();
        let cluster = reader.text("CLUSTER");
        // Its presence alone switched it on in the sidecar's open relative; only a clear no switches it off.
        let trace = reader.text("TRACE_LOGGING").is_some_and(|text| parse_bool(&text) != Some(false));
        match (ingestion_url, ingestion_scope, listen, identity, roots) {
            (Some(ingestion_url), Some(ingestion_scope), Some(listen), Some(identity), Some(roots))
                if reader.mistakes.is_empty() =>
            {
                let limits = Limits::default();
                Ok(Self {
                    ingestion_url,
                    ingestion_scope,
                    listen,
                    identity,
                    cloud,
                    cluster,
                    query,
                    roots,
                    trace,
                    limits,
                })
            }
            _ => Err(InvalidSettings(reader.mistakes)),
        }
    }
}

/// Reads variables and collects what is wrong with them.
struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    has_arc_agent: &'a dyn Fn() -> bool,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn text(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn secret(&self, variable: &str) -> Option<SecretString> {
        self.text(variable).map(SecretString::from)
    }

    fn mistake(&mut self, variable: &'static str, message: impl Into<String>) {
        self.mistakes.push(Mistake { variable, message: message.into() });
    }

    fn required(&mut self, variable: &'static str, mend: &str) -> Option<String> {
        let text = self.text(variable);
        if text.is_none() {
            self.mistake(variable, format!("is missing: {mend}"));
        }
        text
    }

    fn mistake_of(&mut self, error: &SettingError) {
        self.mistake(variable_of(error), error.to_string());
    }

    fn ok<T>(&mut self, result: Result<T, SettingError>) -> Option<T> {
        result.map_err(|error| self.mistake_of(&error)).ok()
    }

    fn ingestion_url(&mut self) -> Option<Url> {
        let mend = "set it to the metrics ingestion endpoint of the workspace, as its overview page shows it";
        let text = self.required("INGESTION_URL", mend)?;
        self.url("INGESTION_URL", &text)
    }

    fn url(&mut self, variable: &'static str, text: &str) -> Option<Url> {
        let example = "give a whole URL such as https://name.region-1.metrics.ingest.monitor.azure.com/…";
        let url = match Url::parse(text) {
            Ok(url) => url,
            // The text is not repeated: it may hold a password.
            Err(error) => {
                self.mistake(variable, format!("is not a URL ({error}): {example}"));
                return None;
            }
        };
        check_upstream_url(&url).map_err(|error| self.mistake(variable, error.to_string())).ok()?;
        Some(url)
    }

    /// The cloud that `CLOUD` names; none when it names none.
    fn cloud(&mut self) -> Option<Cloud> {
        let parsed = self.text("CLOUD")?.parse();
        self.ok(parsed)
    }

    /// The cloud that stands when the audience has been read: the named one, else that of the audience, else the public.
    fn agreed_cloud(&mut self, named: Option<Cloud>, scope: Option<&Scope>) -> Cloud {
        let told = scope.filter(|_| self.text("INGESTION_AAD_AUDIENCE").is_some());
        let told = told.and_then(Cloud::of_ingestion_audience);
        if let (Some(named), Some(told)) = (named, told)
            && let Some(expected) = named.ingestion_audience().filter(|_| named != told)
        {
            let message = format!(
                "it is the audience of {told}, but CLOUD is {named}: set CLOUD={}, or set this to {expected} or leave it out",
                told.to_string().to_ascii_uppercase()
            );
            self.mistake("INGESTION_AAD_AUDIENCE", message);
        }
        named.or(told).unwrap_or_default()
    }

    fn ingestion_scope(&mut self, cloud: Cloud) -> Option<Scope> {
        let audience = match (self.text("INGESTION_AAD_AUDIENCE"), cloud.ingestion_audience()) {
            (Some(audience), _) => audience,
            (None, Some(audience)) => audience.to_owned(),
            (None, None) => {
                let mend = "is missing: CLOUD=AZURECUSTOM has no audience of its own, set it to <audience>/.default";
                self.mistake("INGESTION_AAD_AUDIENCE", mend);
                return None;
            }
        };
        self.ok(Scope::parse(&audience))
    }

    fn listen(&mut self) -> Option<SocketAddr> {
        let port = match self.text("LISTENING_PORT") {
            None => Some(DEFAULT_PORT),
            Some(text) => {
                let port = text.parse::<u16>().ok();
                if port.is_none() {
                    self.mistake(
                        "LISTENING_PORT",
                        format!("{text:?} is not a port: give a number from 0 to 65535, usually 8081"),
                    );
                }
                port
            }
        };
        let address = match self.text("REMORA_LISTEN_ADDRESS") {
            None => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            Some(text) => {
                let address = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
                if address.is_none() {
                    let mend = "give an IP address such as 127.0.0.1, without a port (that is LISTENING_PORT)";
                    self.mistake("REMORA_LISTEN_ADDRESS", format!("{text:?} is not an IP address: {mend}"));
                }
                address
            }
        };
        Some(SocketAddr::new(address?, port?))
    }

    fn roots(&mut self) -> Option<Arc<RootCertStore>> {
        let path = self.text("SSL_CERT_FILE").map(PathBuf::from);
        host::tls::roots(path.as_deref()).map_err(|error| self.mistake("SSL_CERT_FILE", error.to_string())).ok()
    }

    fn query(&mut self, cloud: Cloud, ingestion_scope: Option<&Scope>) -> Option<QuerySettings> {
        let allow_remote = self.bool("REMORA_QUERY_ALLOW_REMOTE");
        let text = self.text("REMORA_QUERY_URL")?;
        let parsed = Url::parse(&text).ok();
        let url = self.url("REMORA_QUERY_URL", &text);
        if parsed.is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
            self.mistake(
                "REMORA_QUERY_URL",
                "holds a query or fragment: give the endpoint's base, /api/v1/… is appended",
            );
        }
        let scope = ingestion_scope.and_then(|ingestion| query_scope(cloud, ingestion));
        if scope.is_none() && ingestion_scope.is_some() {
            let mend = "leave it out, or use an INGESTION_AAD_AUDIENCE of the form https://monitor.<domain>";
            self.mistake("REMORA_QUERY_URL", format!("the audience for queries is not known in this cloud: {mend}"));
        }
        Some(QuerySettings { url: url?, scope: scope?, allow_remote })
    }

    fn bool(&mut self, variable: &'static str) -> bool {
        let Some(text) = self.text(variable) else { return false };
        parse_bool(&text).unwrap_or_else(|| {
            self.mistake(variable, format!("{text:?} is neither true nor false: set it to one of them"));
            false
        })
    }
}

/// The audience of queries beside that of ingestion: a known cloud's, else formed as every cloud forms it.
fn query_scope(cloud: Cloud, ingestion: &Scope) -> Option<Scope> {
    let known = Cloud::of_ingestion_audience(ingestion).unwrap_or(cloud).query_audience().map(str::to_owned);
    let formed = || {
        let domain = ingestion.resource().strip_prefix("https://monitor.")?;
        Some(format!("https://prometheus.monitor.{domain}"))
    };
    Scope::parse(&known.or_else(formed)?).ok()
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The variable to change when a part of the identity cannot be used.
fn variable_of(error: &SettingError) -> &'static str {
    match error {
        SettingError::Cloud(_) => "CLOUD",
        SettingError::Scope(_) => "INGESTION_AAD_AUDIENCE",
        SettingError::Authority { .. } => "AZURE_AUTHORITY_HOST",
        SettingError::Tenant(_) => "AZURE_TENANT_ID",
        SettingError::ClientId(_) => "AZURE_CLIENT_ID",
        SettingError::Endpoint { variable, .. } | SettingError::UnsupportedSource { variable, .. } => variable,
        SettingError::NothingConfigured => "IDENTITY_TYPE",
    }
}

const DEFAULT_PORT: u16 = 8081;

#[cfg(test)]
mod tests;
