//! Settings: strings of the environment in, checked values out, or everything that is wrong with them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use identity::{
    Application, Authority, ClientCertificate, ClientSecret, Cloud, Credential, DefaultCredential, DefaultSettings,
    Environment, IdentitySelector, IdentitySource, ManagedIdentity, ManagedIdentitySettings, Scope, SettingError,
    WorkloadIdentity,
};
use proxy::{Limits, check_upstream_url};
use rustls::RootCertStore;
use secrecy::SecretString;
use url::Url;

use crate::mistake::{InvalidSettings, Mistake};

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
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        let mut reader = Reader { lookup: &lookup, mistakes: Vec::new() };
        let ingestion_url = reader.ingestion_url();
        let cloud = reader.cloud();
        let ingestion_scope = reader.ingestion_scope(cloud);
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

    fn ok<T>(&mut self, result: Result<T, SettingError>) -> Option<T> {
        result.map_err(|error| self.mistake(variable_of(&error), error.to_string())).ok()
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

    fn cloud(&mut self) -> Cloud {
        let parsed = self.text("CLOUD").map(|text| text.parse());
        parsed.and_then(|parsed| self.ok(parsed)).unwrap_or_default()
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

    fn identity(&mut self, cloud: Cloud) -> Option<IdentitySettings> {
        let kinds = "userAssigned, systemAssigned, aadApplication, workloadIdentity or default";
        let kind = self.required("IDENTITY_TYPE", &format!("set it to {kinds}"))?;
        match kind.to_ascii_lowercase().as_str() {
            "userassigned" => {
                let client_id = self.required("AZURE_CLIENT_ID", "set it to the client id of the managed identity");
                let source = self.managed_source();
                let selector = IdentitySelector::ClientId(client_id?);
                Some(IdentitySettings::Managed { selector, source: source? })
            }
            "systemassigned" => {
                let source = self.managed_source()?;
                Some(IdentitySettings::Managed { selector: IdentitySelector::SystemAssigned, source })
            }
            "aadapplication" => self.application_with_proof(cloud),
            "workloadidentity" => {
                let application = self.application(cloud);
                let mend = "label the pod azure.workload.identity/use=true so that the webhook sets it";
                let token_file = self.required("AZURE_FEDERATED_TOKEN_FILE", mend);
                Some(IdentitySettings::Workload { application: application?, token_file: token_file?.into() })
            }
            "default" => self.default_identity(cloud),
            _ => {
                self.mistake("IDENTITY_TYPE", format!("{kind:?} is not known: set it to {kinds}"));
                None
            }
        }
    }

    fn application_with_proof(&mut self, cloud: Cloud) -> Option<IdentitySettings> {
        let application = self.application(cloud);
        if let Some(path) = self.text("AZURE_CLIENT_CERTIFICATE_PATH") {
            return Some(IdentitySettings::Certificate { application: application?, path: path.into() });
        }
        let Some(secret) = self.secret("AZURE_CLIENT_SECRET") else {
            let mend = "set it to the file with the application's certificate and key (or set AZURE_CLIENT_SECRET)";
            self.mistake("AZURE_CLIENT_CERTIFICATE_PATH", format!("is missing: {mend}"));
            return None;
        };
        Some(IdentitySettings::Secret { application: application?, secret })
    }

    fn application(&mut self, cloud: Cloud) -> Option<Application> {
        let client_id = self.required("AZURE_CLIENT_ID", "set it to the application (client) id");
        let tenant = self.required("AZURE_TENANT_ID", "set it to the directory (tenant) id of the application");
        let authority = self.authority(cloud);
        let application = Application::new(authority?, &tenant?, &client_id?);
        self.ok(application)
    }

    fn default_identity(&mut self, cloud: Cloud) -> Option<IdentitySettings> {
        let managed_identity = self.managed_settings();
        let source = managed_identity.source();
        let settings = DefaultSettings {
            tenant_id: self.text("AZURE_TENANT_ID"),
            client_id: self.text("AZURE_CLIENT_ID"),
            client_secret: self.secret("AZURE_CLIENT_SECRET"),
            client_certificate_path: self.text("AZURE_CLIENT_CERTIFICATE_PATH").map(PathBuf::from),
            client_certificate_password: None,
            federated_token_file: self.text("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
            managed_identity,
            authority: self.authority(cloud)?,
        };
        let mut has_application = false;
        if let (Some(tenant), Some(client_id)) = (&settings.tenant_id, &settings.client_id) {
            let application = Application::new(settings.authority.clone(), tenant, client_id);
            has_application = self.ok(application).is_some();
        }
        match source {
            // The chain then has other credentials and leaves managed identity out.
            Err(SettingError::UnsupportedSource { .. }) if has_application => {}
            source => drop(self.ok(source)?),
        }
        Some(IdentitySettings::Default(Box::new(settings)))
    }

    fn authority(&mut self, cloud: Cloud) -> Option<Authority> {
        let (variable, given) = match self.text("AZURE_AUTHORITY_HOST") {
            Some(given) => ("AZURE_AUTHORITY_HOST", Some(given)),
            None => ("AAD_HOST_ENDPOINT", self.text("AAD_HOST_ENDPOINT")),
        };
        // The webhook of workload identity still injects China's old host, whose discovery document names the new one as
        // issuer.
        let given = given.filter(|given| cloud != Cloud::China || !given.contains("//login.chinacloudapi.cn"));
        match (given, Authority::of(cloud)) {
            (Some(given), _) => {
                Authority::parse(&given).map_err(|error| self.mistake(variable, error.to_string())).ok()
            }
            (None, Some(authority)) => Some(authority),
            (None, None) => {
                let mend = "is missing: CLOUD=AZURECUSTOM has no authority of its own, set it to the base URL of yours";
                self.mistake("AZURE_AUTHORITY_HOST", mend);
                None
            }
        }
    }

    fn managed_source(&mut self) -> Option<IdentitySource> {
        let source = self.managed_settings().source();
        self.ok(source)
    }

    fn managed_settings(&self) -> ManagedIdentitySettings {
        ManagedIdentitySettings {
            identity_endpoint: self.text("IDENTITY_ENDPOINT"),
            identity_header: self.secret("IDENTITY_HEADER"),
            identity_server_thumbprint: self.text("IDENTITY_SERVER_THUMBPRINT"),
            imds_endpoint: self.text("IMDS_ENDPOINT"),
            msi_endpoint: self.text("MSI_ENDPOINT"),
            msi_secret: self.secret("MSI_SECRET"),
            azure_pod_identity_authority_host: self.text("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
            himds_present: std::path::Path::new(identity::HIMDS_PATH).exists(),
        }
    }

    fn query(&mut self, cloud: Cloud, ingestion_scope: Option<&Scope>) -> Option<QuerySettings> {
        let allow_remote = self.bool("REMORA_QUERY_ALLOW_REMOTE");
        let text = self.text("REMORA_QUERY_URL")?;
        let url = self.url("REMORA_QUERY_URL", &text)?;
        if url.query().is_some() || url.fragment().is_some() {
            self.mistake(
                "REMORA_QUERY_URL",
                "holds a query or fragment: give the endpoint's base, /api/v1/… is appended",
            );
            return None;
        }
        let scope = match cloud.query_audience() {
            Some(audience) => Scope::parse(audience).ok(),
            // Every cloud names the two audiences alike.
            None => ingestion_scope
                .and_then(|scope| scope.resource().strip_prefix("https://monitor."))
                .and_then(|domain| Scope::parse(&format!("https://prometheus.monitor.{domain}")).ok()),
        };
        if scope.is_none() && ingestion_scope.is_some() {
            let mend = "leave it out, or use an INGESTION_AAD_AUDIENCE of the form https://monitor.<domain>";
            self.mistake("REMORA_QUERY_URL", format!("the audience for queries is not known in this cloud: {mend}"));
        }
        Some(QuerySettings { url, scope: scope?, allow_remote })
    }

    fn bool(&mut self, variable: &'static str) -> bool {
        let Some(text) = self.text(variable) else { return false };
        parse_bool(&text).unwrap_or_else(|| {
            self.mistake(variable, format!("{text:?} is neither true nor false: set it to one of them"));
            false
        })
    }
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
