//! What became of the samples: the counts behind the log line of every minute.
//!
//! Each request of a sender counts once, by the answer that it finally got.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counts since the last line.
#[derive(Debug, Default)]
pub(crate) struct Published {
    since_last_line: Mutex<Counts>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counts {
    succeeded: u64,
    failed: u64,
    body_bytes: u64,
    duration: Duration,
}

/// The figures of one line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Line {
    pub(crate) avg_bytes_per_request: u64,
    /// Rounded to milliseconds.
    pub(crate) avg_request_duration_secs: f64,
    pub(crate) failed: u64,
    pub(crate) succeeded: u64,
}

impl Published {
    pub(crate) fn record(&self, succeeded: bool, body_bytes: u64, duration: Duration) {
        let mut counts = self.since_last_line.lock().unwrap_or_else(PoisonError::into_inner);
        *(if succeeded { &mut counts.succeeded } else { &mut counts.failed }) += 1;
        counts.body_bytes = counts.body_bytes.saturating_add(body_bytes);
        counts.duration = counts.duration.saturating_add(duration);
    }

    /// The figures since the last call.
    pub(crate) fn take_line(&self) -> Line {
        let counts = std::mem::take(&mut *self.since_last_line.lock().unwrap_or_else(PoisonError::into_inner));
        let requests = (counts.succeeded + counts.failed).max(1);
        let millis = counts.duration.as_secs_f64() * 1000.0 / requests as f64;
        Line {
            avg_bytes_per_request: counts.body_bytes / requests,
            avg_request_duration_secs: millis.round() / 1000.0,
            failed: counts.failed,
            succeeded: counts.succeeded,
        }
    }
}

impl Line {
    /// Writes the line. Field names, their order and the message are what tools that read these logs look for.
    pub(crate) fn log(&self) {
        tracing::info!(
            avgBytesPerRequest = self.avg_bytes_per_request,
            // Displayed, not debugged: `0` and `0.023`, never `0.0`.
            avgRequestDurationInSec = %self.avg_request_duration_secs,
            failedPublishing = self.failed,
            successfullyPublished = self.succeeded,
            "Metric packets published in last 1 minute"
        );
    }
}

/// How often the line is written.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_averages_since_the_last_line() {
        let published = Published::default();
        let zeros = Line { avg_bytes_per_request: 0, avg_request_duration_secs: 0.0, failed: 0, succeeded: 0 };
        assert_eq!(published.take_line(), zeros);

        published.record(true, 100, Duration::from_micros(10_200));
        published.record(true, 101, Duration::from_micros(20_100));
        published.record(false, 0, Duration::from_micros(40_000));
        let line = Line { avg_bytes_per_request: 67, avg_request_duration_secs: 0.023, failed: 1, succeeded: 2 };
        assert_eq!(published.take_line(), line);
        assert_eq!(published.take_line(), zeros);
    }

    #[test]
    fn a_duration_has_three_decimals_at_most_and_zero_has_none() {
        for (micros, shown) in
            [(0, "0"), (400, "0"), (500, "0.001"), (22_999, "0.023"), (1_500_000, "1.5"), (2_000_000, "2")]
        {
            let published = Published::default();
            published.record(true, 1, Duration::from_micros(micros));
            assert_eq!(published.take_line().avg_request_duration_secs.to_string(), shown, "{micros}");
        }
    }
}
