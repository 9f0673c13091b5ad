//! Batches on their way: which wait, who commits them, and how: all that wait go into the log with one write (and what is late in
//! them into its own with another), then into memory, then are answered.
//!
//! What cannot be appended to a log (a full disk) is refused, and nothing of it has happened; the next batches are tried
//! again.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use storage::CommitError;

use crate::admission::{Admission, Bench, Judged};
use crate::batch::Batch;
use crate::engine::{Work, contained};
use crate::log::Log;
pub(crate) use crate::shared::Shared;
use crate::ticket::{Ticket, Waiting, ticket};

/// What only one thread at a time may use: a thread that commits, for one group of batches; maintenance, for the short moments in
/// which nothing may change the head or the logs.
pub(crate) struct Writer {
    pub(crate) log: Log,
    /// The log of samples out of order.
    pub(crate) late_log: Log,
    pub(crate) admission: Admission,
    /// Kept for their memory.
    group: Vec<(Batch, Ticket)>,
    judged: Vec<Result<Judged, CommitError>>,
}

/// Batches that wait. Bounded by the number of requests that wait for an answer, which is their servers' to bound: each
/// brings one.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    /// Nobody is at work any more.
    idle: Condvar,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<(Batch, Ticket)>,
    /// Nothing is committed before the database is ready.
    is_ready: bool,
    /// The database stands in the engine's queue, or a thread commits for it.
    at_work: bool,
    closing: bool,
}

impl Queue {
    /// Takes no more batches; those that wait are still committed.
    pub(crate) fn close(&self) {
        self.state.lock().closing = true;
    }

    /// Waits until no batch is under way; a helper does the work meanwhile.
    pub(crate) fn wait_idle(&self, helper: Option<&Work>) {
        let mut state = self.state.lock();
        while state.at_work {
            match helper {
                Some(work) => {
                    drop(state);
                    assert!(work.run_pending(), "what is waited for is under way");
                    state = self.state.lock();
                }
                None => self.idle.wait(&mut state),
            }
        }
    }

    /// The batches that wait will never be committed.
    pub(crate) fn refuse(&self, failure: &CommitError) {
        let waiting = {
            let mut state = self.state.lock();
            state.closing = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(|(_, ticket)| ticket.answer(Err(failure.clone())));
    }

    /// Takes those that wait, up to a bound.
    fn take(&self, group: &mut Vec<(Batch, Ticket)>) {
        let mut state = self.state.lock();
        let mut samples = 0;
        while let Some(next) =
            state.waiting.pop_front_if(|(batch, _)| samples == 0 || samples + batch.samples.len() <= GROUP_SAMPLES_MAX)
        {
            samples += next.0.samples.len().max(1);
            group.push(next);
        }
    }
}

impl Shared {
    /// Hands a batch over; the future resolves to what became of it.
    pub(crate) fn submit(self: &Arc<Self>, batch: Batch) -> Waiting {
        let (ticket, waiting) = ticket();
        let mut state = self.queue.state.lock();
        if state.closing {
            ticket.answer(Err(self.failure().unwrap_or(CommitError::Closing)));
            return waiting;
        }
        state.waiting.push_back((batch, ticket));
        if state.is_ready && !state.at_work {
            state.at_work = true;
            drop(state);
            self.work.commits.push(Arc::clone(self));
        }
        waiting
    }

    /// Commits what waited for the database to be ready, and from now on what comes.
    pub(crate) fn start_committing(self: &Arc<Self>) {
        let mut state = self.queue.state.lock();
        state.is_ready = true;
        state.at_work = !state.waiting.is_empty();
        if state.at_work {
            drop(state);
            self.work.commits.push(Arc::clone(self));
        }
    }

    /// Commits one group, and lets other databases go before the next one. Called by whoever took this one off the engine's
    /// queue.
    pub(crate) fn commit_group(self: &Arc<Self>) {
        if !contained("a commit", || self.with_writer(|writer| writer.commit_group(self))) {
            // What it has changed and what not is unknown. Batches it held were answered as they were dropped.
            self.fail("a commit did not come to its end; see the log of the program".to_owned());
        }
        let mut state = self.queue.state.lock();
        state.at_work = !state.waiting.is_empty();
        if state.at_work {
            drop(state);
            self.work.commits.push(Arc::clone(self));
        } else {
            self.queue.idle.notify_all();
        }
    }
}

impl Writer {
    pub(crate) fn new(log: Log, late_log: Log, admission: Admission) -> Self {
        Self { log, late_log, admission, group: Vec::new(), judged: Vec::new() }
    }

    /// Gives back memory that is kept for the next group.
    pub(crate) fn rest(&mut self) {
        self.group = Vec::new();
        self.judged = Vec::new();
        self.log.rest();
        self.late_log.rest();
        self.admission.rest();
    }

    fn commit_group(&mut self, shared: &Arc<Shared>) {
        // Taken out, so that a panic answers them.
        let mut group = std::mem::take(&mut self.group);
        shared.queue.take(&mut group);
        self.commit(shared, &mut group);
        self.group = group;
    }

    fn commit(&mut self, shared: &Arc<Shared>, group: &mut Vec<(Batch, Ticket)>) {
        if let Some(failure) = shared.failure() {
            return refuse(group, &failure);
        }
        let Self { log, admission, judged, .. } = self;
        let (head, ooo) = (&shared.head, &shared.ooo);
        let mut bench = Bench { head, ooo, settings: &shared.settings, counters: &shared.counters, log };
        judged.extend(group.iter_mut().map(|(batch, _)| admission.admit(&mut bench, batch)));
        admission.finish(log);
        if let Err(error) = log.write(&shared.counters) {
            judged.clear();
            admission.abandon(head);
            return refuse(group, &shared.not_written(&error));
        }
        let late = self.write_late(shared);
        self.admission.apply(head, &shared.keys, &shared.counters);
        if let Some(range) = head.time_range() {
            self.log.cover(range.end);
        }
        shared.logged();
        if ooo.is_pressing() {
            shared.start_maintenance();
        }
        for ((batch, ticket), judged) in group.drain(..).zip(self.judged.drain(..)) {
            // In-order samples of a batch whose late ones were not written are there all the same: repeating it is safe.
            let answer = judged.and_then(|judged| match &late {
                Err(failure) if judged.uses_late => Err(failure.clone()),
                _ => Ok(judged.committed),
            });
            shared.counters.commits.add(u64::from(answer.is_ok()));
            ticket.answer(answer);
            shared.work.pool.put(batch);
        }
    }

    /// Logs the group's late samples, then takes them in. If they cannot be logged, nothing of them has happened.
    fn write_late(&mut self, shared: &Arc<Shared>) -> Result<(), CommitError> {
        let Self { late_log, admission, .. } = self;
        if admission.has_late() {
            admission.finish_late(|record| late_log.push(record));
            late_log.write(&shared.counters).map_err(|error| shared.not_written(&error))?;
            admission.apply_late(&shared.ooo, &shared.counters, shared.clock.monotonic());
        }
        shared.written();
        Ok(())
    }
}

fn refuse(group: &mut Vec<(Batch, Ticket)>, failure: &CommitError) {
    group.drain(..).for_each(|(_, ticket)| ticket.answer(Err(failure.clone())));
}

/// Samples that share one write, unless a single batch has more.
const GROUP_SAMPLES_MAX: usize = 64 << 10;
