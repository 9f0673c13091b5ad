//! Chunks in encodings that are read but never written: XOR2, histograms with start times (ADR 001).
//!
//! They are packed anew in an encoding that is written. Whoever stores the result loses the start times, which it has no place for.

use model::TimestampMs;

use super::histogram::without_start_times;
use super::xor2::Xor2Decoder;
use super::{ChunkEncoding, CorruptChunk, XorChunk};

/// Why stored data are no chunk that can be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnreadableChunk {
    /// The data do not decode.
    #[error(transparent)]
    Corrupt(#[from] CorruptChunk),
    /// Sums and counts over stretches of time, as Thanos keeps them.
    #[error("a chunk that Thanos has downsampled, which holds no raw samples")]
    Downsampled,
    /// A byte that names no encoding.
    #[error("a chunk of the unknown encoding {0}")]
    UnknownEncoding(u8),
}

/// A chunk packed anew in an encoding that this crate writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repacked {
    /// The chunk's data.
    pub data: Vec<u8>,
    /// When the counting began that each sample shows the state of, 0 where that is not known; empty when it is known of
    /// none. The data have no place for it.
    pub start_times: Vec<TimestampMs>,
}

/// A stored chunk in one of the encodings that this crate writes: as it is (`None`), or packed anew.
///
/// # Errors
/// [`UnreadableChunk`]. Of encodings that need no change the data are not looked at.
pub fn plain(encoding: u8, data: &[u8]) -> Result<(ChunkEncoding, Option<Repacked>), UnreadableChunk> {
    if let Some(encoding) = ChunkEncoding::from_byte(encoding) {
        return Ok((encoding, None));
    }
    let (encoding, repacked) = match encoding {
        XOR2 => (ChunkEncoding::Xor, plain_floats(data)?),
        HISTOGRAM_START_TIMES => (ChunkEncoding::Histogram, plain_histograms(ChunkEncoding::Histogram, data)?),
        FLOAT_HISTOGRAM_START_TIMES => {
            (ChunkEncoding::FloatHistogram, plain_histograms(ChunkEncoding::FloatHistogram, data)?)
        }
        DOWNSAMPLED => return Err(UnreadableChunk::Downsampled),
        other => return Err(UnreadableChunk::UnknownEncoding(other)),
    };
    Ok((encoding, Some(repacked)))
}

impl Repacked {
    fn empty() -> Self {
        Self { data: NO_SAMPLES.into(), start_times: Vec::new() }
    }
}

fn plain_floats(data: &[u8]) -> Result<Repacked, CorruptChunk> {
    let mut decoder = Xor2Decoder::new(data)?;
    let are_known = decoder.start_times().may_be_known();
    let mut start_times = Vec::new();
    let mut chunk: Option<XorChunk> = None;
    while let Some(sample) = decoder.next() {
        let (at, value) = sample?;
        match &mut chunk {
            None => chunk = Some(XorChunk::new(at, value)),
            Some(chunk) => chunk.push(at, value),
        }
        if are_known {
            start_times.push(TimestampMs(decoder.start_times().current()));
        }
    }
    Ok(chunk.map_or_else(Repacked::empty, |chunk| Repacked { data: chunk.data().to_vec(), start_times }))
}

fn plain_histograms(encoding: ChunkEncoding, data: &[u8]) -> Result<Repacked, CorruptChunk> {
    let chunk = without_start_times(encoding, data)?;
    Ok(chunk.map_or_else(Repacked::empty, |(chunk, start_times)| Repacked { data: chunk.data().to_vec(), start_times }))
}

const XOR2: u8 = 4;
const HISTOGRAM_START_TIMES: u8 = 5;
const FLOAT_HISTOGRAM_START_TIMES: u8 = 6;
const DOWNSAMPLED: u8 = 0xff;

/// A chunk's count of no samples.
const NO_SAMPLES: [u8; 2] = [0, 0];

#[cfg(test)]
mod tests;
