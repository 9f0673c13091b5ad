//! Why a query gives no answer.

use model::{ErrorKind, Kinded};
use storage::QueryError;

use crate::Stop;

/// Why a query gives no answer. Texts that Prometheus has too are worded as there: users search for them.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EvalError {
    /// A part of the language that is parsed but not evaluated yet. Answered instead of a wrong value.
    #[error("not yet supported: {0}")]
    NotYetSupported(String),
    /// The expression or its times cannot be evaluated, whatever the data.
    #[error("{0}")]
    InvalidQuery(String),
    /// More steps than one query may have.
    #[error(
        "exceeded maximum resolution of {limit} points per timeseries. Try decreasing the query resolution (?step=XX)"
    )]
    TooManySteps {
        /// The most steps allowed.
        limit: usize,
    },
    /// The evaluation would hold more samples in memory than allowed.
    #[error("query processing would load too many samples into memory in query execution (the limit is {limit})")]
    TooManySamples {
        /// The most samples allowed at a time.
        limit: usize,
    },
    /// The caller asked to stop.
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// The caller's deadline passed.
    #[error("query timed out in expression evaluation")]
    TimedOut,
    /// The data do not allow the operation.
    #[error("{0}")]
    Execution(String),
    /// The data could not be read.
    #[error("expanding series: {0}")]
    Storage(#[from] QueryError),
}

impl EvalError {
    /// The data hold one label set twice at a time.
    pub(crate) fn same_labelset() -> Self {
        Self::Execution("vector cannot contain metrics with the same labelset".into())
    }
}

impl From<Stop> for EvalError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Canceled => Self::Canceled,
            Stop::TimedOut => Self::TimedOut,
        }
    }
}

impl Kinded for EvalError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidQuery(_) | Self::TooManySteps { .. } => ErrorKind::Invalid,
            Self::NotYetSupported(_) | Self::TooManySamples { .. } | Self::Execution(_) => ErrorKind::Unprocessable,
            Self::Canceled => ErrorKind::Canceled,
            Self::TimedOut => ErrorKind::Timeout,
            Self::Storage(error) => error.kind(),
        }
    }
}
