//! A database on a disk in memory, and few words for using it.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use environment::{BoxFuture, Clock, Monotonic, UnixTime};
use model::{Labels, Matcher, NativeHistogram, TimestampMs};
use storage::{Batch, CommitError, Committed, Queryable as _, SelectHints, Storage, TimeRange};
use testkit::MemoryDisk;
use tsdb::{Db, Engine, EngineSettings, OpenError, Settings, WalSync};

pub(crate) const DIRECTORY: &str = "data/w";

/// Syncs so seldom that no test meets one it did not ask for, and takes samples in order only.
pub(crate) fn settings() -> Settings {
    let wal_sync = WalSync::Interval(Duration::from_secs(3600));
    Settings { wal_sync, out_of_order_window: Some(Duration::ZERO), ..Settings::default() }
}

#[track_caller]
pub(crate) fn open(disk: &MemoryDisk) -> Arc<Db> {
    open_with(disk, settings())
}

#[track_caller]
pub(crate) fn open_with(disk: &MemoryDisk, settings: Settings) -> Arc<Db> {
    try_open(disk, settings).unwrap()
}

/// Opens the database on an engine of its own, and waits until its log has been read.
pub(crate) fn try_open(disk: &MemoryDisk, settings: Settings) -> Result<Arc<Db>, Arc<OpenError>> {
    let threads = EngineSettings { commit_threads: 1, background_threads: 1, ..EngineSettings::default() };
    let engine = Engine::start(Arc::new(disk.clone()), Arc::new(RunningClock::new()), threads)?;
    let db = Db::open(&engine, Path::new(DIRECTORY), settings)?;
    db.wait_ready()?;
    Ok(db)
}

/// Time that passes while the engine's threads wait.
pub(crate) struct RunningClock(Instant);

impl RunningClock {
    #[expect(clippy::disallowed_methods, reason = "threads of the engine wait for real time")]
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for RunningClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(1_700_000_000).plus(self.0.elapsed())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_duration(self.0.elapsed())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        unreachable!("a database waits on conditions")
    }
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

/// A sample's value with its bits, so that NaNs compare.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Float(u64),
    Histogram(Arc<NativeHistogram>),
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value.to_bits())
    }
}

/// Appends all samples in one batch and commits it, at the time of the newest.
pub(crate) fn commit(db: &Db, samples: &[(&Labels, i64, Value)]) -> Result<Committed, CommitError> {
    let mut appender = db.appender(TimestampMs(samples.iter().map(|(_, at, _)| *at).max().unwrap_or_default()));
    for (labels, at, value) in samples {
        let key = labels.as_packed();
        let series = match appender.resolve(key) {
            Some(series) => series,
            None => appender.series(Some(key), labels).unwrap(),
        };
        match value {
            Value::Float(bits) => appender.append(series, TimestampMs(*at), f64::from_bits(*bits)).unwrap(),
            Value::Histogram(histogram) => {
                appender.append_histogram(series, TimestampMs(*at), Arc::clone(histogram)).unwrap();
            }
        }
    }
    wait(appender.commit())
}

/// Appends one float and says why it was refused, if it was.
pub(crate) fn append(db: &Db, labels: &Labels, at: i64, value: f64) -> Option<storage::AppendError> {
    let committed = commit(db, &[(labels, at, value.into())]).unwrap();
    committed.rejected.into_iter().next().map(|rejection| rejection.error)
}

/// All series that meet the matchers and have samples in the range, with these.
pub(crate) fn select(db: &Db, matchers: &[Matcher], range: TimeRange) -> Vec<(Labels, Vec<(i64, Value)>)> {
    let querier = db.querier(range);
    let mut set = wait(querier.select(matchers, SelectHints::samples(range))).unwrap();
    let mut found = Vec::new();
    let mut batch = Batch::default();
    while let Some(mut series) = set.next().unwrap() {
        let mut samples = Vec::new();
        while series.samples.next_batch(&mut batch).unwrap() {
            assert!(!batch.is_empty() && (batch.floats.is_empty() || batch.histograms.is_empty()));
            let floats = batch.floats.iter().map(|value| Value::from(*value));
            let histograms = batch.histograms.iter().map(|histogram| Value::Histogram(Arc::clone(histogram)));
            samples.extend(batch.timestamps.iter().map(|at| at.0).zip(floats.chain(histograms)));
        }
        // The seam promises series that *may* have samples: a chunk can span the range without a sample in it.
        if !samples.is_empty() {
            found.push((series.labels, samples));
        }
    }
    found
}

pub(crate) fn select_all(db: &Db) -> Vec<(Labels, Vec<(i64, Value)>)> {
    select(db, &[], TimeRange::ALL)
}

/// Waits for a future on this thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park_timeout(Duration::from_secs(30));
    }
}
