//! TLS settings: which cryptography, whom to trust.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Certificate authorities that could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file of extra authorities cannot be read, or is no PEM.
    #[error("certificates in {path}: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// There is not one certificate in the file.
    #[error("{path} holds no certificate: give a PEM file with at least one CERTIFICATE section")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A section of the file is no X.509 certificate.
    #[error("certificate {index} of {path}: {source}")]
    Certificate {
        /// Which certificate of the file, from 1.
        index: usize,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
}

/// The one cryptography of the whole program.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Mozilla's authorities, compiled in, and those of `extra` (a PEM file, such as `SSL_CERT_FILE` names) added to them.
///
/// # Errors
/// [`RootsError`] when `extra` is not a file with certificates: trusting fewer than asked for would fail far from here.
pub fn roots(extra: Option<&Path>) -> Result<Arc<RootCertStore>, RootsError> {
    roots_with(extra)
}

/// The same with the authorities of several files.
///
/// # Errors
/// [`RootsError`] when one of them is not a file with certificates.
pub fn roots_with<'a>(extra: impl IntoIterator<Item = &'a Path>) -> Result<Arc<RootCertStore>, RootsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for path in extra {
        add_pem_file(&mut roots, path)?;
    }
    Ok(Arc::new(roots))
}

/// Settings of a TLS client that trusts `roots` and offers the application protocols `alpn` (`h2`, `http/1.1`).
pub fn client_config(roots: Arc<RootCertStore>, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn add_pem_file(roots: &mut RootCertStore, path: &Path) -> Result<(), RootsError> {
    let pem_error = |source| RootsError::Pem { path: path.to_owned(), source };
    let mut found = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(pem_error)? {
        found += 1;
        roots.add(certificate.map_err(pem_error)?).map_err(|source| RootsError::Certificate {
            index: found,
            path: path.to_owned(),
            source,
        })?;
    }
    if found == 0 { Err(RootsError::Empty { path: path.to_owned() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_authorities_are_added_to_the_built_in_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let built_in = roots(None).unwrap().len();
        assert!(built_in > 50);

        let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
        std::fs::write(&path, certificate.repeat(2)).unwrap();
        assert_eq!(roots(Some(&path)).unwrap().len(), built_in + 2);
    }

    #[test]
    fn a_wrong_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let message = || roots(Some(&path)).unwrap_err().to_string();
        assert!(message().contains("ca.pem"), "missing: {}", message());
        std::fs::write(&path, "no certificate here").unwrap();
        assert!(message().contains("holds no certificate"), "empty: {}", message());
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(message().contains("certificate 1 of"), "damaged: {}", message());
    }
}
