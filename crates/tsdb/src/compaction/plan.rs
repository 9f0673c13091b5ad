//! Which blocks are merged next.
//!
//! As Prometheus chooses: blocks that overlap first; then blocks that fill a larger range, or that nothing will be added
//! to any more; then blocks with many deletions. The newest block stays as it is, so that there is always one that backups
//! have not seen merged.

use tsdb_format::block::Ulid;
use tsdb_format::block::meta::BlockMeta;

use super::ranges::BlockRanges;
use crate::part::aligned;

/// What the choice looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Candidate {
    pub(crate) ulid: Ulid,
    /// The range of its samples; `end` itself is not in it.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) series: u64,
    /// Deleted ranges that its chunks still hold.
    pub(crate) deletions: u64,
    /// It is not to be merged: that failed for good, or is not its time yet.
    pub(crate) apart: bool,
}

impl Candidate {
    pub(crate) fn new(ulid: Ulid, meta: &BlockMeta, deletions: usize) -> Self {
        Self {
            ulid,
            start: meta.min_time,
            end: meta.max_time,
            series: meta.stats.num_series,
            deletions: deletions as u64,
            apart: meta.compaction.failed,
        }
    }
}

/// The blocks to merge into one, in order of time; one alone is written anew without what is deleted. Empty when nothing is
/// to be done.
pub(crate) fn plan(mut blocks: Vec<Candidate>, ranges: &BlockRanges) -> Vec<Ulid> {
    blocks.sort_by_key(|block| (block.start, block.ulid));
    let named = |found: &[Candidate]| found.iter().map(|block| block.ulid).collect::<Vec<_>>();
    let overlapping = overlapping(&mut blocks);
    if !overlapping.is_empty() {
        return named(overlapping);
    }
    let Some((_newest, blocks)) = blocks.split_last() else { return Vec::new() };
    let level = fills_a_range(blocks, ranges);
    if !level.is_empty() {
        return named(level);
    }
    much_deleted(blocks, ranges).into_iter().collect()
}

/// The first blocks that overlap each other, in a chain: all or none. What a merge leaves out may have been stored after one
/// of its blocks and before another, and could not be put in its place among them. So where one is to stay apart, all are.
fn overlapping(blocks: &mut [Candidate]) -> &[Candidate] {
    let mut start = 0;
    while start < blocks.len() {
        let (mut chain, mut end) = (start + 1, blocks[start].end);
        while let Some(next) = blocks.get(chain).filter(|next| next.start < end) {
            end = end.max(next.end);
            chain += 1;
        }
        if chain > start + 1 && blocks[start..chain].iter().all(|block| !block.apart) {
            return &blocks[start..chain];
        }
        if blocks[start..chain].iter().any(|block| block.apart) {
            blocks[start..chain].iter_mut().for_each(|block| block.apart = true);
        }
        start = chain;
    }
    &[]
}

/// Blocks in one range of the next size that they fill, or that lies before the newest of them.
fn fills_a_range<'a>(blocks: &'a [Candidate], ranges: &BlockRanges) -> &'a [Candidate] {
    let Some(newest) = blocks.last() else { return &[] };
    for size in &ranges.sizes_ms()[1..] {
        for group in in_one_range(blocks, *size) {
            let (start, end) = (group[0].start, group[group.len() - 1].end);
            let complete = end - start == *size || end <= newest.start;
            if group.len() > 1 && complete && group.iter().all(|block| !block.apart) {
                return group;
            }
        }
    }
    &[]
}

/// Neighbours that lie in one aligned range of this size; blocks that reach over its bounds are in no group.
fn in_one_range(blocks: &[Candidate], size: i64) -> impl Iterator<Item = &[Candidate]> {
    let range = move |block: &Candidate| aligned(model::TimestampMs(block.start), size);
    let fits = move |block: &Candidate| block.end <= range(block).end;
    blocks
        .chunk_by(move |left, right| fits(left) && fits(right) && range(left) == range(right))
        .filter(move |group| fits(&group[0]))
}

