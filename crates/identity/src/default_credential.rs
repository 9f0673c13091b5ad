//! The chain for people who do not say which credential they mean.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use environment::BoxFuture;
use secrecy::{ExposeSecret, SecretString};

use crate::credential::{Credential, Environment};
use crate::token_error::{TokenError, TokenErrorKind};
use crate::{
    AccessToken, Application, Authority, ClientCertificate, ClientSecret, IdentitySelector, ManagedIdentity,
    ManagedIdentitySettings, Scope, SettingError, WorkloadIdentity,
};

#[cfg(test)]
mod tests;

/// What the default chain is made of; fields are the environment variables of their names.
#[derive(Clone, Debug)]
pub struct DefaultSettings {
    /// `AZURE_AUTHORITY_HOST`, else the cloud's.
    pub authority: Authority,
    /// `AZURE_TENANT_ID`
    pub tenant_id: Option<String>,
    /// `AZURE_CLIENT_ID`
    pub client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`
    pub client_secret: Option<SecretString>,
    /// `AZURE_CLIENT_CERTIFICATE_PATH`
    pub client_certificate_path: Option<PathBuf>,
    /// `AZURE_CLIENT_CERTIFICATE_PASSWORD`
    pub client_certificate_password: Option<SecretString>,
    /// `AZURE_FEDERATED_TOKEN_FILE`
    pub federated_token_file: Option<PathBuf>,
    /// Where managed identities come from.
    pub managed_identity: ManagedIdentitySettings,
}

/// Tries secret or certificate, then workload identity, then managed identity: the first that is configured and works.
///
/// Once one has worked it is the only one used: falling to another would change the principal under the service's roles.
/// For the same reason a configured credential that cannot work *now* (its endpoint throttles, or does not answer) ends
/// the attempt; the next attempt begins with it again.
pub struct DefaultCredential {
    chain: Vec<Arc<dyn Credential>>,
    chosen: OnceLock<Arc<dyn Credential>>,
}

impl DefaultCredential {
    /// A chain of `credentials`, first choice first.
    ///
    /// # Errors
    /// [`SettingError::NothingConfigured`] when there are none.
    pub fn new(credentials: Vec<Arc<dyn Credential>>) -> Result<Self, SettingError> {
        if credentials.is_empty() {
            Err(SettingError::NothingConfigured)
        } else {
            Ok(Self { chain: credentials, chosen: OnceLock::new() })
        }
    }

    /// The chain that `settings` configure. Managed identity is always its end.
    ///
    /// # Errors
    /// When a setting that is there cannot be used.
    pub fn from_settings(settings: &DefaultSettings, environment: &Environment) -> Result<Self, SettingError> {
        let mut chain: Vec<Arc<dyn Credential>> = Vec::new();
        let set = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let client_id = set(&settings.client_id);
        if let (Some(tenant), Some(client_id)) = (set(&settings.tenant_id), &client_id) {
            let application = || Application::new(settings.authority.clone(), &tenant, client_id);
            if let Some(secret) = settings.client_secret.clone().filter(|secret| !secret.expose_secret().is_empty()) {
                chain.push(Arc::new(ClientSecret::new(application()?, secret, environment.clone())));
            } else if let Some(path) = settings.client_certificate_path.clone() {
                let password = settings.client_certificate_password.clone();
                chain.push(Arc::new(ClientCertificate::new(application()?, path, password, environment.clone())));
            }
            if let Some(file) = settings.federated_token_file.clone() {
                chain.push(Arc::new(WorkloadIdentity::new(application()?, file, environment.clone())));
            }
        }
        let selector = client_id.map_or(IdentitySelector::SystemAssigned, IdentitySelector::ClientId);
        match settings.managed_identity.source() {
            Ok(source) => chain.push(Arc::new(ManagedIdentity::new(selector, source, environment.clone()))),
            // What was configured on purpose comes first and may well work.
            Err(SettingError::UnsupportedSource { .. }) if !chain.is_empty() => {}
            Err(error) => return Err(error),
        }
        Self::new(chain)
    }

    async fn fetch_first(&self, scope: &Scope) -> Result<AccessToken, TokenError> {
        if let Some(chosen) = self.chosen.get() {
            return chosen.fetch(scope).await;
        }
        let mut failures: Vec<TokenError> = Vec::new();
        for credential in &self.chain {
            match credential.fetch(scope).await {
                Ok(token) => {
                    tracing::info!("default credential: using the {}", credential.describe());
                    // A second flight cannot exist, and if it did, its choice would be as good.
                    let _ = self.chosen.set(Arc::clone(credential));
                    return Ok(token);
                }
                Err(error) => {
                    let later = error.is_transient();
                    failures.push(error);
                    if later {
                        break;
                    }
                }
            }
        }
        Err(self.none_worked(&failures))
    }

    fn none_worked(&self, failures: &[TokenError]) -> TokenError {
        let kind = failures.last().map_or(TokenErrorKind::Local, TokenError::kind);
        let told: Vec<String> = failures.iter().enumerate().map(|(i, error)| format!("({}) {error}", i + 1)).collect();
        let error = TokenError::new(kind, "default credential", format!("no credential worked: {}", told.join(" ")));
        match failures.iter().filter_map(TokenError::retry_after).max() {
            Some(span) => error.with_retry_after(span),
            None => error,
        }
    }
}

impl Credential for DefaultCredential {
    fn fetch<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        Box::pin(self.fetch_first(scope))
    }

    fn describe(&self) -> String {
        match self.chosen.get() {
            Some(chosen) => format!("default credential ({})", chosen.describe()),
            None => "default credential".to_owned(),
        }
    }

    fn kind(&self) -> &'static str {
        self.chosen.get().map_or("default credential", |chosen| chosen.kind())
    }
}
