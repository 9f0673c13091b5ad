//! Pages, fragments, checksums and compression: records ↔ the bytes of a segment.
//!
//! A fragment is a type byte, a length (two bytes, big endian), the CRC-32C of the data (four) and the data. The type's
//! low three bits say which part of a record it is; 0 means that the rest of the page is zero. Bits 3 and 4 say that the
//! record was compressed (snappy, zstd) before it was split. No fragment crosses a page.

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

    /// Starts over with an empty segment.
    pub fn start_segment(&mut self) {
        self.position = 0;
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

/// Bytes of a segment that are no record.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("corrupt log at byte {offset}: {what}")]
pub struct CorruptLog {
    /// Where the damage starts, in bytes from the start of the segment.
    pub offset: usize,
    /// What is wrong.
    pub what: &'static str,
    /// Whether the segment just ends too early, as after the death of the writer; otherwise bytes are not what was written.
    pub cut: bool,
}

/// Reads the records of a segment that is in memory as a whole.
pub struct FrameReader<'a> {
    segment: &'a [u8],
    position: usize,
    /// Start and end of the last good record.
    start: usize,
    good: usize,
    /// The last error was in a fragment, so that nothing says where the next one starts.
    lost: bool,
    joined: Vec<u8>,
    decompressed: Vec<u8>,
    decoder: snap::raw::Decoder,
}

/// Part of a record, its checksum checked.
struct Fragment<'a> {
    start: usize,
    flags: u8,
    data: &'a [u8],
}

impl<'a> FrameReader<'a> {
    /// A reader at the start of a segment.
    pub fn new(segment: &'a [u8]) -> Self {
        Self {
            segment,
            position: 0,
            start: 0,
            good: 0,
            lost: false,
            joined: Vec::new(),
            decompressed: Vec::new(),
            decoder: snap::raw::Decoder::new(),
        }
    }

    /// End of the last record that was read whole: where a torn segment can be cut.
    pub fn good(&self) -> usize {
        self.good
    }

    /// Start of the last record that was read whole.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The next record, decompressed; `None` at the end of the segment.
    ///
    /// # Errors
    /// Damage; [`resync`](Self::resync) goes on behind it. Records that were read before are good.
    pub fn next_record(&mut self) -> Result<Option<&[u8]>, CorruptLog> {
        let Some(Fragment { start, flags, data: first }) = self.first_fragment()? else { return Ok(None) };
        if flags & PART == FULL {
            self.unpack(start, flags, first)?;
            (self.start, self.good) = (start, self.position);
            return Ok(Some(if flags & SNAPPY != 0 { &self.decompressed } else { first }));
        }
        self.joined.clear();
        self.joined.extend_from_slice(first);
        loop {
            let at = self.position;
            let Some(Fragment { flags: part, data: fragment, .. }) = self.fragment()? else {
                return Err(CorruptLog { cut: true, ..self.corrupt(at, "the segment ends inside a record") });
            };
            if self.joined.len() + fragment.len() > RECORD_BYTES_MAX {
                return Err(self.corrupt(at, "a record is too large"));
            }
            match part & PART {
                MIDDLE => self.joined.extend_from_slice(fragment),
                LAST => {
                    self.joined.extend_from_slice(fragment);
                    let joined = std::mem::take(&mut self.joined);
                    let done = self.unpack(start, flags, &joined);
                    self.joined = joined;
                    done?;
                    (self.start, self.good) = (start, self.position);
                    let packed = flags & SNAPPY != 0;
                    return Ok(Some(if packed { &self.decompressed } else { &self.joined }));
                }
                _ => {
                    // The new record may be good: it is read next.
                    self.position = at;
                    return Err(self.corrupt(at, "a record starts inside another"));
                }
            }
        }
    }

    /// After an error: goes to where the next record can start, a page at most. `false` when nothing is left.
    pub fn resync(&mut self) -> bool {
        if std::mem::take(&mut self.lost) {
            self.position = (self.position / PAGE_BYTES + 1) * PAGE_BYTES;
        }
        self.position < self.segment.len()
    }

    /// The next fragment that can start a record.
    fn first_fragment(&mut self) -> Result<Option<Fragment<'a>>, CorruptLog> {
        let before = self.position;
        let Some(fragment) = self.fragment()? else {
            self.good = self.segment.len();
            return Ok(None);
        };
        match fragment.flags & PART {
            FULL | FIRST => Ok(Some(fragment)),
            _ => Err(self.corrupt(before, "a record lacks its beginning")),
        }
    }

    /// The next fragment and its type, checked; `None` at the end of the segment.
    fn fragment(&mut self) -> Result<Option<Fragment<'a>>, CorruptLog> {
        let fragment = self.checked_fragment();
        self.lost = fragment.is_err();
        fragment
    }

    fn checked_fragment(&mut self) -> Result<Option<Fragment<'a>>, CorruptLog> {
        loop {
            let at = self.position;
            let rest = self.segment.get(at..).unwrap_or_default();
            let page = &rest[..rest.len().min(PAGE_BYTES - at % PAGE_BYTES)];
            let Some(&flags) = page.first() else { return Ok(None) };
            let cut = rest.len() < PAGE_BYTES - at % PAGE_BYTES;
            if flags & PART == PAGE_END {
                if page.iter().any(|byte| *byte != 0) {
                    return Err(self.corrupt(at, "bytes other than zero after the end of a page"));
                }
                self.position += page.len();
                continue;
            }
            let Some((header, data)) = page.split_first_chunk::<HEADER_BYTES>() else {
                return Err(CorruptLog { cut, ..self.corrupt(at, "a fragment's header is cut") });
            };
            let length = u16::from_be_bytes([header[1], header[2]]) as usize;
            let Some(data) = data.get(..length) else {
                return Err(CorruptLog { cut, ..self.corrupt(at, "a fragment is cut or longer than its page") });
            };
            if header[3..] != crc32c::crc32c(data).to_be_bytes() {
                return Err(self.corrupt(at, "a fragment's checksum does not match"));
            }
            if flags & PART > LAST || flags & !(PART | SNAPPY | ZSTD) != 0 {
                return Err(self.corrupt(at, "a fragment of unknown type"));
            }
            self.position += HEADER_BYTES + length;
            return Ok(Some(Fragment { start: at, flags, data }));
        }
    }

    /// Decompresses `data` into `decompressed` if the flags say so.
    fn unpack(&mut self, start: usize, flags: u8, data: &[u8]) -> Result<(), CorruptLog> {
        if flags & ZSTD != 0 {
            return Err(self.corrupt(start, "a record compressed with zstd, which is not supported"));
        }
        if flags & SNAPPY == 0 {
            return Ok(());
        }
        let length = snap::raw::decompress_len(data).unwrap_or(usize::MAX);
        // Snappy's longest copy makes 64 bytes of three: a larger promise is a lie and not worth the memory.
        if length > RECORD_BYTES_MAX || length > data.len().saturating_mul(22) + 64 {
            return Err(self.corrupt(start, "a compressed record claims an impossible length"));
        }
        self.decompressed.resize(length, 0);
        match self.decoder.decompress(data, &mut self.decompressed) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.corrupt(start, "a compressed record does not decompress")),
        }
    }

    fn corrupt(&self, offset: usize, what: &'static str) -> CorruptLog {
        CorruptLog { offset, what, cut: false }
    }
}

#[cfg(test)]
mod tests;
