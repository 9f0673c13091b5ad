//! The head → blocks.
//!
//! When the head's samples span half as much again as a block, what is older than half a block's range (an hour) before
//! the newest, down to the last bound of a block, becomes blocks. From then on it is out of order to append there
//! ([`Head::freeze_before`]), so what is read into the blocks does not change. Blocks are published one by one, oldest
//! first; the head lets go of the samples when nobody is left who looked at the list of blocks before
//! ([`Shared::cut_head`]).
//!
//! [`Head::freeze_before`]: crate::head::Head::freeze_before

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use model::TimestampMs;
use storage::{QueryError, TimeRange};

use super::block_writer::Origin;
use super::from_parts::{CompactionError, Extent};
use super::ranges::BlockRanges;
use crate::head::{Era, HeadPart};
use crate::merge::Witness;
use crate::part::{Part, aligned};
use crate::shared::Shared;

/// How far the head has been written out.
#[derive(Default)]
pub(crate) struct HeadProgress {
    /// What is before it and still in the head is in published blocks, too.
    in_blocks_until: Option<TimestampMs>,
    /// What is to be let go of.
    cut: Option<PendingCut>,
}

/// The samples before `until` can go when this generation is over.
struct PendingCut {
    until: TimestampMs,
    era: Era,
}

impl Shared {
    /// Writes blocks of what is old in the head, if there is enough; returns whether there was.
    ///
    /// # Errors
    /// [`CompactionError`]. Blocks written so far are published, and not written again.
    pub(crate) fn write_head(
        self: &Arc<Self>,
        ranges: &BlockRanges,
        progress: &mut HeadProgress,
    ) -> Result<bool, CompactionError> {
        let Some(times) = self.head.time_range() else { return Ok(false) };
        let from = progress.in_blocks_until.map_or(times.start, |until| until.max(times.start));
        let Some(until) = due(from, times.end, ranges) else { return Ok(false) };
        self.with_writer(|_| self.head.freeze_before(until));
        let parts: [Arc<dyn Part>; 1] = [Arc::new(HeadPart::in_order(self))];
        for range in self.touched(from, until, ranges) {
            let range = range.start.max(from.0)..range.end.min(until.0);
            let end = TimestampMs(range.end);
            let block =
                self.write_block(&parts, range, Origin::new_samples(), Extent::Touched(ranges), HeadWitness(self))?;
            if let Some(block) = &block {
                let (block, stats) = (block.ulid(), block.meta().stats);
                tracing::info!(directory = %self.directory.display(), %block, series = stats.num_series, samples = stats.num_samples, "wrote a block of the head");
            }
            self.blocks.publish(block.into_iter().collect(), &[]);
            progress.in_blocks_until = Some(end);
        }
        progress.in_blocks_until = Some(until);
        progress.cut = Some(PendingCut { until, era: self.head.begin_generation() });
        Ok(true)
    }

    /// Lets go of what blocks have, once nobody reads it any more; returns whether something waits for that.
    pub(crate) fn cut_written(&self, progress: &mut HeadProgress) -> bool {
        if let Some(cut) = progress.cut.take_if(|cut| self.head.is_over(cut.era)) {
            self.cut_head(cut.until);
        }
        progress.cut.is_some()
    }

    /// The ranges of blocks that the head's samples from `from` to before `until` belong to, rising.
    fn touched(&self, from: TimestampMs, until: TimestampMs, ranges: &BlockRanges) -> Vec<Range<i64>> {
        let mut touched = BTreeMap::new();
        let first = ranges.range_of(from, until);
        if until.0 <= first.end {
            return vec![first];
        }
        let frozen = TimeRange { start: from, end: TimestampMs(until.0 - 1) };
        for slot in 0..self.head.slot_count() {
            for chunk in self.head.read(slot, |series| series.chunks(frozen)) {
                // No chunk crosses the bounds of a block, but one may have been begun before what is left to be written.
                let range = ranges.range_of(chunk.start.max(from), until);
                touched.entry(range.start).or_insert(range);
            }
        }
        touched.into_values().collect()
    }
}

/// The time up to which a head with samples from `from` to `newest` is to be written out.
fn due(from: TimestampMs, newest: TimestampMs, ranges: &BlockRanges) -> Option<TimestampMs> {
    let width = ranges.smallest_ms();
    let until = aligned(newest.plus(-width / 2), width).start;
    let enough = newest.since(from) > width + width / 2;
    (enough && from.0 < until).then_some(TimestampMs(until))
}

/// A chunk of the head that cannot be read will never be: it is left out.
#[derive(Clone, Copy)]
struct HeadWitness<'a>(&'a Shared);

impl Witness for HeadWitness<'_> {
    fn conflict(&self) {
        self.0.counters.compaction_conflicts.add(1);
    }

    fn unreadable(&self, error: QueryError) -> Result<(), QueryError> {
        match error {
            QueryError::Corrupt(reason) => {
                tracing::error!(directory = %self.0.directory.display(), %reason, "a damaged chunk of the head is left out of its block");
                self.0.counters.head_bad_chunks.add(1);
                Ok(())
            }
            error => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn the_head_is_written_when_three_hours_are_there() {
        let ranges = BlockRanges::new(&Settings::default());
        let hours = |hours: f64| TimestampMs((hours * 3_600_000.0) as i64);
        for (from, newest, until) in [
            (0.0, 2.9, None),
            (0.0, 3.0, None),
            (0.0, 3.01, Some(2.0)),
            (1.9, 4.5, None),
            (1.5, 4.6, Some(2.0)),
            (1.9, 5.0, Some(4.0)),
            (4.0, 6.5, None),
            (-9000.0, 0.5, Some(-2.0)),
            (-9000.0, 1.5, Some(0.0)),
        ] {
            assert_eq!(due(hours(from), hours(newest), &ranges), until.map(hours), "{from} to {newest}");
        }
    }
}
