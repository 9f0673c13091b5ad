//! `chunks/NNNNNN`: chunk after chunk, each with its length, encoding and checksum.

use super::CorruptBlock;
use crate::bytes::{Cursor, put_uvarint};

/// Where a chunk is: the number of its file, from 0 (which is called `000001`), and the byte at which it begins there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChunkRef(pub u64);

impl ChunkRef {
    /// The chunk at `offset` of the file `segment`.
    pub const fn new(segment: u32, offset: u32) -> Self {
        Self((segment as u64) << 32 | offset as u64)
    }

    /// Number of its file, from 0.
    pub const fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Where it begins there.
    pub const fn offset(self) -> u32 {
        self.0 as u32
    }
}

/// Writes one chunk file after the other. Bytes are collected until the caller takes them away.
#[derive(Debug)]
pub struct SegmentWriter {
    segment: u32,
    /// Length of the file so far, with what is collected.
    length: u64,
    bytes: Vec<u8>,
    bytes_max: u64,
}

/// Whether the next chunk goes to a new file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// It goes on in the same one.
    Same,
    /// The bytes collected so far end the file before; those that follow begin the next.
    Next,
}

impl SegmentWriter {
    /// Begins the first file. A file is cut before it would exceed `bytes_max`, which is [`SEGMENT_BYTES_MAX`] but in tests.
    pub fn new(bytes_max: u64) -> Self {
        Self { segment: 0, length: HEADER.len() as u64, bytes: HEADER.to_vec(), bytes_max }
    }

    /// Whether a chunk of so many bytes of data would still fit into the file. After [`Cut::Next`] the caller takes the
    /// bytes and calls [`cut`](Self::cut).
    pub fn fits(&self, data_bytes: usize) -> Cut {
        let framed = (UVARINT32_BYTES_MAX + 1 + data_bytes + CHECKSUM_BYTES) as u64;
        let has_chunks = self.length > HEADER.len() as u64;
        if has_chunks && self.length + framed > self.bytes_max { Cut::Next } else { Cut::Same }
    }

    /// Begins the next file. The bytes of the last one must have been taken.
    pub fn cut(&mut self) {
        assert!(self.bytes.is_empty(), "the bytes of a file are taken before the next begins");
        self.segment += 1;
        self.length = HEADER.len() as u64;
        self.bytes.extend_from_slice(&HEADER);
    }

    /// Adds a chunk: its encoding byte and its data.
    pub fn push(&mut self, encoding: u8, data: &[u8]) -> ChunkRef {
        let offset = u32::try_from(self.length).expect("a file is cut long before 4 GiB");
        let start = self.bytes.len();
        put_uvarint(&mut self.bytes, data.len() as u64);
        self.bytes.push(encoding);
        self.bytes.extend_from_slice(data);
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&[encoding]), data);
        self.bytes.extend_from_slice(&checksum.to_be_bytes());
        self.length += (self.bytes.len() - start) as u64;
        ChunkRef::new(self.segment, offset)
    }

    /// What is collected and not yet taken.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// Checks the first bytes of a chunk file.
///
/// # Errors
/// When it is none, or of another version.
pub fn check_header(file: &[u8]) -> Result<(), CorruptBlock> {
    match file.first_chunk::<8>() {
        Some(header) if header[..5] == HEADER[..5] => Ok(()),
        Some(header) if header[..4] == HEADER[..4] => Err(corrupt(4, "a chunk segment of another version than 1")),
        _ => Err(corrupt(0, "not a chunk segment: its magic number is missing")),
    }
}

/// Where a chunk's fields are in the bytes it was found in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its encoding byte.
    pub encoding: u8,
    /// Its data.
    pub data: std::ops::Range<usize>,
    /// The end of its checksum.
    pub end: usize,
}

/// Finds the fields of the chunk that begins at `offset`. Verifies nothing; see [`verify`].
///
/// # Errors
/// When no chunk can begin there, or it is not whole.
pub fn frame(bytes: &[u8], offset: usize) -> Result<Frame, CorruptBlock> {
    let short = || corrupt(offset as u64, "a chunk reaches beyond its segment");
    if offset > bytes.len() {
        return Err(short());
    }
    let mut cursor = Cursor::new(bytes, offset);
    let length = cursor.uvarint().and_then(|length| usize::try_from(length).ok()).ok_or_else(short)?;
    let encoding = cursor.byte().ok_or_else(short)?;
    let start = cursor.position();
    cursor.take(length).and_then(|_| cursor.take(CHECKSUM_BYTES)).ok_or_else(short)?;
    Ok(Frame { encoding, data: start..start + length, end: cursor.position() })
}

