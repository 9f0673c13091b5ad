//! The system's clocks, with waiting by tokio's timer.

use std::time::{Duration, Instant, SystemTime};

use environment::{BoxFuture, Clock, Monotonic, UnixTime};

/// The real clock. Its monotonic readings count from when it was made, so use one per process.
#[derive(Clone, Copy, Debug)]
pub struct HostClock {
    start: Instant,
}

impl HostClock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads it for everybody")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for HostClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for HostClock {
    fn now(&self) -> UnixTime {
        unix_now()
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_duration(self.start.elapsed())
    }

    /// Must be polled inside a tokio runtime with its timer enabled.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        // Made lazily: `tokio::time::sleep` itself must be called inside a runtime, the future need not be.
        Box::pin(async move { tokio::time::sleep(span).await })
    }
}

/// The system's wall clock. A clock set before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "the one place that reads it for everybody")]
pub(crate) fn unix_now() -> UnixTime {
    UnixTime::from_duration(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeping_moves_both_clocks() {
        let clock = HostClock::new();
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        clock.sleep(Duration::from_millis(20)).await;
        assert!(clock.monotonic().since(monotonic) >= Duration::from_millis(20));
        assert!(clock.now() > wall);
        assert!(clock.now().as_secs() > 1_700_000_000, "the system's clock is set");
    }
}
