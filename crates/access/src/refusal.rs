//! Why a token was not accepted.

use environment::UnixTime;
use model::{ErrorKind, Kinded};

use crate::MalformedToken;

/// A token was not accepted. The text may be shown to the sender: it repeats claims, never the token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenRefused {
    /// No token came with the request.
    #[error("no bearer token came with the request: send the header `Authorization: Bearer <token>`")]
    Missing,
    /// It is not a token this program reads.
    #[error("the token cannot be read: {0}")]
    Malformed(#[from] MalformedToken),
    /// Its time is over.
    #[error("the token expired at {} and it is {} now (Unix seconds): obtain a new one, and check the sender's clock",
        .expired_at.as_secs(), .now.as_secs())]
    Expired {
        /// When it expired.
        expired_at: UnixTime,
        /// The time here.
        now: UnixTime,
    },
    /// Its time has not come.
    #[error("the token is valid from {} and it is {} now (Unix seconds): one of the two clocks is wrong",
        .not_before.as_secs(), .now.as_secs())]
    NotYetValid {
        /// When it becomes valid.
        not_before: UnixTime,
        /// The time here.
        now: UnixTime,
    },
    /// It is meant for another service.
    #[error("the token is for the audience {found}, this endpoint takes {expected}: request a token for that resource")]
    WrongAudience {
        /// Its audiences.
        found: String,
        /// Those accepted here.
        expected: String,
    },
    /// It comes from an issuer that is not configured.
    #[error(
        "the token comes from the issuer {0:?}, which is not trusted here: issuers compare exactly, a trailing slash matters"
    )]
    UnknownIssuer(String),
    /// It comes from another directory of a known issuer.
    #[error("the token is of the directory {0:?}, which is not the one its issuer is trusted for")]
    WrongTenant(String),
    /// Its issuer has no such key.
    #[error("the token is signed with a key ({key}) that its issuer {issuer} does not publish for {algorithm}")]
    UnknownKey {
        /// The key it names.
        key: String,
        /// The issuer.
        issuer: String,
        /// The algorithm it names.
        algorithm: &'static str,
    },
    /// The signature does not fit.
    #[error("the token's signature does not fit its content")]
    BadSignature,
    /// Its issuer's keys could not be had, so nothing can be said about it.
    #[error("the keys of the issuer {issuer} cannot be fetched now: {cause}")]
    KeysUnavailable {
        /// The issuer.
        issuer: String,
        /// What failed on what.
        cause: String,
    },
}

impl TokenRefused {
    /// A stable name for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed(MalformedToken::TooLong { .. }) => "too_long",
            Self::Malformed(MalformedToken::Algorithm(_)) => "algorithm",
            Self::Malformed(_) => "malformed",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::WrongAudience { .. } => "wrong_audience",
            Self::UnknownIssuer(_) => "unknown_issuer",
            Self::WrongTenant(_) => "wrong_tenant",
            Self::UnknownKey { .. } => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::KeysUnavailable { .. } => "keys_unavailable",
        }
    }

    /// Every reason there is, so that metrics can show each from the start.
    pub const REASONS: [&'static str; 12] = [
        "missing",
        "too_long",
        "algorithm",
        "malformed",
        "expired",
        "not_yet_valid",
        "wrong_audience",
        "unknown_issuer",
        "wrong_tenant",
        "unknown_key",
        "bad_signature",
        "keys_unavailable",
    ];
}

impl Kinded for TokenRefused {
    fn kind(&self) -> ErrorKind {
        match self {
            // The sender did nothing wrong and shall repeat; a 401 would make it drop its samples.
            Self::KeysUnavailable { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Unauthenticated,
        }
    }
}
