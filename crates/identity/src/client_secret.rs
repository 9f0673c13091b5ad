//! An application that proves itself with a secret.

use environment::BoxFuture;
use secrecy::{ExposeSecret, SecretString};

use crate::credential::{Credential, Environment};
use crate::entra::{Application, EntraClient, Proof};
use crate::{AccessToken, Scope, TokenError};

/// An application with a client secret.
pub struct ClientSecret {
    entra: EntraClient,
    secret: SecretString,
}

impl ClientSecret {
    /// `application` with `secret`.
    pub fn new(application: Application, secret: SecretString, environment: Environment) -> Self {
        Self { entra: EntraClient::new(application, environment), secret }
    }
}

impl Credential for ClientSecret {
    fn fetch<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        Box::pin(async move {
            let credential = self.describe();
            let endpoint = self.entra.token_endpoint(&credential).await?;
            self.entra.exchange(&credential, &endpoint, scope, Proof::Secret(self.secret.expose_secret())).await
        })
    }

    fn describe(&self) -> String {
        format!("client secret of application {}", self.entra.application.client_id())
    }

    fn kind(&self) -> &'static str {
        "client secret"
    }
}
