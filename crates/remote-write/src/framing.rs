//! Snappy's block format, with a bound on the decoded size that is checked before any memory is taken.

use model::{ErrorKind, Kinded};

/// Why a body is not a snappy block that is taken here.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FramingError {
    /// No byte at all; even an empty message has a length.
    #[error("the body is empty: expected a message compressed with snappy (block format)")]
    Empty,
    /// The stream format, which remote write forbids.
    #[error("the body is in snappy's framed (stream) format: remote write takes the block format only")]
    Framed,
    /// More than is taken, by its own words.
    #[error("the decompressed body would be {declared} bytes, the limit is {max}; send smaller requests")]
    TooLarge {
        /// The size that the body declares.
        declared: u64,
        /// The limit in force.
        max: usize,
    },
    /// A declared size that so few bytes cannot decode to.
    #[error("the body is no snappy block: {compressed} bytes cannot decode to the declared {declared}")]
    Implausible {
        /// The size that the body declares.
        declared: u64,
        /// The size of the body.
        compressed: usize,
    },
    /// Damaged in another way.
    #[error("the body is no snappy block: {0}")]
    Damaged(String),
}

impl Kinded for FramingError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Empty | Self::Framed | Self::Implausible { .. } | Self::Damaged(_) => ErrorKind::Invalid,
        }
    }
}

/// Decodes one block into `out`, which has the decoded length afterwards; what it held before is overwritten.
/// Give the same vector again (not cleared) to save both allocating and zeroing it.
///
/// # Errors
/// Everything that is not one whole block of at most `decoded_bytes_max` decoded bytes; `out` is then empty.
pub fn decode(body: &[u8], decoded_bytes_max: usize, out: &mut Vec<u8>) -> Result<(), FramingError> {
    let decoded = check(body, decoded_bytes_max).and_then(|length| {
        out.resize(length, 0);
        snap::raw::Decoder::new().decompress(body, out).map_err(|error| FramingError::Damaged(error.to_string()))
    });
    decoded.map(drop).inspect_err(|_| out.clear())
}

/// The decoded length, if it is plausible and within bounds.
fn check(body: &[u8], decoded_bytes_max: usize) -> Result<usize, FramingError> {
    if body.is_empty() {
        return Err(FramingError::Empty);
    }
    if body.starts_with(STREAM_IDENTIFIER) {
        return Err(FramingError::Framed);
    }
    let declared = declared_length(body)?;
    if declared > decoded_bytes_max as u64 {
        return Err(FramingError::TooLarge { declared, max: decoded_bytes_max });
    }
    if declared > (body.len() as u64).saturating_mul(EXPANSION_MAX) {
        return Err(FramingError::Implausible { declared, compressed: body.len() });
    }
    Ok(declared as usize)
}

/// The varint in front of a block. Read here since `snap` calls sizes above 4 GiB damaged, while they are too large.
fn declared_length(body: &[u8]) -> Result<u64, FramingError> {
    let mut length = 0;
    for (index, &byte) in body.iter().take(9).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(length);
        }
    }
    Err(FramingError::Damaged("it does not start with a length".to_owned()))
}

/// Encodes blocks; keeps its working memory between them.
pub struct BlockEncoder {
    snappy: snap::raw::Encoder,
}

impl Default for BlockEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl BlockEncoder {
    /// A new encoder.
    pub fn new() -> Self {
        Self { snappy: snap::raw::Encoder::new() }
    }

    /// Compresses `message` into `out`, which has the compressed length afterwards.
    ///
    /// # Panics
    /// On a message of 4 GiB or more, which no receiver takes.
    pub fn encode(&mut self, message: &[u8], out: &mut Vec<u8>) {
        out.resize(snap::raw::max_compress_len(message.len()), 0);
        let length =
            self.snappy.compress(message, out).expect("the output has the greatest length that a block can need");
        out.truncate(length);
    }
}

/// Compresses one message.
///
/// # Panics
/// As [`BlockEncoder::encode`].
pub fn encode(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    BlockEncoder::new().encode(message, &mut out);
    out
}

/// What a framed stream starts with: a chunk of type 0xff and six bytes. Read as a block it would declare 895 bytes and then
/// copy from before its start, so no valid block starts like this.
const STREAM_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// The best that a block can do is to copy 64 bytes with an element of 3.
const EXPANSION_MAX: u64 = 22;

#[cfg(test)]
mod tests;
