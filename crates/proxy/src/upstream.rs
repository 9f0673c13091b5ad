//! One upstream: where it is, and its connections that rest between requests.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use environment::{Clock, Monotonic};
use host::{ConnectError, Connection, Connector};
use http::Uri;
use tokio::io::{AsyncRead as _, ReadBuf};
use url::Url;

use crate::Limits;

/// An address that cannot be an upstream.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Neither http nor https.
    #[error("the scheme is {0:?}: it must be https, or http for a loopback address")]
    Scheme(String),
    /// Plain HTTP to another machine would show the token to everyone on the way.
    #[error("plain http to {0} would send tokens unprotected: use https (http is for loopback addresses alone)")]
    NotLoopback(String),
    /// User name or password in the URL.
    #[error("the URL holds a user name or password: remove it, requests are authenticated with tokens")]
    UserInformation,
    /// A query or fragment where none can be.
    #[error("the URL holds a query or fragment: give the address up to the path")]
    Query,
    /// No host.
    #[error("the URL names no host")]
    Host,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Scheme, host and port.
    pub(crate) origin: Uri,
    /// Value of `Host`.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path_and_query: String,
}

impl Target {
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) fn of(url: &Url) -> Result<Self, UpstreamError> {
        check_upstream_url(url)?;
        let host = url.host_str().ok_or(UpstreamError::Host)?;
        // `Url` drops the scheme's own port, which is what `Host` wants.
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let origin = format!("{}://{authority}/", url.scheme()).parse().map_err(|_| UpstreamError::Host)?;
        let path_and_query =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Ok(Self { origin, authority, path_and_query })
    }
}

/// Whether tokens may be sent to `url`: over https, or to this machine.
///
/// # Errors
/// [`UpstreamError`] says why not.
pub fn check_upstream_url(url: &Url) -> Result<(), UpstreamError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UpstreamError::UserInformation);
    }
    let loopback = match url.host().ok_or(UpstreamError::Host)? {
        url::Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => Err(UpstreamError::NotLoopback(url.host_str().unwrap_or_default().to_owned())),
        scheme => Err(UpstreamError::Scheme(scheme.to_owned())),
    }
}

/// Connections to one target.
pub(crate) struct Upstream {
    pub(crate) target: Target,
    connector: Connector,
    clock: Arc<dyn Clock>,
    idle_max: usize,
    idle_timeout: std::time::Duration,
    /// A connection leads to where the name pointed when it was opened; names change.
    age_max: std::time::Duration,
    /// The connection used last is used next, so that those not needed grow old together.
    idle: Mutex<Vec<Idle>>,
}

/// A connection to an upstream.
pub(crate) struct UpstreamConnection {
    connection: Connection,
    opened: Monotonic,
}

impl Deref for UpstreamConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for UpstreamConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

struct Idle {
    connection: UpstreamConnection,
    since: Monotonic,
}

impl Upstream {
    /// # Errors
    /// [`UpstreamError`] when `url` must not or cannot be sent tokens.
    pub(crate) fn of(
        url: &Url,
        connector: Connector,
        clock: Arc<dyn Clock>,
        limits: &Limits,
    ) -> Result<Self, UpstreamError> {
        Ok(Self {
            target: Target::of(url)?,
            connector,
            clock,
            idle_max: limits.upstream_idle_max,
            idle_timeout: limits.upstream_idle_timeout,
            age_max: limits.upstream_age_max,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// A connection that rested, if one is young enough and still open as far as is known without asking the peer.
    pub(crate) fn take_idle(&self) -> Option<UpstreamConnection> {
        loop {
            let mut idle = self.idle().pop()?;
            if self.is_young(&idle, self.clock.monotonic()) && is_quiet(&mut idle.connection) {
                return Some(idle.connection);
            }
        }
    }

    pub(crate) async fn connect(&self) -> Result<UpstreamConnection, ConnectError> {
        let opened = self.clock.monotonic();
        // Boxed: it is rare, and larger than everything else that a request waits for.
        let mut connection = Box::pin(self.connector.connect(&self.target.origin)).await?;
        if let Connection::Tls(session) = &mut connection {
            // A usual request is encrypted whole and then leaves in one system call.
            session.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES_MAX));
        }
        Ok(UpstreamConnection { connection, opened })
    }

    /// Gives back a connection on which a request has been answered completely.
    pub(crate) fn put_idle(&self, connection: UpstreamConnection) {
        let since = self.clock.monotonic();
        let resting = Idle { connection, since };
        let mut idle = self.idle();
        if idle.len() < self.idle_max && self.is_young(&resting, since) {
            idle.push(resting);
        }
    }

    /// Closes connections that have rested or lived too long.
    pub(crate) fn drop_old(&self) {
        let now = self.clock.monotonic();
        self.idle().retain(|idle| self.is_young(idle, now));
    }

    fn is_young(&self, idle: &Idle, now: Monotonic) -> bool {
        now.since(idle.since) < self.idle_timeout && now.since(idle.connection.opened) < self.age_max
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing has arrived on a resting connection: neither its end nor bytes nobody asked for. Costs no system call
/// while the runtime knows of nothing to read.
fn is_quiet(connection: &mut Connection) -> bool {
    let mut byte = [0; 1];
    let mut buffer = ReadBuf::new(&mut byte);
    let mut context = Context::from_waker(Waker::noop());
    matches!(Pin::new(connection).poll_read(&mut context, &mut buffer), Poll::Pending)
}

const TLS_BUFFER_BYTES_MAX: usize = 256 << 10;
