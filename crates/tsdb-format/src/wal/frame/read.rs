//! The records of a segment, read page by page.

use std::io::{self, Read};
use std::ops::Range;

use super::unpack::Unpacker;
use super::{FIRST, FULL, HEADER_BYTES, LAST, MIDDLE, PAGE_BYTES, PAGE_END, PART, RECORD_BYTES_MAX, SNAPPY, ZSTD};

/// Bytes of a segment that are no record.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("corrupt log at byte {offset}: {what}")]
pub struct CorruptLog {
    /// Where the damage starts, in bytes from the start of the segment.
    pub offset: u64,
    /// What is wrong.
    pub what: &'static str,
    /// Whether the segment just ends too early, as after the death of the writer; otherwise bytes are not what was written.
    pub cut: bool,
}

/// Why there is no next record.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The segment cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// What was read is no record.
    #[error(transparent)]
    Corrupt(#[from] CorruptLog),
}

/// Reads the records of a segment. Holds one page of it and one record in memory.
pub struct FrameReader<R> {
    source: R,
    page: Box<[u8]>,
    /// Bytes in `page`, and which of them comes next.
    filled: usize,
    next: usize,
    /// Where the page begins in the segment.
    base: u64,
    /// Start and end of the last good record.
    start: u64,
    good: u64,
    /// Nothing says where in this page the next fragment starts.
    lost: bool,
    joined: Vec<u8>,
    unpacker: Unpacker,
}

/// Part of a record, its checksum checked.
struct Fragment {
    start: u64,
    flags: u8,
    /// Where its data are in the page.
    data: Range<usize>,
}

impl<R: Read> FrameReader<R> {
    /// A reader at the start of a segment.
    pub fn new(source: R) -> Self {
        Self {
            source,
            page: vec![0; PAGE_BYTES].into(),
            filled: 0,
            next: 0,
            base: 0,
            start: 0,
            good: 0,
            lost: false,
            joined: Vec::new(),
            unpacker: Unpacker::default(),
        }
    }

    /// Goes on with another segment, with the memory of this one.
    pub fn restart(&mut self, source: R) {
        self.source = source;
        (self.filled, self.next, self.base, self.start, self.good) = (0, 0, 0, 0, 0);
        self.lost = false;
    }

    /// End of the last record that was read whole: where a torn segment can be cut. At the end of the segment: its length.
    pub fn good(&self) -> u64 {
        self.good
    }

    /// Start of the last record that was read whole.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The next record, decompressed; `None` at the end of the segment.
    ///
    /// # Errors
    /// Damage: the next call goes on behind it, a page further at most. Or the source's own error, which ends it.
    pub fn next_record(&mut self) -> Result<Option<&[u8]>, SegmentError> {
        if std::mem::take(&mut self.lost) {
            self.next = self.filled;
        }
        let Some(Fragment { start, flags, data }) = self.fragment()? else {
            self.good = self.position();
            return Ok(None);
        };
        match flags & PART {
            FULL => {
                let unpacked =
                    self.unpacker.unpack(flags, &self.page[data.clone()]).map_err(|what| corrupt(start, what))?;
                (self.start, self.good) = (start, self.base + self.next as u64);
                return Ok(Some(if unpacked { self.unpacker.record() } else { &self.page[data] }));
            }
            FIRST => {}
            _ => return Err(corrupt(start, "a record lacks its beginning").into()),
        }
        self.joined.clear();
        self.joined.extend_from_slice(&self.page[data]);
        self.join_rest()?;
        let unpacked = self.unpacker.unpack(flags, &self.joined).map_err(|what| corrupt(start, what))?;
        (self.start, self.good) = (start, self.position());
        Ok(Some(if unpacked { self.unpacker.record() } else { &self.joined }))
    }

    /// The fragments of a record behind the first.
    fn join_rest(&mut self) -> Result<(), SegmentError> {
        loop {
            let Some(Fragment { start, flags, data }) = self.fragment()? else {
                let error = corrupt(self.position(), "the segment ends inside a record");
                return Err(CorruptLog { cut: true, ..error }.into());
            };
            if !matches!(flags & PART, MIDDLE | LAST) {
                // The new record may be good: it is read next.
                self.next = (start - self.base) as usize;
                return Err(corrupt(start, "a record starts inside another").into());
            }
            if self.joined.len() + data.len() > RECORD_BYTES_MAX {
                return Err(corrupt(start, "a record is too large").into());
            }
            self.joined.extend_from_slice(&self.page[data]);
            if flags & PART == LAST {
                return Ok(());
            }
        }
    }

    /// How far the segment has been read, bytes.
    pub fn position(&self) -> u64 {
        self.base + self.next as u64
    }

    /// The next fragment, checked; `None` at the end of the segment.
    fn fragment(&mut self) -> Result<Option<Fragment>, SegmentError> {
        loop {
            if self.next == self.filled && !self.next_page()? {
                return Ok(None);
            }
            match self.fragment_of_page() {
                Ok(Some(fragment)) => return Ok(Some(fragment)),
                Ok(None) => self.next = self.filled,
                Err(error) => {
                    self.lost = true;
                    return Err(error.into());
                }
            }
        }
    }

    /// The next fragment of the page; `None` when only zeros are left.
    fn fragment_of_page(&mut self) -> Result<Option<Fragment>, CorruptLog> {
        let start = self.position();
        let rest = &self.page[self.next..self.filled];
        let cut = self.filled < PAGE_BYTES;
        let flags = rest[0];
        if flags & PART == PAGE_END {
            return match rest.iter().all(|byte| *byte == 0) {
                true => Ok(None),
                false => Err(corrupt(start, "bytes other than zero after the end of a page")),
            };
        }
        let Some((header, data)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Err(CorruptLog { cut, ..corrupt(start, "a fragment's header is cut") });
        };
        let length = usize::from(u16::from_be_bytes([header[1], header[2]]));
        let Some(data) = data.get(..length) else {
            return Err(CorruptLog { cut, ..corrupt(start, "a fragment is cut or longer than its page") });
        };
        if header[3..] != crc32c::crc32c(data).to_be_bytes() {
            return Err(corrupt(start, "a fragment's checksum does not match"));
        }
        if flags & PART > LAST || flags & !(PART | SNAPPY | ZSTD) != 0 {
            return Err(corrupt(start, "a fragment of unknown type"));
        }
        let begin = self.next + HEADER_BYTES;
        self.next = begin + length;
        Ok(Some(Fragment { start, flags, data: begin..begin + length }))
    }

    /// Reads the next page, which is short at the end of the segment only; `false` when there is none.
    fn next_page(&mut self) -> io::Result<bool> {
        // A short page was the last one.
        if !self.filled.is_multiple_of(PAGE_BYTES) {
            return Ok(false);
        }
        self.base += self.filled as u64;
        (self.filled, self.next) = (0, 0);
        while self.filled < PAGE_BYTES {
            match self.source.read(&mut self.page[self.filled..]) {
                Ok(0) => break,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.filled > 0)
    }
}

fn corrupt(offset: u64, what: &'static str) -> CorruptLog {
    CorruptLog { offset, what, cut: false }
}
