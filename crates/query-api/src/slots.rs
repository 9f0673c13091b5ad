//! Places to run in: how much work the API does at a time, who waits for a place, and when work is stopped.
//!
//! Work runs on threads of its own, since it computes for long. It is stopped when nobody waits for it any more (the client
//! went away), and when its time is over, waiting included.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use environment::{Clock, Monotonic};
use promql::Stop;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::error::ApiError;
use crate::helpers::Helpers;
use crate::metrics::Metrics;

/// See the module's text.
pub(crate) struct Slots {
    running: Arc<Semaphore>,
    /// Those that run and those that wait.
    admitted: Arc<Semaphore>,
    /// Threads that help with large evaluations.
    helpers: Arc<Helpers>,
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
        let _stop = StopOnDrop(Arc::clone(&job.stopped));
        let running = self.metrics.running.clone();
        let outcome = spawn_blocking(move || {
            // The place goes with the work, not with the request: work that is being stopped still takes a thread.
            let _place = place;
            running.inc();
            let outcome = work(&job);
            running.dec();
            outcome
        });
        outcome.await.map_err(|_| ApiError::Internal("the evaluation panicked; its log line says where"))?
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
            running.inc();
            work(&job);
            running.dec();
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
        (self.clock.monotonic() >= self.deadline).then_some(Stop::TimedOut)
    }

    /// Ends the work if it should end.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        self.interrupt().map_or(Ok(()), |stop| Err(promql::EvalError::from(stop).into()))
    }

    /// Threads that help.
    pub(crate) fn helpers(&self) -> &Helpers {
        &self.helpers
    }

    /// Waits for a future: what waits inside of work is the storage's disk and network.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The time now, for measuring.
    pub(crate) fn now(&self) -> Monotonic {
        self.clock.monotonic()
    }
}

/// Tells work on another thread that nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
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
