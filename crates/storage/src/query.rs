//! Reading.

use std::ops::Range;
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
    /// Of each series only the newest sample of the range will be looked at.
    pub newest_only: bool,
    /// The names of the only labels that will be looked at, sorted; `None` for all. Others may be left out: label sets may then
    /// be equal, and series come in the order that all their labels give them.
    pub labels: Option<Arc<[String]>>,
    /// Series may come in any order.
    pub any_order: bool,
}

impl SelectHints {
    /// All samples of all series in `range`.
    pub const fn samples(range: TimeRange) -> Self {
        Self { range, limit: 0, series_only: false, newest_only: false, labels: None, any_order: false }
    }

    /// Label sets of all series with samples in `range`.
    pub const fn series_only(range: TimeRange) -> Self {
        Self { range, limit: 0, series_only: true, newest_only: false, labels: None, any_order: false }
    }
}

/// A view of the data at the time it was opened.
pub trait Querier: Send + Sync {
    /// The series that meet all matchers and may have samples in the hinted range, sorted by labels unless the hints allow any
    /// order, each once.
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
    /// The next series, in the order of [`Querier::select`].
    ///
    /// # Errors
    /// [`QueryError`] when its data turn out to be unreadable; the walk is over then.
    fn next(&mut self) -> Result<Option<Series>, QueryError>;

    /// About how many series are left, where something is known of it. A hint.
    fn remaining(&self) -> Option<usize> {
        None
    }

    /// Whether a series of the set may have a label of this name: `false` only when certainly none has.
    fn may_have_label(&self, name: &str) -> bool {
        let _ = name;
        true
    }
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

/// A run of samples of one kind: `timestamps` is as long as that of `floats` and `histograms` which is used.
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
    /// When the counting began whose state each sample is, [`Batch::START_UNKNOWN`] where nobody said. Empty, which it mostly
    /// is, when it is known of none.
    pub start_timestamps: Vec<TimestampMs>,
}

impl Batch {
    /// The start timestamp of a sample of which it is not known.
    pub const START_UNKNOWN: TimestampMs = TimestampMs(0);

    /// Forgets the samples and keeps the memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.floats.clear();
        self.histograms.clear();
        self.start_timestamps.clear();
    }

    /// Appends the samples of `other` at these places. They are of the kind of those that are here.
    pub fn extend_from(&mut self, other: &Self, places: Range<usize>) {
        let before = self.len();
        self.timestamps.extend_from_slice(&other.timestamps[places.clone()]);
        match other.histograms.is_empty() {
            true => self.floats.extend_from_slice(&other.floats[places.clone()]),
            false => self.histograms.extend_from_slice(&other.histograms[places.clone()]),
        }
        if !other.start_timestamps.is_empty() {
            self.start_timestamps.resize(before, Self::START_UNKNOWN);
            self.start_timestamps.extend_from_slice(&other.start_timestamps[places]);
        } else if !self.start_timestamps.is_empty() {
            self.start_timestamps.resize(self.len(), Self::START_UNKNOWN);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(times: &[i64], starts: &[i64]) -> Batch {
        let times_of = |times: &[i64]| times.iter().copied().map(TimestampMs).collect();
        Batch {
            timestamps: times_of(times),
            floats: times.iter().map(|at| *at as f64).collect(),
            histograms: Vec::new(),
            start_timestamps: times_of(starts),
        }
    }

    #[test]
    fn start_timestamps_stay_with_their_samples() {
        let (known, unknown) = (batch(&[10, 20, 30], &[1, 2, 3]), batch(&[40, 50], &[]));
        let mut joined = batch(&[], &[]);
        joined.extend_from(&known, 1..3);
        assert_eq!(joined, batch(&[20, 30], &[2, 3]));
        joined.extend_from(&unknown, 0..2);
        assert_eq!(joined, batch(&[20, 30, 40, 50], &[2, 3, 0, 0]));
        let mut joined = batch(&[1], &[]);
        joined.extend_from(&unknown, 0..1);
        assert_eq!(joined, batch(&[1, 40], &[]), "nothing is known of any");
        joined.extend_from(&known, 0..1);
        assert_eq!(joined.start_timestamps, batch(&[], &[0, 0, 1]).start_timestamps);
        joined.clear();
        assert_eq!(joined, Batch::default());
    }
}
