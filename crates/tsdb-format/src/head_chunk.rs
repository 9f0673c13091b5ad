//! `chunks_head/NNNNNN`: full chunks of the head, moved out of memory, one behind the other.
//!
//! A file begins with 8 bytes (magic 01 30 BC 91, version 1, three zeros). A chunk is the reference of its series in the log and
//! the times of its first and last sample (8 bytes each, big endian), the encoding byte (its highest bit says that the chunk
//! holds out-of-order samples), the length of the data (uvarint), the data, and the CRC-32C of all of it.

use model::TimestampMs;

use crate::bytes::{Cursor, put_uvarint};
use crate::wal::record::WalRef;

/// The largest file written. Prometheus' own.
pub const FILE_BYTES_MAX: u64 = 128 << 20;

/// Data of the largest chunk read. Written ones are about a kilobyte.
pub const DATA_BYTES_MAX: usize = 16 << 20;

/// Bytes before the first chunk of a file.
pub const HEADER: [u8; 8] = [0x01, 0x30, 0xbc, 0x91, 1, 0, 0, 0];

/// The most bytes that a chunk takes beside its data.
pub const FRAME_BYTES_MAX: usize = 3 * 8 + 1 + LENGTH_BYTES_MAX + CHECKSUM_BYTES;

/// A chunk in such a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadChunk<'a> {
    /// The series, as the log names it.
    pub series: WalRef,
    /// Time of its first sample.
    pub start: TimestampMs,
    /// Time of its last sample.
    pub end: TimestampMs,
    /// The encoding byte, without the bit of `out_of_order`.
    pub encoding: u8,
    /// Whether its samples came out of order. Nothing here writes such chunks; Prometheus does.
    pub out_of_order: bool,
    /// Its samples.
    pub data: &'a [u8],
}

/// Bytes that are no such chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("corrupt head chunk: {0}")]
pub struct CorruptHeadChunk(pub &'static str);

/// What stands at the beginning of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next<'a> {
    /// A chunk, its checksum verified, and how many bytes it takes.
    Chunk(HeadChunk<'a>, usize),
    /// The beginning of a chunk: so many bytes at least are needed to say more.
    More(usize),
}

/// Checks the first bytes of a file.
///
/// # Errors
/// When it is none, or of another version.
pub fn check_header(file: &[u8]) -> Result<(), CorruptHeadChunk> {
    match file.first_chunk::<8>() {
        Some(header) if header[..5] == HEADER[..5] => Ok(()),
        Some(header) if header[..4] == HEADER[..4] => Err(CorruptHeadChunk("a file of another version than 1")),
        _ => Err(CorruptHeadChunk("not a file of head chunks: its magic number is missing")),
    }
}

/// The chunk at the beginning of `bytes`.
///
/// # Errors
/// When the bytes are not what was written.
pub fn next_chunk(bytes: &[u8]) -> Result<Next<'_>, CorruptHeadChunk> {
    let mut cursor = Cursor::new(bytes, 0);
    let Some(frame) = read_frame(&mut cursor) else {
        return match bytes.len() < FRAME_BYTES_MAX {
            true => Ok(Next::More(FRAME_BYTES_MAX)),
            false => Err(CorruptHeadChunk("the length of a chunk is no number")),
        };
    };
    let length = usize::try_from(frame.data_bytes).unwrap_or(usize::MAX);
    if length > DATA_BYTES_MAX {
        return Err(CorruptHeadChunk("a chunk of impossible length"));
    }
    let needed = cursor.position() + length + CHECKSUM_BYTES;
    let Some(framed) = bytes.get(..needed) else { return Ok(Next::More(needed)) };
    let (checked, checksum) = framed.split_at(needed - CHECKSUM_BYTES);
    if crc32c::crc32c(checked).to_be_bytes() != checksum {
        return Err(CorruptHeadChunk("the checksum of a chunk is wrong"));
    }
    let data = &checked[cursor.position()..];
    if frame.start > frame.end {
        return Err(CorruptHeadChunk("a chunk that ends before it begins"));
    }
    let Frame { series, start, end, encoding, .. } = frame;
    let (encoding, out_of_order) = (encoding & !OUT_OF_ORDER, encoding & OUT_OF_ORDER != 0);
    Ok(Next::Chunk(HeadChunk { series, start, end, encoding, out_of_order, data }, needed))
}

