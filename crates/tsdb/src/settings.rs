//! What can be set.

use std::time::Duration;

/// When the write-ahead log is made to survive a power cut. A killed process loses nothing answered either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WalSync {
    /// At this interval, in the background: a power cut keeps a prefix not older than it.
    Interval(Duration),
    /// Before every answer (for all batches that wait together).
    EveryCommit,
}

/// Settings of one workspace's database.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// When the log is synced.
    pub wal_sync: WalSync,
    /// Size at which a segment of the log is ended, bytes.
    pub segment_bytes_max: u64,
    /// Series kept in memory; further ones are refused.
    pub series_max: u32,
    /// Memory for the cache from encoded labels to series, bytes.
    pub series_cache_bytes_max: usize,
    /// How far ahead of the wall clock a sample may be.
    pub future_max: Duration,
    /// Exemplars kept, in all; 0 keeps none.
    pub exemplars_max: usize,
    /// Metric families whose metadata are kept.
    pub metadata_max: usize,
    /// Memory for their names and texts, bytes.
    pub metadata_bytes_max: usize,
    /// How old samples become before their blocks are removed.
    pub retention: Duration,
    /// Bytes of all blocks, beyond which the oldest are removed; `None` for any number.
    pub retention_bytes: Option<u64>,
    /// The range of the smallest blocks, milliseconds. Two hours, as Prometheus has it; tests may have less.
    pub block_range_ms: i64,
    /// How much older than the newest sample of all a late one may be, one that is older than its series' newest or that is too
    /// old for the head; `None` for anything inside the retention, zero for no late samples.
    pub out_of_order_window: Option<Duration>,
    /// Memory for samples that came out of order, bytes: with more, they are written to blocks; with twice as much, batches
    /// that bring some are asked to come again.
    pub out_of_order_bytes_max: usize,
}

impl Settings {
    /// The range of the largest blocks, milliseconds: the largest of the smallest times a power of three that is at most a tenth of
    /// the retention and at most 31 days.
    pub fn largest_block_range_ms(&self) -> i64 {
        let retention_ms = i64::try_from(self.retention.as_millis()).unwrap_or(i64::MAX);
        let bound = LARGEST_BLOCK_RANGE_MS.min(retention_ms / 10);
        let larger = |range: &i64| range.checked_mul(3).filter(|larger| *larger <= bound);
        std::iter::successors(Some(self.block_range_ms), larger).last().unwrap_or(self.block_range_ms)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            wal_sync: WalSync::Interval(Duration::from_secs(1)),
            segment_bytes_max: 128 << 20,
            series_max: 10_000_000,
            series_cache_bytes_max: 256 << 20,
            future_max: Duration::from_secs(600),
            exemplars_max: 100_000,
            metadata_max: 100_000,
            metadata_bytes_max: 32 << 20,
            retention: Duration::from_secs(548 * 24 * 3600),
            retention_bytes: None,
            block_range_ms: 2 * 3600 * 1000,
            out_of_order_window: None,
            out_of_order_bytes_max: 256 << 20,
        }
    }
}

const LARGEST_BLOCK_RANGE_MS: i64 = 31 * 24 * 3600 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_range_follows_the_retention() {
        let (hour, day) = (3600, 24 * 3600);
        for (retention, hours) in [(548 * day, 486), (15 * day, 18), (day, 2), (hour, 2), (u64::MAX / 1000, 486)] {
            let settings = Settings { retention: Duration::from_secs(retention), ..Settings::default() };
            assert_eq!(settings.largest_block_range_ms(), hours * 3600 * 1000, "retention of {retention} s");
        }
    }
}
