//! Accepting connections, and ending them in order.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use environment::Rng;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::connection::Connections;
use crate::handler::{Handler, RequestId};
use crate::metrics::ConnectionMetrics;
use crate::tls::Certificate;

/// Whether requests may come without TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PlainHttp {
    /// From everywhere.
    Allow,
    /// Where the server listens on a loopback address: nobody else can listen in there. On a listener for all addresses
    /// plain HTTP is refused to everybody, so that what was tried on the machine itself holds for others, too.
    #[default]
    LoopbackOnly,
    /// Never.
    Refuse,
}

impl PlainHttp {
    fn is_allowed(self, listener: &TcpListener) -> bool {
        match self {
            Self::Allow => true,
            Self::LoopbackOnly => listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback()),
            Self::Refuse => false,
        }
    }
}

/// Which versions of HTTP are spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Versions {
    /// HTTP/1.1 and HTTP/2 (by ALPN, or with prior knowledge on plain connections).
    #[default]
    All,
    /// HTTP/1.1 alone.
    Http1,
}

/// Bounds of a server. Every one has a default that fits a service on the internet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at a time; further ones wait in the system's queue.
    pub connections_max: u32,
    /// From the connection's begin to the end of the TLS handshake.
    pub handshake_time_max: Duration,
    /// From a request head's first byte to its last; from the connection's begin to the end of the first head.
    pub header_time_max: Duration,
    /// Without a request. Longer than Prometheus' own five minutes by default, so that the client is the one who closes
    /// and no request meets a closing connection.
    pub idle_time_max: Duration,
    /// For how long a client may not read while it is being answered.
    pub write_stall_max: Duration,
    /// Number of headers of a request.
    pub headers_max: usize,
    /// Bytes of a request's head; also the size that read buffers grow to.
    pub header_bytes_max: usize,
    /// Requests at a time on one HTTP/2 connection.
    pub streams_max: u32,
    /// After shutdown began, for how long requests in flight may go on.
    pub drain_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            handshake_time_max: Duration::from_secs(10),
            header_time_max: Duration::from_secs(10),
            idle_time_max: Duration::from_secs(360),
            write_stall_max: Duration::from_secs(60),
            headers_max: 100,
            header_bytes_max: 128 << 10,
            streams_max: 250,
            drain_time_max: Duration::from_secs(25),
        }
    }
}

/// An HTTP server: a handler with bounds, versions and perhaps a certificate.
pub struct Server<H> {
    handler: Arc<H>,
    certificate: Option<Arc<Certificate>>,
    plain: PlainHttp,
    versions: Versions,
    limits: Limits,
    metrics: ConnectionMetrics,
    name: &'static str,
    request_ids: Arc<RequestIds>,
}

impl<H: Handler> Server<H> {
    /// A server for `handler`. `name` is the listener's in metrics and logs.
    pub fn new(name: &'static str, handler: H, rng: &dyn Rng) -> Self {
        Self {
            handler: Arc::new(handler),
            certificate: None,
            plain: PlainHttp::default(),
            versions: Versions::default(),
            limits: Limits::default(),
            metrics: ConnectionMetrics::default(),
            name,
            request_ids: Arc::new(RequestIds::new(rng)),
        }
    }

    /// Takes TLS connections with this certificate, which the caller may exchange at any time.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Arc<Certificate>) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Whether plain HTTP is taken; on loopback listeners only by default.
    #[must_use]
    pub const fn with_plain(mut self, plain: PlainHttp) -> Self {
        self.plain = plain;
        self
    }

    /// Which versions are spoken; all by default.
    #[must_use]
    pub const fn with_versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Other bounds than the default ones.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Counts connections here.
    #[must_use]
    pub fn with_metrics(mut self, metrics: ConnectionMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Serves until `shutdown` resolves; then takes no more connections, lets requests in flight finish for as long as the
    /// limits say, cuts what is left, and returns.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (phase, phases) = watch::channel(Phase::Serving);
        let capacity = self.limits.connections_max;
        let permits = Arc::new(Semaphore::new(capacity as usize));
        let drain_time_max = self.limits.drain_time_max;
        let connections = Arc::new(self.into_connections(&listener));
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept(&listener, &permits) => accepted,
            };
            match accepted {
                Ok((stream, permit)) => {
                    let (connections, phases) = (connections.clone(), phases.clone());
                    tokio::spawn(async move {
                        connections.serve(stream, phases).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Mostly the process is out of file descriptors: some must be closed before it makes sense to go on.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        drop(phases);
        phase.send_replace(Phase::Draining);
        let all_ended = permits.acquire_many(capacity);
        if tokio::time::timeout(drain_time_max, all_ended).await.is_err() {
            let left = capacity as usize - permits.available_permits();
            tracing::warn!(connections = left, "cutting connections that did not finish in time");
            phase.send_replace(Phase::Aborting);
            phase.closed().await;
        }
    }

    fn into_connections(self, listener: &TcpListener) -> Connections<H> {
        Connections {
            acceptor: self.certificate.map(|certificate| -> TlsAcceptor {
                certificate.acceptor(match self.versions {
                    Versions::All => &["h2", "http/1.1"],
                    Versions::Http1 => &["http/1.1"],
                })
            }),
            handler: self.handler,
            plain: self.plain.is_allowed(listener),
            protocol: crate::connection::protocol(self.versions, &self.limits),
            limits: self.limits,
            metrics: Arc::new(self.metrics.of(self.name)),
            request_ids: self.request_ids,
        }
    }
}

/// Waits for a place first: a connection that cannot be served is better off in the system's queue.
async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

/// How far a server has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Serving,
    Draining,
    Aborting,
}

/// Names requests: a random start, then counting, so that no request waits for randomness.
#[derive(Debug)]
pub(crate) struct RequestIds {
    high: u64,
    low: AtomicU64,
}

impl RequestIds {
    fn new(rng: &dyn Rng) -> Self {
        Self { high: rng.next_u64(), low: AtomicU64::new(rng.next_u64()) }
    }

    pub(crate) fn next(&self) -> RequestId {
        let low = self.low.fetch_add(1, Ordering::Relaxed);
        let bytes = (u128::from(self.high) << 64 | u128::from(low)).to_be_bytes();
        RequestId(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
