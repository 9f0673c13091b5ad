//! The CPU-bound middle of a request, and the commit behind it.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use catalog::Profile;
use environment::Clock;
use futures_util::future::join_all;
use model::TimestampMs;
use quota::WorkspaceQuota;
use remote_write::{Request, Version, WrittenCounts, framing};
use storage::{CommitError, NoStorage, Storage};

use crate::Settings;
use crate::batch::{Batch, Context, ReadyBatch, committed};
use crate::error::IngestError;
use crate::fair_share::{FairShare, Taker};
use crate::metrics::Metrics;
use crate::report::{Report, total};

/// A workspace that a rule writes to.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) quota: Arc<WorkspaceQuota>,
    pub(crate) profile: Profile,
}

/// A body and where it goes.
pub(crate) struct Job {
    pub(crate) body: Bytes,
    pub(crate) version: Version,
    pub(crate) destinations: Vec<Destination>,
    /// A destination that takes nothing at the moment, if there is one.
    pub(crate) closed: Option<NoStorage>,
    /// Whether the sender is told everything.
    pub(crate) strict: bool,
    pub(crate) settings: Arc<Settings>,
    /// Whose request it is.
    pub(crate) taker: Taker,
}

/// What a job is done with.
pub(crate) struct Bench<'a> {
    pub(crate) large_decodes: &'a FairShare,
    pub(crate) metrics: &'a Metrics,
    pub(crate) clock: &'a dyn Clock,
}

/// What became of a request in all destinations together.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) version: Version,
    /// Whether the sender is told everything.
    pub(crate) strict: bool,
    /// What is stored everywhere.
    pub(crate) written: WrittenCounts,
    /// Why the first destination that failed to commit did, if any.
    pub(crate) failed: Option<String>,
    /// The report of the first destination that refused something, if any.
    pub(crate) refused: Option<Report>,
}

impl Job {
    /// Decodes, appends and commits. Every destination is tried; a message that is broken, or has more events than one of the
    /// destinations takes, is stored in none.
    pub(crate) async fn run(mut self, bench: Bench<'_>) -> Result<Outcome, IngestError> {
        let Bench { large_decodes, metrics, clock } = bench;
        let (version, strict, closed) = (self.version, self.strict, self.closed.take());
        let begun = clock.monotonic();
        let context = Context {
            now: TimestampMs(clock.now().as_millis()),
            monotonic: begun,
            tells: strict,
            labels: self.settings.request.labels,
        };
        let destinations = std::mem::take(&mut self.destinations);
        let (prepared, destinations) = if self.body.len() <= INLINE_BODY_BYTES_MAX {
            (self.prepare(&destinations, &context)?, destinations)
        } else {
            let slot = large_decodes.take(self.taker, 1).await;
            let prepare = move || {
                // The slot goes with the work: what nobody waits for any more still takes a thread.
                let _slot = slot;
                (self.prepare(&destinations, &context), destinations)
            };
            let (prepared, destinations) = tokio::task::spawn_blocking(prepare).await.map_err(|_| IngestError::Lost)?;
            (prepared?, destinations)
        };
        metrics.decode_seconds.observe(clock.monotonic().since(begun).as_secs_f64());
        metrics.decoded_bytes.inc_by(prepared.decoded_bytes);
        let commits = prepared.batches.into_iter().zip(&destinations).map(|(batch, destination)| async move {
            let ReadyBatch { appender, mut report } = batch;
            match appender.commit().await {
                Ok(done) => {
                    committed(&mut report, destination.profile, strict, version, done);
                    count(&destination.quota, &report);
                    (report, None)
                }
                Err(error) => (report, Some(error)),
            }
        });
        let reports = join_all(commits).await;
        metrics.count_reports(&reports);
        Ok(Outcome::of(version, strict, reports, closed))
    }

    fn prepare(&self, destinations: &[Destination], context: &Context) -> Result<Prepared, IngestError> {
        SCRATCH.with_borrow_mut(|scratch| {
            let prepared = self.prepare_in(scratch, destinations, context);
            scratch.forget_excess();
            prepared
        })
    }

