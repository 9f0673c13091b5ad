//! A certificate authority of our own, so that clients which insist on https can talk to services of this machine.
//!
//! `ca.pem` is for clients to trust and stays the same for years; the server's certificate is made again when its names
//! change or it is about to expire. The CA's name holds a digest of its key, so that two installations never have CAs of
//! one name and different keys.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use environment::{Clock, Disk, UnixTime};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::files::{self, FileError};

/// The CA and the names its server certificate is for.
pub struct LocalCa {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    directory: PathBuf,
    key: KeyPair,
    ca_pem: String,
    names: Vec<String>,
}

/// A server's certificate and key, as TLS libraries take them.
pub struct ServerCertificate {
    /// The server's certificate and the CA's, in PEM.
    pub chain_pem: String,
    /// The private key (PKCS#8), in PEM.
    pub key_pem: Zeroizing<String>,
    /// When it expires.
    pub not_after: UnixTime,
}

/// The CA cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum LocalCaError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file's content.
    #[error(
        "{0} is broken: restore it, or remove ca.pem and ca-key.pem to begin with a new CA that clients must be told to trust"
    )]
    Content(String),
    /// A name that no certificate can carry.
    #[error("{0:?} cannot stand in a certificate: give a host name or an IP address")]
    Name(String),
    /// The library.
    #[error("no certificate can be made: {0}")]
    Making(#[from] rcgen::Error),
}

impl LocalCa {
    /// Opens the CA in `directory`; makes it when there is none. Its server certificate is for `localhost`, `127.0.0.1`,
    /// `::1` and `names`, host names and addresses.
    ///
    /// # Errors
    /// When its files cannot be read or written, or a name is none.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        directory: &Path,
        names: &[String],
    ) -> Result<Self, LocalCaError> {
        let names = all_names(names)?;
        let key_path = directory.join(CA_KEY_FILE);
        let key = match read_key(&*disk, &key_path)? {
            Some(key) => key,
            None => {
                let key = KeyPair::generate()?;
                files::replace(&*disk, &key_path, Zeroizing::new(key.serialize_pem()).as_bytes())?;
                key
            }
        };
        let ca_path = directory.join(CA_FILE);
        let stored = read_text(&*disk, &ca_path)?.filter(|pem| is_ca_of(pem, &key, clock.now()));
        let ca_pem = match stored {
            Some(pem) => pem,
            // Same key and name: what it signed before stays good.
            None => {
                let pem = ca_params(&key, clock.now()).self_signed(&key)?.pem();
                files::replace(&*disk, &ca_path, pem.as_bytes())?;
                pem
            }
        };
        Ok(Self { disk, clock, directory: directory.to_owned(), key, ca_pem, names })
    }

    /// The CA's certificate in PEM, for clients to trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Where that stands.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.join(CA_FILE)
    }

    /// The server's certificate: the stored one if it is still good, else a new one. Call it again daily and pass on what
    /// has changed.
    ///
    /// # Errors
    /// When it cannot be read or kept.
    pub fn server_certificate(&self) -> Result<ServerCertificate, LocalCaError> {
        let (certificate_path, key_path) = (self.directory.join(SERVER_FILE), self.directory.join(SERVER_KEY_FILE));
        if let (Some(pem), Ok(Some(key))) =
            (read_text(&*self.disk, &certificate_path)?, read_key(&*self.disk, &key_path))
            && let Some(not_after) = self.good_until(&pem, &key)
        {
            return Ok(self.material(&pem, &key, not_after));
        }
        let key = KeyPair::generate()?;
        let now = self.clock.now();
        let ca = Issuer::new(ca_params(&self.key, now), &self.key);
        let params = self.server_params(now)?;
        let certificate = params.signed_by(&key, &ca)?;
        // A crash between the two leaves a pair that does not fit, which the next start replaces.
        files::replace(&*self.disk, &key_path, Zeroizing::new(key.serialize_pem()).as_bytes())?;
        files::replace(&*self.disk, &certificate_path, certificate.pem().as_bytes())?;
        Ok(self.material(&certificate.pem(), &key, now.plus(SERVER_LIFETIME)))
    }

    fn material(&self, pem: &str, key: &KeyPair, not_after: UnixTime) -> ServerCertificate {
        let key_pem = Zeroizing::new(key.serialize_pem());
        ServerCertificate { chain_pem: format!("{pem}{}", self.ca_pem), key_pem, not_after }
    }

    fn server_params(&self, now: UnixTime) -> Result<CertificateParams, LocalCaError> {
        let mut params = CertificateParams::new(self.names.clone())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        set_validity(&mut params, now, SERVER_LIFETIME);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    /// When a stored certificate expires, if it can still be used: our CA's, for this key and exactly these names, with
    /// a month to go.
    fn good_until(&self, pem: &str, key: &KeyPair) -> Option<UnixTime> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let not_after = UnixTime::from_secs(certificate.validity().not_after.timestamp());
        let not_before = UnixTime::from_secs(certificate.validity().not_before.timestamp());
        let now = self.clock.now();
        let names = certificate.subject_alternative_name().ok()??;
        let mut names: Vec<String> = names.value.general_names.iter().filter_map(name_text).collect();
        let mut wanted = self.names.clone();
        names.sort();
        wanted.sort();
        let good = names == wanted
            && certificate.public_key().raw == key.subject_public_key_info()
            && common_name(certificate.issuer()) == Some(&*ca_name(&self.key))
            && not_before <= now
            && now.plus(RENEW_BEFORE) < not_after;
        good.then_some(not_after)
    }
}

