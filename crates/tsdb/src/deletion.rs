//! Deleting series, or a range of them.
//!
//! In memory the samples are taken out at once, after a record in the log that makes the next start do the same. In blocks,
//! which do not change, tombstones hide them until a merge leaves them out. What is written into the range afterwards is
//! there.
//!
//! Samples out of order are written to blocks first: their log knows no deletions.

use model::Matcher;
use storage::{AdministerError, TimeRange};
use tsdb_format::block::tombstones;

use crate::compaction::replace_file;
use crate::maintenance::{Maintenance, with_sources};
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
        &self,
        state: &mut Maintenance,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Deleted, AdministerError> {
        let tombstones = self.delete_from_blocks(state, matchers, range)?;
        Ok(Deleted { head_series: 0, tombstones })
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
        // Those first whose samples count last: half a deletion must not bring values to light that never counted.
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