/// Appends a chunk.
///
/// # Panics
/// On an encoding that would be read as another, and on data over [`DATA_BYTES_MAX`].
pub fn put_chunk(out: &mut Vec<u8>, chunk: &HeadChunk<'_>) {
    assert!(chunk.encoding & OUT_OF_ORDER == 0, "encodings have seven bits");
    assert!(chunk.data.len() <= DATA_BYTES_MAX, "a chunk is cut long before it has {DATA_BYTES_MAX} bytes");
    let begin = out.len();
    for number in [chunk.series.0, chunk.start.0 as u64, chunk.end.0 as u64] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.push(chunk.encoding | if chunk.out_of_order { OUT_OF_ORDER } else { 0 });
    put_uvarint(out, chunk.data.len() as u64);
    out.extend_from_slice(chunk.data);
    let checksum = crc32c::crc32c(&out[begin..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

struct Frame {
    series: WalRef,
    start: TimestampMs,
    end: TimestampMs,
    encoding: u8,
    data_bytes: u64,
}

fn read_frame(cursor: &mut Cursor<'_>) -> Option<Frame> {
    Some(Frame {
        series: WalRef(cursor.u64()?),
        start: TimestampMs(cursor.u64()? as i64),
        end: TimestampMs(cursor.u64()? as i64),
        encoding: cursor.byte()?,
        data_bytes: cursor.uvarint()?,
    })
}

const OUT_OF_ORDER: u8 = 1 << 7;
const CHECKSUM_BYTES: usize = 4;
/// As Go writes 64 bits at most.
const LENGTH_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(data: &[u8]) -> HeadChunk<'_> {
        let (start, end) = (TimestampMs(-5), TimestampMs(1000));
        HeadChunk { series: WalRef(7), start, end, encoding: 1, out_of_order: false, data }
    }

    #[test]
    fn the_layout() {
        let mut bytes = Vec::new();
        put_chunk(&mut bytes, &chunk(b"ab"));
        let expected = b"\0\0\0\0\0\0\0\x07\xff\xff\xff\xff\xff\xff\xff\xfb\0\0\0\0\0\0\x03\xe8\x01\x02ab";
        assert_eq!(bytes[..bytes.len() - 4], expected[..]);
        assert_eq!(bytes[bytes.len() - 4..], crc32c::crc32c(expected).to_be_bytes());
        assert_eq!(next_chunk(&bytes), Ok(Next::Chunk(chunk(b"ab"), bytes.len())));
        let late = HeadChunk { out_of_order: true, ..chunk(b"") };
        bytes.clear();
        put_chunk(&mut bytes, &late);
        assert_eq!((bytes[24], next_chunk(&bytes)), (0x81, Ok(Next::Chunk(late, bytes.len()))));
    }

    #[test]
    fn cuts_and_flips_are_noticed() {
        let mut bytes = Vec::new();
        put_chunk(&mut bytes, &chunk(&[9; 300]));
        for length in 0..bytes.len() {
            let Ok(Next::More(needed)) = next_chunk(&bytes[..length]) else { panic!("cut to {length}") };
            assert!(needed > length);
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(next_chunk(&flipped), Ok(Next::Chunk(..))), "bit {bit}");
        }
    }

    #[test]
    fn lies_are_refused() {
        let mut long = vec![0; 25];
        put_uvarint(&mut long, u64::MAX);
        assert_eq!(next_chunk(&long), Err(CorruptHeadChunk("a chunk of impossible length")));
        long.truncate(25);
        long.extend([0xff; 20]);
        assert_eq!(next_chunk(&long), Err(CorruptHeadChunk("the length of a chunk is no number")));
        let mut backwards = Vec::new();
        put_chunk(&mut backwards, &HeadChunk { start: TimestampMs(2), end: TimestampMs(1), ..chunk(b"") });
        assert_eq!(next_chunk(&backwards), Err(CorruptHeadChunk("a chunk that ends before it begins")));
        assert!(check_header(&HEADER).is_ok());
        assert!(check_header(b"\x01\x30\xbc\x91\x02\0\0\0").unwrap_err().0.contains("version"));
        assert!(check_header(b"\x85\xbd\x40\xdd\x01\0\0\0").is_err());
    }
}
