//! Series in memory behind the storage seam, without any of an engine's cleverness.
//!
//! Invariant: what a querier shows is what was committed when it was opened. Exemplars and metadata are kept as they come.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Exemplar, Labels, LabelsBuilder, Matcher, Metadata, NativeHistogram, TimestampMs};
use storage::{
    AppendError, Appender, Batch, BoxFuture, CommitError, Committed, ElementKind, Querier, QueryError, Queryable,
    Rejection, SampleIterator, SelectHints, Series, SeriesExemplars, SeriesRef, SeriesSet, Storage, TimeRange,
};

use crate::series_notation::{NotationError, SeriesLine};

/// One value of a series.
#[derive(Clone, PartialEq, Debug)]
pub enum StoredValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<NativeHistogram>),
}

impl StoredValue {
    /// Bitwise for floats, so that NaN and staleness markers equal themselves.
    fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(left), Self::Float(right)) => left.to_bits() == right.to_bits(),
            (left, right) => left == right,
        }
    }
}

/// Series in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SeriesStore {
    shared: Arc<Mutex<Shared>>,
}

type Samples = BTreeMap<TimestampMs, StoredValue>;

#[derive(Debug, Default)]
struct Shared {
    /// In order of labels, which is the order of selections.
    series: BTreeMap<Labels, Arc<Samples>>,
    refs: Vec<Labels>,
    keys: HashMap<Vec<u8>, SeriesRef>,
    exemplars: BTreeMap<Labels, Vec<Exemplar>>,
    metadata: BTreeMap<String, Metadata>,
}

impl SeriesStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores one sample, replacing one at the same time.
    pub fn insert(&self, labels: &Labels, at: TimestampMs, value: StoredValue) {
        let mut shared = self.lock();
        Arc::make_mut(shared.series.entry(labels.clone()).or_default()).insert(at, value);
    }

    /// Stores a line of the series notation, its first value at time 0.
    pub fn load_line(&self, line: &SeriesLine, step_ms: i64) {
        for (index, value) in line.values.iter().enumerate() {
            if let Some(value) = value {
                let at = TimestampMs(index as i64 * step_ms);
                self.insert(&line.labels, at, value.clone());
            }
        }
    }

    /// Stores lines of the series notation; empty ones are skipped.
    ///
    /// # Errors
    /// The first line that cannot be read; those before it are stored.
    pub fn load(&self, step_ms: i64, lines: &str) -> Result<(), NotationError> {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.load_line(&crate::series_notation::parse_series_line(line)?, step_ms);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for SeriesStore {
    fn appender(&self, _now: TimestampMs) -> Box<dyn Appender> {
        Box::new(MemoryAppender {
            store: self.clone(),
            pending: Vec::new(),
            exemplars: Vec::new(),
            metadata: Vec::new(),
        })
    }
}

impl Queryable for SeriesStore {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        Box::new(MemoryQuerier { series: self.lock().series.clone(), range })
    }

    fn metadata(&self) -> Vec<(String, Metadata)> {
        self.lock().metadata.iter().map(|(name, metadata)| (name.clone(), metadata.clone())).collect()
    }

    fn exemplars(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        let meets =
            |labels: &Labels, matchers: &Vec<Matcher>| matchers.iter().all(|matcher| matcher.matches_labels(labels));
        let shared = self.lock();
        let matching =
            shared.exemplars.iter().filter(|(labels, _)| selectors.iter().any(|matchers| meets(labels, matchers)));
        let inside = matching.map(|(labels, exemplars)| {
            let inside = exemplars.iter().filter(|exemplar| range.contains(exemplar.timestamp));
            SeriesExemplars { labels: labels.clone(), exemplars: inside.cloned().collect() }
        });
        inside.filter(|series| !series.exemplars.is_empty()).collect()
    }
}

struct MemoryAppender {
    store: SeriesStore,
    pending: Vec<(SeriesRef, TimestampMs, StoredValue)>,
    exemplars: Vec<(SeriesRef, Exemplar)>,
    metadata: Vec<(String, Metadata)>,
}

impl MemoryAppender {
    fn push(&mut self, series: SeriesRef, at: TimestampMs, value: StoredValue) -> Result<(), AppendError> {
        let before = self.pending.iter().find(|(other, time, _)| (*other, *time) == (series, at));
        if before.is_some_and(|(_, _, stored)| !stored.same_as(&value)) {
            return Err(AppendError::DuplicateTimestamp { at });
        }
        let shared = self.store.lock();
        let labels = &shared.refs[series.0 as usize];
        let stored = shared.series.get(labels).and_then(|samples| samples.get(&at));
        if stored.is_some_and(|stored| !stored.same_as(&value)) {
            return Err(AppendError::DuplicateTimestamp { at });
        }
        drop(shared);
        self.pending.push((series, at, value));
        Ok(())
    }
}

