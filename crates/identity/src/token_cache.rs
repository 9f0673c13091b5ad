//! One token kept fresh: serves it, refreshes it before it expires, survives whatever its credential does.
//!
//! Order of events: a *flight* is one call of [`Credential::fetch`]. At most one exists; whoever needs its outcome polls
//! the same shared future, so a hundred callers make one request, and a caller that goes away stops nobody. The outcome
//! is recorded inside the flight, once. A token serves until shortly before it expires, whatever refreshes fail meanwhile.
//!
//! Time: a token is usable only while **both** clocks say so. The wall clock notices a suspended machine, the monotonic
//! one a wall clock that was set back. Every wait of the loop is cut into slices, so that a step of the wall clock is
//! noticed within [`SLICE`].
//!
//! Invariants: no failure ends [`TokenCache::run`]; no caller waits longer than its bound; no request starts before the
//! back-off of the last failure is over, whoever asks.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use environment::{BoxFuture, Clock, Monotonic, Rng, UnixTime};
use futures_util::FutureExt;
use futures_util::future::{Either, Shared, select};

use crate::backoff::{self, RETRY_AFTER_MAX};
use crate::token_error::{TokenError, TokenErrorKind};
use crate::{AccessToken, Credential, Scope};

#[cfg(test)]
mod tests;

/// The token of one scope, from one credential.
///
/// A program makes it, spawns [`TokenCache::run`] once, and lets every request call [`TokenCache::token`].
pub struct TokenCache {
    credential: Arc<dyn Credential>,
    scope: Arc<Scope>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    wait_max: Duration,
    inner: Arc<Mutex<Inner>>,
}

/// What a cache knows, at one moment: for readiness, status pages and metrics.
#[derive(Clone, Debug)]
pub struct TokenState {
    /// Whether a token exists that has not expired.
    pub usable: bool,
    /// When that token expires, or the last one did.
    pub expires_at: Option<UnixTime>,
    /// When the token is to be refreshed.
    pub refresh_at: Option<UnixTime>,
    /// When a token last came.
    pub last_success: Option<UnixTime>,
    /// When an attempt last failed.
    pub last_failure: Option<UnixTime>,
    /// Why it failed; none once an attempt has succeeded.
    pub last_error: Option<TokenError>,
    /// How many attempts have failed since one succeeded.
    pub consecutive_failures: u64,
    /// How many attempts succeeded.
    pub successes: u64,
    /// How many attempts failed.
    pub failures: u64,
    /// How many refreshes were forced because a service refused the token.
    pub rejections: u64,
}

/// What a call of [`TokenCache::token`] waits for at most, unless set otherwise.
pub const WAIT_MAX: Duration = Duration::from_secs(10);
/// The longest the loop sleeps without looking at the wall clock.
pub const SLICE: Duration = Duration::from_secs(30);
/// The shortest time between two refreshes forced by [`TokenCache::reject`].
pub const REJECT_INTERVAL: Duration = Duration::from_secs(10);

/// A token stops serving this long before it expires, so that it is still valid when it arrives.
const EXPIRY_MARGIN: Duration = Duration::from_secs(30);
/// No refresh comes sooner after a success than this, unless the token lives shorter: an identity endpoint that answers
/// from a cache of its own would otherwise be asked ever more often as its token ages.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// A fetch that takes longer counts as failed. Above the sum of a credential's own request timeouts.
const FETCH_MAX: Duration = Duration::from_secs(90);
/// Above this lifetime a token is refreshed at half of it, as the Azure libraries do; below at three quarters.
const LONG_LIFETIME: Duration = Duration::from_secs(2 * 3600);

type Flight = Shared<BoxFuture<'static, Result<AccessToken, TokenError>>>;

