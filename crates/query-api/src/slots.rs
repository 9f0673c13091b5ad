//! Places to run in: how much work the API does at a time, who waits for a place, and when work is stopped.
//!
//! Work runs on threads of its own, since it computes for long. It is stopped when nobody waits for it any more (the client
//! went away), and when its time is over, waiting included.
//!
//! What was quick the last time ([`Quick`]) is done where it is asked for, on the thread that serves the connection. There it
//! may neither wait nor take long: when it wants to, it is given up, and done on a thread of its own after all.

use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use environment::{Clock, Monotonic};
use prometheus_client::metrics::gauge::Gauge;
use promql::{EvalError, Stop};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::error::ApiError;
use crate::helpers::Helpers;
use crate::metrics::Metrics;
use crate::quick::{Asked, Quick};

/// See the module's text.
pub(crate) struct Slots {
    running: Arc<Semaphore>,
    /// Those that run and those that wait.
    admitted: Arc<Semaphore>,
    /// Threads that help with large evaluations.
    helpers: Arc<Helpers>,
    quick: Arc<Quick>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

/// What work is told about how it runs.
pub(crate) struct Job {
    runtime: Handle,
    stopped: Arc<AtomicBool>,
    deadline: Monotonic,
    clock: Arc<dyn Clock>,
    helpers: Arc<Helpers>,
    /// How long it waited for its place.
    pub(crate) queued: Duration,
    /// What there is to mind on a thread that serves; `None` on one of its own.
    serving: Option<Serving>,
}

/// Work on a thread that serves.
struct Serving {
    until: Monotonic,
    /// It wants to wait, or takes too long.
    gave_up: AtomicBool,
}

/// A place, with those who wait for one let in when it is dropped.
struct Place {
    _running: OwnedSemaphorePermit,
    _admitted: OwnedSemaphorePermit,
}

impl Slots {
    /// Places for `running` at a time, and for `waiting_max` more to wait.
    pub(crate) fn new(running: usize, waiting_max: usize, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running)),
            admitted: Arc::new(Semaphore::new(running + waiting_max)),
            helpers: Arc::new(Helpers::beside_one()),
            quick: Arc::new(Quick::new()),
            clock,
            metrics,
        }
    }

    /// Waits for a place, does the work, returns what came of it. Dropping the future stops the work.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl FnOnce(&Job) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (place, job) = self.place(timeout).await?;
        self.run_beside(place, job, work).await
    }

    /// The same, but where it is asked for if what is `asked` was quick the last time. Work that is given up is begun again.
    pub(crate) async fn run_near<T: Send + 'static>(
        &self,
        asked: Asked,
        timeout: Duration,
        work: impl Fn(&Job) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (place, mut job) = self.place(timeout).await?;
        if self.quick.was_quick(asked) {
            let began = job.now();
            job.serving = Some(Serving { until: began.plus(SERVING_MAX), gave_up: AtomicBool::new(false) });
            let outcome = {
                let _running = Running::new(&self.metrics.running);
                catch_unwind(AssertUnwindSafe(|| work(&job))).unwrap_or(Err(ApiError::Internal(PANICKED)))
            };
            let gave_up = job.serving.take().is_some_and(|serving| serving.gave_up.into_inner());
            if !gave_up {
                self.quick.note(asked, job.now().since(began));
                return outcome;
            }
            self.quick.forget(asked);
        }
        let quick = Arc::clone(&self.quick);
        let timed = move |job: &Job| {
            let began = job.now();
            let outcome = work(job);
            quick.note(asked, job.now().since(began));
            outcome
        };
        self.run_beside(place, job, timed).await
    }

    /// What is asked, for [`run_near`](Self::run_near).
    pub(crate) fn asked(&self, what: impl Hash) -> Asked {
        self.quick.asked(what)
    }

    async fn run_beside<T: Send + 'static>(
        &self,
        place: Place,
        job: Job,
        work: impl FnOnce(&Job) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let _stop = StopOnDrop(Arc::clone(&job.stopped));
        let running = self.metrics.running.clone();
        let outcome = spawn_blocking(move || {
            // The place goes with the work, not with the request: work that is being stopped still takes a thread.
            let _place = place;
            let _running = Running::new(&running);
            work(&job)
        });
        outcome.await.map_err(|_| ApiError::Internal(PANICKED))?
    }

    /// Waits for a place and begins the work, which goes on by itself.
    pub(crate) async fn spawn(
        &self,
        timeout: Duration,
        work: impl FnOnce(&Job) + Send + 'static,
    ) -> Result<(), ApiError> {
        let (place, job) = self.place(timeout).await?;
        let running = self.metrics.running.clone();
        spawn_blocking(move || {
            let _place = place;
            let _running = Running::new(&running);
            work(&job);
        });
        Ok(())
    }

    async fn place(&self, timeout: Duration) -> Result<(Place, Job), ApiError> {
        let asked = self.clock.monotonic();
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| ApiError::Busy)?;
        let free = Arc::clone(&self.running).try_acquire_owned();
        let running = match free {
            Ok(place) => place,
            Err(_) => {
                let _waiting = Waiting::new(&self.metrics);
                tokio::select! {
                    place = Arc::clone(&self.running).acquire_owned() => place.map_err(|_| ApiError::Busy)?,
                    () = self.clock.sleep(timeout) => return Err(ApiError::QueueTimedOut),
                }
            }
        };
        let queued = self.clock.monotonic().since(asked);
        self.metrics.queued(queued);
        let job = Job {
            runtime: Handle::current(),
            stopped: Arc::default(),
            deadline: asked.plus(timeout),
            clock: Arc::clone(&self.clock),
            helpers: Arc::clone(&self.helpers),
            queued,
            serving: None,
        };
        Ok((Place { _running: running, _admitted: admitted }, job))
    }
}

