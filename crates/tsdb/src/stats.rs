//! Counters, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use storage::AppendError;

/// What the database has done since it was opened, and how large it is.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Stats {
    /// Series in memory.
    pub series: u64,
    /// Chunks in memory, full and open.
    pub chunks: u64,
    /// Bytes of samples in full chunks.
    pub sealed_chunk_bytes: u64,
    /// Float samples stored.
    pub samples_appended: u64,
    /// Histograms stored.
    pub histograms_appended: u64,
    /// Exemplars stored.
    pub exemplars_appended: u64,
    /// Samples that were stored before, and accepted again.
    pub duplicates: u64,
    /// Of the samples stored, those older than their series' newest, or than what is still appended to the head.
    pub out_of_order_appended: u64,
    /// Of those, the ones in memory.
    pub out_of_order_samples: u64,
    /// The memory they take, bytes.
    pub out_of_order_bytes: u64,
    /// Ranges of blocks that they belong to, but for those being written out.
    pub out_of_order_ranges: u64,
    /// Times they were written out.
    pub out_of_order_flushes: u64,
    /// Times that failed; they are tried again.
    pub out_of_order_flush_failures: u64,
    /// Batches that were asked to come again, because out-of-order samples had to be written out first.
    pub busy: u64,
    /// Samples refused, by reason.
    pub rejected: Rejected,
    /// Batches committed.
    pub commits: u64,
    /// Writes to the log; several batches share one.
    pub wal_writes: u64,
    /// Bytes written to the log.
    pub wal_bytes: u64,
    /// Number of the segment being written.
    pub wal_segment: u64,
    /// Times the log was synced.
    pub wal_syncs: u64,
    /// Whether a write to the log failed, so that none is taken until the next start.
    pub wal_failed: bool,
    /// Lookups of encoded labels that were answered from the cache.
    pub series_cache_hits: u64,
    /// Lookups that were not.
    pub series_cache_misses: u64,
    /// Memory of the cache, bytes.
    pub series_cache_bytes: u64,
    /// Entries that made room for others.
    pub series_cache_evictions: u64,
    /// Metadata of families beyond the limits, not kept.
    pub metadata_refused: u64,
    /// Samples that a query left out because another value was stored for their time before.
    pub query_conflicts: u64,
    /// Blocks, and bytes of their indexes and chunks.
    pub blocks: u64,
    /// See [`Stats::blocks`].
    pub block_bytes: u64,
    /// Damaged blocks that were moved out of the way.
    pub blocks_set_aside: u64,
    /// Blocks that turned out to be damaged when they were opened or used, each once.
    pub blocks_broken: u64,
    /// Damaged chunks of blocks, each counted once while its block is in use.
    pub block_bad_chunks: u64,
    /// Series with a damaged entry in a block's index, counted likewise.
    pub block_bad_series: u64,
    /// Merges of blocks.
    pub compactions: u64,
    /// Blocks removed because all of their samples were older than the retention.
    pub blocks_expired_by_time: u64,
    /// Blocks removed because there were more bytes than are kept.
    pub blocks_expired_by_size: u64,
    /// Steps of maintenance that failed; they are tried again.
    pub maintenance_failures: u64,
    /// Damaged chunks of the head that were left out of blocks.
    pub head_bad_chunks: u64,
    /// Samples that a merge left out because an earlier one of their time had another value.
    pub compaction_conflicts: u64,
    /// Chunks that a query left out because they could not be unpacked.
    pub query_bad_chunks: u64,
}

/// Samples (and exemplars) refused, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rejected {
    /// Another value was stored for the time.
    pub duplicate_timestamp: u64,
    /// The series had newer samples, and no older ones are taken.
    pub out_of_order: u64,
    /// Older than the retention, or than the window for samples out of order.
    pub too_old: u64,
    /// Too far in the future.
    pub too_far_ahead: u64,
    /// A series over the limit.
    pub series_limit: u64,
    /// The series had a newer exemplar.
    pub out_of_order_exemplar: u64,
}

impl Rejected {
    /// Reasons, as [`AppendError::reason`] names them, with their counts.
    pub fn by_reason(&self) -> [(&'static str, u64); 6] {
        [
            ("duplicate-timestamp", self.duplicate_timestamp),
            ("out-of-order", self.out_of_order),
            ("too-old", self.too_old),
            ("too-far-ahead", self.too_far_ahead),
            ("series-limit", self.series_limit),
            ("out-of-order-exemplar", self.out_of_order_exemplar),
        ]
    }
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// The same as counters that threads share.
        #[derive(Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
            duplicate_timestamp: Counter,
            out_of_order: Counter,
            too_old: Counter,
            too_far_ahead: Counter,
            series_limit: Counter,
            out_of_order_exemplar: Counter,
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats {
                    $($name: self.$name.get(),)*
                    rejected: Rejected {
                        duplicate_timestamp: self.duplicate_timestamp.get(),
                        out_of_order: self.out_of_order.get(),
                        too_old: self.too_old.get(),
                        too_far_ahead: self.too_far_ahead.get(),
                        series_limit: self.series_limit.get(),
                        out_of_order_exemplar: self.out_of_order_exemplar.get(),
                    },
                    ..Stats::default()
                }
            }
        }
    };
}

counters! {
    chunks, sealed_chunk_bytes, samples_appended, histograms_appended, exemplars_appended, duplicates, commits,
    wal_writes, wal_bytes, wal_segment, wal_syncs, series_cache_hits, series_cache_misses,
    out_of_order_appended, out_of_order_flushes, out_of_order_flush_failures, busy, series_cache_evictions,
    metadata_refused, query_conflicts, query_bad_chunks, compactions, compaction_conflicts, blocks_expired_by_time, blocks_expired_by_size,
    maintenance_failures, head_bad_chunks,
}

impl Counters {
    pub(crate) fn rejected(&self, error: &AppendError) {
        match error {
            AppendError::DuplicateTimestamp { .. } => self.duplicate_timestamp.add(1),
            AppendError::OutOfOrder { .. } => self.out_of_order.add(1),
            AppendError::TooOld { .. } => self.too_old.add(1),
            AppendError::TooFarAhead { .. } => self.too_far_ahead.add(1),
            AppendError::SeriesLimit { .. } => self.series_limit.add(1),
            AppendError::OutOfOrderExemplar { .. } => self.out_of_order_exemplar.add(1),
        }
    }
}

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
