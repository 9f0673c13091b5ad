//! Making a certificate for an application, in the two forms that people have them: PEM and PKCS#12.

use std::time::Duration;

use environment::UnixTime;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{CertificateParams, DnType, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize};
use zeroize::Zeroizing;

use crate::local_ca::set_validity;

/// A self-signed certificate with its RSA key.
pub struct MadeCertificate {
    /// The certificate in DER, to register an application with.
    pub der: Vec<u8>,
    /// Private key and certificate in PEM, for the client.
    pub pem: Zeroizing<String>,
    /// The same in PKCS#12 without a password, for the client.
    pub pfx: Zeroizing<Vec<u8>>,
}

/// No certificate can be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeCertificateError {
    /// The certificate.
    #[error("no client certificate can be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The container.
    #[error("no PKCS#12 container can be made: {0}")]
    Container(#[from] p12_keystore::error::Error),
}

/// Makes a certificate that names `name` and is valid from now (and a day before) for `lifetime`. Takes about a tenth of
/// a second of computing.
///
/// # Errors
/// When the libraries refuse.
pub fn make_client_certificate(
    name: &str,
    now: UnixTime,
    lifetime: Duration,
) -> Result<MadeCertificate, MakeCertificateError> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    set_validity(&mut params, now, lifetime);
    let certificate = params.self_signed(&key)?;
    let der = certificate.der().to_vec();
    let pem = Zeroizing::new(format!("{}{}", *Zeroizing::new(key.serialize_pem()), certificate.pem()));
    let chain = PrivateKeyChain::new("1", PrivateKey::from_der(key.serialized_der())?, [Certificate::from_der(&der)?]);
    let mut store = KeyStore::new();
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(chain));
    let pfx = Zeroizing::new(store.writer("").write()?);
    Ok(MadeCertificate { der, pem, pfx })
}

impl std::fmt::Debug for MadeCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MadeCertificate(***)")
    }
}

#[cfg(test)]
mod tests {
    use identity::SigningCertificate;

    use super::*;
    use crate::RegisteredCertificate;

    #[test]
    fn clients_can_read_both_forms() {
        let now = UnixTime::from_secs(1_750_000_000);
        let made = make_client_certificate("writer", now, Duration::from_secs(3600)).unwrap();
        let registered = RegisteredCertificate::from_der(&made.der).unwrap();
        for file in [made.pem.as_bytes(), &made.pfx] {
            let read = SigningCertificate::parse(file, None).unwrap();
            assert_eq!(read.chain(), std::slice::from_ref(&made.der));
            assert!(read.thumbprint_sha1_hex().eq_ignore_ascii_case(&registered.thumbprint()));
            assert_eq!(read.not_after(), UnixTime::from_secs(1_750_003_600));
        }
        assert_eq!(format!("{made:?}"), "MadeCertificate(***)");
    }
}
