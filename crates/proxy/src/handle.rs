//! Changes to a proxy while it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use host::Connector;
use identity::TokenCache;
use url::Url;

use crate::forward::Destination;
use crate::metrics::Counter;
use crate::server::Queries;
use crate::upstream::Upstream;
use crate::{Limits, QueryUpstream, QueueSettings, Shared, UpstreamError};

/// Changes a [`crate::Proxy`] while it serves. Requests under way end with what they began with.
#[derive(Clone)]
pub struct ProxyHandle(Arc<Shared>);

/// Attempts to put new settings into force.
#[derive(Debug)]
pub(crate) struct Reloads {
    pub(crate) succeeded: Counter,
    pub(crate) failed: Counter,
    last_succeeded: AtomicBool,
}

impl Default for Reloads {
    /// The settings of the start were good.
    fn default() -> Self {
        Self { succeeded: Counter::default(), failed: Counter::default(), last_succeeded: AtomicBool::new(true) }
    }
}

impl Reloads {
    pub(crate) fn last_succeeded(&self) -> bool {
        self.last_succeeded.load(Ordering::Relaxed)
    }
}

impl ProxyHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Another ingestion endpoint, other tokens for it (somebody has to run the cache), or another way to it. With a queue,
    /// delivery goes there too, and what waits is tried at once.
    ///
    /// # Errors
    /// [`UpstreamError`] when the URL must not or cannot be sent tokens; then nothing changes.
    pub fn set_ingestion(&self, url: &Url, tokens: Arc<TokenCache>, connector: Connector) -> Result<(), UpstreamError> {
        let upstream = Upstream::of(url, connector, Arc::clone(&self.0.clock), &self.0.limits.load())?;
        let destination = Arc::new(Destination::writes(upstream, tokens));
        self.0.ingestion.store(Arc::clone(&destination));
        if let Some(queue) = &self.0.queue {
            queue.set_destination(&destination);
        }
        Ok(())
    }

    /// Another query endpoint, or none.
    ///
    /// # Errors
    /// As [`ProxyHandle::set_ingestion`].
    pub fn set_query(&self, query: Option<QueryUpstream>, connector: Connector) -> Result<(), UpstreamError> {
        let limits = self.0.limits.load();
        let queries =
            query.map(|query| Queries::new(query, connector, Arc::clone(&self.0.clock), &limits)).transpose()?;
        self.0.query.store(queries.map(Arc::new));
        Ok(())
    }

    /// Other bounds, for what begins from now on. Totals over all connections (bytes of kept bodies, connections that are
    /// turned away) stay as they were, and so do the bounds of the target's connections until it is exchanged.
    pub fn set_limits(&self, limits: Limits) {
        self.0.limits.store(Arc::new(limits));
    }

    /// Other settings of the queue; nothing without one.
    pub fn set_queue(&self, settings: QueueSettings) {
        if let Some(queue) = &self.0.queue {
            queue.set(settings);
        }
    }

    /// Counts an attempt to put new settings into force.
    pub fn count_reload(&self, succeeded: bool) {
        let reloads = &self.0.reloads;
        if succeeded { &reloads.succeeded } else { &reloads.failed }.increment();
        reloads.last_succeeded.store(succeeded, Ordering::Relaxed);
    }
}
