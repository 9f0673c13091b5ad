//! Which credential the variables describe.
//!
//! Every variable is looked at whatever is wrong with another, so that one run names all mistakes.

use std::path::PathBuf;

use identity::{
    Application, Authority, Cloud, DefaultSettings, IdentitySelector, IdentitySource, ManagedIdentitySettings,
    SettingError,
};

use secrecy::SecretString;

use super::{IdentitySettings, Reader};

impl Reader<'_> {
    pub(super) fn identity(&mut self, cloud: Cloud) -> Option<IdentitySettings> {
        let kind = self.required("IDENTITY_TYPE", &format!("set it to {KINDS}"));
        match kind.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("userassigned") => {
                let client_id = self.required_client_id(CLIENT_ID_OF_MANAGED_IDENTITY);
                let source = self.managed_source();
                Some(IdentitySettings::Managed { selector: IdentitySelector::ClientId(client_id?), source: source? })
            }
            Some("systemassigned") => {
                let source = self.managed_source()?;
                Some(IdentitySettings::Managed { selector: IdentitySelector::SystemAssigned, source })
            }
            Some("aadapplication") => self.application_with_proof(cloud),
            Some("workloadidentity") => self.workload_identity(cloud),
            Some("default") => self.default_identity(cloud),
            _ => {
                if let Some(kind) = kind {
                    self.mistake("IDENTITY_TYPE", format!("{kind:?} is not known: set it to {KINDS}"));
                }
                // Which of these are needed is not known; what is there can be looked at.
                self.client_id(CLIENT_ID_OF_APPLICATION);
                self.tenant();
                self.given_authority(cloud);
                None
            }
        }
    }

    fn application_with_proof(&mut self, cloud: Cloud) -> Option<IdentitySettings> {
        let application = self.application(cloud);
        if let Some(path) = self.text("AZURE_CLIENT_CERTIFICATE_PATH") {
            return Some(IdentitySettings::Certificate { application: application?, path: path.into() });
        }
        let Some(secret) = self.client_secret() else {
            let mend = "set it to the file with the application's certificate and key (or set AZURE_CLIENT_SECRET)";
            self.mistake("AZURE_CLIENT_CERTIFICATE_PATH", format!("is missing: {mend}"));
            return None;
        };
        Some(IdentitySettings::Secret { application: application?, secret })
    }

    fn workload_identity(&mut self, cloud: Cloud) -> Option<IdentitySettings> {
        let application = self.application(cloud);
        let mend = "label the pod azure.workload.identity/use=true so that the webhook sets it";
        let token_file = self.required("AZURE_FEDERATED_TOKEN_FILE", mend);
        Some(IdentitySettings::Workload { application: application?, token_file: token_file?.into() })
    }

    fn application(&mut self, cloud: Cloud) -> Option<Application> {
        let client_id = self.required_client_id(CLIENT_ID_OF_APPLICATION);
        let tenant = self.required("AZURE_TENANT_ID", TENANT_MEND).and_then(|_| self.tenant());
        let authority = self.authority(cloud);
        let application = Application::new(authority?, &tenant?, &client_id?);
        self.ok(application)
    }

    /// What `IDENTITY_TYPE=default` means: the whole chain, or the link of it that `AZURE_TOKEN_CREDENTIALS` names.
    fn default_identity(&mut self, cloud: Cloud) -> Option<IdentitySettings> {
        let named = self.text("AZURE_TOKEN_CREDENTIALS");
        match named.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("prod") => self.default_chain(cloud),
            Some("environmentcredential") => self.environment_credential(cloud),
            Some("workloadidentitycredential") => self.workload_identity(cloud),
            Some("managedidentitycredential") => {
                let client_id = self.client_id(CLIENT_ID_OF_MANAGED_IDENTITY);
                let selector = client_id.map_or(IdentitySelector::SystemAssigned, IdentitySelector::ClientId);
                Some(IdentitySettings::Managed { selector, source: self.managed_source()? })
            }
            Some(_) => {
                let mend = "set it to prod (all of them), EnvironmentCredential, WorkloadIdentityCredential or \
                            ManagedIdentityCredential, or leave it out: credentials of developers' tools are not used here";
                let named = named.unwrap_or_default();
                self.mistake("AZURE_TOKEN_CREDENTIALS", format!("{named:?} is not supported: {mend}"));
                self.default_chain(cloud)
            }
        }
    }

    /// As the Azure libraries have it, and unlike `aadApplication`: a secret outranks a certificate.
    fn environment_credential(&mut self, cloud: Cloud) -> Option<IdentitySettings> {
        let application = self.application(cloud);
        if let Some(secret) = self.client_secret() {
            return Some(IdentitySettings::Secret { application: application?, secret });
        }
        let Some(path) = self.text("AZURE_CLIENT_CERTIFICATE_PATH") else {
            let mend = "set it to the application's secret (or set AZURE_CLIENT_CERTIFICATE_PATH)";
            self.mistake("AZURE_CLIENT_SECRET", format!("is missing: {mend}"));
            return None;
        };
        Some(IdentitySettings::Certificate { application: application?, path: path.into() })
    }

    fn default_chain(&mut self, cloud: Cloud) -> Option<IdentitySettings> {
        let client_id = self.client_id(CLIENT_ID_OF_APPLICATION);
        let tenant_id = self.tenant();
        let authority = self.authority(cloud);
        let managed_identity = self.managed_settings();
        let client_secret = self.client_secret();
        let client_certificate_path = self.text("AZURE_CLIENT_CERTIFICATE_PATH").map(PathBuf::from);
        let federated_token_file = self.text("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from);
        let has_proof = client_secret.is_some() || client_certificate_path.is_some() || federated_token_file.is_some();
        let has_application = client_id.is_some() && tenant_id.is_some() && has_proof;
        for error in managed_identity.mistakes() {
            // The chain then has other credentials and leaves managed identity out.
            if !(has_application && matches!(error, SettingError::UnsupportedSource { .. })) {
                self.mistake_of(&error);
            }
        }
        Some(IdentitySettings::Default(Box::new(DefaultSettings {
            authority: authority?,
            tenant_id,
            client_id,
            client_secret,
            client_certificate_path,
            client_certificate_password: None,
            federated_token_file,
            managed_identity,
        })))
    }

    /// The secret itself, else what stands in the file that is named for it.
    fn client_secret(&mut self) -> Option<SecretString> {
        self.secret("AZURE_CLIENT_SECRET").or_else(|| self.secret_content("REMORA_CLIENT_SECRET_FILE"))
    }

    fn required_client_id(&mut self, mend: &str) -> Option<String> {
        self.required("AZURE_CLIENT_ID", mend).and_then(|_| self.client_id(mend))
    }

    fn client_id(&mut self, mend: &str) -> Option<String> {
        self.checked("AZURE_CLIENT_ID", Application::check_client_id, "is not a GUID", mend)
    }

    fn tenant(&mut self) -> Option<String> {
        self.checked("AZURE_TENANT_ID", Application::check_tenant, "is neither a GUID nor a domain", TENANT_MEND)
    }

    fn checked(
        &mut self,
        variable: &'static str,
        check: fn(&str) -> Result<(), SettingError>,
        wrong: &str,
        mend: &str,
    ) -> Option<String> {
        let text = self.text(variable)?;
        if check(&text).is_ok() {
            return Some(text);
        }
        // Examples in documentation look like this, and get copied.
        let wrong = if text.starts_with('<') && text.ends_with('>') { "is a placeholder" } else { wrong };
        let shown: String = text.chars().take(80).collect();
        self.mistake(variable, format!("{shown:?} {wrong}: {mend}"));
        None
    }

    fn authority(&mut self, cloud: Cloud) -> Option<Authority> {
        match self.given_authority(cloud) {
            Some(given) => given,
            None => Authority::of(cloud).or_else(|| {
                let mend = "is missing: CLOUD=AZURECUSTOM has no authority of its own, set it to the base URL of yours";
                self.mistake("AZURE_AUTHORITY_HOST", mend);
                None
            }),
        }
    }

    /// None when none is given, `Some(None)` when the given one is a mistake.
    fn given_authority(&mut self, cloud: Cloud) -> Option<Option<Authority>> {
        let (variable, given) = match self.text("AZURE_AUTHORITY_HOST") {
            Some(given) => ("AZURE_AUTHORITY_HOST", Some(given)),
            None => ("AAD_HOST_ENDPOINT", self.text("AAD_HOST_ENDPOINT")),
        };
        // The webhook of workload identity still injects China's old host, whose discovery document names the new one as
        // issuer.
        let given = given.filter(|given| cloud != Cloud::China || !given.contains("//login.chinacloudapi.cn"))?;
        Some(Authority::parse(&given).map_err(|error| self.mistake(variable, error.to_string())).ok())
    }

    fn managed_source(&mut self) -> Option<IdentitySource> {
        let settings = self.managed_settings();
        settings.mistakes().iter().for_each(|error| self.mistake_of(error));
        settings.source().ok()
    }

    fn managed_settings(&self) -> ManagedIdentitySettings {
        let base = self.text("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        ManagedIdentitySettings {
            identity_endpoint: self.text("IDENTITY_ENDPOINT"),
            identity_header: self.secret("IDENTITY_HEADER"),
            identity_server_thumbprint: self.text("IDENTITY_SERVER_THUMBPRINT"),
            imds_endpoint: self.text("IMDS_ENDPOINT"),
            msi_endpoint: self.text("MSI_ENDPOINT"),
            msi_secret: self.secret("MSI_SECRET"),
            // The machine is not looked at when that would decide nothing.
            himds_present: base.is_none() && (self.has_arc_agent)(),
            azure_pod_identity_authority_host: base,
        }
    }
}

const KINDS: &str = "userAssigned, systemAssigned, aadApplication, workloadIdentity or default";
const CLIENT_ID_OF_MANAGED_IDENTITY: &str = "set it to the client id of the managed identity, a GUID";
const CLIENT_ID_OF_APPLICATION: &str = "set it to the application (client) id, a GUID";
const TENANT_MEND: &str = "set it to the directory (tenant) id of the application";
