//! Chunks: runs of samples of one series, packed bit by bit.
//!
//! The bytes here are the *data* of a chunk: what stands between the encoding byte and the checksum in a chunk file, and
//! what a head keeps in memory. Both start with the number of samples (two bytes, big endian).

mod compare;
mod foreign;
mod histogram;
mod layout;
mod start_times;
mod varbit;
mod xor;
mod xor2;
mod xor_value;

pub use compare::same_observations;
pub use foreign::{Repacked, UnreadableChunk, plain};
pub use histogram::{HistogramChunk, HistogramDecoder, Misfit, begins_with_reset};
pub use xor::{XorChunk, XorDecoder};

/// How a chunk's samples are packed. Discriminants are the encoding bytes on disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ChunkEncoding {
    /// Float samples.
    Xor = 1,
    /// Native histograms with whole counts.
    Histogram = 2,
    /// Native histograms with fractional counts.
    FloatHistogram = 3,
}

impl ChunkEncoding {
    /// The encoding of this byte, if samples are packed so here.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Xor),
            2 => Some(Self::Histogram),
            3 => Some(Self::FloatHistogram),
            _ => None,
        }
    }
}

/// Bytes that are no chunk.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("corrupt chunk: {what} at bit {bit}, sample {sample}")]
pub struct CorruptChunk {
    /// What is wrong.
    pub what: &'static str,
    /// Where, in bits from the start of the data.
    pub bit: usize,
    /// While reading which sample, from 0.
    pub sample: u16,
}

/// The number of samples that the data of a chunk say they hold.
///
/// # Errors
/// Fewer than two bytes.
pub fn sample_count(data: &[u8]) -> Result<u16, CorruptChunk> {
    match data.first_chunk::<2>() {
        Some(count) => Ok(u16::from_be_bytes(*count)),
        None => Err(CorruptChunk { what: "no sample count", bit: 0, sample: 0 }),
    }
}

/// Makes room for one more write in steps of a half: doubling would leave a quarter of all open chunks' memory unused.
fn reserve(bytes: &mut Vec<u8>, extra: usize) {
    if bytes.capacity() - bytes.len() < extra {
        bytes.reserve_exact(extra.max(bytes.len() / 2));
    }
}

fn increment_count(bytes: &mut [u8]) {
    let count = u16::from_be_bytes([bytes[0], bytes[1]]).checked_add(1);
    bytes[..2].copy_from_slice(&count.expect("a chunk is cut long before 65,535 samples").to_be_bytes());
}
