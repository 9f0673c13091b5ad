//! An issuer whose keys live in the test.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use environment::Clock as _;
use host::HostClock;
use serde_json::json;

pub(crate) struct LocalIssuer(EcdsaKeyPair);

impl LocalIssuer {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn jwks(&self) -> String {
        let point = self.0.public_key().as_ref();
        let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y}]}).to_string()
    }

    /// A token good for an hour.
    pub(crate) fn token(&self, issuer: &str, audience: &str, object_id: &str) -> String {
        let now = HostClock::new().now().as_secs();
        let header = json!({"alg": "ES256", "kid": "k"}).to_string();
        let claims = json!({
            "iss": issuer, "aud": audience, "oid": object_id, "tid": "t", "iat": now, "nbf": now, "exp": now + 3600,
        });
        let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.to_string().as_bytes()));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url(signature.as_ref()))
    }
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
