//! What goes out: the way to the targets, who we are there, and the tokens for them.

use std::sync::Arc;
use std::time::Duration;

use environment::Clock;
use host::{Connector, HostClock, HostDisk, HostHttp, HostRng, OutboundProxy};
use identity::{Environment, Scope, SettingError, TokenCache};
use parking_lot::Mutex;
use proxy::QueryUpstream;
use rustls::RootCertStore;
use tokio::task::JoinHandle;

use crate::Settings;

/// Made of settings; nothing runs yet.
pub(crate) struct Outgoing {
    /// Tokens for ingestion.
    pub(crate) ingestion_tokens: Arc<TokenCache>,
    /// Tokens for queries, if there are any.
    query_tokens: Option<Arc<TokenCache>>,
    /// Opens connections to both.
    pub(crate) connector: Connector,
}

impl Outgoing {
    /// # Errors
    /// When a part of the identity cannot be used; reading the settings has checked that.
    pub(crate) fn new(settings: &Settings, environment: &Environment) -> Result<Self, SettingError> {
        // One credential for both audiences: certificates are parsed and authorities discovered once.
        let credential = settings.identity.credential(environment.clone())?;
        let cache = |scope: &Scope| {
            let (clock, rng) = (Arc::clone(&environment.clock), Arc::clone(&environment.rng));
            Arc::new(TokenCache::new(Arc::clone(&credential), scope.clone(), clock, rng))
        };
        let tls = host::tls::client_config(Arc::clone(&settings.roots), &["http/1.1"]);
        Ok(Self {
            ingestion_tokens: cache(&settings.ingestion_scope),
            query_tokens: settings.query.as_ref().map(|query| cache(&query.scope)),
            connector: Connector::new(tls).with_proxy(settings.outbound_proxy.clone()),
        })
    }

    /// The query endpoint of `settings`, which this was made of.
    pub(crate) fn query(&self, settings: &Settings) -> Option<QueryUpstream> {
        let (query, tokens) = settings.query.as_ref().zip(self.query_tokens.as_ref())?;
        Some(QueryUpstream { url: query.url.clone(), tokens: Arc::clone(tokens), allow_remote: query.allow_remote })
    }

    pub(crate) fn token_caches(&self) -> impl Iterator<Item = &Arc<TokenCache>> {
        [Some(&self.ingestion_tokens), self.query_tokens.as_ref()].into_iter().flatten()
    }
}

/// The tasks that keep tokens fresh. Ends with its last clone.
#[derive(Clone, Default)]
pub(crate) struct Refreshing(Arc<Mutex<Vec<EndedOnDrop>>>);

impl Refreshing {
    /// Keeps the tokens of `outgoing` fresh from now on, and those of before no longer.
    pub(crate) fn start(&self, outgoing: &Outgoing, clock: &Arc<dyn Clock>) {
        let refresh = |cache: &Arc<TokenCache>| {
            let cache = Arc::clone(cache);
            EndedOnDrop(tokio::spawn(async move {
                cache.run().await;
            }))
        };
        let mut tasks: Vec<EndedOnDrop> = outgoing.token_caches().map(refresh).collect();
        let announced = announce_first_token(Arc::clone(&outgoing.ingestion_tokens), Arc::clone(clock));
        tasks.push(EndedOnDrop(tokio::spawn(announced)));
        *self.0.lock() = tasks;
    }
}

struct EndedOnDrop(JoinHandle<()>);

impl Drop for EndedOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn announce_first_token(cache: Arc<TokenCache>, clock: Arc<dyn Clock>) {
    while !cache.state().usable {
        clock.sleep(Duration::from_secs(1)).await;
    }
    tracing::info!(credential = cache.describe_credential(), "Initialization successful");
}

/// The real outside world, trusting `roots`.
pub fn host_environment(roots: Arc<RootCertStore>) -> Environment {
    Environment {
        clock: Arc::new(HostClock::new()),
        rng: Arc::new(HostRng),
        disk: Arc::new(HostDisk),
        http: host_http(roots, None),
    }
}

/// The same, as `settings` have the way out.
pub fn environment_for(settings: &Settings) -> Environment {
    let http = host_http(Arc::clone(&settings.roots), settings.outbound_proxy.clone());
    Environment { http, ..host_environment(Arc::clone(&settings.roots)) }
}

/// The HTTP client for tokens.
pub(crate) fn host_http(roots: Arc<RootCertStore>, proxy: Option<OutboundProxy>) -> Arc<HostHttp> {
    Arc::new(HostHttp::new(roots, proxy))
}
