//! New settings for a sidecar that runs: when the settings file or a file that it names changes, and on SIGHUP.
//!
//! Everything is read and checked, and everything new is made, before anything is changed; so a wrong file changes nothing.
//! What cannot change while it runs is named and left as it is.

use std::sync::Arc;
use std::time::Duration;

use environment::Clock;
use host::logging::Changeable;
use identity::Environment;
use parking_lot::Mutex;
use proxy::{Listen, Medium, ProxyHandle};
use secrecy::ExposeSecret as _;
use spool::Spool;
use tokio::signal::unix::Signal;
use tokio::time::timeout;

use crate::outgoing::{Outgoing, Refreshing, host_http};
use crate::serve::log_filter;
use crate::settings::Contents;
use crate::{BindError, InvalidSettings, Settings, queue, sidecar, variables};

/// Changes a [`crate::Sidecar`] while it runs.
#[derive(Clone)]
pub struct SidecarHandle {
    pub(crate) proxy: ProxyHandle,
    pub(crate) queue: Option<(Spool, Medium)>,
    pub(crate) listen: Listen,
    pub(crate) refreshing: Refreshing,
    pub(crate) environment: Environment,
    pub(crate) drain_timeout: Arc<Mutex<Duration>>,
}

impl SidecarHandle {
    /// Puts `new` into force where it differs from `old`; what is only taken up at the start stays.
    ///
    /// # Errors
    /// [`BindError`]; then nothing has changed.
    pub(crate) async fn apply(&self, old: &Settings, new: &Settings) -> Result<(), BindError> {
        let outgoing = if new.changed(old).iter().any(|name| is_outgoing(name)) {
            let http = host_http(Arc::clone(&new.roots), new.outbound_proxy.clone());
            let environment = Environment { http, ..self.environment.clone() };
            let outgoing = Outgoing::new(new, &environment)?;
            warm_up(&outgoing).await;
            Some(outgoing)
        } else {
            None
        };
        if let (Some(certificate), Some(pem)) = (&self.listen.certificate, &new.listener.certificate) {
            certificate.replace(&pem.chain, pem.key.expose_secret())?;
        }
        if let (Some(token), Some(secret)) = (&self.listen.token, &new.listener.token) {
            token.replace(secret)?;
        }
        if let Some(outgoing) = &outgoing {
            // Whatever can be wrong about the URLs was found when the settings were read, so that this leaves no half.
            self.proxy.set_ingestion(
                &new.ingestion_url,
                Arc::clone(&outgoing.ingestion_tokens),
                outgoing.connector.clone(),
            )?;
            self.proxy.set_query(outgoing.query(new), outgoing.connector.clone())?;
            self.refreshing.start(outgoing, &self.environment.clock);
        }
        if let (Some((spool, medium)), Some(queue)) = (&self.queue, &new.queue)
            && *medium == queue.medium
        {
            spool.set_bounds(queue.settings.clone());
            self.proxy.set_queue(queue::changeable(new, queue));
        }
        self.proxy.set_limits(sidecar::limits(new));
        *self.drain_timeout.lock() = new.delivery.drain_timeout;
        Ok(())
    }

    /// Whether the listener would have to ask for something else than it was made to ask for.
    fn cannot_take_up(&self, new: &Settings, variable: &str) -> bool {
        match variable {
            "REMORA_LISTEN_TLS_CERTIFICATE" | "REMORA_LISTEN_TLS_KEY" => {
                self.listen.certificate.is_some() != new.listener.certificate.is_some()
            }
            "REMORA_LISTEN_TOKEN_FILE" => self.listen.token.is_some() != new.listener.token.is_some(),
            variable => !variables::by_name(variable).is_some_and(|variable| variable.reloads),
        }
    }
}

/// Gives a new identity the time to get its first token, so that requests do not wait for it. One that gets none is put
/// into force all the same: why it gets none is seen in the log and by `doctor`, as after a start.
async fn warm_up(outgoing: &Outgoing) {
    for tokens in outgoing.token_caches() {
        match timeout(WARM_UP_MAX, tokens.token()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!("the new settings give no token yet: {error}"),
            Err(_) => tracing::warn!("the new settings give no token yet"),
        }
    }
}

