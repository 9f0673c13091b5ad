//! Writing what a database holds into blocks elsewhere.
//!
//! Blocks are made anew, one for each aligned range of time, so that they do not overlap and hold nothing that was deleted:
//! they stand for themselves, whatever the database's own were like.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use environment::Clock;
use model::{Matcher, TimestampMs};
use storage::TimeRange;

use super::view::Offline;
use super::{OfflineError, Progress};
use crate::compaction::{BlockRanges, BlockWriter, Origin, SeriesPacker, UlidSource};
use crate::merge::SeriesMerge;
use crate::part::{SeriesSource as _, Want};
use crate::stats::Counter;

/// What was written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exported {
    /// Names of the blocks.
    pub blocks: Vec<String>,
    /// Samples in them.
    pub samples: u64,
    /// Series, those of each block counted.
    pub series: u64,
    /// Samples left out because another of their time, stored before, has another value.
    pub conflicts: u64,
}

/// Writes the samples in `range` of all series that meet all matchers into blocks in the directory `to`, which is made if it
/// is not there.
///
/// # Errors
/// When stored data cannot be read, or the blocks cannot be written. Those that are finished stay.
pub fn export(
    offline: &Offline,
    clock: &Arc<dyn Clock>,
    to: &Path,
    matchers: &[Matcher],
    range: TimeRange,
    progress: &dyn Progress,
) -> Result<Exported, OfflineError> {
    let disk = &offline.shared.disk;
    // Prometheus' tools read a directory only if it has one.
    let wal = to.join("wal");
    disk.create_directory(&wal).map_err(OfflineError::at("make", &wal))?;
    let (ulids, conflicts) = (UlidSource::new(Arc::clone(clock), to, None), Counter::default());
    let mut exported = Exported::default();
    let ranges = extents(offline, range);
    progress.begin("blocks", ranges.len() as u64);
    for extent in ranges {
        let part = TimeRange {
            start: range.start.max(TimestampMs(extent.start)),
            end: range.end.min(TimestampMs(extent.end - 1)),
        };
        let sources = offline.parts(part).iter().map(|one| one.select(matchers, part, Want::Samples)).collect();
        let sources: Result<Vec<_>, _> = sources;
        let mut merge = SeriesMerge::new(sources?)?;
        let mut writer = BlockWriter::create(disk, to, ulids.next())?;
        let mut packer = SeriesPacker::default();
        while let Some(series) = merge.next()? {
            packer.pack(&series.chunks, part, &conflicts, |chunks| writer.push(&series.labels, chunks))??;
        }
        if let Some(meta) = writer.finish(Origin::new_samples(), extent)? {
            exported.samples += meta.stats.num_samples;
            exported.series += meta.stats.num_series;
            exported.blocks.push(meta.ulid);
        }
        progress.advance(1);
    }
    exported.conflicts = conflicts.get();
    Ok(exported)
}

/// The ranges of blocks that samples in `range` belong to: large ones where time is over, small ones at the end.
fn extents(offline: &Offline, range: TimeRange) -> Vec<Range<i64>> {
    let Some(times) = offline.times() else { return Vec::new() };
    let (start, end) = (times.start.max(range.start), times.end.min(range.end));
    let ranges = BlockRanges::new(&offline.shared.settings);
    let (mut extents, mut at) = (Vec::new(), start);
    while at <= end {
        let extent = ranges.range_of(at, times.end);
        let is_used = offline.parts(TimeRange { start: at, end: TimestampMs(extent.end - 1).min(end) });
        at = TimestampMs(extent.end);
        if !is_used.is_empty() {
            extents.push(extent);
        }
    }
    extents
}
