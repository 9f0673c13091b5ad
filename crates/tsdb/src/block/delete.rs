//! Which tombstones a deletion makes.

use storage::TimeRange;
use tsdb_format::block::tombstones::Tombstone;

use super::{Block, select};
use model::Matcher;
use storage::QueryError;

impl Block {
    /// Tombstones for what is in `range` of the series that meet all matchers: one for each series with chunks there, no
    /// longer than the series is, so that they say nothing of times of which the block has nothing.
    ///
    /// # Errors
    /// When the block cannot be read at the moment.
    pub(crate) fn tombstones_for(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Tombstone>, QueryError> {
        self.reading(Vec::new(), |loaded| {
            let selection = select::matching(loaded, matchers)?;
            let mut tombstones = Vec::new();
            for series in selection.series {
                let found = loaded.index.series(series)?;
                let (Some(first), Some(last)) = (found.chunks.first(), found.chunks.last()) else { continue };
                let overlaps = found.chunks.iter().any(|c| c.min_time <= range.end && range.start <= c.max_time);
                if overlaps && selection.rest.iter().all(|matcher| matcher.matches_labels(&found.labels)) {
                    tombstones.push(Tombstone {
                        series,
                        min_time: range.start.max(first.min_time),
                        max_time: range.end.min(last.max_time),
                    });
                }
            }
            Ok(tombstones)
        })
    }
}
