//! The server's certificate, which can be exchanged while it serves.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
pub use tokio_rustls::TlsAcceptor;

/// A certificate with its chain and key. New handshakes take what was set last; connections that exist stay.
pub struct Certificate {
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
}

/// Text that is no certificate with its key. Never shows the key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The certificates are no PEM.
    #[error("the certificate file cannot be read as PEM")]
    Chain(#[source] pem::Error),
    /// There is no certificate.
    #[error("the certificate file holds no CERTIFICATE section")]
    NoCertificate,
    /// There is no key, or not one that is understood.
    #[error("the key file cannot be read as a private key")]
    Key(#[source] pem::Error),
    /// They do not belong together, or the key is of an unknown kind.
    #[error("the key does not fit the certificate")]
    Mismatch(#[source] rustls::Error),
}

impl Certificate {
    /// From PEM text: the server's certificate first, then those that lead to its root; and its private key (PKCS#8,
    /// PKCS#1 or SEC1).
    ///
    /// # Errors
    /// [`CertificateError`] when they are not a certificate and the key to it.
    pub fn from_pem(provider: Arc<CryptoProvider>, chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let current = Arc::new(parse(&provider, chain, key)?);
        Ok(Self::of(provider, current))
    }

    /// One that has been read already.
    pub fn of(provider: Arc<CryptoProvider>, current: Arc<CertifiedKey>) -> Self {
        Self { provider, current: ArcSwap::new(current) }
    }

    /// Exchanges it for another that has been read already.
    pub fn set(&self, other: Arc<CertifiedKey>) {
        self.current.store(other);
    }

    /// Exchanges it for another. On an error the old one stays.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem).
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), CertificateError> {
        self.current.store(Arc::new(parse(&self.provider, chain, key)?));
        Ok(())
    }

    /// Takes handshakes with this certificate and offers the application protocols `alpn`.
    pub fn acceptor(self: &Arc<Self>, alpn: &[&str]) -> TlsAcceptor {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider supports TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("certificates", &self.current.load().cert.len()).finish_non_exhaustive()
    }
}

fn parse(provider: &CryptoProvider, chain: &[u8], key: &[u8]) -> Result<CertifiedKey, CertificateError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(CertificateError::Chain)?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(CertificateError::Key)?;
    CertifiedKey::from_der(chain, key, provider).map_err(CertificateError::Mismatch)
}
