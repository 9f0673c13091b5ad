//! The keys that tokens are signed with.
//!
//! The current key signs; the one before it stays published, so that its tokens are accepted until they expire or the
//! next rotation comes. Both stand in one file, current first: replacing it is the rotation, all or nothing.

use std::path::PathBuf;
use std::sync::Arc;

use access::{KeySet, LocalKeys};
use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use environment::Disk;
use parking_lot::Mutex;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::files::{self, FileError};

/// The keys of one issuer, with their file.
pub(crate) struct SigningKeys {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    current: ArcSwap<KeyRing>,
    rotation: Mutex<()>,
}

/// The keys at one time.
pub(crate) struct KeyRing {
    /// The one that signs first. One or two.
    keys: Vec<Arc<SigningKey>>,
    /// The document published.
    pub(crate) document: Value,
    published: Arc<KeySet>,
}

/// One key.
pub(crate) struct SigningKey {
    pair: RsaKeyPair,
    id: String,
    jwk: Value,
}

/// Keys that cannot be made, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its content.
    #[error(
        "{0} holds no signing keys (one or two PKCS#8 RSA keys in PEM): restore it, or remove it to begin with new keys; tokens signed so far are then refused"
    )]
    Content(String),
    /// The generator.
    #[error("no signing key can be made")]
    Generation,
}

impl SigningKeys {
    /// The keys in the file at `path`; a new one when there is no file.
    pub(crate) fn open(disk: Arc<dyn Disk>, path: PathBuf) -> Result<Self, SigningKeyError> {
        let ring = match files::read(&*disk, &path)? {
            Some(pem) => KeyRing::from_pem(&Zeroizing::new(pem))
                .ok_or_else(|| SigningKeyError::Content(path.display().to_string()))?,
            None => {
                let ring = KeyRing::new(vec![Arc::new(SigningKey::generate()?)]).ok_or(SigningKeyError::Generation)?;
                files::replace(&*disk, &path, ring.to_pem()?.as_bytes())?;
                ring
            }
        };
        Ok(Self { disk, path, current: ArcSwap::from_pointee(ring), rotation: Mutex::new(()) })
    }

    /// A new key signs from now on; the one that signed so far stays published, the one before it goes.
    pub(crate) fn rotate(&self) -> Result<(), SigningKeyError> {
        self.rotate_to(Arc::new(SigningKey::generate()?))
    }

    fn rotate_to(&self, next: Arc<SigningKey>) -> Result<(), SigningKeyError> {
        let _rotation = self.rotation.lock();
        let mut keys = vec![next];
        keys.extend(self.current.load().keys.first().cloned());
        let ring = KeyRing::new(keys).ok_or(SigningKeyError::Generation)?;
        // The file first: a key that signed tokens must survive a crash.
        files::replace(&*self.disk, &self.path, ring.to_pem()?.as_bytes())?;
        self.current.store(Arc::new(ring));
        Ok(())
    }

    /// The keys now.
    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        self.current.load_full()
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.current.load().keys[0].sign(claims)
    }
}

impl LocalKeys for SigningKeys {
    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.load().published)
    }
}

impl KeyRing {
    fn new(keys: Vec<Arc<SigningKey>>) -> Option<Self> {
        let document = json!({"keys": keys.iter().map(|key| key.jwk.clone()).collect::<Vec<_>>()});
        let published = Arc::new(KeySet::from_jwks(document.to_string().as_bytes()).ok()?);
        Some(Self { keys, document, published })
    }

    fn from_pem(pem: &[u8]) -> Option<Self> {
        let mut keys = Vec::new();
        for key in PrivatePkcs8KeyDer::pem_slice_iter(pem) {
            let pair = RsaKeyPair::from_pkcs8(key.ok()?.secret_pkcs8_der()).ok()?;
            keys.push(Arc::new(SigningKey::new(pair)?));
        }
        if matches!(keys.len(), 1 | 2) { Self::new(keys) } else { None }
    }

    fn to_pem(&self) -> Result<Zeroizing<String>, SigningKeyError> {
        let mut pem = Zeroizing::new(String::new());
        for key in &self.keys {
            let der = key.pair.as_der().map_err(|_| SigningKeyError::Generation)?;
            let base64 = Zeroizing::new(STANDARD.encode(der.as_ref()));
            pem.push_str("-----BEGIN PRIVATE KEY-----\n");
            for line in base64.as_bytes().chunks(64) {
                pem.extend(line.iter().map(|byte| char::from(*byte)));
                pem.push('\n');
            }
            pem.push_str("-----END PRIVATE KEY-----\n");
        }
        Ok(pem)
    }
}

impl SigningKey {
    fn generate() -> Result<Self, SigningKeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SigningKeyError::Generation)?;
        Self::new(pair).ok_or(SigningKeyError::Generation)
    }

    fn new(pair: RsaKeyPair) -> Option<Self> {
        let spki = pair.public_key().as_der().ok()?;
        let (_, info) = SubjectPublicKeyInfo::from_der(spki.as_ref()).ok()?;
        let PublicKey::RSA(public) = info.parsed().ok()? else { return None };
        // DER puts a zero before a modulus whose highest bit is set; a key set has none (RFC 7518 §6.3.1.1).
        let n = URL_SAFE_NO_PAD.encode(public.modulus.strip_prefix(&[0]).unwrap_or(public.modulus));
        let e = URL_SAFE_NO_PAD.encode(public.exponent);
        // The thumbprint of RFC 7638: members in this order, no spaces.
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#).as_bytes()));
        let jwk = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": n, "e": e});
        Some(Self { pair, id, jwk })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": self.id});
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = format!("{}.{}", encode(&header), encode(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .expect("an RSA key of 2048 bits or more signs anything");
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }
}

#[cfg(test)]
mod tests;
