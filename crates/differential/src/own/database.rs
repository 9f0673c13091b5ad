//! A data set in our database: `tsdb` on a disk in memory, everything on the calling thread.
//!
//! Chunks say whether a counter of histograms was reset between two of them; the engine warns by that. So histograms have to
//! go through a database, as they do on the other side.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::bail;
use environment::UnixTime;
use model::TimestampMs;
use storage::{Querier, Queryable, Storage, TimeRange};
use testkit::series_store::StoredValue;
use testkit::{ManualClock, MemoryDisk};
use tsdb::{Db, Engine, Settings};

use crate::dataset::Dataset;

/// A database that holds a data set.
pub struct Database {
    engine: Arc<Engine>,
    db: Arc<Db>,
}

impl Database {
    /// One with these data.
    ///
    /// # Errors
    /// Samples that it refuses.
    pub fn holding(data: &Dataset) -> anyhow::Result<Self> {
        let engine = Engine::manual(Arc::new(MemoryDisk::new()), Arc::new(ManualClock::new(UnixTime::EPOCH)));
        let db = Db::open(&engine, Path::new("differential"), settings())?;
        db.wait_ready()?;
        let database = Self { engine, db };
        let mut next = vec![0; data.series.len()];
        let mut until = data.start;
        while until <= data.end {
            until = until.plus(SLICE_MS);
            database.append(data, &mut next, until)?;
        }
        Ok(database)
    }

    /// Adds samples before `until`, from those that are `next`.
    fn append(&self, data: &Dataset, next: &mut [usize], until: TimestampMs) -> anyhow::Result<()> {
        let mut appender = self.db.appender(TimestampMs(0));
        for (series, next) in data.series.iter().zip(next) {
            let end = series.samples.partition_point(|(at, _)| *at < until);
            let samples = &series.samples[*next..end];
            *next = end;
            if samples.is_empty() {
                continue;
            }
            let place = appender.series(None, &series.labels)?;
            for (at, value) in samples {
                match value {
                    StoredValue::Float(value) => appender.append(place, *at, *value)?,
                    StoredValue::Histogram(histogram) => {
                        appender.append_histogram(place, *at, Arc::clone(histogram))?;
                    }
                }
            }
        }
        let committed = self.wait(appender.commit())?;
        match committed.rejected.first() {
            Some(rejection) => bail!("our database refuses {rejection}"),
            None => Ok(()),
        }
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
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
        self.db.querier(range)
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

/// Longer than any data set lasts.
const ALL_TIME: Duration = Duration::from_secs(1_000_000 * 365 * 24 * 3600);

/// The time that one commit covers.
const SLICE_MS: i64 = 5 * 60 * 1000;
