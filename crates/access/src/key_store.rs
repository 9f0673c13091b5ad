//! One issuer's current keys: fetched when first needed, refreshed when a token names an unknown key and by age.
//!
//! Invariants: at most one fetch runs at a time and everyone who needs it shares it; fetches start no more often than
//! the settings allow, whatever tokens come in; the last good set serves while fetches fail; a key is called unknown only
//! by a fetch that was asked for it; the lock is never held across a wait.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use environment::{BoxFuture, Clock, HttpClient, Monotonic};
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use parking_lot::Mutex;

use crate::Algorithm;
use crate::issuer::{Issuer, KeySource, LocalKeys};
use crate::key_fetch::{Fetched, fetch};
use crate::key_set::{KeySet, VerificationKey};
use crate::verifier::VerifierSettings;

pub(crate) struct KeyStore {
    issuer: Arc<Issuer>,
    source: Source,
    pub(crate) statistics: FetchStatistics,
}

enum Source {
    Local(Arc<dyn LocalKeys>),
    Remote(Box<Remote>),
}

struct Remote {
    http: Arc<dyn HttpClient>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    interval_min: Duration,
    age_max: Duration,
    current: ArcSwapOption<Current>,
    refresh: Mutex<Refresh>,
    /// How many tasks keep the keys fresh; while there is one, no request waits for a refresh by age.
    keepers: AtomicUsize,
}

struct Current {
    keys: Arc<KeySet>,
    stale_from: Monotonic,
}

#[derive(Default)]
struct Refresh {
    running: Option<(u64, SharedFetch)>,
    started: u64,
    ended_at: Option<Monotonic>,
    failures: u32,
    last_error: Option<Arc<str>>,
    /// Names of keys that the last fetch was asked for and did not find.
    absent: HashSet<String>,
}

type SharedFetch = Shared<BoxFuture<'static, Result<Fetched, Arc<str>>>>;

/// Counts of one issuer's fetches.
#[derive(Default)]
pub(crate) struct FetchStatistics {
    pub(crate) fetches: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) throttled: AtomicU64,
}

/// Why a key was not found.
#[derive(Debug)]
pub(crate) enum NoKey {
    /// The issuer does not publish it.
    Unknown,
    /// Nobody knows, because the keys could not be fetched.
    Unavailable(Arc<str>),
}

enum Refreshed {
    Yes,
    /// The last refresh went well and is too recent to repeat; the next may come in so much time.
    TooSoon(Duration),
    Failed(Arc<str>),
}

impl KeyStore {
    pub(crate) fn new(
        issuer: Issuer,
        http: &Arc<dyn HttpClient>,
        clock: &Arc<dyn Clock>,
        settings: &VerifierSettings,
    ) -> Self {
        let source = match &issuer.keys {
            KeySource::Local(keys) => Source::Local(Arc::clone(keys)),
            KeySource::Discovery(_) | KeySource::KeySet(_) => Source::Remote(Box::new(Remote {
                http: Arc::clone(http),
                clock: Arc::clone(clock),
                timeout: settings.fetch_timeout,
                interval_min: settings.refresh_interval_min,
                age_max: settings.key_age_max,
                current: ArcSwapOption::empty(),
                refresh: Mutex::default(),
                keepers: AtomicUsize::new(0),
            })),
        };
        Self { issuer: Arc::new(issuer), source, statistics: FetchStatistics::default() }
    }

    pub(crate) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The key that a token names, fetching the set if it is not known.
    pub(crate) async fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<VerificationKey>, NoKey> {
        let remote = match &self.source {
            Source::Local(local) => return local.keys().find(id, algorithm).cloned().ok_or(NoKey::Unknown),
            Source::Remote(remote) => remote,
        };
        let known = || remote.current.load().as_ref().and_then(|current| current.keys.find(id, algorithm).cloned());
        if remote.is_fresh()
            && let Some(key) = known()
        {
            return Ok(key);
        }
        let refreshed = self.refresh(remote).await;
        if let Some(key) = known() {
            return Ok(key);
        }
        let id = id.unwrap_or_default();
        match refreshed {
            Refreshed::Failed(cause) => Err(NoKey::Unavailable(cause)),
            Refreshed::Yes => {
                remote.refresh.lock().note_absent(id);
                Err(NoKey::Unknown)
            }
            Refreshed::TooSoon(_) if remote.refresh.lock().absent.contains(id) => Err(NoKey::Unknown),
            // It may have been published since. To call a good token forged would make its sender drop samples.
            Refreshed::TooSoon(pause) => Err(NoKey::Unavailable(
                format!(
                    "the key that the token names was not among them a moment ago; they are fetched again in {} s",
                    pause.as_secs() + 1
                )
                .into(),
            )),
        }
    }

    /// Whether a key found earlier may still be relied upon without asking again. Never waits.
    pub(crate) fn still_holds(&self, key: &VerificationKey) -> bool {
        match &self.source {
            Source::Local(local) => local.keys().holds(key),
            Source::Remote(remote) => {
                remote.is_fresh() && remote.current.load().as_ref().is_some_and(|current| current.keys.holds(key))
            }
        }
    }

