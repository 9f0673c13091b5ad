//! A proxy put together: what all connections share, the report of every minute, and the drain at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use delivery::Delivery;
use environment::{Clock, Monotonic, UnixTime};
use host::Connector;
use http_serving::TlsAcceptor;
use identity::TokenCache;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use url::Url;

use crate::budget::Budget;
use crate::buffers::{Inbound, Pool, Working};
use crate::complaints::{self, Complaints, Withheld};
use crate::forward::{Destination, Kind, excerpt};
use crate::handle::Reloads;
use crate::listen_token::ListenToken;
use crate::listener::{self, Listen};
use crate::metrics::Metrics;
use crate::published::{self, Published};
use crate::queue::Queue;
use crate::refusal::Refusal;
use crate::route::{QueryPeers, Routing};
use crate::stopping::Stop;
use crate::target::TargetParts;
use crate::upstream::{Upstream, UpstreamError};
use crate::{Limits, ProxyHandle, QueueParts};

/// What a proxy is made of.
pub struct Parts {
    /// The ingestion endpoint: the whole URL with path and query.
    pub ingestion_url: Url,
    /// Tokens for it. Somebody has to run the cache ([`TokenCache::run`]).
    pub ingestion_tokens: Arc<TokenCache>,
    /// The query endpoint, if queries are to be passed on.
    pub query: Option<QueryUpstream>,
    /// Opens connections to both.
    pub connector: Connector,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Bounds.
    pub limits: Limits,
    /// What the listener asks of senders.
    pub listen: Listen,
    /// The queue, if write requests are to be kept and delivered instead of passed through.
    pub queue: Option<QueueParts>,
    /// What `/status` gives as the version.
    pub version: &'static str,
}

/// The query endpoint.
pub struct QueryUpstream {
    /// Its base: `/api/v1/…` is appended.
    pub url: Url,
    /// Tokens for it.
    pub tokens: Arc<TokenCache>,
    /// Whether peers on other machines may query too.
    pub allow_remote: bool,
}

/// A proxy, ready to serve.
pub struct Proxy(Arc<Shared>);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: ArcSwap<Limits>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started: Monotonic,
    pub(crate) started_at: UnixTime,
    pub(crate) version: &'static str,
    pub(crate) ingestion: ArcSwap<Destination>,
    pub(crate) query: ArcSwapOption<Queries>,
    /// Where write requests are kept, if they are.
    pub(crate) queue: Option<Queue>,
    pub(crate) reloads: Reloads,
    pub(crate) metrics: Arc<Metrics>,
    published: Arc<Published>,
    /// Takes TLS handshakes, if the listener speaks TLS.
    pub(crate) acceptor: Option<TlsAcceptor>,
    /// What writes and queries have to bring, if anything.
    pub(crate) listen_token: Option<Arc<ListenToken>>,
    /// Memory for requests whose body is kept.
    pub(crate) kept: Budget,
    /// Places for requests whose body passes through.
    pub(crate) streams: Semaphore,
    /// Places for connections that are about to be turned away.
    pub(crate) turned_away_places: Arc<Semaphore>,
    /// Memory for requests under way.
    pub(crate) inbound: Arc<Pool<Inbound>>,
    pub(crate) working: Pool<Working>,
    last_failure: Mutex<Option<LastFailure>>,
    pub(crate) complaints: Complaints,
}

/// The query endpoint and who may ask it.
pub(crate) struct Queries {
    pub(crate) destination: Destination,
    pub(crate) peers: QueryPeers,
}

/// A failed request as everyone may read of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastFailure {
    pub(crate) at: UnixTime,
    /// Of the answer that the sender got.
    pub(crate) status: u16,
    /// The class of the reason.
    pub(crate) reason: &'static str,
}

impl Proxy {
    /// A proxy of these parts.
    ///
    /// # Errors
    /// [`UpstreamError`] when one of the URLs must not or cannot be sent tokens.
    pub fn new(mut parts: Parts) -> Result<Self, UpstreamError> {
        if let Some(queue) = &parts.queue {
            // Otherwise every burst would open connections to close them again.
            let in_flight_max = queue.settings.policy.in_flight_max;
            parts.limits.upstream_idle_max = parts.limits.upstream_idle_max.max(in_flight_max);
        }
        let connect = &parts.connector;
        let query = parts
            .query
            .map(|settings| Queries::new(settings, connect.clone(), Arc::clone(&parts.clock), &parts.limits))
            .transpose()?;
        let upstream = Upstream::of(&parts.ingestion_url, connect.clone(), Arc::clone(&parts.clock), &parts.limits)?;
        let ingestion = Destination::writes(upstream, parts.ingestion_tokens);
        let (metrics, published) = (Arc::<Metrics>::default(), Arc::<Published>::default());
        let target_parts = TargetParts {
            limits: parts.limits.clone(),
            clock: Arc::clone(&parts.clock),
            metrics: Arc::clone(&metrics),
            published: Arc::clone(&published),
            user_agent: format!("remora-sidecar/{}", parts.version),
        };
        let queue = parts.queue.map(|queue| Queue::new(queue, &ingestion, target_parts));
        Ok(Self(Arc::new(Shared {
            started: parts.clock.monotonic(),
            started_at: parts.clock.now(),
            version: parts.version,
            ingestion: ArcSwap::from_pointee(ingestion),
            query: ArcSwapOption::from(query.map(Arc::new)),
            queue,
            reloads: Reloads::default(),
            metrics,
            published,
            acceptor: parts.listen.acceptor(),
            listen_token: parts.listen.token,
            kept: Budget::new(parts.limits.kept_bytes_total_max),
            streams: Semaphore::new(parts.limits.streams_max),
            turned_away_places: Arc::new(Semaphore::new(parts.limits.turned_away_max)),
            inbound: Arc::default(),
            working: Pool::default(),
            last_failure: Mutex::default(),
            complaints: Complaints::default(),
            limits: ArcSwap::from_pointee(parts.limits),
            clock: parts.clock,
        })))
    }

