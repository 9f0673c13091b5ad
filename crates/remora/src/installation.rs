//! What `remora up` makes once and finds again: a directory with principals, their secrets, and the ids of a workspace.
//!
//! Ids are in `installation.json`. Secrets are files of their own below `secrets/`, readable by the owner alone, since people
//! and programs are to use them; the authority is only told their digests and public keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use authority::{ClientSecret, make_client_certificate};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog::ApplicationSecret;
use environment::{Clock, Disk, Rng, UnixTime};
use model::AccountId;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::private_file;

/// The ids of an installation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Ids {
    /// Layout of this file and of what lies beside it.
    version: u32,
    pub(crate) tenant_id: Uuid,
    pub(crate) subscription_id: Uuid,
    account_id: Uuid,
    pub(crate) rule: String,
    pub(crate) endpoint: String,
    pub(crate) managed_identity: Principal,
    pub(crate) application: Principal,
    pub(crate) admin: Principal,
}

/// A principal's two ids.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Principal {
    pub(crate) client_id: Uuid,
    pub(crate) object_id: Uuid,
}

/// Files with secrets.
#[derive(Clone, Debug)]
pub(crate) struct SecretFiles {
    pub(crate) client_secret: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) certificate_pfx: PathBuf,
    pub(crate) federated_token: PathBuf,
    pub(crate) admin_secret: PathBuf,
    pub(crate) identity_header: PathBuf,
}

/// An installation, complete.
pub(crate) struct Installation {
    pub(crate) ids: Ids,
    pub(crate) files: SecretFiles,
    pub(crate) client_secret: ApplicationSecret,
    pub(crate) admin_secret: ApplicationSecret,
    /// What requests to the App Service form of IMDS must bring.
    pub(crate) identity_header: SecretString,
    /// Of the application's certificate, in DER.
    pub(crate) certificate_der: Vec<u8>,
}

impl Ids {
    fn draw(rng: &dyn Rng) -> Self {
        let principal = || Principal { client_id: uuid(rng), object_id: uuid(rng) };
        Self {
            version: VERSION,
            tenant_id: uuid(rng),
            subscription_id: uuid(rng),
            account_id: uuid(rng),
            rule: format!("dcr-{}", uuid(rng).as_simple()),
            endpoint: format!("dce-{}", uuid(rng).as_simple()),
            managed_identity: principal(),
            application: principal(),
            admin: principal(),
        }
    }

    /// The workspace's identity.
    pub(crate) fn account_id(&self) -> AccountId {
        AccountId(self.account_id)
    }
}

impl Installation {
    /// Opens what is in `directory`, and makes what is not there.
    ///
    /// # Errors
    /// When a file cannot be read, written or understood.
    pub(crate) fn open(directory: &Path, disk: &dyn Disk, rng: &dyn Rng, clock: &dyn Clock) -> anyhow::Result<Self> {
        let secrets = directory.join("secrets");
        disk.create_directory(&secrets).with_context(|| format!("cannot make {}", secrets.display()))?;
        let ids = ids(&directory.join("installation.json"), disk, rng)?;
        let files = SecretFiles {
            client_secret: secrets.join("client-secret"),
            certificate: secrets.join("certificate.pem"),
            certificate_pfx: secrets.join("certificate.pfx"),
            federated_token: secrets.join("federated-token"),
            admin_secret: secrets.join("admin-secret"),
            identity_header: secrets.join("identity-header"),
        };
        let client_secret = application_secret(&files.client_secret, disk, rng)?;
        let admin_secret = application_secret(&files.admin_secret, disk, rng)?;
        let identity_header = secret(&files.identity_header, disk, rng)?;
        let certificate_der = certificate(&files, &ids.application, disk, clock.now())?;
        Ok(Self { ids, files, client_secret, admin_secret, identity_header, certificate_der })
    }
}

fn ids(path: &Path, disk: &dyn Disk, rng: &dyn Rng) -> anyhow::Result<Ids> {
    let at = || path.display().to_string();
    if let Some(text) = private_file::read(disk, path).with_context(at)? {
        let ids: Ids = serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged: restore it, or begin anew in another directory", at()))?;
        ensure!(
            ids.version <= VERSION,
            "{} was written by a newer remora (layout {}): use that one",
            at(),
            ids.version
        );
        return Ok(ids);
    }
    let ids = Ids::draw(rng);
    let text = serde_json::to_vec_pretty(&ids).context("ids are plain data")?;
    private_file::replace(disk, path, &text).with_context(at)?;
    Ok(ids)
}

