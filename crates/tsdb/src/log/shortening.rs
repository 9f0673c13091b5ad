//! Letting go of what the logs and the head's files need not keep, as rounds of maintenance ask for it.

use std::io;
use std::sync::Arc;

use model::TimestampMs;
use tsdb_format::block::Ulid;

use super::{Checkpoint, CheckpointError, ClosedSegment, Needed, WriteError};
use crate::block::Block;
use crate::compaction::FROM_OUT_OF_ORDER;
use crate::shared::Shared;

/// Why something is still there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShortenError {
    /// No new segment can be begun.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What is still needed cannot be written.
    #[error("cannot write a checkpoint of the write-ahead log")]
    Checkpoint(#[from] CheckpointError),
    /// Files of head chunks cannot be written or removed.
    #[error("cannot move full chunks out of memory")]
    HeadChunks(#[source] io::Error),
}

impl Shared {
    /// Moves full chunks of the head to files; once blocks have more than before, removes the segments and files that nobody
    /// needs any more. Called under the lock of maintenance. Returns whether something was removed.
    pub(crate) fn shorten_logs(&self) -> Result<bool, ShortenError> {
        let from = in_order_end(&self.blocks.all());
        let moved = self.move_full_chunks();
        let is_further = self.with_writer(|writer| {
            let is_further = writer.log.begin_segment_for(from, &self.counters);
            if let Err(error @ WriteError::Sync { .. }) = &is_further {
                self.not_written(error);
            }
            is_further
        })?;
        if let Some(head_chunks) = self.head_chunks.get() {
            if is_further {
                head_chunks.cut();
            }
            head_chunks.remove_before(from).map_err(ShortenError::HeadChunks)?;
        }
        let is_shorter = self.write_checkpoint(from, |segment| segment.newest < from)?;
        // After the rest: it does not depend on it.
        moved.map_err(ShortenError::HeadChunks)?;
        Ok(is_shorter)
    }

    /// Takes out of the log what is in blocks, if it is these that say so, before they go: the next start would read it again, and
    /// what was deleted of them would be back. Called under the lock of maintenance.
    ///
    /// # Errors
    /// [`ShortenError`]; nothing has changed, but for where samples lie.
    pub(crate) fn forget_written(&self, going: &[Ulid]) -> Result<(), ShortenError> {
        let blocks = self.blocks.all();
        let from = in_order_end(&blocks);
        let staying: Vec<_> = blocks.iter().filter(|block| !going.contains(&block.ulid())).cloned().collect();
        if in_order_end(&staying) >= from {
            return Ok(());
        }
        if let (Some(head_chunks), Some(times)) = (self.head_chunks.get(), self.head.time_range()) {
            head_chunks.give_up(times.end).map_err(ShortenError::HeadChunks)?;
        }
        self.with_writer(|writer| writer.log.cut(&self.counters)).inspect_err(|error| {
            self.not_written(error);
        })?;
        self.write_checkpoint(from, |_| true)?;
        Ok(())
    }

    /// Replaces the closed segments up to the first that `goes` says no of by a checkpoint with what is needed of them: no sample
    /// before `from`. Says whether there were some.
    fn write_checkpoint(
        &self,
        from: TimestampMs,
        goes: impl Fn(&ClosedSegment) -> bool,
    ) -> Result<bool, CheckpointError> {
        let taken = self.with_writer(|writer| {
            let closed = writer.log.closed();
            let obsolete = closed.partition_point(goes);
            let upto = closed[..obsolete].last()?.number;
            let exemplars = self.head.exemplars.lock().all();
            let named = |slot: u32| writer.admission.reference(slot);
            let exemplars = exemplars.into_iter().map(|(slot, exemplar)| (named(slot), exemplar)).collect();
            let families = self.head.metadata.read();
            let references = writer.admission.metadata_references().iter();
            let metadata = references.filter_map(|(name, series)| Some((*series, families.get(name)?.clone())));
            let metadata: Vec<_> = metadata.collect();
            let mut series = writer.admission.references().to_vec();
            series.extend(metadata.iter().map(|(series, _)| *series));
            // The highest one ever given stays named, so that no start gives it to another series.
            series.extend(writer.admission.last_reference());
            let directory = writer.log.directory().to_path_buf();
            Some((upto, directory, Needed { from, series, metadata, exemplars }))
        });
        let Some((upto, directory, needed)) = taken else { return Ok(false) };
        let segment_bytes_max = self.settings.segment_bytes_max;
        Checkpoint { disk: &*self.disk, directory: &directory, upto, segment_bytes_max }.write(needed)?;
        self.with_writer(|writer| writer.log.forget_closed(upto));
        Ok(true)
    }
}

/// The time up to which all samples that came in order are in blocks.
pub(crate) fn in_order_end(blocks: &[Arc<Block>]) -> TimestampMs {
    let is_late = |block: &Block| block.meta().compaction.hints.iter().any(|hint| hint == FROM_OUT_OF_ORDER);
    let in_order = blocks.iter().filter(|block| !is_late(block));
    in_order.map(|block| TimestampMs(block.meta().max_time)).max().unwrap_or(TimestampMs::MIN)
}
