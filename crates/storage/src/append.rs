//! Writing.

use std::fmt;
use std::sync::Arc;

use model::{ErrorKind, Exemplar, Kinded, Labels, Metadata, NativeHistogram, TimestampMs};

use crate::BoxFuture;

/// A series as one engine knows it. Means something only to the appender that gave it, for as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SeriesRef(pub u64);

/// Collects samples of one request.
///
/// The order of use: find the series with [`resolve`](Self::resolve) or [`series`](Self::series), append to it, commit.
/// A refused sample leaves the rest of the batch as it is. Nothing is visible or durable before the commit.
pub trait Appender: Send {
    /// The series that `key` stood for when it was last given to [`series`](Self::series); `None` sends the caller there.
    ///
    /// `key` is any run of bytes of which the caller promises that it always stands for the same label set, such as the
    /// encoded labels of a remote-write request. Saves parsing, sorting and checking labels of series seen before.
    fn resolve(&mut self, key: &[u8]) -> Option<SeriesRef>;

    /// The series with these labels, made if it is new; remembers `key` for it.
    ///
    /// # Errors
    /// [`AppendError::SeriesLimit`] when the engine takes no new series.
    fn series(&mut self, key: Option<&[u8]>, labels: &Labels) -> Result<SeriesRef, AppendError>;

    /// The place of a series in the engine's own numbering, for callers that keep a bit or so per series: from 0 without
    /// large gaps, the same from every appender, not another series' within an hour of the last append to it. `None` for a
    /// series that the engine does not have yet, or from an engine that does not number its series.
    fn index_of(&self, series: SeriesRef) -> Option<u32> {
        let _ = series;
        None
    }

    /// Adds one float sample. A sample identical to one stored is accepted and changes nothing.
    ///
    /// # Errors
    /// Why this one sample is refused; see [`AppendError`].
    fn append(&mut self, series: SeriesRef, timestamp: TimestampMs, value: f64) -> Result<(), AppendError>;

    /// Adds one native histogram. The caller has validated it.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp: TimestampMs,
        histogram: Arc<NativeHistogram>,
    ) -> Result<(), AppendError>;

    /// Adds one exemplar. One identical to the newest of its series is accepted and changes nothing.
    ///
    /// # Errors
    /// [`AppendError::OutOfOrderExemplar`] when the series has a newer one.
    fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar) -> Result<(), AppendError>;

    /// Sets what the metric family `name` says about itself. The last one wins.
    fn set_metadata(&mut self, name: &str, metadata: Metadata);

    /// Makes the batch durable, then visible.
    ///
    /// On `Ok` every accepted sample has left the process (it survives its death; a power cut too if the engine was told
    /// to sync every commit) and is seen by queriers opened afterwards. Samples of one series keep the order in which
    /// they were appended. Samples that turned out to be unacceptable only now, because another batch was quicker, are
    /// listed in [`Committed::rejected`]; the rest is kept. On `Err` nothing of the batch is promised: it may or may not
    /// be found after a restart, and repeating it is safe.
    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<Committed, CommitError>>;
}

/// What became of a batch.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Committed {
    /// Float samples stored, or stored before.
    pub samples: u64,
    /// Histogram samples stored, or stored before.
    pub histograms: u64,
    /// Exemplars stored, or stored before.
    pub exemplars: u64,
    /// Elements accepted while appending and refused while committing.
    pub rejected: Vec<Rejection>,
}

/// An element of a batch refused while committing.
#[derive(Clone, PartialEq, Debug)]
pub struct Rejection {
    /// The series it was for.
    pub labels: Labels,
    /// What it was.
    pub kind: ElementKind,
    /// Why.
    pub error: AppendError,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.labels, self.error.of(self.kind))
    }
}

/// What is appended to a series.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ElementKind {
    /// A float sample.
    Sample,
    /// A native histogram.
    Histogram,
    /// An exemplar.
    Exemplar,
}

impl ElementKind {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Histogram => "histogram",
            Self::Exemplar => "exemplar",
        }
    }
}

/// Why one element (or series) is refused. None of these can be mended by sending it again.
///
/// Displays as what is said of a float sample; [`AppendError::of`] words it for other elements.
#[derive(Clone, PartialEq, Debug)]
pub enum AppendError {
    /// Another value is stored for the same time.
    DuplicateTimestamp {
        /// The sample's time.
        at: TimestampMs,
    },
    /// The series has newer samples, and older ones are not taken any more.
    OutOfOrder {
        /// The sample's time.
        at: TimestampMs,
        /// Time of the newest sample stored.
        newest: TimestampMs,
    },
    /// Before everything that is still taken.
    TooOld {
        /// The sample's time.
        at: TimestampMs,
        /// The oldest time taken.
        oldest: TimestampMs,
        /// What makes it so.
        limit: AgeLimit,
    },
    /// After everything that is taken.
    TooFarAhead {
        /// The sample's time.
        at: TimestampMs,
        /// The newest time taken.
        newest: TimestampMs,
    },
    /// The series has a newer exemplar.
    OutOfOrderExemplar {
        /// The exemplar's time.
        at: TimestampMs,
        /// Time of the newest one stored.
        newest: TimestampMs,
    },
    /// No new series are taken.
    SeriesLimit {
        /// The limit in force.
        limit: u64,
    },
}

