//! What a database does to itself, a round at a time.
//!
//! The order: let go of what was replaced; write out the head, then what came late; remove what is too old or too much;
//! merge blocks. Samples that wait in memory go first, since the log and the memory grow with them, and merging can wait.
//!
//! A step that fails leaves files and memory as they were, but for what it finished; it is told, counted, and tried again
//! after a while that doubles each time. The other steps go on. Writes and queries wait for none of them: a step holds the
//! writer for moments only.

mod retry;

use std::sync::Arc;
use std::time::Duration;

use environment::UnixTime;

use crate::block::BlockError;
use crate::compaction::{BlockRanges, CompactionError, FailedMerges, HeadProgress, Kept, expired};
use crate::log::ShortenError;
use crate::ooo::{FlushError, FlushWhen};
use crate::shared::Shared;
use retry::Retries;
pub(crate) use retry::with_sources;

/// What rounds remember; behind the lock of maintenance.
#[derive(Default)]
pub(crate) struct Maintenance {
    pub(crate) failed_merges: FailedMerges,
    head: HeadProgress,
    retries: Retries,
}

/// What is done on its own, and tried again on its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Step {
    /// Removing the files of blocks that were replaced.
    Remove,
    /// Writing blocks of the head's old samples.
    WriteHead,
    /// Writing what came late to blocks.
    WriteLate,
    /// Moving full chunks out of memory, and letting go of segments of the log that blocks stand for.
    ShortenLogs,
    /// Removing blocks that are too old, or too much.
    Expire,
    /// Merging blocks.
    Merge,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error(transparent)]
    Compaction(#[from] CompactionError),
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error(transparent)]
    Shorten(#[from] ShortenError),
    #[error(transparent)]
    Late(#[from] FlushError),
    /// A bug, of which the program's log tells.
    #[error("it did not come to its end")]
    Panicked,
}

/// One round, under the lock of maintenance. Returns after how long the next one should begin, if nobody asks for it before.
pub(crate) fn round(shared: &Arc<Shared>, state: &mut Maintenance, now: UnixTime) -> Duration {
    let ranges = BlockRanges::new(&shared.settings);
    let Maintenance { failed_merges, head, retries } = state;
    let mut attempt = |step: Step, act: &mut dyn FnMut() -> Result<bool, StepError>| -> bool {
        !shared.is_stopping() && retries.attempt(shared, step, act)
    };
    let mut waits = false;
    loop {
        attempt(Step::Remove, &mut || {
            shared.blocks.remove_leftovers()?;
            shared.blocks.set_broken_aside()?;
            waits = shared.blocks.remove_retired()? > 0;
            Ok(waits)
        });
        waits |= shared.cut_written(head);
        attempt(Step::WriteHead, &mut || Ok(shared.write_head(&ranges, head)?));
        waits |= shared.cut_written(head);
        shared.reclaim();
        attempt(Step::WriteLate, &mut || Ok(shared.flush_late(FlushWhen::Due)?));
        attempt(Step::ShortenLogs, &mut || Ok(shared.shorten_logs()?));
        attempt(Step::Expire, &mut || Ok(shared.expire(now)?));
        // One merge at a time: what came into the head meanwhile goes before the next one.
        if !attempt(Step::Merge, &mut || Ok(shared.compact_next(&ranges, failed_merges)?)) {
            break;
        }
    }
    shared.blocks.rest();
    let soon = if waits { SOON } else { INTERVAL };
    retries.next(shared.clock.monotonic()).map_or(soon, |retry| retry.min(soon))
}

/// One round that tries again what failed, however short ago that was.
pub(crate) fn round_now(shared: &Arc<Shared>, state: &mut Maintenance, now: UnixTime) {
    state.retries.forget();
    round(shared, state, now);
}

impl Shared {
    /// Removes blocks that are too old, or too much; returns whether there were some.
    fn expire(&self, now: UnixTime) -> Result<bool, BlockError> {
        let blocks = self.blocks.all();
        // A clock that went wrong must not empty the database: age counts from the newest sample at most.
        let newest_block = blocks.iter().map(|block| block.meta().max_time).max();
        let newest_sample = self.head.time_range().map(|range| range.end.0);
        let newest = newest_block.max(newest_sample).unwrap_or(i64::MAX).min(now.as_millis());
        let kept = blocks.iter().map(|block| Kept {
            ulid: block.ulid(),
            end: block.range().end.0.saturating_add(1),
            bytes: block.bytes(),
        });
        let expired = expired(kept.collect(), newest, self.log_bytes(), &self.settings);
        drop(blocks);
        let going: Vec<_> = expired.by_time.iter().chain(&expired.by_size).copied().collect();
        // Room is not kept waiting for it: at worst the next start reads again what the log still has of them.
        if let Err(error) = self.forget_written(&going) {
            tracing::warn!(directory = %self.directory.display(), reason = with_sources(&error), "removed blocks stay in the log");
        }
        for (blocks, why, counter) in [
            (&expired.by_time, "older than the retention", &self.counters.blocks_expired_by_time),
            (&expired.by_size, "the oldest, of more bytes than are kept", &self.counters.blocks_expired_by_size),
        ] {
            if !blocks.is_empty() {
                tracing::info!(directory = %self.directory.display(), ?blocks, why, "removes blocks");
                self.blocks.publish(Vec::new(), blocks);
                counter.add(blocks.len() as u64);
            }
        }
        self.blocks.remove_retired()?;
        Ok(!expired.by_time.is_empty() || !expired.by_size.is_empty())
    }

    /// What the logs take. Unknown is nothing: too much is kept rather than too little.
    fn log_bytes(&self) -> u64 {
        let sizes = ["wal", "wbl", "chunks_head"].map(|name| {
            let files = self.disk.list(&self.directory.join(name)).unwrap_or_default();
            let length = |path: &std::path::PathBuf| self.disk.open_read(path).and_then(|file| file.len()).unwrap_or(0);
            files.iter().map(|(path, _)| length(path)).sum::<u64>()
        });
        sizes.iter().sum()
    }
}

/// Between two rounds of a database that has nothing to do.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);

/// When something waits for readers to end.
const SOON: Duration = Duration::from_secs(2);
