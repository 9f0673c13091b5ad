//! The CPU-bound middle of a request, and the commit behind it.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use catalog::Profile;
use environment::Clock;
use futures_util::future::join_all;
use model::TimestampMs;
use remote_write::{Request, Version, WrittenCounts, framing};
use storage::{CommitError, Storage};
use tokio::sync::Semaphore;

use crate::Settings;
use crate::batch::Batch;
use crate::error::IngestError;
use crate::metrics::Metrics;
use crate::report::Report;

/// A workspace that a rule writes to.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) profile: Profile,
}

/// A body and where it goes.
pub(crate) struct Job {
    pub(crate) body: Bytes,
    pub(crate) version: Version,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) now: TimestampMs,
    pub(crate) settings: Arc<Settings>,
}

/// What became of a request in all destinations together.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) version: Version,
    /// Whether the sender is told everything.
    pub(crate) strict: bool,
    /// What is stored everywhere.
    pub(crate) written: WrittenCounts,
    /// The first destination that failed to commit, if any.
    pub(crate) failed: Option<CommitError>,
    /// The report of the first destination that refused something, if any.
    pub(crate) refused: Option<Report>,
}

impl Job {
    /// Decodes, appends and commits. Every destination is tried; a broken message is stored in none.
    pub(crate) async fn run(
        self,
        large_decodes: &Semaphore,
        metrics: &Metrics,
        clock: &dyn Clock,
    ) -> Result<Outcome, IngestError> {
        let version = self.version;
        let begun = clock.monotonic();
        let prepared = if self.body.len() <= INLINE_BODY_BYTES_MAX {
            self.prepare()?
        } else {
            let _slot = large_decodes.acquire().await.expect("the semaphore is never closed");
            tokio::task::spawn_blocking(move || self.prepare()).await.map_err(|_| IngestError::Lost)??
        };
        metrics.decode_seconds.observe(clock.monotonic().since(begun).as_secs_f64());
        metrics.decoded_bytes.inc_by(prepared.decoded_bytes);
        let commits = prepared.batches.into_iter().map(|(batch, profile)| async move {
            let Batch { appender, mut report, .. } = batch;
            match appender.commit().await {
                Ok(committed) => {
                    Batch::committed(&mut report, profile, version, committed);
                    (report, None)
                }
                Err(error) => (report, Some(error)),
            }
        });
        let reports = join_all(commits).await;
        metrics.count_reports(&reports);
        Ok(Outcome::of(version, reports))
    }

    fn prepare(&self) -> Result<Prepared, IngestError> {
        SCRATCH.with_borrow_mut(|scratch| {
            let prepared = self.prepare_in(scratch);
            scratch.forget_excess();
            prepared
        })
    }

    fn prepare_in(&self, Scratch { decoded, label_block }: &mut Scratch) -> Result<Prepared, IngestError> {
        framing::decode(&self.body, self.settings.decoded_bytes_max, decoded)?;
        let request = Request::parse(self.version, decoded, &self.settings.request)?;
        let batches = self.destinations.iter().map(|destination| {
            let batch = Batch::of(&request, label_block, destination, self.now, self.settings.request.labels)?;
            Ok((batch, destination.profile))
        });
        Ok(Prepared { decoded_bytes: decoded.len() as u64, batches: batches.collect::<Result<_, IngestError>>()? })
    }
}

/// Batches that wait for their commit.
struct Prepared {
    decoded_bytes: u64,
    batches: Vec<(Batch, Profile)>,
}

impl Outcome {
    /// The worst of all: a failure asks for the whole again, a refusal tells what is lost.
    fn of(version: Version, reports: Vec<(Report, Option<CommitError>)>) -> Self {
        let written = reports.iter().map(|(report, _)| report.written).reduce(WrittenCounts::min).unwrap_or_default();
        let failed = reports.iter().find_map(|(_, failed)| failed.clone());
        let refused = reports.into_iter().map(|(report, _)| report).find(Report::has_refusals);
        Self { version, strict: true, written, failed, refused }
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
