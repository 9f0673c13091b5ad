//! Decompression of records, bounded.

use std::io::Read as _;

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::{RECORD_BYTES_MAX, SNAPPY, ZSTD};

/// Keeps the memory of past records.
#[derive(Default)]
pub(super) struct Unpacker {
    record: Vec<u8>,
    snappy: snap::raw::Decoder,
    /// Made when the first such record comes: few logs have any.
    zstd: Option<Box<FrameDecoder>>,
}

impl Unpacker {
    /// Decompresses `data` if the flags say so; says whether it did.
    pub(super) fn unpack(&mut self, flags: u8, data: &[u8]) -> Result<bool, &'static str> {
        match (flags & SNAPPY != 0, flags & ZSTD != 0) {
            (false, false) => Ok(false),
            (true, false) => self.unpack_snappy(data).map(|()| true),
            (false, true) => self.unpack_zstd(data).map(|()| true),
            (true, true) => Err("a record compressed in two ways"),
        }
    }

    /// What was decompressed last.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }

    fn unpack_snappy(&mut self, data: &[u8]) -> Result<(), &'static str> {
        let length = snap::raw::decompress_len(data).unwrap_or(usize::MAX);
        // Snappy's longest copy makes 64 bytes of three: a larger promise is a lie and not worth the memory.
        if length > RECORD_BYTES_MAX || length > data.len().saturating_mul(22) + 64 {
            return Err("a compressed record claims an impossible length");
        }
        self.record.resize(length, 0);
        self.snappy.decompress(data, &mut self.record).map(drop).map_err(|_| "a compressed record does not decompress")
    }

    fn unpack_zstd(&mut self, data: &[u8]) -> Result<(), &'static str> {
        let broken = "a record compressed with zstd does not decompress";
        let decoder = self.zstd.get_or_insert_default();
        decoder.set_max_window_size(WINDOW_BYTES_MAX);
        let decoder = StreamingDecoder::new_with_decoder(data, decoder.as_mut()).map_err(|_| broken)?;
        self.record.clear();
        let mut bounded = decoder.take(RECORD_BYTES_MAX as u64 + 1);
        bounded.read_to_end(&mut self.record).map_err(|_| broken)?;
        if self.record.len() > RECORD_BYTES_MAX {
            return Err("a compressed record is too large");
        }
        let decoder = bounded.into_inner();
        // One frame and nothing behind it.
        if decoder.get_ref().is_empty() { Ok(()) } else { Err(broken) }
    }
}

/// Prometheus' encoder asks for no more than 8 MiB.
const WINDOW_BYTES_MAX: u64 = 16 << 20;
