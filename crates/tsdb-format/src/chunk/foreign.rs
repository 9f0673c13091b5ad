//! Chunks in encodings that are read but never written.

use super::{ChunkEncoding, CorruptChunk};

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
pub fn plain(encoding: u8, _data: &[u8]) -> Result<(ChunkEncoding, Option<Vec<u8>>), UnreadableChunk> {
    match encoding {
        DOWNSAMPLED => Err(UnreadableChunk::Downsampled),
        other => match ChunkEncoding::from_byte(other) {
            Some(encoding) => Ok((encoding, None)),
            None => Err(UnreadableChunk::UnknownEncoding(other)),
        },
    }
}

const DOWNSAMPLED: u8 = 0xff;
