//! `index`: which series a block holds, found by their labels.
//!
//! [`IndexWriter`] writes version 2; [`Index`] reads versions 1 and 2. Neither writes nor reads the label indices that
//! older versions of Prometheus left there.

mod postings;
mod read;
mod series;
mod symbol_table;
mod symbols;
mod toc;
mod write;
mod write_postings;

use super::CorruptBlock;

pub use postings::Postings;
pub use read::{Index, IndexedSeries, LabelValues};
pub use series::SeriesReader;
pub use toc::{TOC_BYTES, check_toc};
pub use write::IndexWriter;
pub use write_postings::PostingsWriter;

/// A series inside one block's index; means nothing elsewhere. In version 2 its entry begins at 16 times this number, in
/// version 1 at this number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockSeriesRef(pub u32);

/// The name and value under which the list of all series stands.
pub const ALL_POSTINGS: (&str, &str) = ("", "");

const MAGIC: [u8; 4] = [0xba, 0xaa, 0xd7, 0x00];
const HEADER_BYTES: usize = 5;
const SERIES_ALIGNMENT: usize = 16;
const CHECKSUM_BYTES: usize = 4;

fn corrupt(offset: usize, what: &'static str) -> CorruptBlock {
    CorruptBlock { part: "index", offset: offset as u64, what }
}

/// The body of the section that begins at `offset`: between its length and its checksum, which is verified.
fn section<'a>(file: &'a [u8], offset: usize, what: &'static str) -> Result<&'a [u8], CorruptBlock> {
    let rest = file.get(offset..).ok_or_else(|| corrupt(offset, what))?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(|| corrupt(offset, what))?;
    let length = u32::from_be_bytes(*length) as usize;
    let body = rest.get(..length).ok_or_else(|| corrupt(offset, what))?;
    let checksum = rest[length..].first_chunk::<CHECKSUM_BYTES>().ok_or_else(|| corrupt(offset, what))?;
    if crc32c::crc32c(body).to_be_bytes() != *checksum {
        return Err(corrupt(offset, "the checksum of a section is wrong"));
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