/// Guarded by one lock, never held across a wait.
#[derive(Default)]
struct Inner {
    held: Option<Held>,
    flight: Option<Flight>,
    /// Set by `reject`, until the refresh it asks for has ended either way.
    rejected: bool,
    rejected_at: Option<Monotonic>,
    /// Counts what the loop did not do itself: rejections, and outcomes of flights that callers started.
    changes: u64,
    loop_waker: Option<Waker>,
    /// No attempt before this; set by failures.
    not_before: Option<Monotonic>,
    last_success: Option<UnixTime>,
    last_failure: Option<UnixTime>,
    last_error: Option<TokenError>,
    consecutive_failures: u64,
    successes: u64,
    failures: u64,
    rejections: u64,
}

struct Held {
    token: AccessToken,
    received: Moment,
    refresh_after: Duration,
}

/// One reading of both clocks.
#[derive(Clone, Copy)]
struct Moment {
    wall: UnixTime,
    monotonic: Monotonic,
}

enum Decision {
    Serve(AccessToken),
    Join(Flight),
    Fail(TokenError),
}

enum Step {
    Fetch(Flight),
    /// Until the span is over, or a change later than the one named.
    Sleep(Duration, u64),
}

impl TokenCache {
    /// A cache without a token; the first is fetched by the first call of [`TokenCache::token`] or by the loop.
    pub fn new(credential: Arc<dyn Credential>, scope: Scope, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        Self { credential, scope: Arc::new(scope), clock, rng, wait_max: WAIT_MAX, inner: Arc::default() }
    }

    /// Lets callers of [`TokenCache::token`] wait for at most `wait_max`.
    #[must_use]
    pub fn with_wait_max(mut self, wait_max: Duration) -> Self {
        self.wait_max = wait_max;
        self
    }

