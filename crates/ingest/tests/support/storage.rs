//! Storage that keeps everything in memory, refuses the far future as an engine does, and fails when it is told to.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use model::{Exemplar, Labels, Metadata, NativeHistogram, TimestampMs};
use storage::{
    AppendError, Appender, BoxFuture, CommitError, Committed, Querier, Queryable, SelectHints, SeriesRef, Storage,
    TimeRange,
};
use testkit::series_store::SeriesStore;

#[derive(Clone, Default)]
pub(crate) struct TestStorage {
    series: SeriesStore,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    fails: AtomicBool,
    stalls: AtomicBool,
    full: AtomicBool,
    metadata: Mutex<Vec<(String, Metadata)>>,
}

impl TestStorage {
    /// Commits fail from now on, or no longer.
    pub(crate) fn fail(&self, fails: bool) {
        self.state.fails.store(fails, SeqCst);
    }

    /// Commits never end from now on.
    pub(crate) fn stall(&self) {
        self.state.stalls.store(true, SeqCst);
    }

    /// New series are refused from now on.
    pub(crate) fn fill(&self) {
        self.state.full.store(true, SeqCst);
    }

    /// What was said about metric families, in order.
    pub(crate) fn metadata(&self) -> Vec<(String, Metadata)> {
        self.state.metadata.lock().unwrap().clone()
    }

    /// All series with the number of their samples, as text.
    pub(crate) async fn contents(&self) -> Vec<String> {
        let querier = self.series.querier(TimeRange::ALL);
        let matchers = [model::Matcher::new(model::MatchOp::NotEqual, "__name__", "").unwrap()];
        let mut set = querier.select(&matchers, SelectHints::samples(TimeRange::ALL)).await.unwrap();
        let mut lines = Vec::new();
        while let Some(mut series) = set.next().unwrap() {
            let (mut batch, mut samples) = (storage::Batch::default(), 0);
            while series.samples.next_batch(&mut batch).unwrap() {
                samples += batch.len();
            }
            lines.push(format!("{} {samples}", series.labels));
        }
        lines
    }
}

impl Storage for TestStorage {
    fn appender(&self, now: TimestampMs) -> Box<dyn Appender> {
        Box::new(TestAppender { inner: self.series.appender(now), state: self.state.clone(), now })
    }
}

impl Queryable for TestStorage {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        self.series.querier(range)
    }
}

struct TestAppender {
    inner: Box<dyn Appender>,
    state: Arc<State>,
    now: TimestampMs,
}

impl TestAppender {
    fn check(&self, at: TimestampMs) -> Result<(), AppendError> {
        let newest = self.now.plus(20 * 60 * 1000);
        if at > newest { Err(AppendError::TooFarAhead { at, newest }) } else { Ok(()) }
    }
}

impl Appender for TestAppender {
    fn resolve(&mut self, key: &[u8]) -> Option<SeriesRef> {
        self.inner.resolve(key)
    }

    fn series(&mut self, key: Option<&[u8]>, labels: &Labels) -> Result<SeriesRef, AppendError> {
        if self.state.full.load(SeqCst) {
            return Err(AppendError::SeriesLimit { limit: 3 });
        }
        self.inner.series(key, labels)
    }

    fn index_of(&self, series: SeriesRef) -> Option<u32> {
        self.inner.index_of(series)
    }

    fn append(&mut self, series: SeriesRef, timestamp: TimestampMs, value: f64) -> Result<(), AppendError> {
        self.check(timestamp)?;
        self.inner.append(series, timestamp, value)
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp: TimestampMs,
        histogram: Arc<NativeHistogram>,
    ) -> Result<(), AppendError> {
        self.check(timestamp)?;
        self.inner.append_histogram(series, timestamp, histogram)
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar) -> Result<(), AppendError> {
        if exemplar.timestamp < self.now.plus(-2 * 3600 * 1000) {
            return Err(AppendError::OutOfOrderExemplar { at: exemplar.timestamp, newest: self.now });
        }
        self.inner.append_exemplar(series, exemplar)
    }

    fn set_metadata(&mut self, name: &str, metadata: Metadata) {
        self.state.metadata.lock().unwrap().push((name.to_owned(), metadata));
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<Committed, CommitError>> {
        if self.state.stalls.load(SeqCst) {
            return Box::pin(std::future::pending());
        }
        if self.state.fails.load(SeqCst) {
            return Box::pin(std::future::ready(Err(CommitError::Log("disk full".into()))));
        }
        self.inner.commit()
    }
}
