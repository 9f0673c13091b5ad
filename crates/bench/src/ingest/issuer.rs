//! An OpenID Connect issuer inside this process: a key, its key set on loopback, and tokens.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::sink;

/// An issuer whose tokens are as large as Entra's.
pub(crate) struct Issuer {
    key: RsaKeyPair,
    /// The published key set.
    keys: String,
    address: SocketAddr,
}

impl Issuer {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).context("no RSA key could be made")?;
        // PKCS#1 of a 2048-bit key: the modulus stands behind two headers of four bytes and a zero.
        let modulus = &key.public_key().as_ref()[9..9 + 256];
        let keys = json!({"keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB",
        }]})
        .to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{keys}",
            keys.len()
        );
        Ok(Self { key, keys, address: sink::serve(answer, None)? })
    }

    /// Its name: `iss`.
    pub(crate) fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its key set is.
    pub(crate) fn key_set(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    /// The key set itself.
    pub(crate) fn keys(&self) -> &str {
        &self.keys
    }

    /// A token for `audience`, good for a day.
    pub(crate) fn token(&self, audience: &str) -> anyhow::Result<String> {
        self.token_of(PRINCIPAL, audience)
    }

    /// The same of another principal.
    pub(crate) fn token_of(&self, principal: &str, audience: &str) -> anyhow::Result<String> {
        let now = since_1970().as_secs();
        let claims = json!({
            "aud": audience, "iss": self.name(), "iat": now, "nbf": now, "exp": now + 86_400, "aio": "E2NgYOBr".repeat(8),
            "appid": "5a1f6f3e-4dcd-4d43-a0b9-6b8a0f9f1c11", "appidacr": "2", "idtyp": "app", "oid": principal, "sub": principal,
            "rh": "1.AXkA".repeat(10), "tid": "7b1e7f6c-6d19-4f0e-9d8e-0c0f8f6c2a11", "uti": "p0Xo3v8hCkGx2", "ver": "1.0",
            "xms_mirid": "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/fleet/providers/Microsoft.ManagedIdentity/userAssignedIdentities/bench",
        });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&json!({"typ": "JWT", "alg": "RS256", "kid": KEY_ID})), encode(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .context("a token could not be signed")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The time now.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The principal of tokens that name no other: its `oid`.
pub(crate) const PRINCIPAL: &str = "9c0e8a6d-12ab-4c7e-8f0e-3f5d0f1f2a33";
const KEY_ID: &str = "bench";
