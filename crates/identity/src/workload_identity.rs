//! Workload identity: a token that the cluster puts into a file is exchanged for one of Entra's.

use std::path::PathBuf;

use environment::BoxFuture;
use zeroize::Zeroizing;

use crate::credential::{Credential, Environment};
use crate::entra::{Application, EntraClient, Proof};
use crate::token_error::TokenErrorKind;
use crate::{AccessToken, Scope, TokenError};

/// An application or user-assigned identity that trusts the cluster's tokens.
///
/// The file is read anew for every exchange: the cluster replaces it long before the old content expires, and a remembered
/// content could outlive its validity.
pub struct WorkloadIdentity {
    entra: EntraClient,
    token_file: PathBuf,
}

const ASSERTION_BYTES_MAX: usize = 64 * 1024;

impl WorkloadIdentity {
    /// `application`, proven by the content of `token_file`.
    pub fn new(application: Application, token_file: PathBuf, environment: Environment) -> Self {
        Self { entra: EntraClient::new(application, environment), token_file }
    }

    fn read_assertion(&self, credential: &str) -> Result<Zeroizing<String>, TokenError> {
        let path = self.token_file.display();
        let wrong =
            |what: String, mend: &str| Err(TokenError::new(TokenErrorKind::Local, credential, what).with_mend(mend));
        let bytes = match self.entra.environment.disk.read(&self.token_file) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) => {
                return wrong(
                    format!("cannot read the token file {path}: {error}"),
                    "label the pod azure.workload.identity/use: \"true\", or set AZURE_FEDERATED_TOKEN_FILE",
                );
            }
        };
        let trimmed = bytes.trim_ascii();
        // A token that cannot be one is not worth a round trip, and its content must not reach an error text.
        let is_token = trimmed.len() <= ASSERTION_BYTES_MAX && trimmed.iter().all(u8::is_ascii_graphic);
        match std::str::from_utf8(trimmed) {
            Ok("") => {
                wrong(format!("the token file {path} is empty"), "check that the cluster projects a token into it")
            }
            Ok(assertion) if is_token => Ok(Zeroizing::new(assertion.to_owned())),
            _ => wrong(
                format!("the token file {path} holds no token"),
                "check that the path is that of the projected token",
            ),
        }
    }
}

impl Credential for WorkloadIdentity {
    fn fetch<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        Box::pin(async move {
            let credential = self.describe();
            let endpoint = self.entra.token_endpoint(&credential).await?;
            // After discovery, so that what is sent is what the file holds at that moment.
            let assertion = self.read_assertion(&credential)?;
            self.entra.exchange(&credential, &endpoint, scope, Proof::Assertion(&assertion)).await
        })
    }

    fn describe(&self) -> String {
        format!("workload identity of application {}", self.entra.application.client_id())
    }

    fn kind(&self) -> &'static str {
        "workload identity"
    }
}
