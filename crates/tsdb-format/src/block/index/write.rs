//! Writing an index.

use std::collections::HashMap;

use model::Labels;

use super::toc::Toc;
use super::{ALL_POSTINGS, BlockSeriesRef, HEADER_BYTES, MAGIC, SERIES_ALIGNMENT};
use crate::block::ChunkMeta;
use crate::bytes::{put_str, put_uvarint, put_varint};

/// Writes an index from series in order of their labels. Bytes are collected until the caller takes them away.
///
/// In memory are the symbols, and four bytes for each label of each series.
#[derive(Debug)]
pub struct IndexWriter {
    bytes: Vec<u8>,
    /// Bytes taken away so far.
    taken: u64,
    symbols: SymbolTable,
    /// Series by name and value, each the number of a symbol.
    postings: HashMap<(u32, u32), Vec<u32>>,
    all: Vec<u32>,
    /// The labels of the last series, whose symbols the next one's mostly are too.
    last: Vec<(u32, u32)>,
    last_labels: Option<Labels>,
    last_chunk: Option<u64>,
    toc: Toc,
}

impl IndexWriter {
    /// Begins an index of series whose label names and values are all in `symbols`, which are in order, each once.
    ///
    /// # Panics
    /// When `symbols` are not in order, or more than an index may have.
    pub fn new<'s>(symbols: impl IntoIterator<Item = &'s str>) -> Self {
        let symbols = SymbolTable::new(symbols);
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        put_section(&mut bytes, |bytes| {
            bytes.extend_from_slice(&symbols.len().to_be_bytes());
            symbols.iter().for_each(|symbol| put_str(bytes, symbol));
        });
        let toc = Toc { symbols: HEADER_BYTES as u64, ..Toc::default() };
        let mut writer = Self {
            bytes,
            taken: 0,
            symbols,
            postings: HashMap::new(),
            all: Vec::new(),
            last: Vec::new(),
            last_labels: None,
            last_chunk: None,
            toc,
        };
        writer.align(SERIES_ALIGNMENT);
        writer.toc.series = writer.position();
        writer
    }

    /// Adds a series.
    ///
    /// # Panics
    /// When it is not above the one before, a text of it is no symbol, its chunks overlap, or chunks are not in the order
    /// in which they stand in the files: such an index would be refused by its readers.
    pub fn push(&mut self, labels: &Labels, chunks: &[ChunkMeta]) -> BlockSeriesRef {
        assert!(self.last_labels.as_ref().is_none_or(|last| last < labels), "series come in order: {labels}");
        self.align(SERIES_ALIGNMENT);
        let reference = u32::try_from(self.position() / SERIES_ALIGNMENT as u64).expect("an index is cut below 64 GiB");
        let symbols = self.symbols_of(labels);
        let mut body = Vec::with_capacity(symbols.len() * 4 + chunks.len() * 12);
        put_uvarint(&mut body, symbols.len() as u64);
        for &(name, value) in &symbols {
            put_uvarint(&mut body, u64::from(name));
            put_uvarint(&mut body, u64::from(value));
            self.postings.entry((name, value)).or_default().push(reference);
        }
        put_uvarint(&mut body, chunks.len() as u64);
        let mut previous: Option<&ChunkMeta> = None;
        for chunk in chunks {
            assert!(chunk.min_time <= chunk.max_time, "a chunk ends before it begins: {chunk:?}");
            assert!(self.last_chunk < Some(chunk.reference.0), "chunks come in order: {chunk:?}");
            self.last_chunk = Some(chunk.reference.0);
            match previous {
                None => put_varint(&mut body, chunk.min_time.0),
                Some(last) => {
                    assert!(last.max_time < chunk.min_time, "chunks do not overlap: {last:?}, {chunk:?}");
                    put_uvarint(&mut body, chunk.min_time.since(last.max_time) as u64);
                }
            }
            put_uvarint(&mut body, chunk.max_time.since(chunk.min_time) as u64);
            match previous {
                None => put_uvarint(&mut body, chunk.reference.0),
                Some(last) => put_varint(&mut body, (chunk.reference.0 - last.reference.0) as i64),
            }
            previous = Some(chunk);
        }
        put_uvarint(&mut self.bytes, body.len() as u64);
        self.bytes.extend_from_slice(&body);
        self.bytes.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
        self.all.push(reference);
        self.last = symbols;
        self.last_labels = Some(labels.clone());
        BlockSeriesRef(reference)
    }

    /// What is collected and not yet taken.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        self.taken += self.bytes.len() as u64;
        std::mem::take(&mut self.bytes)
    }

    /// Ends the index; returns the bytes not yet taken.
    pub fn finish(mut self) -> Vec<u8> {
        // Label indices are not written: the places say that there are none.
        self.toc.label_indices = self.position();
        self.align(POSTINGS_ALIGNMENT);
        self.toc.postings = self.position();
        let mut lists: Vec<((&str, &str), Vec<u32>)> = Vec::with_capacity(self.postings.len() + 1);
        lists.push((ALL_POSTINGS, std::mem::take(&mut self.all)));
        let postings = std::mem::take(&mut self.postings);
        let symbols = std::mem::take(&mut self.symbols);
        lists.extend(postings.into_iter().map(|((name, value), list)| ((symbols.get(name), symbols.get(value)), list)));
        lists.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let mut places = Vec::with_capacity(lists.len());
        for (_, list) in &lists {
            self.align(POSTINGS_ALIGNMENT);
            places.push(self.position());
            put_section(&mut self.bytes, |bytes| {
                bytes.extend_from_slice(&u32_of(list.len()).to_be_bytes());
                list.iter().for_each(|reference| bytes.extend_from_slice(&reference.to_be_bytes()));
            });
        }
        self.toc.postings_table = self.position();
        self.toc.label_table = self.toc.postings_table;
        put_section(&mut self.bytes, |bytes| {
            bytes.extend_from_slice(&u32_of(lists.len()).to_be_bytes());
            for (((name, value), _), place) in lists.iter().zip(&places) {
                put_uvarint(bytes, 2);
                put_str(bytes, name);
                put_str(bytes, value);
                put_uvarint(bytes, *place);
            }
        });
        let toc = self.toc;
        toc.encode(&mut self.bytes);
        self.bytes
    }

    fn symbols_of(&self, labels: &Labels) -> Vec<(u32, u32)> {
        let mut found = Vec::with_capacity(self.last.len());
        for (index, (name, value)) in labels.iter().enumerate() {
            let last = self.last.get(index);
            let name_number = match last {
                Some((number, _)) if self.symbols.get(*number) == name => *number,
                _ => self.symbols.number(name),
            };
            let value_number = match last {
                Some((_, number)) if self.symbols.get(*number) == value => *number,
                _ => self.symbols.number(value),
            };
            found.push((name_number, value_number));
        }
        found
    }

    fn position(&self) -> u64 {
        self.taken + self.bytes.len() as u64
    }

    fn align(&mut self, to: usize) {
        let spare = (self.position() % to as u64) as usize;
        if spare > 0 {
            self.bytes.resize(self.bytes.len() + to - spare, 0);
        }
    }
}

/// Texts in order, one behind the other.
#[derive(Debug, Default)]
struct SymbolTable {
    texts: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl SymbolTable {
    fn new<'s>(symbols: impl IntoIterator<Item = &'s str>) -> Self {
        let mut table = Self::default();
        for symbol in symbols {
            let in_order = table.ends.is_empty() || table.get(table.len() - 1) < symbol;
            assert!(in_order, "symbols come in order: {symbol:?}");
            table.texts.push_str(symbol);
            table.ends.push(u32_of(table.texts.len()));
        }
        table
    }

    fn len(&self) -> u32 {
        u32_of(self.ends.len())
    }

    fn get(&self, number: u32) -> &str {
        let index = number as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.texts[start..self.ends[index] as usize]
    }

    fn number(&self, text: &str) -> u32 {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).cmp(text) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return middle,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        panic!("every text of a series is a symbol: {text:?}");
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number))
    }
}

/// A length, a body, and the body's checksum.
fn put_section(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32_of(out.len() - start - 4);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32c::crc32c(&out[start + 4..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("sections of an index are below 4 GiB")
}

const VERSION: u8 = 2;
const POSTINGS_ALIGNMENT: usize = 4;
