//! Outgoing HTTP over real sockets, with a pool of connections.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use environment::{BoxFuture, HttpClient, HttpError, HttpErrorKind, Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;

use crate::{ConnectError, Connector, OutboundProxy, tls};

/// The real HTTP client for control traffic: HTTP/1.1, a few idle connections per host.
pub struct HostHttp {
    client: Client<Connector, Full<Bytes>>,
    body_bytes_max: usize,
}

impl HostHttp {
    /// A client that trusts `roots` and goes through `proxy` to the `https` hosts that it covers.
    pub fn new(roots: Arc<RootCertStore>, proxy: Option<OutboundProxy>) -> Self {
        Self::with_connector(Connector::new(tls::client_config(roots, &["http/1.1"])).with_proxy(proxy))
    }

    /// A client over connections of `connector`.
    pub fn with_connector(connector: Connector) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_IDLE_PER_HOST_MAX)
            .build(connector);
        Self { client, body_bytes_max: BODY_BYTES_MAX }
    }

    /// Takes answers of up to `bytes`, instead of the 1 MiB that is right for control traffic.
    pub fn with_body_bytes_max(self, bytes: usize) -> Self {
        Self { body_bytes_max: bytes, ..self }
    }

    async fn exchange(&self, request: Request) -> Result<Response, Failure> {
        let answer = self.client.request(request.map(Full::new)).await.map_err(|error| self.failure(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, self.body_bytes_max).collect().await.map_err(|error| self.failure(&*error))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    fn failure(&self, error: &(dyn StdError + 'static)) -> Failure {
        Failure::of(error, self.body_bytes_max)
    }
}

impl HttpClient for HostHttp {
    fn send(&self, request: Request, timeout: Duration) -> BoxFuture<'_, Result<Response, HttpError>> {
        // Only method and host are named: path and query may hold secrets.
        let what = format!("{} {}", request.method(), request.uri().host().unwrap_or("(no host)"));
        Box::pin(async move {
            match tokio::time::timeout(timeout, self.exchange(request)).await {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(Failure { kind, message })) => Err(HttpError::new(kind, format!("{what}: {message}"))),
                Err(_) => Err(HttpError::new(HttpErrorKind::Timeout, format!("{what}: no answer within {timeout:?}"))),
            }
        })
    }
}

/// Why an exchange failed, without what it was.
struct Failure {
    kind: HttpErrorKind,
    message: String,
}

impl Failure {
    /// Looks for the cause that we can name; otherwise the innermost message, which says the most.
    fn of(error: &(dyn StdError + 'static), body_bytes_max: usize) -> Self {
        let mut cause = error;
        loop {
            if let Some(connect) = cause.downcast_ref::<ConnectError>() {
                return Self { kind: connect.kind, message: connect.message.clone() };
            }
            if cause.is::<LengthLimitError>() {
                let message = format!("the answer is larger than {body_bytes_max} bytes");
                return Self { kind: HttpErrorKind::TooLarge, message };
            }
            match cause.source() {
                Some(inner) => cause = inner,
                None => return Self { kind: HttpErrorKind::Other, message: cause.to_string() },
            }
        }
    }
}

/// The bound that `environment::HttpClient` promises where nobody asks for another.
const BODY_BYTES_MAX: usize = 1 << 20;
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const POOL_IDLE_PER_HOST_MAX: usize = 4;

#[cfg(test)]
mod tests;
