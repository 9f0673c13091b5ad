//! The one thread that writes: takes all batches that wait, logs them with one write, changes the head, answers.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex};
use storage::{CommitError, Committed};

use crate::admission::{Admission, Bench};
use crate::batch::{Batch, BatchPool, BatchSeries};
use crate::head::Head;
use crate::key_cache::KeyCache;
use crate::log::Log;
use crate::settings::Settings;
use crate::stats::Counters;
use crate::ticket::{Ticket, Waiting, ticket};

/// What appenders, queriers and the threads of one database share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) head: Head,
    pub(crate) keys: KeyCache,
    pub(crate) counters: Counters,
    pub(crate) pool: BatchPool,
    pub(crate) queue: Queue,
    /// Why the log is not written any more.
    failed: OnceLock<Arc<str>>,
}

impl Shared {
    pub(crate) fn new(mut settings: Settings) -> Self {
        settings.series_max = settings.series_max.min(BatchSeries::NEW - 1);
        Self {
            head: Head::new(settings.exemplars_max),
            keys: KeyCache::new(settings.series_cache_bytes_max),
            settings,
            counters: Counters::default(),
            pool: BatchPool::default(),
            queue: Queue::default(),
            failed: OnceLock::new(),
        }
    }

    /// Takes no writes from now on: after a failed write or sync nobody knows what the log holds.
    pub(crate) fn fail(&self, reason: String) {
        tracing::error!(reason, "the write-ahead log cannot be written; writes are refused until the next start");
        let _ = self.failed.set(reason.into());
    }

    pub(crate) fn failure(&self) -> Option<CommitError> {
        self.failed.get().map(|reason| CommitError::Log(Arc::clone(reason)))
    }
}

/// Batches on their way to the committer. Bounded by the number of requests that wait for an answer, which is their
/// servers' to bound: each brings one.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    wake: Condvar,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<(Batch, Ticket)>,
    closing: bool,
}

impl Queue {
    /// Hands a batch over; the future resolves to what became of it.
    pub(crate) fn push(&self, batch: Batch) -> Waiting {
        let (ticket, waiting) = ticket();
        let mut state = self.state.lock();
        if state.closing {
            ticket.answer(Err(CommitError::Closing));
            return waiting;
        }
        state.waiting.push_back((batch, ticket));
        drop(state);
        self.wake.notify_one();
        waiting
    }

    /// Takes no more batches; those that wait are still committed.
    pub(crate) fn close(&self) {
        self.state.lock().closing = true;
        self.wake.notify_all();
    }

    /// Waits for batches and takes those that wait, up to a bound; none when closing and done.
    fn take(&self, group: &mut Vec<(Batch, Ticket)>) {
        let mut state = self.state.lock();
        while state.waiting.is_empty() && !state.closing {
            self.wake.wait(&mut state);
        }
        let mut samples = 0;
        while let Some(next) =
            state.waiting.pop_front_if(|(batch, _)| samples == 0 || samples + batch.samples.len() <= GROUP_SAMPLES_MAX)
        {
            samples += next.0.samples.len().max(1);
            group.push(next);
        }
    }

    /// Lets nobody wait for a committer that is gone.
    fn abandon(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }
}

pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Log,
    pub(crate) admission: Admission,
}

impl Committer {
    /// Commits until the queue is closed and empty, then syncs the log.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _abandon = Abandon(&shared.queue);
        let mut group = Vec::new();
        loop {
            shared.queue.take(&mut group);
            if group.is_empty() {
                break;
            }
            self.commit(&mut group);
        }
        if shared.failure().is_none()
            && let Err(error) = self.log.sync(&shared.counters)
        {
            shared.fail(format!("sync of {}: {error}", self.log.path().display()));
        }
    }

    fn commit(&mut self, group: &mut Vec<(Batch, Ticket)>) {
        let Self { shared, log, admission } = self;
        if let Some(failure) = shared.failure() {
            return refuse(group, &failure);
        }
        let mut bench = Bench { head: &shared.head, settings: &shared.settings, counters: &shared.counters, log };
        let committed: Vec<Committed> = group.iter_mut().map(|(batch, _)| admission.admit(&mut bench, batch)).collect();
        admission.finish(log);
        if let Err(error) = log.write(&shared.counters) {
            shared.fail(format!("write to {}: {error}", log.path().display()));
            return refuse(group, &shared.failure().expect("it was just set"));
        }
        admission.apply(&shared.head, &shared.keys, &shared.counters);
        shared.counters.commits.add(group.len() as u64);
        for ((batch, ticket), committed) in group.drain(..).zip(committed) {
            ticket.answer(Ok(committed));
            shared.pool.put(batch);
        }
    }
}

fn refuse(group: &mut Vec<(Batch, Ticket)>, failure: &CommitError) {
    group.drain(..).for_each(|(_, ticket)| ticket.answer(Err(failure.clone())));
}

/// Even a panic of the committer answers those who wait.
struct Abandon<'a>(&'a Queue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Samples that share one write, unless a single batch has more.
const GROUP_SAMPLES_MAX: usize = 64 << 10;
