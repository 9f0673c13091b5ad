//! The certificate and private key that an application signs with, out of whatever file people have.
//!
//! Recognised by content: PEM; PKCS#12; base64 of either, as the Key Vault driver writes it, with or without line breaks.
//! The file's name plays no part. Bounded: file size, certificates, keys, nesting, and the work of deriving keys.

mod der;
mod error;
mod pbe;
mod pem;
mod pkcs12;

use aws_lc_rs::digest;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use environment::UnixTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

pub use error::CertificateError;

#[cfg(test)]
mod tests;

/// A certificate, its RSA key and the certificates that vouch for it.
#[derive(Debug)]
pub struct SigningCertificate {
    /// The leaf first, then its issuers as far as the file has them. Never empty.
    chain: Vec<Vec<u8>>,
    key: RsaKeyPair,
    not_before: UnixTime,
    not_after: UnixTime,
}

/// What a container holds, before keys and certificates are matched.
#[derive(Default)]
struct Contents {
    keys: Vec<PrivateKey>,
    certificates: Vec<Vec<u8>>,
}

/// A private key in DER.
enum PrivateKey {
    Pkcs8(Zeroizing<Vec<u8>>),
    Pkcs1(Zeroizing<Vec<u8>>),
    /// Recognised as something that Entra does not take.
    NotRsa,
}

const FILE_BYTES_MAX: usize = 1024 * 1024;
const KEYS_MAX: usize = 16;
const CERTIFICATES_MAX: usize = 64;
const CHAIN_MAX: usize = 10;

impl SigningCertificate {
    /// Reads a file's content. Without a `password` the empty one is tried, in both of its encodings.
    ///
    /// # Errors
    /// [`CertificateError`], which says what is wrong and what to do. An expired certificate is not an error here.
    pub fn parse(file: &[u8], password: Option<&str>) -> Result<Self, CertificateError> {
        if file.len() > FILE_BYTES_MAX {
            return Err(CertificateError::TooLarge);
        }
        let contents = match Container::recognise(file)? {
            Container::Pem(text) => pem::read(&text, password)?,
            Container::Pkcs12(der) => pkcs12::read(&der, password)?,
        };
        contents.matched()
    }

    /// The leaf and its issuers, each in DER.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The start of its validity.
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// The end of its validity.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// The thumbprint as portals show it: SHA-1 in upper-case hexadecimal.
    pub fn thumbprint_sha1_hex(&self) -> String {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.chain[0]);
        hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
    }

    pub(crate) fn key(&self) -> &RsaKeyPair {
        &self.key
    }
}

enum Container {
    Pem(Zeroizing<String>),
    Pkcs12(Zeroizing<Vec<u8>>),
}

impl Container {
    fn recognise(file: &[u8]) -> Result<Self, CertificateError> {
        let file = file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file).trim_ascii();
        if file.is_empty() {
            return Err(CertificateError::Empty);
        }
        if let Some(container) = Self::plain(file) {
            return Ok(container);
        }
        let text: Zeroizing<Vec<u8>> =
            Zeroizing::new(file.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect());
        let decoded = STANDARD.decode(&*text).map(Zeroizing::new).map_err(|_| CertificateError::Unrecognised)?;
        Self::plain(&decoded).ok_or(CertificateError::Unrecognised)
    }

    fn plain(bytes: &[u8]) -> Option<Self> {
        if bytes.windows(pem::BEGIN.len()).any(|window| window == pem::BEGIN.as_bytes()) {
            let text = String::from_utf8_lossy(bytes).into_owned();
            return Some(Self::Pem(Zeroizing::new(text)));
        }
        (bytes.first() == Some(&der::SEQUENCE)).then(|| Self::Pkcs12(Zeroizing::new(bytes.to_vec())))
    }
}

impl Contents {
    fn add_key(&mut self, key: PrivateKey) -> Result<(), CertificateError> {
        if self.keys.len() >= KEYS_MAX {
            return Err(CertificateError::TooLarge);
        }
        self.keys.push(key);
        Ok(())
    }

    fn add_certificate(&mut self, der: &[u8]) -> Result<(), CertificateError> {
        if self.certificates.len() >= CERTIFICATES_MAX {
            return Err(CertificateError::TooLarge);
        }
        self.certificates.push(der.to_vec());
        Ok(())
    }

    /// Finds the key and the certificate that belong together. Of several pairs the one that is valid longest: a file
    /// that still holds the certificate from before a rotation must not keep us on it.
    fn matched(self) -> Result<SigningCertificate, CertificateError> {
        if self.keys.is_empty() {
            return Err(CertificateError::NoKey);
        }
        let certificates: Vec<X509Certificate<'_>> = self
            .certificates
            .iter()
            .map(|der| X509Certificate::from_der(der).map(|(_, certificate)| certificate))
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::Malformed("certificate"))?;
        if certificates.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        let mut best: Option<(RsaKeyPair, usize)> = None;
        let mut rsa_keys = 0;
        for key in &self.keys {
            let Some(key) = key.to_rsa()? else { continue };
            rsa_keys += 1;
            let public = key.public_key().as_ref();
            let leaf = (0..certificates.len())
                .filter(|i| certificates[*i].public_key().subject_public_key.data.as_ref() == public)
                .max_by_key(|i| not_after(&certificates[*i]));
            if let Some(leaf) = leaf
                && best
                    .as_ref()
                    .is_none_or(|(_, other)| not_after(&certificates[leaf]) > not_after(&certificates[*other]))
            {
                best = Some((key, leaf));
            }
        }
        let Some((key, leaf)) = best else {
            return Err(if rsa_keys == 0 { CertificateError::NotRsa } else { CertificateError::KeyMismatch });
        };
        let validity = certificates[leaf].validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let chain = chain(&certificates, leaf).into_iter().map(|i| self.certificates[i].clone()).collect();
        Ok(SigningCertificate {
            chain,
            key,
            not_before: UnixTime::from_secs(not_before),
            not_after: UnixTime::from_secs(not_after),
        })
    }
}

impl PrivateKey {
    fn to_rsa(&self) -> Result<Option<RsaKeyPair>, CertificateError> {
        let key = match self {
            Self::Pkcs8(der) if der::pkcs8_algorithm(der)? != der::oid::RSA_ENCRYPTION => return Ok(None),
            Self::Pkcs8(der) => RsaKeyPair::from_pkcs8(der),
            Self::Pkcs1(der) => RsaKeyPair::from_der(der),
            Self::NotRsa => return Ok(None),
        };
        key.map(Some).map_err(|_| CertificateError::KeyRejected)
    }
}

fn not_after(certificate: &X509Certificate<'_>) -> i64 {
    certificate.validity().not_after.timestamp()
}

/// The places of the leaf and its issuers.
fn chain(certificates: &[X509Certificate<'_>], leaf: usize) -> Vec<usize> {
    let mut chain = vec![leaf];
    let mut last = leaf;
    while chain.len() < CHAIN_MAX {
        let issuer = certificates[last].issuer().as_raw();
        let next = (0..certificates.len()).find(|i| {
            !chain.contains(i)
                && certificates[*i].subject().as_raw() == issuer
                && issuer != certificates[last].subject().as_raw()
        });
        let Some(next) = next else { break };
        chain.push(next);
        last = next;
    }
    chain
}
