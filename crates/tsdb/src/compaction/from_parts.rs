//! Parts of a database → a block.

use std::ops::Range;
use std::sync::Arc;

use model::TimestampMs;
use storage::{QueryError, TimeRange};
use tsdb_format::block::Ulid;

use super::block_writer::{BlockWriter, Origin, WriteBlockError};
use super::ranges::BlockRanges;
use super::series_packer::SeriesPacker;
use crate::block::{Block, BlockError};
use crate::log::ShortenError;
use crate::merge::{SeriesMerge, Witness};
use crate::part::{Part, SeriesSource as _, Want};
use crate::shared::Shared;

/// Why a block was not made of others. Nothing is left of it, and what it was to be made of is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompactionError {
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteBlockError),
    /// What was to go into it could not be read.
    #[error(transparent)]
    Read(#[from] QueryError),
    /// It was written, and could not be opened.
    #[error(transparent)]
    Open(#[from] BlockError),
    /// Part of what was to go into it is damaged.
    #[error("block {0} is damaged; see the log of the program")]
    Damaged(Ulid),
    /// Nothing is left of what it was to be made of, and the log has it still.
    #[error("cannot let the log go of what was deleted")]
    Log(#[source] Box<ShortenError>),
    /// The database is being closed.
    #[error("the database is being closed")]
    Stopped,
}

/// What a block says of its range.
pub(crate) enum Extent<'a> {
    /// Exactly this.
    Whole(Range<i64>),
    /// The smallest ranges that its samples touch.
    Touched(&'a BlockRanges),
}

impl Shared {
    /// Writes a block of the samples in `range` (whose end does not belong to it) that `parts` have, the first of which
    /// counts where they differ, and opens it. Nobody sees it before it is published. `None` when there are no samples.
    ///
    /// # Errors
    /// [`CompactionError`].
    pub(crate) fn write_block<W: Witness + Copy>(
        &self,
        parts: &[Arc<dyn Part>],
        range: Range<i64>,
        origin: Origin,
        extent: Extent<'_>,
        witness: W,
    ) -> Result<Option<Arc<Block>>, CompactionError> {
        let ulid = self.ulids.next();
        // Also when it has its name: a block that nobody was shown must not be there after the next start.
        let failed = |_: &CompactionError| self.blocks.expect_leftovers(ulid);
        self.write_parts(ulid, parts, range, origin, extent, witness).inspect_err(failed)
    }

    fn write_parts<W: Witness + Copy>(
        &self,
        ulid: Ulid,
        parts: &[Arc<dyn Part>],
        range: Range<i64>,
        origin: Origin,
        extent: Extent<'_>,
        witness: W,
    ) -> Result<Option<Arc<Block>>, CompactionError> {
        let range = TimeRange { start: TimestampMs(range.start), end: TimestampMs(range.end - 1) };
        let sources: Result<Vec<_>, QueryError> =
            parts.iter().map(|part| part.select(&[], range, Want::Samples)).collect();
        let mut series = SeriesMerge::new(sources?)?;
        // Nothing is made for a range without samples.
        let Some(first) = series.next()? else { return Ok(None) };
        let mut writer = BlockWriter::create(&self.disk, &self.directory, ulid)?;
        let mut packer = SeriesPacker::default();
        let mut next = Some(first);
        while let Some(series_found) = next {
            let (labels, chunks) = (&series_found.labels, &series_found.chunks);
            packer.pack(chunks, range, witness, |chunks| writer.push(labels, chunks))??;
            if self.is_stopping() {
                return Err(CompactionError::Stopped);
            }
            next = series.next()?;
        }
        drop((series, packer));
        let Some((first, last)) = writer.times() else { return Ok(None) };
        let extent = match extent {
            Extent::Whole(range) => range,
            Extent::Touched(ranges) => ranges.widened(first, last),
        };
        match writer.finish(origin, extent)? {
            Some(_) => Ok(Some(self.blocks.open_block(ulid)?)),
            None => Ok(None),
        }
    }
}
