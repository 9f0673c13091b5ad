//! Chunks in encodings that are read but never written.

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

/// A stored chunk in one of the encodings that this crate writes: its own data (`None`), or others made of them.
///
/// # Errors
/// [`UnreadableChunk`]. Of encodings that need no change the data are not looked at.
pub fn plain(encoding: u8, data: &[u8]) -> Result<(ChunkEncoding, Option<Vec<u8>>), UnreadableChunk> {
    if let Some(encoding) = ChunkEncoding::from_byte(encoding) {
        return Ok((encoding, None));
    }
    let (encoding, data) = match encoding {
        XOR2 => (ChunkEncoding::Xor, plain_floats(data)?),
        HISTOGRAM_START_TIMES => (ChunkEncoding::Histogram, plain_histograms(ChunkEncoding::Histogram, data)?),
        FLOAT_HISTOGRAM_START_TIMES => {
            (ChunkEncoding::FloatHistogram, plain_histograms(ChunkEncoding::FloatHistogram, data)?)
        }
        DOWNSAMPLED => return Err(UnreadableChunk::Downsampled),
        other => return Err(UnreadableChunk::UnknownEncoding(other)),
    };
    Ok((encoding, Some(data)))
}

fn plain_floats(data: &[u8]) -> Result<Vec<u8>, CorruptChunk> {
    let mut decoder = Xor2Decoder::new(data)?;
    let Some(first) = decoder.next() else { return Ok(NO_SAMPLES.into()) };
    let (at, value) = first?;
    let mut chunk = XorChunk::new(at, value);
    for sample in decoder {
        let (at, value) = sample?;
        chunk.push(at, value);
    }
    Ok(chunk.data().to_vec())
}

fn plain_histograms(encoding: ChunkEncoding, data: &[u8]) -> Result<Vec<u8>, CorruptChunk> {
    let chunk = without_start_times(encoding, data)?;
    Ok(chunk.map_or_else(|| NO_SAMPLES.into(), |chunk| chunk.data().to_vec()))
}

const XOR2: u8 = 4;
const HISTOGRAM_START_TIMES: u8 = 5;
const FLOAT_HISTOGRAM_START_TIMES: u8 = 6;
const DOWNSAMPLED: u8 = 0xff;

/// A chunk's count of no samples.
const NO_SAMPLES: [u8; 2] = [0, 0];

#[cfg(test)]
mod tests;
