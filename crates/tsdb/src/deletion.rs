//! Deleting series, or a range of them.
//!
//! In memory the samples are taken out at once, after a record in the log that makes the next start do the same. In blocks,
//! which do not change, tombstones hide them until a merge leaves them out. What is written into the range afterwards is
//! there.
//!
//! Samples out of order are written to blocks first: their log knows no deletions.

use std::sync::Arc;

use model::Matcher;
use storage::{AdministerError, TimeRange};
use tsdb_format::block::tombstones;
use tsdb_format::wal::record::TombstoneEncoder;

use crate::committer::Writer;
use crate::compaction::replace_file;
use crate::head::{MemSeries, matching};
use crate::maintenance::{Maintenance, with_sources};
use crate::ooo::FlushWhen;
use crate::shared::Shared;

/// What a deletion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Deleted {
    /// Series of which something was deleted in memory.
    pub head_series: u64,
    /// Tombstones that were added to blocks; a series has one in each of its blocks.
    pub tombstones: u64,
}

impl Shared {
    /// Deletes the samples in `range` of the series that meet all matchers. The lock of maintenance is held.
    ///
    /// # Errors
    /// [`AdministerError`]; a part may be deleted then.
    pub(crate) fn delete(
        self: &Arc<Self>,
        state: &mut Maintenance,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Deleted, AdministerError> {
        // Twice: an earlier half may still have been on its way.
        for _ in 0..2 {
            if self.ooo.view().overlaps(range) {
                self.flush_late(FlushWhen::Now).map_err(|error| AdministerError::unavailable(with_sources(&error)))?;
            }
        }
        // A start must not read again what is going to be deleted from blocks: segments that those stand for are gone, also
        // after a power cut, and so are blocks that failed on their way.
        self.remove_late_segments().map_err(|error| AdministerError::unavailable(with_sources(&error)))?;
        self.blocks.remove_leftovers().map_err(|error| AdministerError::unavailable(with_sources(&error)))?;
        // What counts last goes first: half a deletion must not bring values to light that never counted.
        let head_series = self.delete_from_head(matchers, range)?;
        let tombstones = self.delete_from_blocks(state, matchers, range)?;
        Ok(Deleted { head_series, tombstones })
    }

    /// Takes the samples in `range` of the series that meet all matchers out of the head; returns of how many.
    fn delete_from_head(self: &Arc<Self>, matchers: &[Matcher], range: TimeRange) -> Result<u64, AdministerError> {
        let Some(times) = self.head.time_range().filter(|times| times.start <= range.end && range.start <= times.end)
        else {
            return Ok(0);
        };
        // So that the slots stay those of their series.
        let _generation = self.head.generation();
        let matching = matching(&mut self.head.index.read(), matchers);
        let has_some = |slot: &u32| self.head.read(*slot, |series| series.has_chunks(range));
        let slots: Vec<u32> = matching.into_iter().filter(has_some).collect();
        if let Some(head_chunks) = self.head_chunks.get().filter(|_| !slots.is_empty()) {
            head_chunks.give_up(times.end).map_err(|error| {
                AdministerError::unavailable(format!("cannot remove files of chunks of the head: {error}"))
            })?;
        }
        // Commits come between.
        for slots in slots.chunks(SLOTS_AT_ONCE) {
            self.with_writer(|writer| self.delete_slots(writer, slots, range))?;
        }
        Ok(slots.len() as u64)
    }

    /// Log before memory, as with samples.
    fn delete_slots(
        self: &Arc<Self>,
        writer: &mut Writer,
        slots: &[u32],
        range: TimeRange,
    ) -> Result<(), AdministerError> {
        if let Some(failure) = self.failure() {
            return Err(AdministerError::unavailable(failure));
        }
        let newest = |slot: u32| self.head.read(slot, MemSeries::newest_time);
        let mut record = TombstoneEncoder::default();
        let mut deletions = Vec::with_capacity(slots.len());
        for slot in slots {
            // No further than the series is: what comes later is not meant.
            let Some(end) = newest(*slot).map(|newest| newest.min(range.end)) else { continue };
            record.push(writer.admission.reference(*slot), range.start, end);
            deletions.push((*slot, TimeRange { start: range.start, end }));
        }
        writer.log.push(record.record());
        writer.log.write(&self.counters).map_err(|error| {
            self.not_written(&error);
            AdministerError::unavailable(with_sources(&error))
        })?;
        self.logged();
        for (slot, range) in deletions {
            self.head.delete(slot, range)?;
        }
        Ok(())
    }

    /// Writes all blocks anew that have deletions, but for those that cannot be merged. The lock of maintenance is held.
    ///
    /// # Errors
    /// [`AdministerError`].
    pub(crate) fn clean_tombstones(&self, state: &mut Maintenance) -> Result<(), AdministerError> {
        for block in self.blocks.all().iter() {
            let failed = block.meta().compaction.failed || state.failed_merges.contains(&block.ulid());
            if !failed && !block.deletions().is_empty() {
                self.merge(std::slice::from_ref(block), &mut state.failed_merges)
                    .map_err(|error| AdministerError::unavailable(with_sources(&error)))?;
            }
        }
        self.blocks.remove_retired().map_err(|error| AdministerError::unavailable(with_sources(&error)))?;
        Ok(())
    }

    /// Hides the samples in `range` of the series that meet all matchers in all blocks; returns how many tombstones were added.
    fn delete_from_blocks(
        &self,
        state: &Maintenance,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<u64, AdministerError> {
        let mut added = 0;
        // Again what counts last first.
        for block in self.blocks.in_range(range).into_iter().rev() {
            let tombstones = block.tombstones_for(matchers, range)?;
            if tombstones.is_empty() {
                continue;
            }
            let deletions = block.deletions().with(&tombstones);
            let path = self.blocks.path_of(block.ulid()).join("tombstones");
            let file = tombstones::encode(&deletions.tombstones());
            replace_file(&*self.disk, &path, &file)
                .map_err(|error| AdministerError::unavailable(format!("cannot write {}: {error}", path.display())))?;
            block.set_deletions(deletions);
            added += tombstones.len() as u64;
            // Only told to people and planners: the file before it is what counts.
            if let Err(error) = self.write_meta(&block, &state.failed_merges) {
                tracing::warn!(block = %block.ulid(), %error, "cannot note the number of deletions");
            }
        }
        Ok(added)
    }
}

/// Series whose samples are taken out while commits wait.
const SLOTS_AT_ONCE: usize = 256;