/// Whether a setting is about where requests go, how, and as whom.
fn is_outgoing(variable: &str) -> bool {
    let key = variables::by_name(variable).and_then(|variable| variable.key).unwrap_or_default();
    matches!(key.split('.').next(), Some("target" | "identity" | "cloud" | "query" | "outbound"))
}

/// Reads the settings anew, as the program did at its start.
pub(crate) type Load = dyn Fn() -> (Contents, Result<Settings, InvalidSettings>) + Send + Sync;

/// Watches for new settings, for ever.
pub(crate) struct Watch {
    pub(crate) sidecar: SidecarHandle,
    pub(crate) load: Arc<Load>,
    pub(crate) hang_up: Signal,
    pub(crate) log: Changeable,
    /// In force, but for what is only taken up at the start.
    pub(crate) current: Settings,
    /// As at the start.
    pub(crate) started: Settings,
    /// The files as they were when they were last read.
    pub(crate) seen: Contents,
}

impl Watch {
    pub(crate) fn new(
        sidecar: SidecarHandle,
        settings: &Settings,
        load: Arc<Load>,
        hang_up: Signal,
        log: Changeable,
    ) -> Self {
        let seen = settings.contents.clone();
        Self { sidecar, load, hang_up, log, current: settings.clone(), started: settings.clone(), seen }
    }

    pub(crate) async fn run(mut self) {
        let clock = Arc::clone(&self.sidecar.environment.clock);
        loop {
            let hung_up = tokio::select! {
                _ = self.hang_up.recv() => true,
                () = clock.sleep(POLL_INTERVAL) => false,
            };
            if hung_up || self.has_changed(&*clock).await {
                self.reload().await;
            }
        }
    }

    /// Whether a file has changed, and has come to rest: a certificate and its key are seldom replaced at the same moment.
    async fn has_changed(&self, clock: &dyn Clock) -> bool {
        if self.seen.is_empty() {
            return false;
        }
        let mut last = read_again(&self.seen).await;
        if last == self.seen {
            return false;
        }
        for _ in 0..REST_TRIES {
            clock.sleep(REST_INTERVAL).await;
            let now = read_again(&self.seen).await;
            if now == last {
                break;
            }
            last = now;
        }
        last != self.seen
    }

    async fn reload(&mut self) {
        let load = Arc::clone(&self.load);
        let Ok((seen, loaded)) = tokio::task::spawn_blocking(move || load()).await else {
            return self.failed("reading the settings failed");
        };
        self.seen = seen;
        let new = match loaded {
            Ok(new) => new,
            Err(invalid) => return self.failed(&invalid.to_string()),
        };
        let changed = new.changed(&self.current);
        if let Err(error) = self.sidecar.apply(&self.current, &new).await {
            return self.failed(&error.to_string());
        }
        if new.trace != self.current.trace {
            let _known_filter = self.log.set(log_filter(new.trace));
        }
        let waits = |name: &&str| self.sidecar.cannot_take_up(&new, name);
        let taken_up: Vec<&str> = changed.into_iter().filter(|name| !waits(name)).collect();
        let waiting: Vec<&str> = new.changed(&self.started).into_iter().filter(waits).collect();
        self.current = new;
        self.sidecar.proxy.count_reload(true);
        tracing::info!(changed = taken_up.join(","), "Configuration reloaded");
        if !waiting.is_empty() {
            tracing::warn!(changed = waiting.join(","), "What changed here is taken up at the next start alone");
        }
    }

    fn failed(&self, why: &str) {
        self.sidecar.proxy.count_reload(false);
        tracing::error!("Configuration not reloaded, the one before stays in force: {}", one_line(why));
    }
}

async fn read_again(contents: &Contents) -> Contents {
    let before = contents.clone();
    // What cannot be read now is looked at the next time.
    tokio::task::spawn_blocking(move || before.now()).await.unwrap_or_else(|_| contents.clone())
}

/// Mistakes stand on lines of their own, a log's event on one.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" | ")
}

const POLL_INTERVAL: Duration = Duration::from_secs(10);
const REST_INTERVAL: Duration = Duration::from_millis(500);
const REST_TRIES: usize = 10;
const WARM_UP_MAX: Duration = Duration::from_secs(10);
