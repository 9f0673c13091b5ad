//! Writing an index.

use std::collections::HashMap;

use model::Labels;

use super::symbol_table::SymbolTable;
use super::toc::Toc;
use super::write_postings::PostingsWriter;
use super::{BlockSeriesRef, HEADER_BYTES, MAGIC, SERIES_ALIGNMENT};
use crate::block::ChunkMeta;
use crate::bytes::{put_str, put_uvarint, put_varint};

/// Writes an index from series in order of their labels. Bytes are collected until the caller takes them away.
///
/// In memory are the symbols, four bytes for each series, and a few for each label there is. Lists of series are not: after
/// [`end_series`](Self::end_series) the series are shown once more, some times over.
#[derive(Debug)]
pub struct IndexWriter {
    bytes: Vec<u8>,
    /// Bytes taken away so far.
    taken: u64,
    symbols: SymbolTable,
    /// How many series have a label, by the numbers of its name and value.
    counts: HashMap<(u32, u32), u32>,
    all: Vec<u32>,
    /// The labels of the last series, whose symbols the next one's mostly are too.
    last: Vec<(u32, u32)>,
    last_chunk: Option<u64>,
    body: Vec<u8>,
    /// Labels of series that came by [`push`](Self::push), for [`finish`](Self::finish).
    kept: Vec<Vec<(u32, u32)>>,
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
            counts: HashMap::new(),
            all: Vec::new(),
            last: Vec::new(),
            last_chunk: None,
            body: Vec::new(),
            kept: Vec::new(),
            toc,
        };
        writer.align(SERIES_ALIGNMENT);
        writer.toc.series = writer.position();
        writer
    }

    /// Adds a series, and keeps its labels in memory for [`finish`](Self::finish): for small indexes.
    ///
    /// # Panics
    /// As [`push_numbered`](Self::push_numbered), and when a text of it is no symbol.
    pub fn push(&mut self, labels: &Labels, chunks: &[ChunkMeta]) -> BlockSeriesRef {
        let numbers = self.symbols_of(labels);
        let reference = self.push_numbered(&numbers, chunks);
        self.kept.push(numbers);
        reference
    }

    /// Adds a series whose labels are given by the numbers of their names and values among the symbols.
    ///
    /// # Panics
    /// When it is not above the one before, its chunks overlap, or chunks are not in the order in which they stand in the
    /// files: such an index would be refused by its readers.
    pub fn push_numbered(&mut self, labels: &[(u32, u32)], chunks: &[ChunkMeta]) -> BlockSeriesRef {
        // Numbers are in the order of texts.
        assert!(self.all.is_empty() || *self.last < *labels, "series come in order: {:?}", self.texts_of(labels));
        assert!(
            labels.is_sorted_by(|left, right| left.0 < right.0),
            "labels come in order: {:?}",
            self.texts_of(labels)
        );
        self.align(SERIES_ALIGNMENT);
        let reference = u32::try_from(self.position() / SERIES_ALIGNMENT as u64).expect("an index is cut below 64 GiB");
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        put_uvarint(&mut body, labels.len() as u64);
        for &(name, value) in labels {
            put_uvarint(&mut body, u64::from(name));
            put_uvarint(&mut body, u64::from(value));
            *self.counts.entry((name, value)).or_default() += 1;
        }
        self.put_chunks(&mut body, chunks);
        put_uvarint(&mut self.bytes, body.len() as u64);
        self.bytes.extend_from_slice(&body);
        self.bytes.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
        self.body = body;
        self.all.push(reference);
        self.last.clear();
        self.last.extend_from_slice(labels);
        BlockSeriesRef(reference)
    }

    /// What is collected and not yet taken.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        self.taken += self.bytes.len() as u64;
        std::mem::take(&mut self.bytes)
    }

    /// Ends the series; their lists follow. The bytes collected must have been taken.
    pub fn end_series(mut self) -> PostingsWriter {
        assert!(self.bytes.is_empty(), "the bytes of series are taken before those of postings come");
        // Label indices are not written: the places say that there are none.
        self.toc.label_indices = self.position();
        PostingsWriter::new(self.symbols, self.counts, self.all, self.toc)
    }

    /// Ends the index; returns the bytes not yet taken. All series must have come by [`push`](Self::push).
    pub fn finish(mut self) -> Vec<u8> {
        assert_eq!(self.kept.len(), self.all.len(), "all series were kept");
        let kept = std::mem::take(&mut self.kept);
        let mut bytes = self.take_bytes();
        let mut postings = self.end_series();
        while postings.begin() {
            kept.iter().for_each(|labels| postings.add(labels));
            bytes.extend(postings.take_bytes());
        }
        let ended = postings.finish(|some| {
            bytes.extend_from_slice(some);
            Ok::<(), std::convert::Infallible>(())
        });
        ended.unwrap_or_else(|never| match never {});
        bytes
    }

    fn put_chunks(&mut self, body: &mut Vec<u8>, chunks: &[ChunkMeta]) {
        put_uvarint(body, chunks.len() as u64);
        let mut previous: Option<&ChunkMeta> = None;
        for chunk in chunks {
            assert!(chunk.min_time <= chunk.max_time, "a chunk ends before it begins: {chunk:?}");
            assert!(self.last_chunk < Some(chunk.reference.0), "chunks come in order: {chunk:?}");
            self.last_chunk = Some(chunk.reference.0);
            match previous {
                None => put_varint(body, chunk.min_time.0),
                Some(last) => {
                    assert!(last.max_time < chunk.min_time, "chunks do not overlap: {last:?}, {chunk:?}");
                    put_uvarint(body, chunk.min_time.since(last.max_time) as u64);
                }
            }
            put_uvarint(body, chunk.max_time.since(chunk.min_time) as u64);
            match previous {
                None => put_uvarint(body, chunk.reference.0),
                Some(last) => put_varint(body, (chunk.reference.0 - last.reference.0) as i64),
            }
            previous = Some(chunk);
        }
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

    fn texts_of(&self, labels: &[(u32, u32)]) -> Vec<(&str, &str)> {
        labels.iter().map(|(name, value)| (self.symbols.get(*name), self.symbols.get(*value))).collect()
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

/// A length, a body, and the body's checksum.
pub(super) fn put_section(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32_of(out.len() - start - 4);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32c::crc32c(&out[start + 4..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

pub(super) fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("sections of an index are below 4 GiB")
}

const VERSION: u8 = 2;