    /// The scope of its tokens.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What kind its credential is; no ids.
    pub fn credential_kind(&self) -> &'static str {
        self.credential.kind()
    }

    /// What its credential is, for logs.
    pub fn describe_credential(&self) -> String {
        self.credential.describe()
    }

    /// A token that has not expired.
    ///
    /// Comes at once while one is held. Otherwise the caller waits for the fetch under way, or starts one. After
    /// [`TokenCache::reject`] it waits for the new token, and gets the old one if that fails while the old is unexpired.
    ///
    /// # Errors
    /// The last failure, at once, while its back-off lasts. The last failure, or [`TokenErrorKind::Pending`] when there was
    /// none, when the fetch takes longer than the caller may wait (it goes on without this caller).
    pub async fn token(&self) -> Result<AccessToken, TokenError> {
        let flight = match self.decide() {
            Decision::Serve(token) => return Ok(token),
            Decision::Fail(error) => return Err(error),
            Decision::Join(flight) => flight,
        };
        let error = match select(flight, self.clock.sleep(self.wait_max)).await {
            Either::Left((Ok(token), _)) => return Ok(token),
            Either::Left((Err(error), _)) => error,
            Either::Right(_) => self.lock().last_error.clone().unwrap_or_else(|| self.pending()),
        };
        self.unexpired().ok_or(error)
    }

    /// The token held, if it has not expired. Never waits, never asks.
    pub fn unexpired(&self) -> Option<AccessToken> {
        let now = self.now();
        self.lock().held.as_ref().filter(|held| held.is_usable(now)).map(|held| held.token.clone())
    }

    /// A service answered 401 for `token`: the next call of [`TokenCache::token`] gets a new one.
    ///
    /// Does nothing when `token` was replaced already, or within [`REJECT_INTERVAL`] of the last time it did something:
    /// a service that refuses every token must not turn each request into a token request. Answers whether a refresh is due.
    pub fn reject(&self, token: &AccessToken) -> bool {
        let now = self.now();
        let mut inner = self.lock();
        let current = inner.held.as_ref().is_some_and(|held| held.token == *token);
        let recent = inner.rejected_at.is_some_and(|at| now.monotonic.since(at) < REJECT_INTERVAL);
        if current && !recent {
            inner.rejected = true;
            inner.rejected_at = Some(now.monotonic);
            inner.rejections += 1;
            let waker = inner.changed();
            drop(inner);
            waker.into_iter().for_each(Waker::wake);
            return true;
        }
        inner.rejected
    }

    /// What is known now.
    pub fn state(&self) -> TokenState {
        let now = self.now();
        let inner = self.lock();
        let held = inner.held.as_ref();
        TokenState {
            usable: held.is_some_and(|held| held.is_usable(now)),
            expires_at: held.map(|held| held.token.expires_at()),
            refresh_at: held.map(|held| held.received.wall.plus(held.refresh_after)),
            last_success: inner.last_success,
            last_failure: inner.last_failure,
            last_error: inner.last_error.clone(),
            consecutive_failures: inner.consecutive_failures,
            successes: inner.successes,
            failures: inner.failures,
            rejections: inner.rejections,
        }
    }

    /// Keeps the token fresh, for ever. A program spawns it once; without it tokens are fetched when callers need them.
    pub async fn run(&self) -> Infallible {
        loop {
            match self.next_step() {
                // The outcome is recorded by the flight itself.
                Step::Fetch(flight) => drop(flight.await),
                Step::Sleep(span, seen) => {
                    select(self.clock.sleep(span), pin!(self.changed_since(seen))).await;
                }
            }
        }
    }

    fn decide(&self) -> Decision {
        let now = self.now();
        let mut inner = self.lock();
        let usable = inner.held.as_ref().filter(|held| held.is_usable(now)).map(|held| held.token.clone());
        let waiting = inner.back_off_left(now);
        match (usable, waiting) {
            (Some(token), _) if !inner.rejected => Decision::Serve(token),
            (Some(token), Some(_)) => Decision::Serve(token),
            (None, Some(left)) => Decision::Fail(match &inner.last_error {
                Some(error) => error.clone().with_retry_after(left),
                // A back-off without an error does not happen; answering is still better than asserting here.
                None => self.pending(),
            }),
            (_, None) => Decision::Join(self.join_or_start(&mut inner)),
        }
    }

    fn next_step(&self) -> Step {
        let now = self.now();
        let mut inner = self.lock();
        if inner.flight.is_none() {
            let until_due = if inner.rejected || inner.consecutive_failures > 0 {
                Duration::ZERO
            } else {
                inner.held.as_ref().map_or(Duration::ZERO, |held| held.refresh_due_in(now))
            };
            let wait = until_due.max(inner.back_off_left(now).unwrap_or_default());
            if !wait.is_zero() {
                return Step::Sleep(wait.min(SLICE), inner.changes);
            }
        }
        Step::Fetch(self.join_or_start(&mut inner))
    }

    /// Resolves once something has happened that the loop should look at sooner than it planned.
    async fn changed_since(&self, seen: u64) {
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.changes != seen {
                return Poll::Ready(());
            }
            inner.loop_waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn join_or_start(&self, inner: &mut Inner) -> Flight {
        inner.flight.get_or_insert_with(|| self.start()).clone()
    }

    fn start(&self) -> Flight {
        let (credential, scope) = (Arc::clone(&self.credential), Arc::clone(&self.scope));
        let (clock, rng) = (Arc::clone(&self.clock), Arc::clone(&self.rng));
        // Weak: the cache holds the flight, and an abandoned flight must not hold the cache.
        let inner = Arc::downgrade(&self.inner);
        let flight: BoxFuture<'static, _> = Box::pin(async move {
            let outcome = match select(pin!(credential.fetch(&scope)), clock.sleep(FETCH_MAX)).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => Err(TokenError::new(
                    TokenErrorKind::Unreachable,
                    credential.describe(),
                    format!("no token within {} s", FETCH_MAX.as_secs()),
                )),
            };
            let now = Moment { wall: clock.now(), monotonic: clock.monotonic() };
            record(&inner, &outcome, now, &*rng);
            outcome
        });
        flight.shared()
    }

    fn pending(&self) -> TokenError {
        let message = format!("no token yet after waiting {} s", self.wait_max.as_secs_f64());
        TokenError::new(TokenErrorKind::Pending, self.credential.describe(), message)
    }

    fn now(&self) -> Moment {
        Moment { wall: self.clock.now(), monotonic: self.clock.monotonic() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    // Every change below is complete before the next can fail, so what a panicking thread left behind is sound.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record(inner: &Weak<Mutex<Inner>>, outcome: &Result<AccessToken, TokenError>, now: Moment, rng: &dyn Rng) {
    let Some(inner) = inner.upgrade() else { return };
    let mut inner = lock(&inner);
    inner.record(outcome, now, rng);
    let waker = inner.changed();
    drop(inner);
    waker.into_iter().for_each(Waker::wake);
}

/// After how long a token received now is to be refreshed: its issuer's hint, else half a long lifetime or three quarters
/// of a short one; a little sooner by chance, so that a fleet started together does not stay together.
fn refresh_after(token: &AccessToken, rng: &dyn Rng) -> Duration {
    let lifetime = token.lifetime();
    let share = if lifetime > LONG_LIFETIME { 0.5 } else { 0.75 };
    let planned = token.refresh_in().unwrap_or_else(|| lifetime.mul_f64(share)).mul_f64(1.0 - 0.05 * rng.next_f64());
    // A hint beyond the lifetime would let the token lapse; one of zero would never rest.
    let latest = lifetime.mul_f64(0.9).saturating_sub(expiry_margin(lifetime));
    planned.max(REFRESH_INTERVAL_MIN).min(latest).max(Duration::from_secs(1))
}

/// A tenth of a short life, so that even a token of a few seconds serves for most of them.
fn expiry_margin(lifetime: Duration) -> Duration {
    EXPIRY_MARGIN.min(lifetime / 10)
}

impl Inner {
    /// Counts a change. The loop is to be woken after the lock is released: an executor may poll it then and there.
    #[must_use]
    fn changed(&mut self) -> Option<Waker> {
        self.changes += 1;
        self.loop_waker.take()
    }

    fn record(&mut self, outcome: &Result<AccessToken, TokenError>, now: Moment, rng: &dyn Rng) {
        // The flight itself is still referenced by whoever polls it, so this does not drop what is running.
        self.flight = None;
        self.rejected = false;
        match outcome {
            Ok(token) => {
                let refresh_after = refresh_after(token, rng);
                tracing::debug!(
                    expires_at = token.expires_at().as_secs(),
                    refresh_after_secs = refresh_after.as_secs(),
                    "token obtained"
                );
                if self.consecutive_failures > 0 {
                    tracing::info!(failures = self.consecutive_failures, "token obtained after failures");
                }
                self.held = Some(Held { token: token.clone(), received: now, refresh_after });
                self.not_before = None;
                self.last_success = Some(now.wall);
                self.last_error = None;
                self.consecutive_failures = 0;
                self.successes += 1;
            }
            Err(error) => {
                let asked = error.retry_after().unwrap_or_default().min(RETRY_AFTER_MAX);
                let wait = backoff::delay(self.consecutive_failures, rng).max(asked);
                self.not_before = Some(now.monotonic.plus(wait));
                self.last_failure = Some(now.wall);
                self.last_error = Some(error.clone());
                self.consecutive_failures += 1;
                self.failures += 1;
                tracing::warn!(
                    failures = self.consecutive_failures,
                    retry_in_ms = wait.as_millis() as u64,
                    "no token: {error}"
                );
            }
        }
    }

    fn back_off_left(&self, now: Moment) -> Option<Duration> {
        self.not_before.map(|until| until.since(now.monotonic)).filter(|left| !left.is_zero())
    }
}

impl Held {
    fn is_usable(&self, now: Moment) -> bool {
        let margin = expiry_margin(self.token.lifetime());
        let by_wall = now.wall.plus(margin) < self.token.expires_at();
        let by_monotonic = now.monotonic.since(self.received.monotonic) + margin < self.token.lifetime();
        by_wall && by_monotonic
    }

    fn refresh_due_in(&self, now: Moment) -> Duration {
        if !self.is_usable(now) {
            return Duration::ZERO;
        }
        let by_wall = self.received.wall.plus(self.refresh_after).since(now.wall);
        let by_monotonic = self.received.monotonic.plus(self.refresh_after).since(now.monotonic);
        by_wall.min(by_monotonic)
    }
}
