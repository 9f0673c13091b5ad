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
        }
    }
}
