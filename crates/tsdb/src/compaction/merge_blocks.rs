//! Merging blocks, and writing one anew without what is deleted.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use storage::QueryError;
use tsdb_format::block::Ulid;
use tsdb_format::block::meta::{self, BlockDescription, BlockMeta};

use super::block_writer::{FROM_OUT_OF_ORDER, Origin};
use super::from_parts::{CompactionError, Extent};
use super::plan::{Candidate, plan};
use super::ranges::BlockRanges;
use super::synced_file::replace_file;
use crate::block::Block;
use crate::log::in_order_end;
use crate::part::Part;
use crate::shared::Shared;

/// Blocks that cannot be merged: they are not tried again. Told by their `meta.json`, and since the start by this.
pub(crate) type FailedMerges = BTreeSet<Ulid>;

impl Shared {
    /// Merges the blocks that should be merged next; returns whether there were some.
    ///
    /// # Errors
    /// [`CompactionError`]. Where blocks are damaged, they are marked, so that they are not tried again.
    pub(crate) fn compact_next(
        &self,
        ranges: &BlockRanges,
        failed: &mut FailedMerges,
    ) -> Result<bool, CompactionError> {
        let blocks = self.blocks.all();
        // Late samples of times of which the head still has others stay apart from blocks that are not called late: those say that
        // all of their time is in blocks, and the log before their end is let go of. Until the head has been written out they
        // are not worth a merge, as more of them may come; where the head has nothing, they would wait for ever.
        let written_until = in_order_end(&blocks).0;
        let waits = |block: &Block| block.is_late() && block.meta().max_time > written_until;
        let planned_of = |chosen: &dyn Fn(&Block) -> bool| {
            let candidates = blocks.iter().map(|block| {
                let mut candidate = Candidate::new(block.ulid(), block.meta(), block.deletions().len());
                candidate.apart |= !chosen(block) || failed.contains(&block.ulid());
                candidate
            });
            plan(candidates.collect(), ranges)
        };
        let mut planned = planned_of(&|block| !waits(block));
        if planned.is_empty() && self.head.time_range().is_none() {
            planned = planned_of(&waits);
        }
        let planned = planned.iter().filter_map(|ulid| blocks.iter().find(|block| block.ulid() == *ulid));
        let planned: Vec<Arc<Block>> = planned.cloned().collect();
        if !planned.is_empty() {
            self.merge(&planned, failed)?;
        }
        Ok(!planned.is_empty())
    }

    /// Replaces blocks, in order of time, by one with those of their samples that are not deleted; by none when none are
    /// left.
    ///
    /// # Errors
    /// As [`Shared::compact_next`].
    pub(crate) fn merge(&self, blocks: &[Arc<Block>], failed: &mut FailedMerges) -> Result<(), CompactionError> {
        let merged = self.write_merged(blocks).inspect_err(|error| {
            if matches!(error, CompactionError::Damaged(_) | CompactionError::Read(QueryError::Corrupt(_))) {
                blocks.iter().for_each(|block| self.mark_failed(block, failed));
            }
        })?;
        let replaced: Vec<Ulid> = blocks.iter().map(|block| block.ulid()).collect();
        if merged.is_none() {
            self.forget_written(&replaced).map_err(|error| CompactionError::Log(Box::new(error)))?;
        }
        let made: Vec<Ulid> = merged.iter().map(|block| block.ulid()).collect();
        tracing::info!(directory = %self.directory.display(), ?replaced, ?made, "merged blocks");
        self.blocks.publish(merged.into_iter().collect(), &replaced);
        self.counters.compactions.add(1);
        Ok(())
    }

    fn write_merged(&self, blocks: &[Arc<Block>]) -> Result<Option<Arc<Block>>, CompactionError> {
        let mut by_age = blocks.to_vec();
        by_age.sort_by_key(|block| (block.first_stored(), block.ulid()));
        let parts: Vec<Arc<dyn Part>> = by_age.into_iter().map(|block| block as Arc<dyn Part>).collect();
        let metas: Vec<&BlockMeta> = blocks.iter().map(|block| block.meta()).collect();
        let start = metas.iter().map(|meta| meta.min_time).min().expect("a merge has blocks");
        let end = metas.iter().map(|meta| meta.max_time).max().expect("a merge has blocks");
        // Queries leave out series that cannot be read. A merge that did so would make the loss final.
        let unreadable = || self.blocks.counters().corrupt_series.get();
        let before = unreadable();
        let extent = Extent::Whole(start..end);
        let merged =
            self.write_block(&parts, start..end, origin(&metas), extent, &self.counters.compaction_conflicts)?;
        let suspect = unreadable() != before;
        match blocks.iter().find(|block| block.is_broken() || (suspect && !block.is_sound())) {
            Some(damaged) => {
                if let Some(merged) = merged {
                    self.blocks.discard(&merged)?;
                }
                Err(CompactionError::Damaged(damaged.ulid()))
            }
            None => Ok(merged),
        }
    }

    /// Notes that a block is not to be merged, also for the time after the next start.
    fn mark_failed(&self, block: &Block, failed: &mut FailedMerges) {
        failed.insert(block.ulid());
        match self.write_meta(block, failed) {
            Ok(()) => tracing::error!(block = %block.ulid(), "a merge with this block failed; it stays as it is"),
            Err(error) => {
                tracing::warn!(block = %block.ulid(), %error, "cannot note that a merge with this block failed");
            }
        }
    }

    /// Writes a block's description anew, with what has changed since the block was opened.
    pub(crate) fn write_meta(&self, block: &Block, failed: &FailedMerges) -> io::Result<()> {
        let mut meta = block.meta().clone();
        meta.compaction.failed |= failed.contains(&block.ulid());
        meta.stats.num_tombstones = block.deletions().len() as u64;
        replace_file(&*self.disk, &self.blocks.path_of(block.ulid()).join("meta.json"), &meta::encode(&meta))
    }
}

impl Block {
    /// Whether its samples came out of order, so that it says nothing of what else there is of its time.
    fn is_late(&self) -> bool {
        is_late(self.meta())
    }
}

pub(super) fn is_late(meta: &BlockMeta) -> bool {
    meta.compaction.hints.iter().any(|hint| hint == FROM_OUT_OF_ORDER)
}

/// What a merge is made of.
fn origin(metas: &[&BlockMeta]) -> Origin {
    let sources: BTreeSet<&String> = metas.iter().flat_map(|meta| &meta.compaction.sources).collect();
    let parents = metas.iter().map(|meta| BlockDescription {
        ulid: meta.ulid.clone(),
        min_time: meta.min_time,
        max_time: meta.max_time,
    });
    // With one block of samples that came in order, the merge says how far the head has been written out.
    let all_late = metas.iter().all(|meta| is_late(meta));
    Origin {
        level: metas.iter().map(|meta| meta.compaction.level).max().unwrap_or(0) + 1,
        sources: sources.into_iter().cloned().collect(),
        parents: parents.collect(),
        hints: all_late.then(|| FROM_OUT_OF_ORDER.to_owned()).into_iter().collect(),
    }
}
