//! One connection: plain or TLS, then HTTP, until it ends or is ended.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use crate::activity::{Activity, Verdict, Watch, Watched};
use crate::handler::Handler;
use crate::metrics::ListenerMetrics;
use crate::server::{Limits, Phase, RequestIds, Versions};
use crate::service::RequestScope;
use crate::stream::{Stream, begins_tls};

/// What all connections of a server share.
pub(crate) struct Connections<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) acceptor: Option<TlsAcceptor>,
    /// Whether requests may come without TLS.
    pub(crate) plain: bool,
    pub(crate) protocol: Builder<TokioExecutor>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<ListenerMetrics>,
    pub(crate) request_ids: Arc<RequestIds>,
}

/// The HTTP settings that all connections share.
pub(crate) fn protocol(versions: Versions, limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Head time-outs are watched over in `activity`; hyper's own would set a timer for every request.
    builder.http1().header_read_timeout(None).max_headers(limits.headers_max).max_buf_size(limits.header_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    match versions {
        Versions::All => builder,
        Versions::Http1 => builder.http1_only(),
    }
}

impl<H: Handler> Connections<H> {
    /// Serves one connection to its end.
    pub(crate) async fn serve(&self, stream: TcpStream, phases: watch::Receiver<Phase>) {
        self.metrics.accepted.inc();
        self.metrics.open.inc();
        if let Err(error) = self.try_serve(stream, phases).await {
            tracing::debug!(%error, "a connection ended early");
        }
        self.metrics.open.dec();
    }

    async fn try_serve(&self, stream: TcpStream, mut phases: watch::Receiver<Phase>) -> Result<(), Ended> {
        // Answers are written whole; waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let addresses = (stream.peer_addr()?, stream.local_addr()?);
        let prepared = tokio::select! {
            prepared = timeout(self.limits.handshake_time_max, self.prepare(stream)) => prepared,
            _ = phases.changed() => return Ok(()),
        };
        match prepared {
            Ok(Ok(Some(stream))) => self.speak_http(stream, addresses, phases).await,
            Ok(Ok(None)) => Ok(()),
            Ok(Err(error)) => {
                self.metrics.count_closed("handshake-failed");
                Err(error.into())
            }
            Err(_) => {
                self.metrics.count_closed("handshake-timeout");
                Ok(())
            }
        }
    }

    /// Finds out whether the client speaks TLS, and if so shakes hands. `None` when the connection is over already.
    async fn prepare(&self, stream: TcpStream) -> io::Result<Option<Stream>> {
        if let Some(acceptor) = &self.acceptor {
            let mut first = [0];
            match stream.peek(&mut first).await? {
                0 => return Ok(None),
                _ if begins_tls(first[0]) => {
                    return Ok(Some(Stream::Tls(Box::new(acceptor.accept(stream).await?))));
                }
                _ => {}
            }
        }
        if self.plain {
            return Ok(Some(Stream::Plain(stream)));
        }
        self.metrics.count_closed("plain-refused");
        refuse_plain(stream).await?;
        Ok(None)
    }

    async fn speak_http(
        &self,
        stream: Stream,
        (addr, local_addr): (SocketAddr, SocketAddr),
        mut phases: watch::Receiver<Phase>,
    ) -> Result<(), Ended> {
        let activity = Arc::new(Activity::default());
        let scope = Arc::new(RequestScope {
            handler: self.handler.clone(),
            addr,
            local_addr,
            tls: matches!(stream, Stream::Tls(_)),
            activity: activity.clone(),
            request_ids: self.request_ids.clone(),
            metrics: self.metrics.clone(),
        });
        let stream = TokioIo::new(Watched::new(stream, activity.clone()));
        let service = service_fn(move |request| scope.clone().respond(request));
        let mut connection = pin!(self.protocol.serve_connection(stream, service));
        let period = Watch::period(&self.limits);
        let mut watch = Watch::new(activity);
        let mut next_look = pin!(sleep_until(Instant::now() + period));
        let mut ending = false;
        loop {
            tokio::select! {
                biased;
                result = connection.as_mut() => return result.map_err(Ended::Http),
                changed = phases.changed() => match *phases.borrow_and_update() {
                    Phase::Draining => connection.as_mut().graceful_shutdown(),
                    // A server that was dropped takes its connections with it.
                    Phase::Serving if changed.is_ok() => {}
                    Phase::Serving | Phase::Aborting => return Ok(()),
                },
                () = next_look.as_mut() => {
                    next_look.as_mut().reset(Instant::now() + period);
                    match watch.look(&self.limits) {
                        Verdict::Keep => {}
                        Verdict::Idle if !ending => {
                            ending = true;
                            self.metrics.count_closed("idle");
                            connection.as_mut().graceful_shutdown();
                        }
                        // It had one more period to end politely.
                        Verdict::Idle => return Ok(()),
                        Verdict::Cut(reason) => {
                            self.metrics.count_closed(reason);
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}

/// Says in plain HTTP that it is not spoken here. Reads what the client sends first: closing a connection with unread
/// bytes would reset it before the client has read the answer.
async fn refuse_plain(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN_REFUSED.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = (&mut stream).take(REFUSED_BYTES_MAX);
    let _ = timeout(REFUSED_TIME_MAX, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    Ok(())
}

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Http(Box<dyn std::error::Error + Send + Sync>),
}

const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);
const REFUSED_BYTES_MAX: u64 = 1 << 20;
const REFUSED_TIME_MAX: Duration = Duration::from_secs(1);
const PLAIN_REFUSED: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    This port takes HTTPS only: use https://, or allow plain HTTP in the server's settings.\n";
