//! The authority behind an HTTP server.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http_serving::{Body, Handler, Peer, ReadBodyError, Request, Response, read_body, text};

use crate::authority::{Authority, BODY_BYTES_MAX, Caller};

/// Serves an [`Authority`].
#[derive(Clone, Debug)]
pub struct AuthorityHandler(Arc<Authority>);

impl AuthorityHandler {
    /// Serves `authority`.
    pub fn new(authority: Arc<Authority>) -> Self {
        Self(authority)
    }
}

impl Handler for AuthorityHandler {
    async fn handle(&self, request: Request, peer: Peer) -> Response {
        let caller = Caller { tls: peer.tls, loopback: peer.is_loopback() };
        let (parts, mut body) = request.into_parts();
        match read_body(&mut body, BODY_BYTES_MAX as u64, BODY_TIME_MAX).await {
            Ok(bytes) => self.0.answer(http::Request::from_parts(parts, bytes), caller).await.map(Body::full),
            Err(error @ ReadBodyError::TooLarge { .. }) => text(StatusCode::PAYLOAD_TOO_LARGE, format!("{error}\n")),
            Err(error) => text(StatusCode::REQUEST_TIMEOUT, format!("{error}\n")),
        }
    }
}

const BODY_TIME_MAX: Duration = Duration::from_secs(10);