impl Appender for MemoryAppender {
    fn resolve(&mut self, key: &[u8]) -> Option<SeriesRef> {
        self.store.lock().keys.get(key).copied()
    }

    fn series(&mut self, key: Option<&[u8]>, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut shared = self.store.lock();
        let series = match shared.refs.iter().position(|known| known == labels) {
            Some(index) => SeriesRef(index as u64),
            None => {
                shared.refs.push(labels.clone());
                SeriesRef(shared.refs.len() as u64 - 1)
            }
        };
        if let Some(key) = key {
            shared.keys.insert(key.to_vec(), series);
        }
        Ok(series)
    }

    fn index_of(&self, series: SeriesRef) -> Option<u32> {
        let shared = self.store.lock();
        let stored = shared.series.contains_key(&shared.refs[series.0 as usize]);
        stored.then(|| u32::try_from(series.0).expect("a store in memory has few series"))
    }

    fn append(&mut self, series: SeriesRef, timestamp: TimestampMs, value: f64) -> Result<(), AppendError> {
        self.push(series, timestamp, StoredValue::Float(value))
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp: TimestampMs,
        histogram: Arc<NativeHistogram>,
    ) -> Result<(), AppendError> {
        self.push(series, timestamp, StoredValue::Histogram(histogram))
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar) -> Result<(), AppendError> {
        self.exemplars.push((series, exemplar));
        Ok(())
    }

    fn set_metadata(&mut self, name: &str, metadata: Metadata) {
        self.metadata.push((name.to_owned(), metadata));
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<Committed, CommitError>> {
        let mut shared = self.store.lock();
        let mut committed = Committed { exemplars: self.exemplars.len() as u64, ..Committed::default() };
        for (series, exemplar) in self.exemplars {
            let labels = shared.refs[series.0 as usize].clone();
            shared.exemplars.entry(labels).or_default().push(exemplar);
        }
        shared.metadata.extend(self.metadata);
        for (series, at, value) in self.pending {
            let labels = shared.refs[series.0 as usize].clone();
            let samples = Arc::make_mut(shared.series.entry(labels.clone()).or_default());
            // Another batch may have been quicker since the sample was accepted.
            if samples.get(&at).is_some_and(|stored| !stored.same_as(&value)) {
                let kind = match value {
                    StoredValue::Float(_) => ElementKind::Sample,
                    StoredValue::Histogram(_) => ElementKind::Histogram,
                };
                committed.rejected.push(Rejection { labels, kind, error: AppendError::DuplicateTimestamp { at } });
                continue;
            }
            match value {
                StoredValue::Float(_) => committed.samples += 1,
                StoredValue::Histogram(_) => committed.histograms += 1,
            }
            samples.insert(at, value);
        }
        Box::pin(ready(Ok(committed)))
    }
}

struct MemoryQuerier {
    series: BTreeMap<Labels, Arc<Samples>>,
    range: TimeRange,
}

impl MemoryQuerier {
    fn matching<'a>(&'a self, matchers: &'a [Matcher]) -> impl Iterator<Item = (&'a Labels, &'a Arc<Samples>)> {
        self.series
            .iter()
            .filter(|(labels, _)| matchers.iter().all(|matcher| matcher.matches_labels(labels)))
            .filter(|(_, samples)| samples.range(self.range.start..=self.range.end).next().is_some())
    }
}

impl Querier for MemoryQuerier {
    fn select<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        let start = hints.range.start.max(self.range.start);
        let end = hints.range.end.min(self.range.end);
        let limit = if hints.limit == 0 { usize::MAX } else { hints.limit };
        let mut selected: Vec<(Labels, Vec<(TimestampMs, StoredValue)>)> = Vec::new();
        if start <= end {
            for (labels, samples) in self.matching(matchers) {
                let inside: Vec<_> = samples.range(start..=end).map(|(at, value)| (*at, value.clone())).collect();
                if !inside.is_empty() && selected.len() < limit {
                    selected.push((labels.clone(), inside));
                }
            }
        }
        Box::pin(ready(Ok(Box::new(MemorySeriesSet { rest: selected.into_iter() }) as Box<dyn SeriesSet>)))
    }

    fn label_names<'a>(
        &'a self,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        let names: BTreeSet<&str> =
            self.matching(matchers).flat_map(|(labels, _)| labels.iter().map(|(name, _)| name)).collect();
        Box::pin(ready(Ok(limited(names, limit))))
    }

    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        let values: BTreeSet<&str> = self.matching(matchers).filter_map(|(labels, _)| labels.get(name)).collect();
        Box::pin(ready(Ok(limited(values, limit))))
    }
}

