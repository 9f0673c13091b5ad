//! The bearer token that senders have to bring, where the listener asks for one.

use std::fmt;

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use secrecy::{ExposeSecret as _, SecretString};

use crate::request_head::RequestHead;

/// A token shared with senders. Only its digest is held; it can be exchanged while the proxy serves.
pub struct ListenToken(ArcSwap<[u8; SHA256_OUTPUT_LEN]>);

/// Text that cannot be a token. Never shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ListenTokenError {
    /// It would be known to everyone.
    #[error("the token is empty: write at least {TOKEN_BYTES_MIN} random characters into its file")]
    Empty,
    /// It could be found by trying.
    #[error(
        "the token is shorter than {TOKEN_BYTES_MIN} characters: take random ones, such as openssl rand -hex 32 gives"
    )]
    Short,
    /// It could not be sent in a header.
    #[error("the token holds characters other than visible ASCII: take letters and digits, in one line")]
    Characters,
}

impl ListenToken {
    /// `secret` without the white space around it, as files end in a line feed.
    ///
    /// # Errors
    /// [`ListenTokenError`] says why it cannot be one.
    pub fn new(secret: &SecretString) -> Result<Self, ListenTokenError> {
        Ok(Self(ArcSwap::from_pointee(checked_digest(secret)?)))
    }

    /// Takes `secret` instead from now on. On an error the old one stays.
    ///
    /// # Errors
    /// As [`ListenToken::new`].
    pub fn replace(&self, secret: &SecretString) -> Result<(), ListenTokenError> {
        self.0.store(std::sync::Arc::new(checked_digest(secret)?));
        Ok(())
    }

    /// Whether the request brings the token. How long the answer takes tells nothing of it: digests are compared, whole.
    pub(crate) fn is_brought_by(&self, request: &RequestHead, head: &[u8]) -> bool {
        bearer(request, head)
            .is_some_and(|brought| verify_slices_are_equal(&sha256(brought), self.0.load().as_slice()).is_ok())
    }
}

impl fmt::Debug for ListenToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListenToken(***)")
    }
}

fn checked_digest(secret: &SecretString) -> Result<[u8; SHA256_OUTPUT_LEN], ListenTokenError> {
    match secret.expose_secret().trim().as_bytes() {
        [] => Err(ListenTokenError::Empty),
        token if !token.iter().all(u8::is_ascii_graphic) => Err(ListenTokenError::Characters),
        token if token.len() < TOKEN_BYTES_MIN => Err(ListenTokenError::Short),
        token => Ok(sha256(token)),
    }
}

fn sha256(bytes: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    digest(&SHA256, bytes).as_ref().try_into().expect("a SHA-256 digest has one length")
}

/// The one bearer token of a request. Two headers are none: what stands before us may have looked at the other one.
fn bearer<'a>(request: &RequestHead, head: &'a [u8]) -> Option<&'a [u8]> {
    let mut fields = request.fields.iter().filter(|field| field.name.of(head).eq_ignore_ascii_case(b"authorization"));
    let (field, None) = (fields.next()?, fields.next()) else { return None };
    let value = field.value.of(head);
    let space = value.iter().position(|byte| *byte == b' ')?;
    value[..space].eq_ignore_ascii_case(b"bearer").then(|| value[space..].trim_ascii())
}

const TOKEN_BYTES_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<ListenToken, ListenTokenError> {
        ListenToken::new(&SecretString::from(text))
    }

    #[test]
    fn what_can_be_a_token() {
        for (text, error) in [
            ("0123456789abcdef", None),
            (" 0123456789abcdef\r\n", None),
            ("", Some(ListenTokenError::Empty)),
            (" \n", Some(ListenTokenError::Empty)),
            ("0123456789abcde", Some(ListenTokenError::Short)),
            ("0123456789 abcdef", Some(ListenTokenError::Characters)),
            ("0123456789\nabcdef", Some(ListenTokenError::Characters)),
            ("0123456789abcdéf", Some(ListenTokenError::Characters)),
        ] {
            assert_eq!(token(text).err(), error, "{text:?}");
        }
    }

    #[test]
    fn which_requests_bring_it() {
        let token = token("0123456789abcdef\n").unwrap();
        let is_brought = |fields: &str| {
            let head = format!("POST /api/v1/write HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let mut request = RequestHead::new();
            assert_eq!(request.parse(head.as_bytes(), &mut 0), Ok(true));
            token.is_brought_by(&request, head.as_bytes())
        };
        for (fields, expected) in [
            ("Authorization: Bearer 0123456789abcdef\r\n", true),
            ("authorization: bearer  0123456789abcdef \r\n", true),
            ("", false),
            ("Authorization: Bearer\r\n", false),
            ("Authorization: Bearer \r\n", false),
            ("Authorization: Bearer 0123456789abcdeF\r\n", false),
            ("Authorization: Bearer 0123456789abcde\r\n", false),
            ("Authorization: Bearer 0123456789abcdef0\r\n", false),
            ("Authorization: 0123456789abcdef\r\n", false),
            ("Authorization: Basic 0123456789abcdef\r\n", false),
            ("Authorization: Bearer 0123456789abcdef\r\nAuthorization: Bearer 0123456789abcdef\r\n", false),
            ("X-Authorization: Bearer 0123456789abcdef\r\n", false),
        ] {
            assert_eq!(is_brought(fields), expected, "{fields:?}");
        }
        token.replace(&SecretString::from("fedcba9876543210")).unwrap();
        assert!(!is_brought("Authorization: Bearer 0123456789abcdef\r\n"));
        assert!(is_brought("Authorization: Bearer fedcba9876543210\r\n"));
        assert_eq!(token.replace(&SecretString::from("")), Err(ListenTokenError::Empty));
        assert!(is_brought("Authorization: Bearer fedcba9876543210\r\n"));
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", token("0123456789abcdef").unwrap()), "ListenToken(***)");
    }
}
