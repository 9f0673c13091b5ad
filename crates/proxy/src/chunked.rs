//! The chunked transfer coding: a strict decoder that takes bytes as they come, and an encoder of chunk heads.

/// Why bytes are not a chunked body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the chunked body is malformed")]
pub(crate) struct ChunkError;

/// Decodes a chunked body piece by piece. Extensions and trailers are read over, within a bound, and dropped.
#[derive(Debug)]
pub(crate) struct ChunkDecoder {
    state: State,
    /// Bytes of extensions and trailers so far: what a peer may make us read without giving us data.
    overhead: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// In the digits of a size; `digits` of them seen.
    Size { value: u64, digits: u8 },
    /// In an extension, up to the carriage return.
    Extension { value: u64 },
    /// The line feed of a size line comes next.
    SizeLineFeed { value: u64 },
    /// This much data is left in the chunk.
    Data { left: u64 },
    /// The carriage return after the data comes next.
    DataCarriageReturn,
    /// The line feed after the data comes next.
    DataLineFeed,
    /// At the beginning of a trailer line.
    TrailerStart,
    /// Inside a trailer line.
    Trailer,
    /// The line feed of a trailer line comes next.
    TrailerLineFeed,
    /// The line feed of the last, empty line comes next.
    LastLineFeed,
    /// The body is complete.
    Done,
}

impl ChunkDecoder {
    pub(crate) fn new() -> Self {
        Self { state: State::Size { value: 0, digits: 0 }, overhead: 0 }
    }

    /// Whether the last chunk and its trailers have been read.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes from `input`, appends data to `output`, and returns how much of `input` was used: all of it, unless the
    /// body ended before.
    pub(crate) fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, ChunkError> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if let State::Data { left } = self.state {
                let available = (input.len() - at) as u64;
                let take = usize::try_from(left.min(available)).expect("not more than the input holds");
                output.extend_from_slice(&input[at..at + take]);
                at += take;
                let left = left - take as u64;
                self.state = if left == 0 { State::DataCarriageReturn } else { State::Data { left } };
            } else {
                self.state = self.step(input[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        Ok(match (self.state, byte) {
            (State::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(ChunkError);
                }
                let digit = (byte as char).to_digit(16).ok_or(ChunkError)?;
                State::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }
            }
            (State::Size { digits: 0, .. }, _) => return Err(ChunkError),
            (State::Size { value, .. }, b';' | b' ' | b'\t') => State::Extension { value },
            (State::Size { value, .. } | State::Extension { value }, b'\r') => State::SizeLineFeed { value },
            (State::Extension { value }, _) => {
                self.spend(byte)?;
                State::Extension { value }
            }
            (State::SizeLineFeed { value: 0 }, b'\n') => State::TrailerStart,
            (State::SizeLineFeed { value }, b'\n') => State::Data { left: value },
            (State::DataCarriageReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::Size { value: 0, digits: 0 },
            (State::TrailerStart, b'\r') => State::LastLineFeed,
            (State::Trailer, b'\r') => State::TrailerLineFeed,
            (State::TrailerStart | State::Trailer, _) => {
                self.spend(byte)?;
                State::Trailer
            }
            (State::TrailerLineFeed, b'\n') => State::TrailerStart,
            (State::LastLineFeed, b'\n') => State::Done,
            _ => return Err(ChunkError),
        })
    }

    fn spend(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.overhead += 1;
        let is_text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        if is_text && self.overhead <= OVERHEAD_BYTES_MAX { Ok(()) } else { Err(ChunkError) }
    }
}

/// The head of a chunk of `length` bytes; the data and CR LF follow it.
pub(crate) fn chunk_head(length: usize, out: &mut Vec<u8>) {
    assert!(length > 0, "an empty chunk would end the body");
    out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
}

/// What ends a chunked body.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

const SIZE_DIGITS_MAX: u8 = 15;
const OVERHEAD_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests;
