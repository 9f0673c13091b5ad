//! The table of contents: the last bytes of an index.

use super::{CHECKSUM_BYTES, HEADER_BYTES, corrupt};
use crate::block::CorruptBlock;

/// Where the sections begin, in bytes from the start of the file; 0 for one that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Toc {
    pub(crate) symbols: u64,
    pub(crate) series: u64,
    pub(crate) label_indices: u64,
    pub(crate) label_table: u64,
    pub(crate) postings: u64,
    pub(crate) postings_table: u64,
}

impl Toc {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let Self { symbols, series, label_indices, label_table, postings, postings_table } = *self;
        for offset in [symbols, series, label_indices, label_table, postings, postings_table] {
            out.extend_from_slice(&offset.to_be_bytes());
        }
        let checksum = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&checksum.to_be_bytes());
    }

    pub(crate) fn decode(file: &[u8]) -> Result<Self, CorruptBlock> {
        let start = file.len().checked_sub(TOC_BYTES).filter(|start| *start >= HEADER_BYTES);
        let start = start.ok_or_else(|| corrupt(0, "the file is too short for an index"))?;
        Self::parse(&file[start..], start)
    }

    /// From the bytes of the table alone, which begin at `start`.
    fn parse(bytes: &[u8], start: usize) -> Result<Self, CorruptBlock> {
        let (fields, checksum) = bytes.split_at(TOC_BYTES - CHECKSUM_BYTES);
        if crc32c::crc32c(fields).to_be_bytes() != checksum {
            return Err(corrupt(start, "the checksum of the table of contents is wrong"));
        }
        let field = |index: usize| {
            u64::from_be_bytes(fields[index * 8..index * 8 + 8].try_into().expect("a slice of eight bytes"))
        };
        Ok(Self {
            symbols: field(0),
            series: field(1),
            label_indices: field(2),
            label_table: field(3),
            postings: field(4),
            postings_table: field(5),
        })
    }
}

/// Checks the last [`TOC_BYTES`] of an index of `length` bytes: the table of contents, and whether what it names can be
/// there. What else the index holds is not looked at.
///
/// # Errors
/// When they are not the end of an index of this length.
pub fn check_toc(tail: &[u8], length: u64) -> Result<(), CorruptBlock> {
    let start = length.saturating_sub(TOC_BYTES as u64);
    let moved = |error: CorruptBlock| CorruptBlock { offset: start, ..error };
    if tail.len() != TOC_BYTES || start < HEADER_BYTES as u64 {
        return Err(corrupt(0, "the file is too short for an index"));
    }
    let toc = Toc::parse(tail, 0).map_err(moved)?;
    let Toc { symbols, series, label_indices, label_table, postings, postings_table } = toc;
    let beyond =
        [symbols, series, label_indices, label_table, postings, postings_table].into_iter().any(|at| at > start);
    if beyond { Err(moved(corrupt(0, "the table of contents points beyond the file: it is cut"))) } else { Ok(()) }
}

/// Length of the table of contents with its checksum.
pub const TOC_BYTES: usize = 6 * 8 + CHECKSUM_BYTES;