/// A secret that an application presents, kept in a file of its own, as the catalogue knows it.
///
/// # Errors
/// When the file cannot be read or written, or holds no good secret.
pub(crate) fn application_secret(path: &Path, disk: &dyn Disk, rng: &dyn Rng) -> anyhow::Result<ApplicationSecret> {
    let secret = secret(path, disk, rng)?;
    let known = ClientSecret::new(&secret).with_context(|| path.display().to_string())?;
    Ok(ApplicationSecret {
        key_id: uuid(rng),
        name: "installation".to_owned(),
        hint: secret.expose_secret().chars().take(HINT_CHARACTERS).collect(),
        sha256_hex: known.sha256_hex(),
        expires_at: None,
    })
}

fn secret(path: &Path, disk: &dyn Disk, rng: &dyn Rng) -> anyhow::Result<SecretString> {
    let at = || path.display().to_string();
    let text = match private_file::read(disk, path).with_context(at)? {
        Some(text) => String::from_utf8(text).with_context(at)?.trim().to_owned(),
        None => {
            let mut bytes = [0; SECRET_BYTES];
            rng.fill(&mut bytes);
            let text = URL_SAFE_NO_PAD.encode(bytes);
            private_file::replace(disk, path, text.as_bytes()).with_context(at)?;
            text
        }
    };
    Ok(SecretString::from(text))
}

/// The application's certificate, self-signed as Entra takes them, with its key: as PEM, and as PKCS#12 without password.
fn certificate(
    files: &SecretFiles,
    application: &Principal,
    disk: &dyn Disk,
    now: UnixTime,
) -> anyhow::Result<Vec<u8>> {
    let at = |path: &Path| path.display().to_string();
    let stored = private_file::read(disk, &files.certificate).with_context(|| at(&files.certificate))?;
    let pem = match stored {
        Some(pem) => pem,
        None => {
            let made = make_client_certificate(&application.client_id.to_string(), now, CERTIFICATE_LIFETIME)
                .context("cannot make the application's certificate")?;
            private_file::replace(disk, &files.certificate_pfx, &made.pfx)
                .with_context(|| at(&files.certificate_pfx))?;
            // Last, as it is what the next start looks for.
            private_file::replace(disk, &files.certificate, made.pem.as_bytes())
                .with_context(|| at(&files.certificate))?;
            return Ok(made.der);
        }
    };
    certificate_der(&pem).with_context(|| format!("{} holds no certificate", at(&files.certificate)))
}

fn certificate_der(pem: &[u8]) -> anyhow::Result<Vec<u8>> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    Ok(CertificateDer::from_pem_slice(pem)?.to_vec())
}

pub(crate) fn uuid(rng: &dyn Rng) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// Layout of an installation's files.
const VERSION: u32 = 1;

/// A laptop's certificate should not be what stops working one day.
const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What people see of a secret, to tell it from others.
const HINT_CHARACTERS: usize = 3;

/// Randomness of a secret: as much as anybody could ever need to guess.
const SECRET_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use host::{HostClock, HostDisk, HostRng};

    use super::*;

    #[test]
    fn made_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let first = Installation::open(directory.path(), &HostDisk, &HostRng, &HostClock::new()).unwrap();
        let second = Installation::open(directory.path(), &HostDisk, &HostRng, &HostClock::new()).unwrap();
        assert_eq!(first.ids, second.ids);
        assert_eq!(first.certificate_der, second.certificate_der);
        assert_ne!(first.ids.application, first.ids.admin);
    }

    #[test]
    fn a_newer_layout_is_refused_with_a_clear_word() {
        let directory = tempfile::tempdir().unwrap();
        Installation::open(directory.path(), &HostDisk, &HostRng, &HostClock::new()).unwrap();
        let path = directory.path().join("installation.json");
        let text = std::fs::read_to_string(&path).unwrap().replace("\"version\": 1", "\"version\": 2");
        std::fs::write(&path, text).unwrap();
        let error = Installation::open(directory.path(), &HostDisk, &HostRng, &HostClock::new())
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(error.contains("newer remora"), "{error}");
    }
}
