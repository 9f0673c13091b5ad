//! A bearer token and its times.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use environment::UnixTime;
use http::HeaderValue;
use zeroize::Zeroizing;

/// A bearer token ready to be sent. Cheap to clone; the bytes are wiped when the last clone goes.
///
/// Two tokens are equal when their secrets are, whenever they were fetched.
#[derive(Clone)]
pub struct AccessToken {
    authorization: HeaderValue,
    times: Arc<Times>,
}

#[derive(Debug)]
struct Times {
    expires_at: UnixTime,
    lifetime: Duration,
    refresh_in: Option<Duration>,
}

const SCHEME: &str = "Bearer ";

impl AccessToken {
    /// A token received at `now` that lives for `lifetime` from then on; `refresh_in` is the issuer's hint, if it gave one.
    ///
    /// None when `secret` is empty or cannot stand in a header.
    pub fn new(secret: &str, now: UnixTime, lifetime: Duration, refresh_in: Option<Duration>) -> Option<Self> {
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut line = Zeroizing::new(Vec::with_capacity(SCHEME.len() + secret.len()));
        line.extend_from_slice(SCHEME.as_bytes());
        line.extend_from_slice(secret.as_bytes());
        let mut authorization = HeaderValue::from_maybe_shared(Bytes::from_owner(line)).ok()?;
        authorization.set_sensitive(true);
        let times = Times { expires_at: now.plus(lifetime), lifetime, refresh_in };
        Some(Self { authorization, times: Arc::new(times) })
    }

    /// The whole value of the `Authorization` header, marked sensitive. Cloning it copies no bytes.
    pub fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// The token itself. Not for logs.
    pub fn secret(&self) -> &str {
        let line = std::str::from_utf8(self.authorization.as_bytes()).expect("built from a scheme and printable ASCII");
        &line[SCHEME.len()..]
    }

    /// When it expires, on the local wall clock.
    pub fn expires_at(&self) -> UnixTime {
        self.times.expires_at
    }

    /// How long it lived when it was received.
    pub fn lifetime(&self) -> Duration {
        self.times.lifetime
    }

    /// After how long its issuer wants it refreshed.
    pub fn refresh_in(&self) -> Option<Duration> {
        self.times.refresh_in
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        self.authorization == other.authorization
    }
}

impl Eq for AccessToken {}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("secret", &"***").field("times", &self.times).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_sensitive_bearer_header() {
        let token = AccessToken::new("abc.def", UnixTime::from_secs(10), Duration::from_secs(5), None).unwrap();
        assert_eq!(token.authorization(), "Bearer abc.def");
        assert!(token.authorization().is_sensitive());
        assert_eq!((token.secret(), token.expires_at()), ("abc.def", UnixTime::from_secs(15)));
        let shown = format!("{token:?} {:?}", token.authorization());
        assert!(!shown.contains("abc"), "{shown}");
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_no_token() {
        for secret in ["", "a b", "a\r\nHost: x", "\u{e9}"] {
            assert!(AccessToken::new(secret, UnixTime::EPOCH, Duration::from_secs(1), None).is_none(), "{secret:?}");
        }
    }
}
