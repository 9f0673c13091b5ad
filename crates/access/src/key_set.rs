//! An issuer's public keys: JSON Web Key Set (RFC 7517) → keys that verify.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::Algorithm;
use crate::algorithm::Scheme;

/// The keys of one issuer at one time.
#[derive(Clone, Default, Debug)]
pub struct KeySet {
    keys: Vec<Arc<VerificationKey>>,
}

/// A public key that signatures can be verified with.
pub struct VerificationKey {
    id: Option<String>,
    /// The one algorithm it is published for, if it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

enum Material {
    /// Big-endian without leading zeros. Parsed once per algorithm that asks for it.
    Rsa { n: Vec<u8>, e: Vec<u8>, parsed: Box<[OnceLock<Option<ParsedPublicKey>>; 6]> },
    /// The uncompressed point; the curve belongs to the one algorithm.
    Ec { algorithm: Algorithm, point: Vec<u8>, parsed: ParsedPublicKey },
}

/// A document that is no key set.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeySetError {
    /// Not the JSON of a key set.
    #[error("not a JSON Web Key Set: {0}")]
    Json(String),
    /// Too many keys.
    #[error("it holds {0} keys, at most {KEYS_MAX} are taken")]
    TooManyKeys(usize),
    /// Nothing that could verify a token.
    #[error("none of its {0} keys can verify a token (RSA of 2048 to 8192 bits, P-256 or P-384, for signatures)")]
    NoUsableKey(usize),
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys of other kinds or uses, and broken ones, are left out.
    ///
    /// # Errors
    /// When it is no key set, holds too many keys, or none that can verify a token.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        Self::from_jwks_of(json, |_| true)
    }

    /// Like [`KeySet::from_jwks`], for the keys only whose `issuer` member (an Entra extension) is absent or wanted.
    pub(crate) fn from_jwks_of(json: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Self, KeySetError> {
        let document: Document =
            serde_json::from_slice(json).map_err(|error| KeySetError::Json(format!("{:?}", error.classify())))?;
        let published = document.keys.len();
        if published > KEYS_MAX {
            return Err(KeySetError::TooManyKeys(published));
        }
        let keys = document.keys.into_iter().filter_map(|key| Jwk::deserialize(key).ok());
        let keys = keys.filter(|key| key.issuer.as_deref().is_none_or(&wanted)).filter_map(VerificationKey::from_jwk);
        let keys: Vec<_> = keys.map(Arc::new).collect();
        if keys.is_empty() { Err(KeySetError::NoUsableKey(published)) } else { Ok(Self { keys }) }
    }

    /// The key a token names, fit for its algorithm. A token that names none gets the only key that fits, if it is one.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Arc<VerificationKey>> {
        let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm));
        match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }

    /// Whether the very same key is (still) among them.
    pub fn holds(&self, key: &VerificationKey) -> bool {
        self.keys.iter().any(|own| std::ptr::eq(Arc::as_ptr(own), key) || own.same_as(key))
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it holds no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds the keys of `other` that are not there yet, up to the limit on keys.
    pub(crate) fn merge(&mut self, other: Self) {
        for key in other.keys {
            if self.keys.len() < KEYS_MAX && !self.holds(&key) {
                self.keys.push(key);
            }
        }
    }
}

impl VerificationKey {
    /// An RSA key; `n` and `e` big-endian. `None` when it is too short, too long or no RSA key.
    pub fn rsa(id: Option<String>, n: &[u8], e: &[u8]) -> Option<Self> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
        let exponent_sane = e.len() <= RSA_EXPONENT_BYTES_MAX && e.last().is_some_and(|last| last % 2 == 1) && e != [1];
        if !RSA_BITS.contains(&bits) || !exponent_sane || n.last()? % 2 == 0 {
            return None;
        }
        let material = Material::Rsa { n: n.to_vec(), e: e.to_vec(), parsed: Default::default() };
        Some(Self { id, algorithm: None, material })
    }

    /// Verifies that `signature` is this key's over `signed`, with `algorithm`.
    pub fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        let parsed = match (&self.material, algorithm.scheme()) {
            _ if !self.fits(algorithm) => None,
            (Material::Rsa { n, e, parsed }, Scheme::Rsa(parameters)) => {
                parsed.get(algorithm as usize).and_then(|slot| {
                    slot.get_or_init(|| RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok()).as_ref()
                })
            }
            (Material::Ec { parsed, .. }, Scheme::Ecdsa(_)) => Some(parsed),
            _ => None,
        };
        parsed.is_some_and(|key| key.verify_sig(signed, signature).is_ok())
    }

    /// The name it is published under.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let kind_fits = match (&self.material, algorithm.scheme()) {
            (Material::Rsa { .. }, Scheme::Rsa(_)) => true,
            (Material::Ec { algorithm: own, .. }, Scheme::Ecdsa(_)) => *own == algorithm,
            _ => false,
        };
        kind_fits && self.algorithm.is_none_or(|own| own == algorithm)
    }

    fn same_as(&self, other: &Self) -> bool {
        let material_same = match (&self.material, &other.material) {
            (Material::Rsa { n, e, .. }, Material::Rsa { n: other_n, e: other_e, .. }) => n == other_n && e == other_e,
            (Material::Ec { point, .. }, Material::Ec { point: other, .. }) => point == other,
            _ => false,
        };
        material_same && self.id == other.id && self.algorithm == other.algorithm
    }

    fn from_jwk(jwk: Jwk) -> Option<Self> {
        let for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_deref().is_none_or(|operations| operations.iter().any(|name| name == "verify"));
        if !for_signatures {
            return None;
        }
        // A key that is published for an algorithm we do not accept verifies nothing, not everything.
        let algorithm = match jwk.alg.as_deref() {
            Some(name) => Some(Algorithm::from_name(name)?),
            None => None,
        };
        let mut key = match jwk.kty.as_str() {
            "RSA" => Self::rsa(jwk.kid, &decode(&jwk.n?)?, &decode(&jwk.e?)?)?,
            "EC" => Self::ec(jwk.kid, &jwk.crv?, &decode(&jwk.x?)?, &decode(&jwk.y?)?)?,
            _ => return None,
        };
        key.algorithm = algorithm;
        algorithm.is_none_or(|algorithm| key.fits(algorithm)).then_some(key)
    }

    fn ec(id: Option<String>, curve: &str, x: &[u8], y: &[u8]) -> Option<Self> {
        let (algorithm, coordinate_bytes) = match curve {
            "P-256" => (Algorithm::Es256, 32),
            "P-384" => (Algorithm::Es384, 48),
            _ => return None,
        };
        if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
            return None;
        }
        let point = [&[0x04], x, y].concat();
        let Scheme::Ecdsa(scheme) = algorithm.scheme() else { return None };
        let parsed = ParsedPublicKey::new(scheme, &point).ok()?;
        Some(Self { id, algorithm: None, material: Material::Ec { algorithm, point, parsed } })
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.material {
            Material::Rsa { n, .. } => format!("RSA {}", n.len() * 8),
            Material::Ec { algorithm, .. } => format!("EC for {}", algorithm.name()),
        };
        f.debug_struct("VerificationKey").field("id", &self.id).field("kind", &kind).finish()
    }
}

#[derive(Deserialize)]
struct Document {
    /// Read one by one afterwards, so that a key of an unknown shape does not spoil the rest.
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    issuer: Option<String>,
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok()
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// Some issuers pad, which RFC 7518 forbids.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Entra publishes about ten.
const KEYS_MAX: usize = 64;
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Larger exponents only make verification slow.
const RSA_EXPONENT_BYTES_MAX: usize = 4;
