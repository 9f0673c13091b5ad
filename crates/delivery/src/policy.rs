//! What delivery is told.

use std::time::Duration;

use remote_write::Limits;

/// Bounds and patience. May change while it runs.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long 401, 403 and answers that say the rule or path is wrong are taken for something that passes.
    pub authorization_grace: Duration,
    /// First and longest wait between the single requests that try whether it has passed.
    pub probe: (Duration, Duration),
    /// How long an entry may wait; then it expires.
    pub age_max: Duration,
    /// Requests on their way at once.
    pub in_flight_max: usize,
    /// Bytes of entries in memory at once: bodies, and what is remembered of their series.
    pub window_bytes_max: usize,
    /// First and longest wait between attempts when the target does not say.
    pub backoff: (Duration, Duration),
    /// Longest wait that a `Retry-After` can ask for.
    pub retry_after_max: Duration,
    /// Samples delivered later than this after their receipt are counted as late (Azure takes none older than 20 minutes).
    pub late_after: Duration,
    /// Send version 2.0 as 1.0 from the start.
    pub transcode: bool,
    /// Bounds of decoding when a request is taken apart.
    pub limits: Limits,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            authorization_grace: Duration::from_secs(45 * 60),
            probe: (Duration::from_secs(5), Duration::from_secs(60)),
            age_max: Duration::from_secs(24 * 3600),
            in_flight_max: 16,
            window_bytes_max: 8 << 20,
            backoff: (Duration::from_millis(250), Duration::from_secs(30)),
            retry_after_max: Duration::from_secs(10 * 60),
            late_after: Duration::from_secs(20 * 60),
            transcode: false,
            limits: Limits::default(),
        }
    }
}
