//! What a queue wants to know of a request, in one pass that decodes no value: how much of each kind it holds, and which
//! series.
//!
//! The pass is also the check at the door: it looks into every part, so that a message which gets through is protobuf
//! to the last byte. Series that make no sense on their own (a reference that leads nowhere, labels that are no text) are
//! no fault of the message; they are counted like the others.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{DecodeError, Fault, WireFault};
use crate::negotiation::Version;
use crate::request::{Limits, Request};
use crate::series::Tally;
use crate::symbols::Symbols;
use crate::wire::Reader;
use crate::written::WrittenCounts;
use crate::{v1, v2};

/// What is in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Survey<'s> {
    /// How much of each kind there is, in all series.
    pub tally: WrittenCounts,
    /// Number of series.
    pub series: usize,
    /// The [`series_hash`] of each series; sorted, each once.
    pub hashes: &'s [u32],
}

/// Working memory of [`survey`]. Give the same one again to save allocating.
#[derive(Default)]
pub struct SurveyScratch {
    hashes: Vec<u32>,
    block: Vec<u8>,
}

/// Surveys a decompressed request.
///
/// # Errors
/// A message that is broken anywhere, also inside of a series, or that has more series, symbols or bytes of unfolded
/// labels than `limits` allow.
pub fn survey<'s>(
    version: Version,
    message: &[u8],
    limits: &Limits,
    scratch: &'s mut SurveyScratch,
) -> Result<Survey<'s>, DecodeError> {
    let SurveyScratch { hashes, block } = scratch;
    hashes.clear();
    let mut tally = WrittenCounts::default();
    let mut series = 0;
    walk_outlines(version, message, limits, block, |outline| {
        series += 1;
        tally += outline.tally;
        hashes.push(outline.hash);
    })?;
    hashes.sort_unstable();
    hashes.dedup();
    Ok(Survey { tally, series, hashes })
}

/// The hash that names a series in queues: the low 32 bits of XXH3 (64 bits, seed 0) over its
/// [label block](crate::Series::label_block). It stands on disks, so it never changes.
///
/// The same labels in the same order have the same hash in both versions. Of labels in another order, or with empty values
/// that another sender leaves out, it is another; a sender writes a series the same way each time. Of a series in a 2.0
/// request whose labels cannot be resolved, or not within the limits, it is the hash of what comes before that point.
#[inline]
pub fn series_hash(label_block: &[u8]) -> u32 {
    xxh3_64(label_block) as u32
}

/// A series of which nothing but its size and name is looked at.
pub(crate) struct Outline {
    /// Where its whole field stands in the request, key and length included.
    pub(crate) field: Range<usize>,
    pub(crate) hash: u32,
    pub(crate) tally: Tally,
}

/// Hands out the outlines of all series, in their order, and checks the whole message. `block` is working memory.
#[inline]
pub(crate) fn walk_outlines(
    version: Version,
    message: &[u8],
    limits: &Limits,
    block: &mut Vec<u8>,
    on_series: impl FnMut(Outline),
) -> Result<(), DecodeError> {
    match version {
        Version::V1 => walk_outlines_v1(message, limits, block, on_series),
        Version::V2 => {
            // Symbols may stand behind the series, so they are collected before.
            let request = Request::parse(version, message, limits)?;
            walk_outlines_v2(&request.symbols, message, limits, block, on_series)
        }
    }
}

#[inline]
fn walk_outlines_v1(
    message: &[u8],
    limits: &Limits,
    block: &mut Vec<u8>,
    mut on_series: impl FnMut(Outline),
) -> Result<(), DecodeError> {
    let outside = |fault: Fault| fault.within(Version::V1.message_name(), None, "");
    let mut reader = Reader::new(message);
    let mut index = 0;
    while !reader.is_empty() {
        let start = reader.offset();
        match reader.key().map_err(outside)? {
            v1::TIMESERIES => {
                let inside = |fault: Fault| fault.within(Version::V1.message_name(), Some(index), "");
                if index == limits.series_max {
                    return Err(outside(reader.fault(WireFault::TooManySeries { max: index })));
                }
                let series = reader.message().map_err(outside)?;
                let skimmed = v1::skim::<true>(series).map_err(inside)?;
                let mut labels = skimmed.labels;
                if skimmed.scattered {
                    v1::collect_labels(series, block).map_err(inside)?;
                    labels = block;
                }
                let hash = series_hash(labels);
                on_series(Outline { field: start..reader.offset(), hash, tally: skimmed.tally });
                index += 1;
            }
            v1::METADATA => {
                let entry = reader.message().map_err(outside)?;
                // Texts that are none concern the entry alone.
                drop(v1::family(entry).map_err(|fault| fault.within(Version::V1.message_name(), None, "metadata"))?);
            }
            other => reader.skip(other, v1::REQUEST_FIELDS).map_err(outside)?,
        }
    }
    Ok(())
}

fn walk_outlines_v2(
    symbols: &Symbols<'_>,
    message: &[u8],
    limits: &Limits,
    block: &mut Vec<u8>,
    mut on_series: impl FnMut(Outline),
) -> Result<(), DecodeError> {
    let outside = |fault: Fault| fault.within(Version::V2.message_name(), None, "");
    let mut reader = Reader::new(message);
    let (mut index, mut unfolded_bytes) = (0, 0);
    while !reader.is_empty() {
        let start = reader.offset();
        let key = reader.key().map_err(outside)?;
        if key != v2::TIMESERIES {
            reader.skip(key, 0).map_err(outside)?;
            continue;
        }
        let inside = |fault: Fault| fault.within(Version::V2.message_name(), Some(index), "");
        let series = reader.message().map_err(outside)?;
        let skimmed = v2::skim::<true>(series).map_err(inside)?;
        // Labels that cannot be resolved leave in `block` what could be.
        drop(v2::resolve_labels(series, symbols, &limits.labels, block).map_err(inside)?);
        unfolded_bytes += block.len();
        if unfolded_bytes > limits.unfolded_bytes_max {
            let max = limits.unfolded_bytes_max;
            return Err(inside(series.fault(WireFault::LabelsTooLarge { max })));
        }
        let hash = series_hash(block);
        on_series(Outline { field: start..reader.offset(), hash, tally: skimmed.tally });
        index += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