/// What decides how old samples may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AgeLimit {
    /// Older ones would be removed again at once.
    Retention,
    /// Ones that come late are taken for so long.
    OutOfOrderWindow,
}

impl fmt::Display for AgeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retention => "the retention",
            Self::OutOfOrderWindow => "the out-of-order window",
        })
    }
}

impl AppendError {
    /// A short, stable name of the reason, for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::DuplicateTimestamp { .. } => "duplicate-timestamp",
            Self::OutOfOrder { .. } => "out-of-order",
            Self::TooOld { .. } => "too-old",
            Self::TooFarAhead { .. } => "too-far-ahead",
            Self::OutOfOrderExemplar { .. } => "out-of-order-exemplar",
            Self::SeriesLimit { .. } => "series-limit",
        }
    }

    /// The reason in words, for an element of this kind.
    pub const fn of(&self, kind: ElementKind) -> AppendErrorOf<'_> {
        AppendErrorOf { error: self, kind }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of(ElementKind::Sample).fmt(f)
    }
}

impl std::error::Error for AppendError {}

/// Displays why an element of one kind is refused.
#[derive(Clone, Copy, Debug)]
pub struct AppendErrorOf<'a> {
    error: &'a AppendError,
    kind: ElementKind,
}

impl fmt::Display for AppendErrorOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str();
        match self.error {
            AppendError::DuplicateTimestamp { at } => {
                write!(f, "duplicate {kind} for timestamp {at}: another value is stored")
            }
            AppendError::OutOfOrder { at, newest } => {
                write!(f, "out of order {kind} at {at}: the series' newest sample is at {newest}")
            }
            AppendError::TooOld { at, oldest, limit } => {
                write!(f, "{kind} at {at} is too old: the oldest time taken is {oldest}, for {limit}")
            }
            AppendError::TooFarAhead { at, newest } => {
                write!(f, "{kind} at {at} is too far in the future: the newest time taken is {newest}")
            }
            AppendError::OutOfOrderExemplar { at, newest } => {
                write!(f, "out of order exemplar at {at}: the series' newest exemplar is at {newest}")
            }
            AppendError::SeriesLimit { limit } => write!(f, "the limit of {limit} active series is reached"),
        }
    }
}

impl Kinded for AppendError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Why a whole batch was not stored. All of these ask the sender to repeat it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// Writing to the log failed; the engine takes no writes until it is mended (disk full) or restarted.
    #[error("the write-ahead log cannot be written: {0}")]
    Log(Arc<str>),
    /// The engine has to write down what it holds in memory before it takes more of this kind.
    #[error("the workspace is busy: {0}; send again")]
    Busy(Arc<str>),
    /// The engine is shutting down.
    #[error("the workspace is closing")]
    Closing,
}

impl Kinded for CommitError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_kind_of_element() {
        let (at, bound) = (TimestampMs(1), TimestampMs(2));
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "a")]).unwrap();
        for (error, expected) in [
            (AppendError::DuplicateTimestamp { at }, "duplicate histogram for timestamp 1: another value is stored"),
            (
                AppendError::OutOfOrder { at, newest: bound },
                "out of order histogram at 1: the series' newest sample is at 2",
            ),
            (
                AppendError::TooOld { at, oldest: bound, limit: AgeLimit::Retention },
                "histogram at 1 is too old: the oldest time taken is 2, for the retention",
            ),
            (
                AppendError::TooOld { at, oldest: bound, limit: AgeLimit::OutOfOrderWindow },
                "histogram at 1 is too old: the oldest time taken is 2, for the out-of-order window",
            ),
            (
                AppendError::TooFarAhead { at, newest: bound },
                "histogram at 1 is too far in the future: the newest time taken is 2",
            ),
            (AppendError::SeriesLimit { limit: 3 }, "the limit of 3 active series is reached"),
        ] {
            let rejection = Rejection { labels: labels.clone(), kind: ElementKind::Histogram, error: error.clone() };
            assert_eq!(rejection.to_string(), format!("up{{job=\"a\"}}: {expected}"));
            assert_eq!(error.to_string(), expected.replace("histogram", "sample"));
        }
        let error = AppendError::OutOfOrderExemplar { at, newest: bound };
        let expected = "out of order exemplar at 1: the series' newest exemplar is at 2";
        assert_eq!(error.of(ElementKind::Exemplar).to_string(), expected);
    }
}