    /// Fetches when the keys are missing or near their age limit; answers how long nothing has to be done.
    pub(crate) async fn freshen(&self) -> Duration {
        let Source::Remote(remote) = &self.source else { return Duration::MAX };
        let due_in = remote.due_in();
        if !due_in.is_zero() {
            return due_in;
        }
        if let Refreshed::Failed(cause) = self.refresh(remote).await {
            tracing::warn!(issuer = self.issuer.name(), %cause, "keys of an issuer cannot be refreshed");
        }
        remote.due_in().max(remote.retry_in())
    }

    /// Says that [`KeyStore::freshen`] is called regularly, until the answer is dropped.
    pub(crate) fn keeper(&self) -> Option<Keeper<'_>> {
        let Source::Remote(remote) = &self.source else { return None };
        remote.keepers.fetch_add(1, Ordering::Relaxed);
        Some(Keeper(&remote.keepers))
    }

    async fn refresh(&self, remote: &Remote) -> Refreshed {
        let Some((number, running)) = self.join_or_start(remote) else {
            let refresh = remote.refresh.lock();
            return match &refresh.last_error {
                Some(cause) => Refreshed::Failed(Arc::clone(cause)),
                None => Refreshed::TooSoon(refresh.due_in(remote)),
            };
        };
        let outcome = running.await;
        self.finish(remote, number, &outcome);
        match outcome {
            Ok(_) => Refreshed::Yes,
            Err(cause) => Refreshed::Failed(cause),
        }
    }

    /// The running fetch, or a new one if it is time for one.
    fn join_or_start(&self, remote: &Remote) -> Option<(u64, impl Future<Output = Result<Fetched, Arc<str>>> + use<>)> {
        let mut refresh = remote.refresh.lock();
        if let Some((number, running)) = &refresh.running {
            return Some((*number, running.clone()));
        }
        if !refresh.due_in(remote).is_zero() {
            self.statistics.throttled.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let fetching = fetch(Arc::clone(&self.issuer), Arc::clone(&remote.http), remote.timeout);
        let fetching: BoxFuture<'static, _> = Box::pin(fetching.map(|outcome| outcome.map_err(Arc::from)));
        let fetching = fetching.shared();
        refresh.started += 1;
        refresh.running = Some((refresh.started, fetching.clone()));
        self.statistics.fetches.fetch_add(1, Ordering::Relaxed);
        Some((refresh.started, fetching))
    }

    /// Whoever sees the fetch end first puts its outcome in place.
    fn finish(&self, remote: &Remote, number: u64, outcome: &Result<Fetched, Arc<str>>) {
        let mut refresh = remote.refresh.lock();
        if refresh.running.as_ref().is_none_or(|(running, _)| *running != number) {
            return;
        }
        let now = remote.clock.monotonic();
        refresh.running = None;
        refresh.ended_at = Some(now);
        match outcome {
            Ok(fetched) => {
                refresh.failures = 0;
                refresh.last_error = None;
                refresh.absent.clear();
                let age_max =
                    fetched.age_max.unwrap_or(remote.age_max).clamp(AGE_MIN.min(remote.age_max), remote.age_max);
                let current = Current { keys: Arc::clone(&fetched.keys), stale_from: now.plus(age_max) };
                remote.current.store(Some(Arc::new(current)));
            }
            Err(cause) => {
                self.statistics.failures.fetch_add(1, Ordering::Relaxed);
                refresh.failures = refresh.failures.saturating_add(1);
                refresh.last_error = Some(Arc::clone(cause));
            }
        }
    }
}

impl Remote {
    /// Whether the set may be used without asking. With a keeper age is the keeper's business.
    fn is_fresh(&self) -> bool {
        self.keepers.load(Ordering::Relaxed) > 0
            || self.current.load().as_ref().is_some_and(|current| self.clock.monotonic() < current.stale_from)
    }

    /// The time until a keeper should fetch: a fifth of an hour, say, before anybody would call the set stale.
    fn due_in(&self) -> Duration {
        match &*self.current.load() {
            Some(current) => current.stale_from.since(self.clock.monotonic()).saturating_sub(self.age_max / 5),
            None => Duration::ZERO,
        }
    }

    fn retry_in(&self) -> Duration {
        self.refresh.lock().due_in(self)
    }
}

impl Refresh {
    /// Remembers that the last fetch did not find the key.
    fn note_absent(&mut self, id: &str) {
        if self.absent.len() < ABSENT_MAX && id.len() <= ABSENT_BYTES_MAX {
            self.absent.insert(id.to_owned());
        }
    }

    /// The time until another fetch may start: short after a first failure, doubling up to the interval.
    fn due_in(&self, remote: &Remote) -> Duration {
        let Some(ended_at) = self.ended_at else { return Duration::ZERO };
        let pause = match self.failures {
            0 => remote.interval_min,
            failures => RETRY_FIRST.saturating_mul(1 << (failures - 1).min(16)).min(remote.interval_min),
        };
        ended_at.plus(pause).since(remote.clock.monotonic())
    }
}

/// See [`KeyStore::keeper`].
pub(crate) struct Keeper<'s>(&'s AtomicUsize);

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Issuers that forbid caching are asked no more often than this.
const AGE_MIN: Duration = Duration::from_secs(60);
/// Keys remembered as absent between two fetches. A sender with a wrong token is told so; a flood of made-up names is
/// asked to come again.
const ABSENT_MAX: usize = 64;
const ABSENT_BYTES_MAX: usize = 256;
const RETRY_FIRST: Duration = Duration::from_secs(1);