/// How many bytes the chunk takes that begins with `bytes`, from its length to its checksum; `None` when they are too few
/// to tell, or no length.
pub fn framed_bytes(bytes: &[u8]) -> Option<u64> {
    let mut cursor = Cursor::new(bytes, 0);
    let length = cursor.uvarint()?;
    length.checked_add((cursor.position() + 1 + CHECKSUM_BYTES) as u64)
}

/// Verifies the checksum of a chunk that [`frame`] found in `bytes`.
///
/// # Errors
/// When it is wrong.
pub fn verify(bytes: &[u8], frame: &Frame) -> Result<(), CorruptBlock> {
    let checksum = &bytes[frame.data.end..frame.end];
    if crc32c::crc32c(&bytes[frame.data.start - 1..frame.data.end]).to_be_bytes() == checksum {
        return Ok(());
    }
    Err(corrupt(frame.data.start as u64, "the checksum of a chunk is wrong"))
}

/// The encoding byte and the data of the chunk that begins at `offset`, its checksum verified.
///
/// # Errors
/// When there is no whole chunk there, or its checksum is wrong.
pub fn read_chunk(file: &[u8], offset: u32) -> Result<(u8, &[u8]), CorruptBlock> {
    let start = offset as usize;
    if start < HEADER.len() || start > file.len() {
        return Err(corrupt(u64::from(offset), "a reference to a chunk outside its segment"));
    }
    let frame = frame(file, start)?;
    verify(file, &frame).map_err(|error| CorruptBlock { offset: u64::from(offset), ..error })?;
    Ok((frame.encoding, &file[frame.data]))
}

fn corrupt(offset: u64, what: &'static str) -> CorruptBlock {
    CorruptBlock { part: "chunk segment", offset, what }
}

/// The largest file that Prometheus writes.
pub const SEGMENT_BYTES_MAX: u64 = 512 << 20;
/// Length of what stands before the first chunk.
pub const HEADER_BYTES: usize = HEADER.len();
const HEADER: [u8; 8] = [0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];
const CHECKSUM_BYTES: usize = 4;
const UVARINT32_BYTES_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_found_again_and_files_are_cut() {
        let mut writer = SegmentWriter::new(100);
        let (mut files, mut references) = (vec![Vec::new()], Vec::new());
        let chunks: Vec<Vec<u8>> = (0..9u8).map(|size| vec![size; usize::from(size) * 5]).collect();
        for data in &chunks {
            if writer.fits(data.len()) == Cut::Next {
                files.last_mut().unwrap().extend(writer.take_bytes());
                writer.cut();
                files.push(Vec::new());
            }
            references.push(writer.push(1, data));
        }
        files.last_mut().unwrap().extend(writer.take_bytes());
        assert!(files.len() > 2 && files.iter().all(|file| file.len() <= 100 && check_header(file).is_ok()));
        for (reference, data) in references.iter().zip(&chunks) {
            let file = &files[reference.segment() as usize];
            assert_eq!(read_chunk(file, reference.offset()), Ok((1, data.as_slice())));
        }
        assert!(references.is_sorted());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mut writer = SegmentWriter::new(SEGMENT_BYTES_MAX);
        let reference = writer.push(2, b"some data of a chunk");
        let file = writer.take_bytes();
        for bit in reference.offset() as usize * 8..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read_chunk(&flipped, reference.offset()).is_err(), "bit {bit}");
        }
        for length in 0..file.len() {
            assert!(read_chunk(&file[..length], reference.offset()).is_err(), "cut to {length}");
        }
        for offset in [0, 7, 9, file.len() as u32, u32::MAX] {
            assert!(read_chunk(&file, offset).is_err(), "{offset}");
        }
        assert_eq!(check_header(b"\x85\xbd\x40\xdd\x02\0\0\0").unwrap_err().offset, 4);
        assert!(check_header(b"short").is_err());
    }
}
