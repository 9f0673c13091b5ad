//! Outgoing HTTP as an argument: whole requests in, whole responses out.
//!
//! Meant for control traffic (tokens, key sets, discovery), which is small. Bulk traffic has its own path in `proxy`.

use std::time::Duration;

use bytes::Bytes;

use crate::BoxFuture;

/// A whole request. The URI is absolute (`https://…` or `http://…`).
pub type Request = http::Request<Bytes>;

/// A whole response.
pub type Response = http::Response<Bytes>;

/// Why no HTTP answer came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpErrorKind {
    /// The name did not resolve, or nothing accepted the connection.
    Connect,
    /// The TLS handshake failed, for example for an unknown certificate authority.
    Tls,
    /// No answer within the time allowed.
    Timeout,
    /// The answer was larger than allowed.
    TooLarge,
    /// Anything else: a broken connection, an invalid answer.
    Other,
}

/// No HTTP answer came. An answer with an error status is not an `HttpError`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct HttpError {
    /// What went wrong, coarsely.
    pub kind: HttpErrorKind,
    /// What failed on what, for people: names the host, never a secret.
    pub message: String,
}

impl HttpError {
    /// An error of `kind` that says `message`.
    pub fn new(kind: HttpErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Sends HTTP requests.
pub trait HttpClient: Send + Sync + 'static {
    /// Sends `request` and reads the whole answer within `timeout`; redirects are not followed, nothing is retried.
    ///
    /// # Errors
    /// [`HttpError`] when no complete answer came in time. Bodies above a bound, 1 MiB unless the client was made with another,
    /// are refused as [`HttpErrorKind::TooLarge`].
    fn send(&self, request: Request, timeout: Duration) -> BoxFuture<'_, Result<Response, HttpError>>;
}
