//! Who we are, as settings say it.

use std::path::PathBuf;
use std::sync::Arc;

use identity::{
    Application, ClientCertificate, ClientSecret, Credential, DefaultCredential, DefaultSettings, Environment,
    IdentitySelector, IdentitySource, ManagedIdentity, SettingError, WorkloadIdentity,
};
use secrecy::SecretString;

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
