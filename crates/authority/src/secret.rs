//! Client secrets: kept as digests, compared in constant time.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use environment::UnixTime;
use secrecy::{ExposeSecret as _, SecretString};

/// A client secret that is accepted. Only its SHA-256 is kept: enough to recognise it, and secrets of applications are
/// long and random, so that the digest gives nothing away.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret {
    sha256: [u8; 32],
    expires_at: Option<UnixTime>,
}

/// Text that is no client secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SecretError {
    /// Too short to be safe against guessing.
    #[error("a client secret must have at least {SECRET_BYTES_MIN} characters")]
    TooShort,
    /// Not the digest expected.
    #[error("a client secret's digest must be the 64 hexadecimal digits of its SHA-256")]
    Digest,
}

impl ClientSecret {
    /// From the secret itself.
    ///
    /// # Errors
    /// When it could be guessed.
    pub fn new(secret: &SecretString) -> Result<Self, SecretError> {
        let secret = secret.expose_secret();
        if secret.len() < SECRET_BYTES_MIN {
            return Err(SecretError::TooShort);
        }
        Ok(Self { sha256: sha256(secret), expires_at: None })
    }

    /// From its SHA-256 in hexadecimal.
    ///
    /// # Errors
    /// When it is not that.
    pub fn from_sha256_hex(text: &str) -> Result<Self, SecretError> {
        let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
        if digits.len() != 64 || text.chars().count() != 64 {
            return Err(SecretError::Digest);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self { sha256: bytes, expires_at: None })
    }

    /// Its SHA-256 in hexadecimal: all that is kept of it.
    pub fn sha256_hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// No longer accepted from `expires_at` on.
    #[must_use]
    pub const fn expiring_at(mut self, expires_at: UnixTime) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// Whether `candidate` is this secret. Takes the same time whatever it is.
    pub(crate) fn matches(&self, candidate: &str) -> bool {
        verify_slices_are_equal(&self.sha256, &sha256(candidate)).is_ok()
    }

    pub(crate) fn is_expired(&self, now: UnixTime) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(***)")
    }
}

fn sha256(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

const SECRET_BYTES_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognised_and_not_shown() {
        let secret = ClientSecret::new(&SecretString::from("correct horse battery")).unwrap();
        let digest = "a4a61e0a3f3a8e9b0d7f5f4f0f0d4d2f9f0c5f3b0d7b6f9f3b8c2f1b3c4d5e6f";
        assert!(secret.matches("correct horse battery"));
        for wrong in ["", "correct horse batter", "correct horse battery ", "Correct horse battery"] {
            assert!(!secret.matches(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{secret:?}"), "ClientSecret(***)");
        assert!(ClientSecret::from_sha256_hex(digest).is_ok());
        assert_eq!(ClientSecret::new(&SecretString::from("short")), Err(SecretError::TooShort));
        for wrong in
            ["", "ab", &digest[1..], &format!("{digest}0"), &digest.replace('a', "g"), &digest.replace('a', "é")]
        {
            assert_eq!(ClientSecret::from_sha256_hex(wrong), Err(SecretError::Digest), "{wrong:?}");
        }
    }

    #[test]
    fn a_digest_stands_for_its_secret() {
        let hex: String = sha256("correct horse battery").iter().map(|byte| format!("{byte:02X}")).collect();
        let secret = ClientSecret::from_sha256_hex(&hex).unwrap();
        assert!(secret.matches("correct horse battery") && !secret.matches("other"));
        assert_eq!(secret.sha256_hex(), hex.to_ascii_lowercase());
        let now = UnixTime::from_secs(100);
        assert!(!secret.is_expired(now) && secret.expiring_at(now).is_expired(now));
    }
}
