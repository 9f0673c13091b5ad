//! What a queue wants to know of a request, in one pass that decodes no value: how much of each kind it holds, and which
//! series.
//!
//! The pass is also the check at the door: it looks into every part, so that a message which gets through is protobuf
//! to the last byte. Series that make no sense on their own (a reference that leads nowhere, labels that are no text) are
//! no fault of the message; they are counted like the others.

use std::ops::Range;

use crate::error::{DecodeError, Fault, WireFault};
use crate::negotiation::Version;
use crate::request::{Limits, Request};
use crate::series::Tally;
use crate::series_hash::{SeriesHasher, series_hash};
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
    /// The [`crate::series_hash`] of each series, as they come.
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
    Ok(Survey { tally, series, hashes })
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

/// The walk from label to label waits for one length after the other. Meanwhile the series before is hashed, which
/// costs next to nothing that way.
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
    // The series before: its place and tally, and its hash as far as it is made.
    let mut before: Option<(Range<usize>, Tally)> = None;
    let mut hasher = SeriesHasher::new(&[]);
    while !reader.is_empty() {
        let start = reader.offset();
        match reader.key().map_err(outside)? {
            v1::TIMESERIES => {
                let inside = |fault: Fault| fault.within(Version::V1.message_name(), Some(index), "");
                if index == limits.series_max {
                    return Err(outside(reader.fault(WireFault::TooManySeries { max: index })));
                }
                let series = reader.message().map_err(outside)?;
                let plain = v1::plain_labels(&message[series.offset()..], series.rest().len(), || {
                    hasher.step();
                });
                let hash = std::mem::replace(&mut hasher, SeriesHasher::new(&[])).finish();
                if let Some((field, tally)) = before.take() {
                    on_series(Outline { field, hash, tally });
                }
                let skimmed = v1::skim::<true>(series, plain).map_err(inside)?;
                let field = start..reader.offset();
                if skimmed.scattered {
                    v1::collect_labels(series, block).map_err(inside)?;
                    on_series(Outline { field, hash: series_hash(block), tally: skimmed.tally });
                } else {
                    hasher = SeriesHasher::new(skimmed.labels);
                    before = Some((field, skimmed.tally));
                }
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
    if let Some((field, tally)) = before {
        on_series(Outline { field, hash: hasher.finish(), tally });
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
