//! An application that proves itself by signing with the key of a certificate.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::RSA_PSS_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use environment::{BoxFuture, UnixTime};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use crate::certificate::{CertificateError, SigningCertificate};
use crate::credential::{Credential, Environment};
use crate::entra::{Application, EntraClient, Proof};
use crate::token_error::TokenErrorKind;
use crate::{AccessToken, Scope, TokenError};

#[cfg(test)]
mod tests;

/// An application with a certificate in a file.
///
/// The file is read at every exchange, so a rotated certificate is used at the next one. While the new content is broken,
/// the certificate read before goes on serving.
pub struct ClientCertificate {
    entra: EntraClient,
    path: PathBuf,
    password: Option<SecretString>,
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Clone)]
struct Loaded {
    /// SHA-256 of the file, so that an unchanged one is not parsed again: deriving its key is slow on purpose.
    content: [u8; 32],
    certificate: Arc<SigningCertificate>,
}

const ASSERTION_LIFETIME: Duration = Duration::from_secs(600);
/// How far ahead of us the clock of whoever issued the certificate may be.
const NOT_BEFORE_LEEWAY: Duration = Duration::from_secs(300);

impl ClientCertificate {
    /// `application` with the certificate and key in the file `path`, under `password` if it has one.
    pub fn new(
        application: Application,
        path: PathBuf,
        password: Option<SecretString>,
        environment: Environment,
    ) -> Self {
        Self { entra: EntraClient::new(application, environment), path, password, loaded: Mutex::new(None) }
    }

    /// The certificate to sign with now.
    fn certificate(&self, credential: &str) -> Result<Arc<SigningCertificate>, TokenError> {
        let now = self.entra.environment.clock.now();
        let before = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let failure = match self.load(before.as_ref()) {
            Ok(loaded) => match validity(&loaded.certificate, now) {
                Ok(()) => {
                    if before.is_none_or(|before| before.content != loaded.content) {
                        self.announce(&loaded.certificate);
                    }
                    let certificate = Arc::clone(&loaded.certificate);
                    *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
                    return Ok(certificate);
                }
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        let (what, mend) = failure;
        match before.filter(|before| validity(&before.certificate, now).is_ok()) {
            Some(before) => {
                tracing::warn!(path = %self.path.display(), "{what}; the certificate read before goes on serving; {mend}");
                Ok(before.certificate)
            }
            None => {
                let message = format!("certificate file {}: {what}", self.path.display());
                Err(TokenError::new(TokenErrorKind::Local, credential, message).with_mend(mend))
            }
        }
    }

    fn load(&self, before: Option<&Loaded>) -> Result<Loaded, (String, String)> {
        let bytes = self.entra.environment.disk.read(&self.path).map(Zeroizing::new).map_err(|error| {
            (format!("cannot be read: {error}"), "check the path and that the secret is mounted".to_owned())
        })?;
        let content: [u8; 32] =
            digest::digest(&digest::SHA256, &bytes).as_ref().try_into().expect("SHA-256 has 32 bytes");
        if let Some(before) = before.filter(|before| before.content == content) {
            return Ok(before.clone());
        }
        let password = self.password.as_ref().map(|password| password.expose_secret());
        let certificate = SigningCertificate::parse(&bytes, password)
            .map_err(|error: CertificateError| (error.to_string(), error.mend().to_owned()))?;
        Ok(Loaded { content, certificate: Arc::new(certificate) })
    }

    fn announce(&self, certificate: &SigningCertificate) {
        tracing::info!(
            path = %self.path.display(),
            thumbprint = certificate.thumbprint_sha1_hex(),
            not_after = certificate.not_after().as_secs(),
            "certificate loaded"
        );
    }

    /// A signed statement that we are the application, for `audience` alone.
    fn assertion(&self, certificate: &SigningCertificate, audience: &Url) -> Result<Zeroizing<String>, TokenError> {
        let now = self.entra.environment.clock.now();
        let client_id = self.entra.application.client_id();
        let chain: Vec<String> = certificate.chain().iter().map(|der| STANDARD.encode(der)).collect();
        // Padded base64 of the standard alphabet: what the Azure libraries send and Entra compares with.
        let thumbprint = STANDARD.encode(digest::digest(&digest::SHA256, &certificate.chain()[0]));
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint, "x5c": chain});
        let claims = json!({
            "aud": audience.as_str(),
            "iss": client_id,
            "sub": client_id,
            "jti": self.entra.environment.request_id(),
            "nbf": now.as_secs(),
            "exp": now.plus(ASSERTION_LIFETIME).as_secs(),
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut assertion = format!("{}.{}", encode(&header), encode(&claims));
        let key = certificate.key();
        let mut signature = vec![0; key.public_modulus_len()];
        // The salt comes from the library's own generator: a signature need not replay from a seed.
        key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), assertion.as_bytes(), &mut signature).map_err(|_| {
            TokenError::new(TokenErrorKind::Local, self.describe(), "signing with the certificate's key failed")
        })?;
        assertion.push('.');
        assertion.push_str(&URL_SAFE_NO_PAD.encode(&signature));
        Ok(Zeroizing::new(assertion))
    }
}

impl Credential for ClientCertificate {
    fn fetch<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        Box::pin(async move {
            let credential = self.describe();
            // Before anything is sent: an expired certificate needs no round trip to be refused.
            let certificate = self.certificate(&credential)?;
            let endpoint = self.entra.token_endpoint(&credential).await?;
            let assertion = self.assertion(&certificate, &endpoint)?;
            self.entra.exchange(&credential, &endpoint, scope, Proof::Assertion(&assertion)).await
        })
    }

    fn describe(&self) -> String {
        format!("client certificate of application {}", self.entra.application.client_id())
    }

    fn kind(&self) -> &'static str {
        "client certificate"
    }
}

fn validity(certificate: &SigningCertificate, now: UnixTime) -> Result<(), (String, String)> {
    if now > certificate.not_after() {
        let since = now.since(certificate.not_after()).as_secs();
        let what = format!("the certificate expired {} ago", span(since));
        return Err((what, "renew the certificate, register it with the application and replace the file".to_owned()));
    }
    if now.plus(NOT_BEFORE_LEEWAY) < certificate.not_before() {
        let until = certificate.not_before().since(now).as_secs();
        let what = format!("the certificate is not valid for another {}", span(until));
        return Err((what, "check this machine's clock, or wait".to_owned()));
    }
    Ok(())
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
