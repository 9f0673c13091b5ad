//! Certificates that applications are registered with.

use std::fmt;

use access::VerificationKey;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use environment::UnixTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

/// A certificate whose key may sign client assertions.
pub struct RegisteredCertificate {
    sha1: Vec<u8>,
    sha256: Vec<u8>,
    pub(crate) key: VerificationKey,
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
}

/// Bytes that are no certificate an application can be registered with.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// Not a certificate.
    #[error("not an X.509 certificate in DER: {0}")]
    Der(String),
    /// A key of another kind.
    #[error("its key is no RSA key of 2048 to 8192 bits; Entra takes no other for client assertions")]
    Key,
}

impl RegisteredCertificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// When it is none, or its key is of another kind.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|error| CertificateError::Der(error.to_string()))?;
        if !rest.is_empty() {
            return Err(CertificateError::Der(format!("{} bytes stand after it", rest.len())));
        }
        let Ok(PublicKey::RSA(rsa)) = certificate.public_key().parsed() else { return Err(CertificateError::Key) };
        let key = VerificationKey::rsa(None, rsa.modulus, rsa.exponent).ok_or(CertificateError::Key)?;
        let validity = certificate.validity();
        Ok(Self {
            sha1: digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref().to_vec(),
            sha256: digest(&SHA256, der).as_ref().to_vec(),
            key,
            not_before: UnixTime::from_secs(validity.not_before.timestamp()),
            not_after: UnixTime::from_secs(validity.not_after.timestamp()),
        })
    }

    /// Whether an assertion's header names this certificate. Clients write thumbprints in base64 of either alphabet, with
    /// or without padding; the oldest write SHA-1 in hexadecimal into `kid`.
    pub(crate) fn is_named_by(&self, header: &access::Header) -> bool {
        match (&header.certificate_sha256, &header.certificate_sha1, &header.key_id) {
            (Some(text), _, _) => decode(text).is_some_and(|bytes| bytes == self.sha256),
            (None, Some(text), _) => decode(text).is_some_and(|bytes| bytes == self.sha1),
            (None, None, Some(text)) => text.eq_ignore_ascii_case(&self.thumbprint()),
            (None, None, None) => false,
        }
    }

    /// SHA-1 of the certificate in hexadecimal, as the portal shows it.
    pub fn thumbprint(&self) -> String {
        self.sha1.iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

impl fmt::Debug for RegisteredCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegisteredCertificate").field(&self.thumbprint()).finish()
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let standard: String = text.trim_end_matches('=').chars().map(to_standard_alphabet).collect();
    STANDARD_NO_PAD.decode(standard).ok()
}

const fn to_standard_alphabet(character: char) -> char {
    match character {
        '-' => '+',
        '_' => '/',
        other => other,
    }
}

/// A thumbprint out of a header, as hexadecimal digits for an error text; nothing if it is not one.
pub(crate) fn thumbprint_text(header: &access::Header) -> String {
    let named = header.certificate_sha256.as_ref().or(header.certificate_sha1.as_ref());
    let bytes = named.and_then(|text| decode(text)).filter(|bytes| bytes.len() <= 32).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
