//! Finding out what a selection will read of a block that lies behind a network, and asking for all of it at once.

use std::ops::Range;

use model::Matcher;
use storage::TimeRange;

use super::loaded::CHUNK_BYTES_EXPECTED;
use super::series::{BlockSeries, BlockWalk};
use super::source::BlockPart;
use super::{Block, select};
use crate::part::{ChunkData, SeriesSource as _, Want};

impl Block {
    /// The index as a whole, then the chunks of a selection.
    ///
    /// Errors are left to the selection itself, which meets them again and has somebody to tell.
    pub(super) async fn bring_near(&self, matchers: &[Matcher], range: TimeRange, want: Want) {
        if !self.is_loaded()
            && let Ok(length) = self.source.len(BlockPart::Index)
        {
            self.source.prefetch(BlockPart::Index, std::slice::from_ref(&(0..length))).await;
        }
        if want == Want::Labels {
            return;
        }
        for (segment, ranges) in self.chunk_ranges(matchers, range).unwrap_or_default() {
            self.source.prefetch(BlockPart::Chunks(segment), &ranges).await;
        }
    }

    /// Where the chunks of a selection are, by chunk file.
    fn chunk_ranges(&self, matchers: &[Matcher], range: TimeRange) -> Option<Vec<(u32, Vec<Range<u64>>)>> {
        let loaded = self.usable().ok()??;
        let selection = select::matching(&loaded, matchers).ok()?;
        let walk = BlockWalk::new(&loaded, self.deletions(), range, Want::Samples);
        let mut series = BlockSeries::new(walk, selection);
        let mut ranges = Ranges::default();
        while let Some(found) = series.next().ok()? {
            for chunk in found.chunks {
                if let ChunkData::Stored { reference, .. } = chunk.data {
                    ranges.add(tsdb_format::block::segment::ChunkRef(reference));
                }
            }
        }
        Some(ranges.by_segment)
    }
}

/// Ranges of bytes, put together where little lies between them. References come in order, as an index has them.
#[derive(Default)]
struct Ranges {
    by_segment: Vec<(u32, Vec<Range<u64>>)>,
}

impl Ranges {
    fn add(&mut self, chunk: tsdb_format::block::segment::ChunkRef) {
        // Where a chunk ends is known only when it is read.
        let start = u64::from(chunk.offset());
        let range = start..start + CHUNK_BYTES_EXPECTED;
        match self.by_segment.last_mut() {
            Some((segment, ranges)) if *segment == chunk.segment() => match ranges.last_mut() {
                Some(last) if last.start <= range.start && range.start <= last.end + GAP_BYTES_MAX => {
                    last.end = last.end.max(range.end);
                }
                _ => ranges.push(range),
            },
            _ => self.by_segment.push((chunk.segment(), vec![range])),
        }
    }
}

/// What is brought along rather than asking twice: a request costs as much as some hundred kilobytes.
const GAP_BYTES_MAX: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use tsdb_format::block::segment::ChunkRef;

    use super::*;

    #[test]
    fn neighbours_are_brought_together() {
        let mut ranges = Ranges::default();
        let far = 8 + CHUNK_BYTES_EXPECTED as u32 + GAP_BYTES_MAX as u32;
        for (segment, offset) in [(0, 8), (0, 100), (0, far), (0, far * 3), (1, 8)] {
            ranges.add(ChunkRef::new(segment, offset));
        }
        let end = |offset: u32| u64::from(offset) + CHUNK_BYTES_EXPECTED;
        let [(0, first), (1, second)] = &ranges.by_segment[..] else { panic!("{:?}", ranges.by_segment) };
        assert_eq!(first[..], [8..end(far), u64::from(far) * 3..end(far * 3)]);
        assert_eq!((second.len(), second[0].clone()), (1, 8..end(8)));
    }
}