fn limited(sorted: BTreeSet<&str>, limit: usize) -> Vec<String> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    sorted.into_iter().take(limit).map(str::to_owned).collect()
}

struct MemorySeriesSet {
    rest: std::vec::IntoIter<(Labels, Vec<(TimestampMs, StoredValue)>)>,
}

impl SeriesSet for MemorySeriesSet {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        Ok(self
            .rest
            .next()
            .map(|(labels, samples)| Series { labels, samples: Box::new(MemorySamples { samples, given: 0 }) }))
    }
}

struct MemorySamples {
    samples: Vec<(TimestampMs, StoredValue)>,
    given: usize,
}

impl SampleIterator for MemorySamples {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        batch.clear();
        for (at, value) in self.samples[self.given..].iter().take(BATCH_SAMPLES) {
            match value {
                StoredValue::Float(value) if batch.histograms.is_empty() => batch.floats.push(*value),
                StoredValue::Histogram(histogram) if batch.floats.is_empty() => {
                    batch.histograms.push(Arc::clone(histogram));
                }
                // The other kind starts the next batch.
                _ => break,
            }
            batch.timestamps.push(*at);
        }
        self.given += batch.len();
        Ok(!batch.is_empty())
    }
}

/// The set of series as pairs, for comparisons in tests.
///
/// # Panics
/// When the labels are no label set.
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    let mut builder = LabelsBuilder::default();
    for (name, value) in pairs {
        builder.push(name, value);
    }
    builder.build().expect("labels written in a test are a label set")
}

/// Small and odd, so that readers meet the seams between batches.
const BATCH_SAMPLES: usize = 7;

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    fn read(store: &SeriesStore, matchers: &[Matcher], range: TimeRange) -> Vec<(String, Vec<i64>)> {
        let querier = store.querier(TimeRange::ALL);
        let mut set = now(querier.select(matchers, SelectHints::samples(range))).unwrap();
        let mut found = Vec::new();
        while let Some(mut series) = set.next().unwrap() {
            let (mut batch, mut times) = (Batch::default(), Vec::new());
            while series.samples.next_batch(&mut batch).unwrap() {
                times.extend(batch.timestamps.iter().map(|at| at.0));
            }
            found.push((series.labels.to_string(), times));
        }
        found
    }

    #[test]
    fn selects_what_was_loaded() {
        let store = SeriesStore::new();
        store.load(10, "b 1+1x9\n a{x=\"1\"} 1 _ 3\n").unwrap();
        let range = TimeRange { start: TimestampMs(10), end: TimestampMs(80) };
        let expected =
            vec![(r#"a{x="1"}"#.to_owned(), vec![20]), ("b".to_owned(), vec![10, 20, 30, 40, 50, 60, 70, 80])];
        assert_eq!(read(&store, &[], range), expected);
        assert_eq!(read(&store, &[Matcher::equal("x", "1")], range), expected[..1]);
    }

    #[test]
    fn commits_become_visible_to_later_queriers() {
        let store = SeriesStore::new();
        let before = store.querier(TimeRange::ALL);
        let mut appender = store.appender(TimestampMs(0));
        let series = appender.series(Some(b"key"), &labels(&[("a", "1")])).unwrap();
        appender.append(series, TimestampMs(5), f64::NAN).unwrap();
        appender.append(series, TimestampMs(5), f64::NAN).unwrap();
        let duplicate = AppendError::DuplicateTimestamp { at: TimestampMs(5) };
        assert_eq!(appender.append(series, TimestampMs(5), 2.0), Err(duplicate));
        assert_eq!(now(appender.commit()).unwrap().samples, 2);
        assert_eq!(now(before.label_names(&[], 0)).unwrap(), [] as [&str; 0]);
        let after = store.querier(TimeRange::ALL);
        assert_eq!(now(after.label_values("a", &[], 0)).unwrap(), ["1"]);
        assert_eq!(store.appender(TimestampMs(0)).resolve(b"key"), Some(series));
    }
}
