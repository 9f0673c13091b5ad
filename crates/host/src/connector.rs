//! Outgoing connections: name, TCP, perhaps a tunnel through a forward proxy, perhaps TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use environment::{BoxFuture, HttpErrorKind};
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection as ConnectionInfo};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::OutboundProxy;

/// Opens connections to the hosts of URIs. Made for hyper-util's client; also usable alone with [`Connector::connect`].
#[derive(Clone)]
pub struct Connector {
    tls: Arc<ClientConfig>,
    proxy: Option<Arc<OutboundProxy>>,
    timeout: Duration,
}

/// No connection came about.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// What failed: [`HttpErrorKind::Connect`], [`HttpErrorKind::Tls`] or [`HttpErrorKind::Timeout`].
    pub kind: HttpErrorKind,
    /// What failed on what.
    pub message: String,
}

/// A connection, with or without TLS.
pub enum Connection {
    /// Bytes as they are.
    Plain(TcpStream),
    /// Inside TLS. Boxed: a TLS session is a hundred times the size of a socket.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    /// Connections with these TLS settings (which also choose what ALPN offers).
    pub fn new(tls: Arc<ClientConfig>) -> Self {
        Self { tls, proxy: None, timeout: CONNECT_TIMEOUT }
    }

    /// Goes through `proxy` to the `https` hosts that it covers.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Option<OutboundProxy>) -> Self {
        self.proxy = proxy.map(Arc::new);
        self
    }

    /// Gives up after `timeout` instead of 10 s. Covers everything from the name to the end of the TLS handshake.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens a connection to scheme, host and port of `uri`.
    ///
    /// # Errors
    /// [`ConnectError`] says how far it came.
    pub async fn connect(&self, uri: &Uri) -> Result<Connection, ConnectError> {
        let target = Target::of(uri)?;
        match tokio::time::timeout(self.timeout, self.open(&target)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError {
                kind: HttpErrorKind::Timeout,
                message: format!("connecting to {} took longer than {:?}", target.authority(), self.timeout),
            }),
        }
    }

    async fn open(&self, target: &Target<'_>) -> Result<Connection, ConnectError> {
        if !target.tls {
            return Ok(Connection::Plain(tcp(&target.authority()).await?));
        }
        let stream = match self.proxy.as_deref().filter(|proxy| proxy.covers(target.host)) {
            Some(proxy) => tunnel(proxy, &target.authority()).await?,
            None => tcp(&target.authority()).await?,
        };
        let name = ServerName::try_from(target.host.to_owned()).map_err(|error| tls_error(target, &error))?;
        let session = TlsConnector::from(self.tls.clone()).connect(name, stream).await;
        session.map(|session| Connection::Tls(Box::new(session))).map_err(|error| tls_error(target, &error))
    }
}

/// Where a URI points.
struct Target<'a> {
    tls: bool,
    /// Without brackets.
    host: &'a str,
    port: u16,
}

impl<'a> Target<'a> {
    fn of(uri: &'a Uri) -> Result<Self, ConnectError> {
        let (tls, default_port) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") => (false, 80),
            _ => return Err(connect_error(format!("{uri} is not an absolute http or https URL"))),
        };
        let host = uri.host().ok_or_else(|| connect_error("the URL names no host".to_owned()))?;
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        Ok(Self { tls, host, port: uri.port_u16().unwrap_or(default_port) })
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Tries the addresses of a name one after the other.
async fn tcp(authority: &str) -> Result<TcpStream, ConnectError> {
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|error| connect_error(format!("cannot connect to {authority}: {error}")))?;
    // Requests are written whole; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Asks the proxy for a tunnel to `target`.
async fn tunnel(proxy: &OutboundProxy, target: &str) -> Result<TcpStream, ConnectError> {
    let mut stream = tcp(proxy.authority()).await?;
    let failed = |what: &dyn std::fmt::Display| {
        connect_error(format!("proxy {} opens no tunnel to {target}: {what}", proxy.authority()))
    };
    stream.write_all(proxy.connect_request(target).as_bytes()).await.map_err(|error| failed(&error))?;
    let mut answer = Vec::with_capacity(256);
    while !answer.ends_with(b"\r\n\r\n") {
        // Byte by byte: what follows the empty line belongs to the tunnel and must stay in the socket.
        let byte = stream.read_u8().await.map_err(|error| failed(&error))?;
        answer.push(byte);
        if answer.len() > TUNNEL_ANSWER_BYTES_MAX {
            return Err(failed(&"its answer is too long"));
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let status_line = text.lines().next().unwrap_or("");
    let status = status_line.split(' ').nth(1).unwrap_or("");
    if status.len() == 3 && status.starts_with('2') { Ok(stream) } else { Err(failed(&status_line)) }
}

fn connect_error(message: String) -> ConnectError {
    ConnectError { kind: HttpErrorKind::Connect, message }
}

fn tls_error(target: &Target<'_>, error: &dyn std::fmt::Display) -> ConnectError {
    ConnectError {
        kind: HttpErrorKind::Tls,
        message: format!("TLS handshake with {} failed: {error}", target.authority()),
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await.map(TokioIo::new) })
    }
}

impl ConnectionInfo for Connection {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls(session) if session.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            _ => Connected::new(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(session) => Pin::new(session).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(session) => Pin::new(session).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(session) => Pin::new(session).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(session) => Pin::new(session).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(session) => Pin::new(session).poll_shutdown(cx),
        }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TUNNEL_ANSWER_BYTES_MAX: usize = 8 << 10;
