//! A data set in our database: `tsdb` on a disk in memory, everything on the calling thread, in the head alone or in blocks
//! too.
//!
//! Chunks say whether a counter of histograms was reset between two of them; the engine warns by that. So histograms have to
//! go through a database, as they do on the other side.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::bail;
use environment::{Disk as _, UnixTime};
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
    disk: MemoryDisk,
}

impl Database {
    /// One with these data, all in its head.
    ///
    /// # Errors
    /// Samples that it refuses.
    pub fn holding(data: &Dataset) -> anyhow::Result<Self> {
        let database = Self::open(ALL_IN_HEAD_MS)?;
        database.fill(data, |_| Ok(()))?;
        Ok(database)
    }

    /// One with these data in blocks, some of them merged, and in the head.
    ///
    /// # Errors
    /// Samples that it refuses, and maintenance that fails.
    pub fn holding_in_blocks(data: &Dataset) -> anyhow::Result<Self> {
        let database = Self::open(SHORT_BLOCKS_MS)?;
        database.fill(data, |until| Ok(database.db.maintain(UnixTime::from_millis(u64::try_from(until.0)?))?))?;
        let stats = database.db.stats();
        if stats.blocks < 2 || stats.compactions == 0 || stats.maintenance_failures > 0 {
            bail!("blocks or merges are missing: {stats:?}");
        }
        Ok(database)
    }

    /// Copies the directory to `to` as it would be found if the process died now.
    ///
    /// # Errors
    /// What the disk says.
    pub fn carry_out(&self, to: &Path) -> anyhow::Result<()> {
        let disk = self.disk.after_process_crash();
        for path in disk.paths() {
            let to = to.join(path.strip_prefix(DIRECTORY)?);
            fs::create_dir_all(to.parent().unwrap_or(&to))?;
            fs::write(&to, disk.read(&path)?)?;
        }
        Ok(())
    }

    fn open(block_range_ms: i64) -> anyhow::Result<Self> {
        let disk = MemoryDisk::new();
        let engine = Engine::manual(Arc::new(disk.clone()), Arc::new(ManualClock::new(UnixTime::EPOCH)));
        let db = Db::open(&engine, Path::new(DIRECTORY), settings(block_range_ms))?;
        db.wait_ready()?;
        Ok(Self { engine, db, disk })
    }

    /// Adds all data in slices of time; `after` each, something else can be done.
    fn fill(&self, data: &Dataset, after: impl Fn(TimestampMs) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut next = vec![0; data.series.len()];
        let mut until = data.start;
        while until <= data.end {
            until = until.plus(SLICE_MS);
            self.append(data, &mut next, until)?;
            after(until)?;
        }
        Ok(())
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

/// Any time is taken, in order of time only.
fn settings(block_range_ms: i64) -> Settings {
    Settings {
        future_max: ALL_TIME,
        retention: ALL_TIME,
        block_range_ms,
        out_of_order_window: Some(Duration::ZERO),
        ..Settings::default()
    }
}

/// Where it is on its disk.
const DIRECTORY: &str = "differential";

/// No data set lasts as long.
const ALL_IN_HEAD_MS: i64 = 24 * 3600 * 1000;

/// Several are written of each data set.
const SHORT_BLOCKS_MS: i64 = 10 * 60 * 1000;

/// Longer than any data set lasts.
const ALL_TIME: Duration = Duration::from_secs(1_000_000 * 365 * 24 * 3600);

/// The time that one commit covers.
const SLICE_MS: i64 = 5 * 60 * 1000;