    /// What empties the queue, if there is one. Somebody has to run it ([`Delivery::run`]), beside the proxy and for as
    /// long as it is to deliver.
    pub fn delivery(&self) -> Option<Delivery> {
        self.0.queue.as_ref().map(|queue| queue.delivery.clone())
    }

    /// For changes while it serves.
    pub fn handle(&self) -> ProxyHandle {
        ProxyHandle::new(Arc::clone(&self.0))
    }

    /// Serves `listener` until `shutdown` resolves; then takes no more connections, lets requests under way end within
    /// [`Limits::drain_timeout`], and returns. Connections without a request close at once; what has not arrived whole by
    /// then has [`Limits::drain_head_timeout`] and [`Limits::drain_body_timeout`].
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = Stop::new();
        let accepting = listener::accept(&self.0, &listener, stopping);
        tokio::select! {
            () = accepting => {}
            () = report(&self.0) => {}
            () = shutdown => {}
        }
        drop(listener);
        stop.now();
        if tokio::time::timeout(self.0.limits.load().drain_timeout, stop.all_ended()).await.is_err() {
            tracing::warn!(connections = self.0.metrics.connections.get(), "stopping although requests are under way");
        }
        self.0.published.take_line().log();
    }
}

/// Writes the line of every minute, traffic or not, and closes what has rested too long.
async fn report(shared: &Shared) {
    let mut due = shared.clock.monotonic().plus(published::INTERVAL);
    loop {
        shared.clock.sleep(due.since(shared.clock.monotonic())).await;
        due = due.plus(published::INTERVAL);
        shared.published.take_line().log();
        shared.tell_withheld();
        shared.ingestion.load().upstream.drop_old();
        if let Some(query) = &*shared.query.load() {
            query.destination.upstream.drop_old();
        }
    }
}

impl Queries {
    pub(crate) fn new(
        settings: QueryUpstream,
        connector: Connector,
        clock: Arc<dyn Clock>,
        limits: &Limits,
    ) -> Result<Self, UpstreamError> {
        if settings.url.query().is_some() || settings.url.fragment().is_some() {
            return Err(UpstreamError::Query);
        }
        let upstream = Arc::new(Upstream::of(&settings.url, connector, clock, limits)?);
        let peers = if settings.allow_remote { QueryPeers::All } else { QueryPeers::Loopback };
        Ok(Self { destination: Destination { upstream, tokens: settings.tokens, kind: Kind::Query }, peers })
    }
}

impl Shared {
    pub(crate) fn routing(&self) -> Routing {
        Routing { query: self.query.load().as_ref().map(|query| query.peers) }
    }

    /// Records the final answer to a write request.
    pub(crate) fn record_write(&self, status: u16, body_bytes: u64, duration: Duration) {
        let succeeded = (200..300).contains(&status);
        // With a queue, what is published is what the target takes, and that is recorded where it is sent.
        if self.queue.is_none() {
            self.published.record(succeeded, body_bytes, duration);
        }
        if succeeded { &self.metrics.published } else { &self.metrics.failed }.increment();
        self.metrics.answers.count(status);
        self.metrics.body_bytes.add(body_bytes);
        self.metrics.durations.observe(duration);
    }

    /// The latest failure of a request.
    pub(crate) fn last_failure(&self) -> Option<LastFailure> {
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs an answer of the upstream that is no success.
    pub(crate) fn complain_of_answer(&self, status: u16, body: &[u8]) {
        let body = excerpt(body);
        if let Some(withheld) = self.complain(status, "UpstreamAnswer", &body) {
            tracing::error!(statusCode = status, withheld, "Error response body: {body}");
        }
    }

    /// Logs a request that got no answer from the upstream.
    pub(crate) fn complain_of_refusal(&self, refusal: &Refusal) {
        if let Some(withheld) = self.complain(refusal.status, refusal.code, &refusal.message) {
            tracing::error!(
                statusCode = refusal.status,
                code = refusal.code,
                withheld,
                "Request failed: {}",
                refusal.message
            );
        }
    }

    /// Remembers a failure; says how many of its kind were withheld before it if it is to be logged.
    fn complain(&self, status: u16, reason: &'static str, text: &str) -> Option<u64> {
        let failure = LastFailure { at: self.clock.now(), status, reason };
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        self.complaints.admit(self.clock.monotonic(), complaints::Kind { status, reason }, text)
    }

    /// Logs how many failures were not logged, so that a flood that ended is told whole.
    fn tell_withheld(&self) {
        for Withheld { kind, count } in self.complaints.take_withheld() {
            tracing::warn!(
                statusCode = kind.status,
                code = kind.reason,
                withheld = count,
                "Failures that were not logged"
            );
        }
    }
}
