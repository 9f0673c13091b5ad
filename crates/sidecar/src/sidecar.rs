//! A sidecar put together: credential, token caches, queue, proxy, listener.
//!
//! The order of its end, which loses nothing: senders are answered and let go → the queue hands over what it can → delivery
//! ends → the queue is closed. All of it within the drain timeout.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_serving::CertificateError;
use identity::{Environment, SettingError};
use parking_lot::Mutex;
use proxy::{Listen, ListenToken, ListenTokenError, Medium, Parts, Proxy, UpstreamError};
use spool::{OpenError, Spool};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;

use crate::outgoing::{Outgoing, Refreshing};
use crate::{ListenerSettings, Settings, SidecarHandle, queue};

/// A sidecar that listens, and serves once it runs.
pub struct Sidecar {
    listener: TcpListener,
    address: SocketAddr,
    proxy: Proxy,
    queue: Option<(Spool, Medium)>,
    listen: Listen,
    outgoing: Outgoing,
    refreshing: Refreshing,
    environment: Environment,
    drain_timeout: Arc<Mutex<Duration>>,
}

/// Why there is no sidecar.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The listening socket.
    #[error("cannot listen on {address}: {source} (set LISTENING_PORT or REMORA_LISTEN_ADDRESS to another)")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// As the system says.
        source: io::Error,
    },
    /// The queue.
    #[error("REMORA_QUEUE_DIR: {0}{mend}", mend = queue::mend(.0))]
    Queue(#[source] OpenError),
    /// The listener's certificate; [`Settings::load`] has checked it.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The listener's token; [`Settings::load`] has checked it.
    #[error(transparent)]
    ListenToken(#[from] ListenTokenError),
    /// A URL; [`Settings::load`] has checked them.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The credential; [`Settings::load`] has checked it.
    #[error(transparent)]
    Identity(#[from] SettingError),
}

impl Sidecar {
    /// Puts the parts together, opens the queue and the listener.
    ///
    /// # Errors
    /// [`BindError`], above all when the port is taken or the queue's directory cannot be used.
    pub async fn bind(settings: &Settings, environment: Environment) -> Result<Self, BindError> {
        let clock = Arc::clone(&environment.clock);
        let outgoing = Outgoing::new(settings, &environment)?;
        // Before the listener: nobody is to be answered by a sidecar that cannot keep what it is sent.
        let queue = match &settings.queue {
            Some(queue) => Some((queue::open(queue, &clock)?, queue)),
            None => None,
        };
        let listen_for = what_is_asked(&settings.listener)?;
        let proxy = Proxy::new(Parts {
            ingestion_url: settings.ingestion_url.clone(),
            ingestion_tokens: Arc::clone(&outgoing.ingestion_tokens),
            query: outgoing.query(settings),
            connector: outgoing.connector.clone(),
            clock,
            limits: limits(settings),
            listen: listen_for.clone(),
            queue: queue.as_ref().map(|(spool, queue)| queue::parts(settings, queue, spool, &environment)),
            version: env!("CARGO_PKG_VERSION"),
        })?;
        let listener =
            listen(settings.listen).map_err(|source| BindError::Listen { address: settings.listen, source })?;
        let address = listener.local_addr().map_err(|source| BindError::Listen { address: settings.listen, source })?;
        Ok(Self {
            listener,
            address,
            proxy,
            queue: queue.map(|(spool, queue)| (spool, queue.medium)),
            listen: listen_for,
            outgoing,
            refreshing: Refreshing::default(),
            environment,
            drain_timeout: Arc::new(Mutex::new(settings.delivery.drain_timeout)),
        })
    }

    /// Where it listens; tells the port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For changes while it runs.
    pub fn handle(&self) -> SidecarHandle {
        SidecarHandle {
            proxy: self.proxy.handle(),
            queue: self.queue.clone(),
            listen: self.listen.clone(),
            refreshing: self.refreshing.clone(),
            environment: self.environment.clone(),
            drain_timeout: Arc::clone(&self.drain_timeout),
        }
    }

    /// Serves until `shutdown` resolves, requests under way have ended, and the queue has handed over what it can.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let clock = Arc::clone(&self.environment.clock);
        self.refreshing.start(&self.outgoing, &clock);
        tracing::info!(address = %self.address, "Listening");
        let Some((spool, medium)) = self.queue else {
            self.proxy.serve(self.listener, shutdown).await;
            tracing::info!("Stopped");
            return;
        };
        let delivery = self.proxy.delivery().expect("a proxy with a queue delivers from it");
        let (end_delivery, delivery_ends) = oneshot::channel::<()>();
        let delivering = tokio::spawn({
            let delivery = delivery.clone();
            let ordered = async {
                let _dropped = delivery_ends.await;
            };
            // The deadline is kept below, as it may have changed by then.
            async move { delivery.run(ordered, DRAIN_MAX).await }
        });
        let ordered_at = Mutex::new(clock.monotonic());
        let shutdown = async {
            shutdown.await;
            *ordered_at.lock() = clock.monotonic();
        };
        self.proxy.serve(self.listener, shutdown).await;
        let deadline = ordered_at.lock().plus(*self.drain_timeout.lock());
        queue::emptied(&spool, &delivery, medium, &*clock, deadline).await;
        let _already_ended = end_delivery.send(());
        let left = deadline.since(clock.monotonic()).max(DRAIN_MIN);
        if tokio::time::timeout(left, delivering).await.is_err() {
            match medium {
                Medium::Disk => tracing::warn!(
                    "stopping although requests to the ingestion endpoint are under way; they are sent again"
                ),
                Medium::Memory => {
                    tracing::warn!("stopping although requests to the ingestion endpoint are under way");
                }
            }
        }
        queue::close(spool, medium).await;
        tracing::info!("Stopped");
    }
}

/// What the listener asks of senders.
fn what_is_asked(settings: &ListenerSettings) -> Result<Listen, BindError> {
    let certificate = settings.certificate.as_ref().map(|pem| pem.certificate()).transpose()?;
    let token = settings.token.as_ref().map(ListenToken::new).transpose()?;
    Ok(Listen { certificate: certificate.map(Arc::new), token: token.map(Arc::new) })
}

/// The proxy's bounds. With a queue a request under way is soon on disk, and the time is rather left to delivery.
pub(crate) fn limits(settings: &Settings) -> proxy::Limits {
    let limits = settings.limits.clone();
    match settings.queue {
        Some(_) => proxy::Limits { drain_timeout: (limits.drain_timeout / 4).min(SENDERS_DRAIN_MAX), ..limits },
        None => limits,
    }
}

/// All addresses means IPv6 and IPv4 on one socket; where there is no IPv6, IPv4 alone.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match listen_on(address) {
        Err(error) if address.ip().is_unspecified() && address.is_ipv6() && is_about_ipv6(&error) => {
            listen_on(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
        }
        bound => bound,
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the last connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_about_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(97)
}

/// Connections that may wait to be accepted; the system may allow fewer. With the usual 128, senders that all come back at
/// once (after a restart, say) find no room, and knock again a second or more later.
const BACKLOG: u32 = 4096;
/// Longer than any drain timeout can be set to.
const DRAIN_MAX: Duration = Duration::from_secs(2 * 3600);
/// What delivery has in any case to end what is on its way.
const DRAIN_MIN: Duration = Duration::from_millis(200);
/// What senders have at most to end their requests.
const SENDERS_DRAIN_MAX: Duration = Duration::from_secs(5);
