//! Pages, fragments, checksums and compression: records ↔ the bytes of a segment.
//!
//! A fragment is a type byte, a length (two bytes, big endian), the CRC-32C of the data (four) and the data. The type's
//! low three bits say which part of a record it is; 0 means that the rest of the page is zero. Bits 3 and 4 say that the
//! record was compressed (snappy, zstd) before it was split. No fragment crosses a page.
//!
//! Written is snappy, which Prometheus writes by default; read is either.

mod read;
mod unpack;

pub use read::{CorruptLog, FrameReader, SegmentError};

/// Bytes in a page.
pub const PAGE_BYTES: usize = 32 << 10;

/// Bytes before a fragment's data.
pub const HEADER_BYTES: usize = 7;

/// The largest record read, before and after decompression.
pub const RECORD_BYTES_MAX: usize = 128 << 20;

const PAGE_END: u8 = 0;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
const PART: u8 = 0b0000_0111;
const SNAPPY: u8 = 0b0000_1000;
const ZSTD: u8 = 0b0001_0000;

/// Frames records for the end of a segment.
pub struct FrameWriter {
    /// Where the next fragment goes, in bytes from the start of the segment.
    position: u64,
    encoder: snap::raw::Encoder,
    compressed: Vec<u8>,
}

impl FrameWriter {
    /// A writer for a segment that is `position` bytes long.
    pub fn new(position: u64) -> Self {
        Self { position, encoder: snap::raw::Encoder::new(), compressed: Vec::new() }
    }

    /// Length of the segment once everything framed so far is in it.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes on where the segment, cut to `position` bytes, ends: 0 for the next one.
    pub fn go_back(&mut self, position: u64) {
        debug_assert!(position <= self.position, "a segment is not cut to more than it has");
        self.position = position;
    }

    /// Appends the frame of one record to `out`; compressed when that makes it shorter.
    pub fn frame(&mut self, record: &[u8], out: &mut Vec<u8>) {
        let needed = snap::raw::max_compress_len(record.len());
        if self.compressed.len() < needed {
            self.compressed.resize(needed, 0);
        }
        let length = self.encoder.compress(record, &mut self.compressed);
        match length.expect("the buffer is as long as the encoder asks for") {
            shorter if shorter < record.len() => {
                let compressed = std::mem::take(&mut self.compressed);
                self.split(&compressed[..shorter], SNAPPY, out);
                self.compressed = compressed;
            }
            _ => self.split(record, 0, out),
        }
    }

    /// The most bytes that a record of `record_bytes` can take up in a segment.
    pub const fn framed_bytes_max(record_bytes: usize) -> usize {
        let pages = record_bytes / (PAGE_BYTES - HEADER_BYTES) + 2;
        record_bytes + pages * 2 * HEADER_BYTES
    }

    fn split(&mut self, mut data: &[u8], flags: u8, out: &mut Vec<u8>) {
        let mut first = true;
        while first || !data.is_empty() {
            let mut room = PAGE_BYTES - (self.position as usize % PAGE_BYTES);
            if room <= HEADER_BYTES {
                out.resize(out.len() + room, 0);
                self.position += room as u64;
                room = PAGE_BYTES;
            }
            let (fragment, rest) = data.split_at(data.len().min(room - HEADER_BYTES));
            let part = match (first, rest.is_empty()) {
                (true, true) => FULL,
                (true, false) => FIRST,
                (false, false) => MIDDLE,
                (false, true) => LAST,
            };
            out.push(part | flags);
            out.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
            out.extend_from_slice(&crc32c::crc32c(fragment).to_be_bytes());
            out.extend_from_slice(fragment);
            self.position += (HEADER_BYTES + fragment.len()) as u64;
            data = rest;
            first = false;
        }
    }
}

#[cfg(test)]
mod tests;
