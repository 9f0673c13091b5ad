//! Text → the three parts of a signed token (compact JWS, RFC 7515), before anything in it is believed.
//!
//! Encrypted tokens, detached or unencoded payloads and every `crit` extension are refused: none of them is needed here
//! and each has been somebody's way around a check.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::Algorithm;

/// A token taken apart. Nothing in it is verified.
pub struct Jws<'t> {
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
    signed: &'t [u8],
}

/// What a token's header says, as far as it is used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The algorithm it claims to be signed with.
    pub algorithm: Algorithm,
    /// The key it claims to be signed with.
    pub key_id: Option<String>,
    /// SHA-1 of the signer's certificate, as written: `x5t`.
    pub certificate_sha1: Option<String>,
    /// SHA-256 of the signer's certificate, as written: `x5t#S256`.
    pub certificate_sha256: Option<String>,
}

/// Text that is not a token this program reads.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MalformedToken {
    /// Longer than allowed.
    #[error("it is {bytes} bytes long, at most {bytes_max} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Not three parts.
    #[error("it has {0} parts, a signed token has three: header, payload and signature, with dots between them")]
    Parts(usize),
    /// A part is not base64url.
    #[error("its {0} is not base64url without padding")]
    Base64(&'static str),
    /// A part is not the JSON that is asked for.
    #[error("its {part} is not the JSON object expected, at column {column}")]
    Json {
        /// Which part.
        part: &'static str,
        /// Where.
        column: usize,
    },
    /// An algorithm that proves nothing here.
    #[error("its algorithm {0:?} is not accepted; sign with RS256, PS256, ES256 or their longer forms")]
    Algorithm(String),
    /// A `crit` header.
    #[error("its header has `crit`; no extension is understood")]
    Critical,
    /// A type that is no access token or assertion.
    #[error("its type {0:?} is not one of an access token")]
    Type(String),
    /// A claim is missing.
    #[error("it has no `{0}`")]
    NoClaim(&'static str),
}

impl<'t> Jws<'t> {
    /// Takes a token of at most `bytes_max` bytes apart.
    ///
    /// # Errors
    /// What is wrong with it. No error repeats more of the token than a short name from its header.
    pub fn parse(token: &'t str, bytes_max: usize) -> Result<Self, MalformedToken> {
        if token.len() > bytes_max {
            return Err(MalformedToken::TooLong { bytes: token.len(), bytes_max });
        }
        let Some((signed, signature)) = token.rsplit_once('.') else { return Err(MalformedToken::Parts(1)) };
        let (header, payload) = match signed.split_once('.') {
            Some((header, payload)) if !payload.contains('.') => (header, payload),
            _ => return Err(MalformedToken::Parts(token.split('.').count())),
        };
        Ok(Self {
            header: Header::parse(&decode(header, "header")?)?,
            payload: decode(payload, "payload")?,
            signature: decode(signature, "signature")?,
            signed: signed.as_bytes(),
        })
    }

    /// What its header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Its signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The bytes that the signature covers.
    pub fn signed(&self) -> &'t [u8] {
        self.signed
    }
}

impl Header {
    fn parse(json: &[u8]) -> Result<Self, MalformedToken> {
        let raw: RawHeader = serde_json::from_slice(json)
            .map_err(|error| MalformedToken::Json { part: "header", column: error.column() })?;
        if raw.crit.0 {
            return Err(MalformedToken::Critical);
        }
        let Some(algorithm) = Algorithm::from_name(&raw.alg) else {
            return Err(MalformedToken::Algorithm(shortened(&raw.alg)));
        };
        match raw.typ {
            Some(typ) if !TYPES.iter().any(|known| known.eq_ignore_ascii_case(&typ)) => {
                Err(MalformedToken::Type(shortened(&typ)))
            }
            _ => Ok(Self { algorithm, key_id: raw.kid, certificate_sha1: raw.x5t, certificate_sha256: raw.x5t_s256 }),
        }
    }
}

/// Members that are not listed are ignored; one that is listed and stands there twice is an error.
#[derive(Deserialize)]
struct RawHeader {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default)]
    crit: Presence,
    x5t: Option<String>,
    #[serde(rename = "x5t#S256")]
    x5t_s256: Option<String>,
}

/// Whether a member is there, whatever its value: `null` counts.
#[derive(Default)]
struct Presence(bool);

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

fn decode(text: &str, part: &'static str) -> Result<Vec<u8>, MalformedToken> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| MalformedToken::Base64(part))
}

fn shortened(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).collect()
}

/// Types of tokens that may come as a bearer token or a client assertion: RFC 7519, RFC 9068.
const TYPES: [&str; 4] = ["JWT", "at+jwt", "application/at+jwt", "application/jwt"];
/// How much of a name out of a token an error repeats.
const NAME_CHARS_MAX: usize = 32;
