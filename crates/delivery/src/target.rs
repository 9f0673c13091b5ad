//! The target as delivery sees it.

use std::time::Duration;

use bytes::Bytes;
use environment::BoxFuture;
use identity::AccessToken;
use remote_write::{Version, WrittenCounts};

/// One request on its way.
#[derive(Clone, Debug)]
pub struct Shipment {
    /// Of the message in `body`.
    pub version: Version,
    /// Compressed.
    pub body: Bytes,
    /// Whom we are.
    pub token: AccessToken,
}

/// What the target answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After`, as a span from now; a date in the past is zero.
    pub retry_after: Option<Duration>,
    /// The written-headers of version 2.0.
    pub written: Option<WrittenCounts>,
    /// The body, up to a bound.
    pub body: Bytes,
    /// Whether the whole request went out before, on a kept connection that was closed without an answer. That one may have
    /// arrived, too.
    pub sent_twice: bool,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// What failed on what.
    pub message: String,
    /// A word for metrics: `unreachable`, `timeout`, `invalid_answer`.
    pub kind: &'static str,
    /// Whether the target may have had the whole request.
    pub may_have_arrived: bool,
    /// As [`Answer::sent_twice`].
    pub sent_twice: bool,
}

/// See [`Answer::sent_twice`].
pub(crate) fn sent_twice(answer: &Result<Answer, SendError>) -> bool {
    match answer {
        Ok(answer) => answer.sent_twice,
        Err(error) => error.sent_twice,
    }
}

/// Takes requests for an ingestion endpoint.
pub trait Target: Send + Sync + 'static {
    /// Sends one request and reads its whole answer. Bounded in time by the target itself.
    ///
    /// # Errors
    /// [`SendError`] when there is no answer.
    fn send(&self, shipment: Shipment) -> BoxFuture<'_, Result<Answer, SendError>>;
}
