//! Writing.

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
    /// Samples accepted while appending and refused while committing.
    pub rejected: Vec<Rejection>,
}

/// A sample refused while committing.
#[derive(Clone, PartialEq, Debug)]
pub struct Rejection {
    /// The series it was for.
    pub labels: Labels,
    /// Why.
    pub error: AppendError,
}

/// Why one sample (or series, or exemplar) is refused. None of these can be mended by sending it again.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum AppendError {
    /// Another value is stored for the same time.
    #[error("duplicate sample for timestamp {at}: another value is stored")]
    DuplicateTimestamp {
        /// The sample's time.
        at: TimestampMs,
    },
    /// The series has newer samples, and older ones are not taken any more.
    #[error("out of order sample at {at}: the series' newest sample is at {newest}")]
    OutOfOrder {
        /// The sample's time.
        at: TimestampMs,
        /// Time of the newest sample stored.
        newest: TimestampMs,
    },
    /// Before everything that is still taken.
    #[error("sample at {at} is too old: the oldest time taken is {oldest}")]
    TooOld {
        /// The sample's time.
        at: TimestampMs,
        /// The oldest time taken.
        oldest: TimestampMs,
    },
    /// After everything that is taken.
    #[error("sample at {at} is too far in the future: the newest time taken is {newest}")]
    TooFarAhead {
        /// The sample's time.
        at: TimestampMs,
        /// The newest time taken.
        newest: TimestampMs,
    },
    /// The series has a newer exemplar.
    #[error("out of order exemplar at {at}: the series' newest exemplar is at {newest}")]
    OutOfOrderExemplar {
        /// The exemplar's time.
        at: TimestampMs,
        /// Time of the newest one stored.
        newest: TimestampMs,
    },
    /// No new series are taken.
    #[error("the limit of {limit} active series is reached")]
    SeriesLimit {
        /// The limit in force.
        limit: u64,
    },
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
    /// The engine is shutting down.
    #[error("the workspace is closing")]
    Closing,
}

impl Kinded for CommitError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}