    fn prepare_in(
        &self,
        Scratch { decoded, label_block }: &mut Scratch,
        destinations: &[Destination],
        context: &Context,
    ) -> Result<Prepared, IngestError> {
        framing::decode(&self.body, self.settings.decoded_bytes_max, decoded)?;
        let request = Request::parse(self.version, decoded, &self.settings.request)?;
        let mut batches = Vec::with_capacity(destinations.len());
        for destination in destinations {
            // What a used-up minute drops silently need not be looked at closely.
            let none_left = !self.strict && destination.quota.check_events(context.monotonic).is_err();
            let elements_max = if none_left { 0 } else { u64::MAX };
            batches.push(Batch::of(&request, label_block, destination, context, elements_max)?);
        }
        for (batch, destination) in batches.iter().zip(destinations) {
            destination.quota.received(batch.events());
        }
        match self.strict {
            true => admit_all(&batches, destinations, context)?,
            false => {
                for (batch, destination) in batches.iter_mut().zip(destinations) {
                    let (events, monotonic) = (batch.events(), context.monotonic);
                    let elements_max = destination.quota.admit_events_partly(events, monotonic);
                    if elements_max < events && !batch.drops_all() {
                        *batch = Batch::of(&request, label_block, destination, context, elements_max)?;
                    }
                }
            }
        }
        for (batch, destination) in batches.iter_mut().zip(destinations) {
            destination.quota.contributed(batch.contribution(), context.monotonic);
            batch.admit_new(&request, label_block)?;
        }
        let batches = batches.into_iter().map(Batch::finish).collect();
        Ok(Prepared { decoded_bytes: decoded.len() as u64, batches })
    }
}

/// Charges the events to every destination or to none.
fn admit_all(batches: &[Batch<'_>], destinations: &[Destination], context: &Context) -> Result<(), IngestError> {
    for (index, (batch, destination)) in batches.iter().zip(destinations).enumerate() {
        if let Err(over) = destination.quota.admit_events(batch.events(), context.monotonic) {
            for (batch, charged) in batches.iter().zip(destinations).take(index) {
                charged.quota.give_back_events(batch.events(), context.monotonic);
            }
            return Err(IngestError::OverLimit(Box::new(over)));
        }
    }
    Ok(())
}

/// What the workspace's platform metrics are made of. A batch that failed comes again and is counted then.
fn count(quota: &WorkspaceQuota, report: &Report) {
    quota.stored(total(report.written));
    for (cause, count) in &report.reasons {
        quota.dropped(cause.dropped, *count);
    }
}

/// Batches that wait for their commit.
struct Prepared {
    decoded_bytes: u64,
    batches: Vec<ReadyBatch>,
}

impl Outcome {
    /// The worst of all: a failure asks for the whole again, a refusal tells what is lost.
    fn of(
        version: Version,
        strict: bool,
        reports: Vec<(Report, Option<CommitError>)>,
        closed: Option<NoStorage>,
    ) -> Self {
        let everywhere = reports.iter().map(|(report, _)| report.written).reduce(WrittenCounts::min);
        let written = everywhere.filter(|_| closed.is_none()).unwrap_or_default();
        let failed = reports.iter().find_map(|(_, failed)| failed.as_ref().map(ToString::to_string));
        let failed = failed.or_else(|| closed.map(|none| none.to_string()));
        let refused = reports.into_iter().map(|(report, _)| report).find(Report::has_refusals);
        Self { version, strict, written, failed, refused }
    }
}

/// Working memory of one thread, kept between requests: at these sizes, fresh memory costs more than the decompression.
#[derive(Default)]
struct Scratch {
    decoded: Vec<u8>,
    label_block: Vec<u8>,
}

impl Scratch {
    /// Gives back what only a rare large request needed.
    fn forget_excess(&mut self) {
        if self.decoded.capacity() > SCRATCH_BYTES_MAX {
            self.decoded = Vec::new();
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Up to here a body is worked on where it arrived: a thousandth of a second or so, less than handing it over may cost.
const INLINE_BODY_BYTES_MAX: usize = 128 << 10;
const SCRATCH_BYTES_MAX: usize = 4 << 20;