impl std::fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalCa")
            .field("directory", &self.directory)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// The CA's parameters follow from its key, so that nothing has to be read back out of its certificate.
fn ca_params(key: &KeyPair, now: UnixTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, ca_name(key));
    set_validity(&mut params, now, CA_LIFETIME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn ca_name(key: &KeyPair) -> String {
    let digest = digest(&SHA256, &key.subject_public_key_info());
    let hex: String = digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("Remora local CA {hex}")
}

/// Whether the certificate is of this key, with time for a server certificate to expire before it.
fn is_ca_of(pem: &str, key: &KeyPair, now: UnixTime) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return false };
    X509Certificate::from_der(&der).is_ok_and(|(_, certificate)| {
        let not_after = UnixTime::from_secs(certificate.validity().not_after.timestamp());
        certificate.public_key().raw == key.subject_public_key_info()
            && common_name(certificate.subject()) == Some(&*ca_name(key))
            && now.plus(SERVER_LIFETIME) < not_after
    })
}

fn common_name<'c>(name: &'c x509_parser::x509::X509Name<'_>) -> Option<&'c str> {
    name.iter_common_name().next()?.as_str().ok()
}

fn all_names(names: &[String]) -> Result<Vec<String>, LocalCaError> {
    let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    for name in names {
        let bare = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let is_host = !bare.is_empty()
            && bare.len() <= 253
            && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'*' | b'_'));
        let canonical = match bare.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) if is_host => bare,
            Err(_) => return Err(LocalCaError::Name(name.clone())),
        };
        if !all.contains(&canonical) {
            all.push(canonical);
        }
    }
    Ok(all)
}

fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(v4), _) => Some(IpAddr::from(v4).to_string()),
            (_, Ok(v6)) => Some(IpAddr::from(v6).to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn read_text(disk: &dyn Disk, path: &Path) -> Result<Option<String>, LocalCaError> {
    let bytes = files::read(disk, path)?;
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

fn read_key(disk: &dyn Disk, path: &Path) -> Result<Option<KeyPair>, LocalCaError> {
    let Some(bytes) = files::read(disk, path)?.map(Zeroizing::new) else { return Ok(None) };
    let key = std::str::from_utf8(&bytes).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
    key.map(Some).ok_or_else(|| LocalCaError::Content(path.display().to_string()))
}

pub(crate) fn set_validity(params: &mut CertificateParams, now: UnixTime, lifetime: Duration) {
    let at = |time: UnixTime| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(time.as_secs().unsigned_abs());
    params.not_before = at(now.minus(BACKDATED));
    params.not_after = at(now.plus(lifetime));
}

const CA_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca-key.pem";
const SERVER_FILE: &str = "server.pem";
const SERVER_KEY_FILE: &str = "server-key.pem";
const DAY: Duration = Duration::from_secs(24 * 3600);
/// For clients whose clock is late.
const BACKDATED: Duration = DAY;
const CA_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Clients refuse more than about two years.
const SERVER_LIFETIME: Duration = Duration::from_secs(397 * 24 * 3600);
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

#[cfg(test)]
mod tests;
