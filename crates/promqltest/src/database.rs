//! The database that a script fills and queries: `tsdb` on a disk in memory, everything on the calling thread.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use environment::UnixTime;
use model::{Labels, NativeHistogram, TimestampMs};
use storage::{AppendError, Appender, CommitError, Querier, Queryable, SeriesRef, Storage, TimeRange};
use testkit::{ManualClock, MemoryDisk};
use tsdb::{Db, Engine, Settings};

use crate::start_timestamps::StartTimestamps;

/// An empty database at first.
pub(crate) struct Database {
    engine: Arc<Engine>,
    db: Arc<Db>,
    /// The head of the database keeps none.
    pub(crate) starts: StartTimestamps,
}

/// Samples that are stored together or not at all.
pub(crate) struct Transaction<'a> {
    database: &'a Database,
    appender: Box<dyn Appender>,
}

/// Why samples cannot be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// A sample is refused.
    #[error("{labels}: {error}")]
    Sample { labels: Labels, error: AppendError },
    /// Nothing can be stored.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Database {
    pub(crate) fn open() -> Self {
        let engine = Engine::manual(Arc::new(MemoryDisk::new()), Arc::new(ManualClock::new(UnixTime::EPOCH)));
        let db =
            Db::open(&engine, Path::new("promqltest"), settings()).expect("a disk in memory lets databases be made");
        db.wait_ready().expect("a new database has nothing to read");
        Self { engine, db, starts: StartTimestamps::default() }
    }

    pub(crate) fn begin(&self) -> Transaction<'_> {
        Transaction { database: self, appender: self.db.appender(TimestampMs(0)) }
    }

    /// The outcome of a future, which waits for nothing but what the database has to do.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
            assert!(self.engine.run_pending(), "the future waits for something that nobody does");
        }
    }
}

impl Queryable for Database {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        self.starts.view(self.db.querier(range))
    }
}

impl Transaction<'_> {
    /// The series with these labels.
    pub(crate) fn series(&mut self, labels: &Labels) -> Result<SeriesRef, StoreError> {
        self.appender.series(None, labels).map_err(|error| StoreError::Sample { labels: labels.clone(), error })
    }

    pub(crate) fn append(&mut self, series: SeriesRef, at: TimestampMs, value: f64) -> Result<(), AppendError> {
        self.appender.append(series, at, value)
    }

    pub(crate) fn append_histogram(
        &mut self,
        series: SeriesRef,
        at: TimestampMs,
        histogram: Arc<NativeHistogram>,
    ) -> Result<(), AppendError> {
        self.appender.append_histogram(series, at, histogram)
    }

    /// Stores everything.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        let committed = self.database.wait(self.appender.commit())?;
        match committed.rejected.into_iter().next() {
            None => Ok(()),
            Some(rejection) => Err(StoreError::Sample { labels: rejection.labels, error: rejection.error }),
        }
    }
}

/// Any time is taken, in order of time only, and stays in the head.
fn settings() -> Settings {
    Settings {
        future_max: ALL_TIME,
        retention: ALL_TIME,
        block_range_ms: 24 * 3600 * 1000,
        out_of_order_window: Some(Duration::ZERO),
        ..Settings::default()
    }
}

/// Longer than any duration that a script can write.
const ALL_TIME: Duration = Duration::from_secs(1_000_000 * 365 * 24 * 3600);
