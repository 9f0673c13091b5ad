//! The seam between those who write and read samples and the engines that keep them.
//!
//! One [`Storage`] is one workspace's data. An engine behind it may be the embedded database or another system; callers
//! see only what is promised here. CPU-bound work (appending to a batch, walking a series) is synchronous; only
//! [`Appender::commit`] and the [`Querier`]'s selections wait, as plain futures without a runtime's name.

mod administer;
mod append;
mod beside;
mod labelled;
mod merged;
mod query;
mod selecting;
mod workspaces;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use model::{Matcher, Metadata, TimestampMs};

pub use administer::{Administer, AdministerError};
pub use append::{
    AgeLimit, AppendError, AppendErrorOf, Appender, CommitError, Committed, ElementKind, Rejection, SeriesRef,
};
pub use beside::{Count, LeftOut, SeriesExemplars, Statistics};
pub use labelled::Labelled;
pub use merged::Merged;
pub use query::{Batch, Querier, QueryError, SampleIterator, SelectHints, Series, SeriesSet, TimeRange};
pub use selecting::{Selecting, SeriesList};
pub use workspaces::{NoStorage, Purpose, Workspaces};

/// A future without a name, so that the seam stays usable as trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Data that can be read: one workspace's, or a view over several.
pub trait Queryable: Send + Sync {
    /// Opens a view of all samples that were committed before this call. Later commits may or may not be seen.
    fn querier(&self, range: TimeRange) -> Box<dyn Querier>;

    /// As [`Queryable::querier`]; what its selections have to leave out, now or while they are walked over, is told to
    /// `left_out`. An engine that never leaves anything out need not tell.
    fn querier_with(&self, range: TimeRange, left_out: Arc<LeftOut>) -> Box<dyn Querier> {
        let _ = left_out;
        self.querier(range)
    }

    /// What metric families say about themselves, sorted by name. A name may come several times, with different texts.
    fn metadata(&self) -> Vec<(String, Metadata)> {
        Vec::new()
    }

    /// Exemplars in `range` of the series that meet all matchers of any of the `selectors`, sorted by labels, each series
    /// once.
    fn exemplars(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        let _ = (selectors, range);
        Vec::new()
    }
}

/// One workspace's data.
pub trait Storage: Queryable + 'static {
    /// Starts a batch of samples at time `now` (wall clock; what counts as too far in the future depends on it).
    /// Dropping the appender without a commit forgets the batch.
    fn appender(&self, now: TimestampMs) -> Box<dyn Appender>;

    /// Deletion and snapshots, of an engine that has them.
    fn administration(&self) -> Option<&dyn Administer> {
        None
    }

    /// How much there is, with at most `limit` names in each list; `None` of an engine that does not count.
    fn statistics(&self, limit: usize) -> Option<Statistics> {
        let _ = limit;
        None
    }
}