/// The newest large block with many deletions, or a small one that is all deleted.
fn much_deleted(blocks: &[Candidate], ranges: &BlockRanges) -> Option<Ulid> {
    let large = ranges.sizes_ms()[ranges.sizes_ms().len() / 2];
    let worth = |block: &&Candidate| {
        let many = block.end - block.start >= large && block.deletions * DELETED_PART > block.series + 1;
        let all = block.deletions > 0 && block.deletions >= block.series;
        !block.apart && (many || all)
    };
    blocks.iter().rev().find(worth).map(|block| block.ulid)
}

/// A block is written anew when one in so many of its series has a deletion.
const DELETED_PART: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    /// Blocks named `start..end` by hours, with `!` if they stay apart, `x` and a number if it has deletions (of 100 series).
    fn check(blocks: &str, expected: &str) {
        let ranges = BlockRanges::new(&Settings::default());
        let parse = |(index, text): (usize, &str)| {
            let apart = text.ends_with('!');
            let (times, deletions) =
                text.trim_end_matches('!').split_once('x').unwrap_or((text.trim_end_matches('!'), "0"));
            let (start, end) = times.split_once("..").unwrap();
            let hours = |text: &str| (text.parse::<f64>().unwrap() * 3_600_000.0) as i64;
            let (start, end) = (hours(start), hours(end));
            let ulid = Ulid::new(index as u64 + 1, 0);
            Candidate { ulid, start, end, series: 100, deletions: deletions.parse().unwrap(), apart }
        };
        let names: Vec<&str> = blocks.split_whitespace().collect();
        let candidates = names.iter().copied().enumerate().map(parse).collect();
        let planned = plan(candidates, &ranges);
        let found: Vec<&str> = planned.iter().map(|ulid| names[ulid.milliseconds() as usize - 1]).collect();
        assert_eq!(found.join(" "), expected, "{blocks}");
    }

    #[test]
    fn levels() {
        check("", "");
        check("0..2", "");
        check("0..2 2..4 4..6", "");
        check("0..2 2..4 4..6 6..8", "0..2 2..4 4..6");
        // Nothing comes into the range any more, though it is not full.
        check("0..2 4..6 6..8", "0..2 4..6");
        check("0..2 2..4 6..8 8..10", "0..2 2..4");
        check("0..2 2..4 4..6 6..8 8..10 10..12 12..14", "0..2 2..4 4..6");
        check("0..6 6..8 8..10 10..12 12..14", "6..8 8..10 10..12");
        check("0..6 6..12 12..18 18..20", "0..6 6..12 12..18");
        check("0..18 18..36 36..54 54..56", "0..18 18..36 36..54");
        check("0..2 2..4 100..102 102..104", "0..2 2..4");
        check("-6..-4 -4..-2 -2..0 0..2", "-6..-4 -4..-2 -2..0");
        // Larger than the largest range, or across its bounds.
        check("0..486 486..972 972..1458 1458..1460", "");
        check("1..3 5..7 6.5..6.8! 8..10 10..12", "");
        // As tight as the samples are.
        check("0..1.9 2.1..3.9 4.2..5.9 6..7.5 8..9", "0..1.9 2.1..3.9 4.2..5.9");
    }

    #[test]
    fn overlapping_ones_come_first() {
        check("0..2 1..3", "0..2 1..3");
        check("0..2 2..4 4..6 6..8 7..9", "6..8 7..9");
        check("0..18 2..4 16..20 20..22", "0..18 2..4 16..20");
        check("0..2 0..2", "0..2 0..2");
        check("0..2 0..2! 4..6 4..6", "4..6 4..6");
        // The second may have been stored between the others.
        check("0..4 3..7! 5..6 5..6", "");
        check("0..1 0.5..8! 2..4 4..6 6..8 8..10 12..14 14..16 16..18 18..20", "12..14 14..16 16..18");
    }

    #[test]
    fn failed_ones_are_left_alone() {
        check("0..2 2..4! 4..6 6..8", "");
        check("0..2 2..4! 4..6 6..8 8..10 10..12 12..14", "6..8 8..10 10..12");
    }

    #[test]
    fn many_deletions() {
        check("0..54x5 54..56", "");
        check("0..54x6 54..56", "0..54x6");
        check("0..54x6! 54..56", "");
        check("0..18x6 18..20", "");
        check("0..18x100 18..20", "0..18x100");
        // Never the newest.
        check("0..54x100", "");
    }
}
