//! A sidecar put together: credential, token caches, proxy, listener.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use environment::Clock;
use host::{Connector, HostClock, HostDisk, HostHttp, HostRng};
use identity::{Environment, Scope, SettingError, TokenCache};
use proxy::{Parts, Proxy, QueryUpstream, UpstreamError};
use rustls::RootCertStore;
use tokio::net::TcpListener;

use crate::Settings;

/// A sidecar that listens, and serves once it runs.
pub struct Sidecar {
    listener: TcpListener,
    address: SocketAddr,
    proxy: Proxy,
    token_caches: Vec<Arc<TokenCache>>,
    clock: Arc<dyn Clock>,
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
    /// A URL; [`Settings::from_env`] has checked them.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The credential; [`Settings::from_env`] has checked it.
    #[error(transparent)]
    Identity(#[from] SettingError),
}

impl Sidecar {
    /// Puts the parts together and opens the listener.
    ///
    /// # Errors
    /// [`BindError`], above all when the port is taken.
    pub async fn bind(settings: &Settings, environment: Environment) -> Result<Self, BindError> {
        let clock = Arc::clone(&environment.clock);
        // One credential for both audiences: certificates are parsed and authorities discovered once.
        let credential = settings.identity.credential(environment.clone())?;
        let cache = |scope: &Scope| {
            let rng = Arc::clone(&environment.rng);
            Arc::new(TokenCache::new(Arc::clone(&credential), scope.clone(), Arc::clone(&clock), rng))
        };
        let ingestion_tokens = cache(&settings.ingestion_scope);
        let mut token_caches = vec![Arc::clone(&ingestion_tokens)];
        let query = settings.query.as_ref().map(|query| {
            let tokens = cache(&query.scope);
            token_caches.push(Arc::clone(&tokens));
            QueryUpstream { url: query.url.clone(), tokens, allow_remote: query.allow_remote }
        });
        let proxy = Proxy::new(Parts {
            ingestion_url: settings.ingestion_url.clone(),
            ingestion_tokens,
            query,
            connector: Connector::new(host::tls::client_config(Arc::clone(&settings.roots), &["http/1.1"])),
            clock: Arc::clone(&clock),
            limits: settings.limits.clone(),
            version: env!("CARGO_PKG_VERSION"),
        })?;
        let listener =
            listen(settings.listen).await.map_err(|source| BindError::Listen { address: settings.listen, source })?;
        let address = listener.local_addr().map_err(|source| BindError::Listen { address: settings.listen, source })?;
        Ok(Self { listener, address, proxy, token_caches, clock })
    }

    /// Where it listens; tells the port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` resolves and requests under way have ended.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let refreshing: Vec<_> = self
            .token_caches
            .iter()
            .map(|cache| {
                let cache = Arc::clone(cache);
                tokio::spawn(async move {
                    cache.run().await;
                })
            })
            .collect();
        let announcing = tokio::spawn(announce_first_token(Arc::clone(&self.token_caches[0]), self.clock));
        tracing::info!(address = %self.address, "Listening");
        self.proxy.serve(self.listener, shutdown).await;
        tracing::info!("Stopped");
        announcing.abort();
        for task in refreshing {
            task.abort();
        }
    }
}

/// The real outside world, trusting `roots`.
pub fn host_environment(roots: Arc<RootCertStore>) -> Environment {
    Environment {
        clock: Arc::new(HostClock::new()),
        rng: Arc::new(HostRng),
        disk: Arc::new(HostDisk),
        http: Arc::new(HostHttp::new(roots, None)),
    }
}

async fn announce_first_token(cache: Arc<TokenCache>, clock: Arc<dyn Clock>) {
    while !cache.state().usable {
        clock.sleep(Duration::from_secs(1)).await;
    }
    tracing::info!(credential = cache.describe_credential(), "Initialization successful");
}

/// All addresses means IPv6 and IPv4 on one socket; where there is no IPv6, IPv4 alone.
async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip().is_unspecified() && address.is_ipv6() && is_about_ipv6(&error) => {
            TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port())).await
        }
        bound => bound,
    }
}

fn is_about_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(97)
}
