//! Time as an argument.

use std::time::Duration;

use crate::BoxFuture;

/// Wall-clock time since 1970-01-01T00:00:00Z. Steps when the host's clock is set; use [`Monotonic`] to measure spans.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// The epoch itself.
    pub const EPOCH: Self = Self(Duration::ZERO);

    /// From a span since the epoch.
    pub const fn from_duration(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// From whole seconds since the epoch; negative values become the epoch.
    pub fn from_secs(secs: i64) -> Self {
        Self(Duration::from_secs(u64::try_from(secs).unwrap_or(0)))
    }

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Whole seconds since the epoch, as tokens and certificates count them.
    pub fn as_secs(self) -> i64 {
        i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX)
    }

    /// Whole milliseconds since the epoch, as samples count them.
    pub fn as_millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }

    /// The span since the epoch.
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// The time `span` later; stops at the largest representable time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// The time `span` earlier; stops at the epoch.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }

    /// The span from `earlier` to `self`; zero when `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A reading of a clock that never steps. Only differences mean anything, and only within one process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// From a span since an arbitrary, fixed start.
    pub const fn from_duration(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The span from `earlier` to `self`; zero when `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The reading `span` later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// A point on the monotonic clock by which something must have happened.
pub type Deadline = Monotonic;

/// Reads time and waits for it.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time now.
    fn now(&self) -> UnixTime;

    /// Monotonic time now.
    fn monotonic(&self) -> Monotonic;

    /// Resolves once `span` has passed on the monotonic clock. Dropping the future forgets the wait.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()>;
}
