//! The symbol table: every text of the index once, in order.

use super::{corrupt, section};
use crate::block::CorruptBlock;
use crate::bytes::Cursor;

/// Where symbols are. Only every [`STEP`]th place is kept; the others are walked to.
#[derive(Debug)]
pub(crate) struct Symbols {
    count: u32,
    /// Places of every [`STEP`]th symbol, from the start of the file.
    places: Vec<u32>,
    /// The end of the last symbol.
    end: usize,
    /// Version 1: symbols are named by their place.
    by_place: bool,
}

impl Symbols {
    pub(crate) fn open(file: &[u8], offset: usize, version: u8) -> Result<Self, CorruptBlock> {
        let body = section(file, offset, "the symbols reach beyond the file")?;
        let (count, _) = body.split_first_chunk::<4>().ok_or_else(|| corrupt(offset, "no number of symbols"))?;
        let count = u32::from_be_bytes(*count);
        // Places of an index above 4 GiB of symbols would not fit; Prometheus' own section length does not either.
        let start = offset + 4;
        let end = start + body.len();
        let mut cursor = Cursor::new(&file[..end], start + 4);
        let mut places = Vec::with_capacity((count as usize / STEP + 1).min(body.len() / STEP + 1));
        let mut previous: Option<&str> = None;
        for index in 0..count as usize {
            let place = cursor.position();
            if index.is_multiple_of(STEP) {
                places.push(u32::try_from(place).map_err(|_| corrupt(place, "symbols beyond 4 GiB"))?);
            }
            let symbol = cursor.str().ok_or_else(|| corrupt(place, "a symbol is cut or not text"))?;
            if previous.is_some_and(|previous| previous >= symbol) {
                return Err(corrupt(place, "symbols are not in order"));
            }
            previous = Some(symbol);
        }
        if !cursor.is_empty() {
            return Err(corrupt(cursor.position(), "bytes after the last symbol"));
        }
        Ok(Self { count, places, end, by_place: version == 1 })
    }

    /// The symbol that a series entry names.
    pub(crate) fn get<'a>(&self, file: &'a [u8], reference: u32) -> Option<&'a str> {
        let file = file.get(..self.end)?;
        if self.by_place {
            let place = reference as usize;
            return (place <= file.len()).then(|| Cursor::new(file, place).str()).flatten();
        }
        if reference >= self.count {
            return None;
        }
        let mut cursor = Cursor::new(file, self.places[reference as usize / STEP] as usize);
        for _ in 0..reference as usize % STEP {
            let length = usize::try_from(cursor.uvarint()?).ok()?;
            cursor.take(length)?;
        }
        cursor.str()
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Memory beside the file.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.places.capacity() * size_of::<u32>()
    }
}

/// As Prometheus has it: at most 31 symbols are walked over.
const STEP: usize = 32;
