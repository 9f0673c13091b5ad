//! A thread that owns something and does one job after the other with it.
//!
//! A job is done wholly once it has begun, whether or not the one who asked for it still waits: a request that is dropped
//! halfway can leave nothing halfway.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::Shared;

use crate::StoreError;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// See the module.
pub(crate) struct Worker<S> {
    /// Taken when no more jobs are to come.
    jobs: Mutex<Option<SyncSender<Job<S>>>>,
    /// Resolves when the thread has ended.
    ended: Shared<oneshot::Receiver<()>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<S: 'static> Worker<S> {
    /// Starts a thread called `name` that makes its own with `make`, and lets go of it with `end`.
    pub(crate) async fn start(
        name: &'static str,
        make: impl FnOnce() -> Result<S, StoreError> + Send + 'static,
        end: impl FnOnce(S) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = sync_channel::<Job<S>>(JOBS_WAITING_MAX);
        let (made, outcome) = oneshot::channel();
        let (ending, ended) = oneshot::channel::<()>();
        let run = move || {
            // Dropped last, also when a job panics.
            let _ending = ending;
            let mut own = match make() {
                Ok(own) => own,
                Err(error) => return drop(made.send(Err(error))),
            };
            // When nobody waits any more, the queue is closed as well and the loop ends at once.
            let _ = made.send(Ok(()));
            for job in queue {
                job(&mut own);
            }
            end(own);
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|error| {
            StoreError::Database { action: "opened", reason: format!("no thread can be started: {error}") }
        })?;
        let worker = Self { jobs: Mutex::new(Some(jobs)), ended: ended.shared(), thread: Mutex::new(Some(thread)) };
        outcome.await.map_err(|_| stopped("opened"))??;
        Ok(worker)
    }

    /// Does `job` when it is its turn.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        job: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let job: Job<S> = Box::new(move |own| {
            // The one who asked may have gone; what was done stands.
            let _ = answer.send(job(own));
        });
        self.enqueue(action, job)?;
        outcome.await.map_err(|_| stopped(action))
    }

    /// Waits until all jobs so far are done and the thread has ended; jobs that come now are refused.
    pub(crate) async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.ended.clone().await;
    }

    fn enqueue(&self, action: &'static str, job: Job<S>) -> Result<(), StoreError> {
        let refused = |reason: &str| StoreError::Database { action, reason: reason.to_owned() };
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        match jobs.as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => {
                Err(refused(&format!("{JOBS_WAITING_MAX} requests wait already: try again later")))
            }
            Some(Err(TrySendError::Disconnected(_))) => Err(stopped(action)),
            None => Err(refused("it is closed")),
        }
    }
}

impl<S> Drop for Worker<S> {
    /// Waits for the thread, so that the file is free when the store is gone.
    fn drop(&mut self) {
        drop(self.jobs.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // A job may own what owns this worker; a thread cannot wait for itself.
        if thread.thread().id() != std::thread::current().id() {
            // A panic of it has been reported to those who waited.
            let _ = thread.join();
        }
    }
}

fn stopped(action: &'static str) -> StoreError {
    let reason = "the thread that does it has stopped: restart the service".to_owned();
    StoreError::Database { action, reason }
}

/// So many requests wait at most; each is done within milliseconds.
const JOBS_WAITING_MAX: usize = 1024;

#[cfg(test)]
mod tests;