impl Job {
    /// Why the work should end, if it should.
    pub(crate) fn interrupt(&self) -> Option<Stop> {
        if self.stopped.load(Ordering::Relaxed) {
            return Some(Stop::Canceled);
        }
        let now = self.clock.monotonic();
        if let Some(serving) = self.serving.as_ref().filter(|serving| now >= serving.until) {
            return Some(serving.give_up());
        }
        (now >= self.deadline).then_some(Stop::TimedOut)
    }

    /// Ends the work if it should end.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        self.interrupt().map_or(Ok(()), |stop| Err(EvalError::from(stop).into()))
    }

    /// Threads that help.
    pub(crate) fn helpers(&self) -> &Helpers {
        &self.helpers
    }

    /// Waits for a future: what waits inside of work is the storage's disk and network.
    ///
    /// # Errors
    /// On a thread that may not wait.
    pub(crate) fn wait<F: Future>(&self, future: F) -> Result<F::Output, ApiError> {
        let Some(serving) = &self.serving else { return Ok(self.runtime.block_on(future)) };
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Ok(output),
            Poll::Pending => Err(EvalError::from(serving.give_up()).into()),
        }
    }

    /// The time now, for measuring.
    pub(crate) fn now(&self) -> Monotonic {
        self.clock.monotonic()
    }
}

impl Serving {
    /// Why the work ends: nobody waits for what it says.
    fn give_up(&self) -> Stop {
        self.gave_up.store(true, Ordering::Relaxed);
        Stop::Canceled
    }
}

/// Tells work on another thread that nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Counts as running, also when the work panics.
struct Running<'m>(&'m Gauge);

impl<'m> Running<'m> {
    fn new(running: &'m Gauge) -> Self {
        running.inc();
        Self(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts as waiting, also when the client goes away meanwhile.
struct Waiting<'m>(&'m Metrics);

impl<'m> Waiting<'m> {
    fn new(metrics: &'m Metrics) -> Self {
        metrics.waiting.inc();
        Self(metrics)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.dec();
    }
}

const PANICKED: &str = "the evaluation panicked; its log line says where";

/// After so long, work is given up on a thread that serves. More than it took the last time, since it may have to fetch from
/// memory now what it had at hand then.
const SERVING_MAX: Duration = Duration::from_millis(4);

#[cfg(test)]
mod tests;
