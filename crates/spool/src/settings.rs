//! What a queue is told.

use std::time::Duration;

/// Bounds and promises of a queue. All but `sync` may change while it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Bytes that entries may take on disk, with their framing.
    pub bytes_max: u64,
    /// How long an entry may wait; then it expires.
    pub age_max: Duration,
    /// What happens when there is no room.
    pub when_full: WhenFull,
    /// When what was written is forced to the disk.
    pub sync: Sync,
    /// Bytes of a segment, after which a new one starts. Whole segments are given back to the system.
    pub segment_bytes_max: u64,
    /// Bytes of the ring of refused series.
    pub refusals_bytes_max: u64,
    /// Bytes of entries that are kept in memory beside the disk, so that what is sent at once is not read back.
    pub cached_bytes_max: usize,
}

/// What a queue does when there is no room: over its bound of bytes, or the disk is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WhenFull {
    /// Refuses the new request, whose sender is to keep it and try again.
    #[default]
    PushBack,
    /// Lets the oldest entries expire until there is room.
    DropOldest,
    /// Takes the new request and lets it expire at once.
    DropNewest,
}

/// What "kept" means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// Handed to the system: survives the death of the process. Forced to the disk that often: a power cut takes no more.
    Interval(Duration),
    /// Forced to the disk before the answer: survives a power cut.
    EveryRequest,
    /// Handed to the system; when it reaches the disk is the system's affair.
    Never,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bytes_max: 1 << 30,
            age_max: Duration::from_secs(24 * 3600),
            when_full: WhenFull::PushBack,
            sync: Sync::Interval(Duration::from_secs(1)),
            segment_bytes_max: 8 << 20,
            refusals_bytes_max: 16 << 20,
            cached_bytes_max: 4 << 20,
        }
    }
}
