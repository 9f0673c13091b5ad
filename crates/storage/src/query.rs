//! Reading.

use std::sync::Arc;

use model::{ErrorKind, Kinded, Labels, Matcher, NativeHistogram, TimestampMs};

use crate::BoxFuture;

/// A closed range of time: both ends belong to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeRange {
    /// The first time in it.
    pub start: TimestampMs,
    /// The last time in it.
    pub end: TimestampMs,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self { start: TimestampMs::MIN, end: TimestampMs::MAX };

    /// Whether `at` is in it.
    pub fn contains(&self, at: TimestampMs) -> bool {
        self.start <= at && at <= self.end
    }
}

/// What the caller is going to do with a selection. An engine may use hints to read less, never to answer otherwise.
#[derive(Clone, PartialEq, Debug)]
pub struct SelectHints {
    /// The part of the querier's range that is needed.
    pub range: TimeRange,
    /// At most this many series are wanted; 0 for all.
    pub limit: usize,
    /// Labels only: the samples will not be looked at.
    pub series_only: bool,
}

impl SelectHints {
    /// All samples of all series in `range`.
    pub const fn samples(range: TimeRange) -> Self {
        Self { range, limit: 0, series_only: false }
    }

    /// Label sets of all series with samples in `range`.
    pub const fn series_only(range: TimeRange) -> Self {
        Self { range, limit: 0, series_only: true }
    }
}

/// A view of the data at the time it was opened.
pub trait Querier: Send + Sync {
    /// The series that meet all matchers and may have samples in the hinted range, sorted by labels, each once.
    /// Resolves once their bytes are local (or stream in bounded batches).
    ///
    /// # Errors
    /// [`QueryError`] when data cannot be read.
    fn select<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>>;

    /// Names of labels of series that meet all matchers (none: of all series), sorted, each once. `limit` 0 is no limit.
    ///
    /// # Errors
    /// [`QueryError`] when data cannot be read.
    fn label_names<'a>(
        &'a self,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>>;

    /// Values of the label `name` of series that meet all matchers (none: of all series), sorted, each once.
    /// `limit` 0 is no limit.
    ///
    /// # Errors
    /// [`QueryError`] when data cannot be read.
    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>>;
}

/// Series of a selection, one after the other. Walking it is CPU work only.
pub trait SeriesSet: Send {
    /// The next series, in order of labels.
    ///
    /// # Errors
    /// [`QueryError`] when its data turn out to be unreadable; the walk is over then.
    fn next(&mut self) -> Result<Option<Series>, QueryError>;
}

/// One series of a selection.
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Its samples inside the hinted range (an engine may deliver some outside it, too), in order of time.
    pub samples: Box<dyn SampleIterator>,
}

/// Samples of one series, in batches.
pub trait SampleIterator: Send {
    /// Replaces `batch` by the next samples; `false` when there are none left. Times rise strictly, also across batches.
    /// A batch is of one kind and not empty.
    ///
    /// # Errors
    /// [`QueryError`] when data turn out to be unreadable.
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError>;
}

/// A run of samples of one kind: `timestamps` is as long as the one of the other two that is used.
///
/// Reused between calls so that a walk over many series allocates once.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Batch {
    /// Times, strictly rising.
    pub timestamps: Vec<TimestampMs>,
    /// Float values; empty when the batch holds histograms. Staleness markers are delivered as they are.
    pub floats: Vec<f64>,
    /// Histograms; empty when the batch holds floats.
    pub histograms: Vec<Arc<NativeHistogram>>,
}

impl Batch {
    /// Forgets the samples and keeps the memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.floats.clear();
        self.histograms.clear();
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }
}

/// Why data could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// Stored bytes do not check out.
    #[error("stored data are damaged: {0}")]
    Corrupt(Arc<str>),
    /// The store cannot be reached now.
    #[error("stored data cannot be read: {0}")]
    Unavailable(Arc<str>),
}

impl Kinded for QueryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Corrupt(_) => ErrorKind::Internal,
            Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }
}
