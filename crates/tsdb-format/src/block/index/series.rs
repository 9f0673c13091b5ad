//! Reading series one after the other, as a query does: neighbours have most of their texts in common, many series have
//! no chunk in the range that is asked for, and a label set is made only of those that count.

use model::{Labels, LabelsBuilder, TimestampMs};

use super::read::{CHUNK_BYTES_MIN, Index, LABEL_BYTES_MIN, next_chunk};
use super::{BlockSeriesRef, corrupt};
use crate::block::{ChunkMeta, CorruptBlock};

/// Reads series of one index. Keeps memory and texts between them; use one for each walk.
#[derive(Debug, Default)]
pub struct SeriesReader {
    /// Where the entry read last begins.
    at: usize,
    /// Symbols of names and values.
    labels: Vec<(u32, u32)>,
    chunks: Vec<ChunkMeta>,
    texts: Texts,
    builder: LabelsBuilder,
}

impl SeriesReader {
    /// Reads the entry of a series; returns its chunks that overlap the closed range.
    ///
    /// # Errors
    /// When there is no whole entry there, its checksum is wrong, or its labels or chunks are cut or out of order.
    pub fn read<B: AsRef<[u8]>>(
        &mut self,
        index: &Index<B>,
        series: BlockSeriesRef,
        start: TimestampMs,
        end: TimestampMs,
    ) -> Result<&[ChunkMeta], CorruptBlock> {
        let (at, mut cursor) = index.body_of(series)?;
        let damaged = |what| corrupt(at, what);
        self.at = at;
        self.labels.clear();
        self.chunks.clear();
        let cut = "a series' labels are cut";
        for _ in 0..cursor.count(LABEL_BYTES_MIN).ok_or_else(|| damaged(cut))? {
            let mut symbol = || u32::try_from(cursor.uvarint()?).ok();
            let pair = symbol().zip(symbol()).ok_or_else(|| damaged(cut))?;
            self.labels.push(pair);
        }
        let count = cursor.count(CHUNK_BYTES_MIN).ok_or_else(|| damaged("a series' chunks do not fit into it"))?;
        let mut last = None;
        for _ in 0..count {
            let chunk = next_chunk(&mut cursor, last.as_ref());
            let chunk = chunk.ok_or_else(|| damaged("a series' chunks are cut or out of order"))?;
            if chunk.min_time <= end && start <= chunk.max_time {
                self.chunks.push(chunk);
            }
            last = Some(chunk);
        }
        match cursor.is_empty() {
            true => Ok(&self.chunks),
            false => Err(damaged("bytes after a series' last chunk")),
        }
    }

    /// Chunks as [`read`](Self::read) returned them.
    pub fn chunks(&self) -> &[ChunkMeta] {
        &self.chunks
    }

    /// The labels of the series read last.
    ///
    /// # Errors
    /// When they are no symbols, or out of order.
    pub fn labels<B: AsRef<[u8]>>(&mut self, index: &Index<B>) -> Result<Labels, CorruptBlock> {
        self.builder.clear();
        self.texts.make_room();
        let damaged = || corrupt(self.at, "a series' labels are out of order, or no symbols");
        for &(name, value) in &self.labels {
            let name = self.texts.find(index, name).ok_or_else(damaged)?;
            let value = self.texts.find(index, value).ok_or_else(damaged)?;
            self.builder.push(self.texts.get(name), self.texts.get(value));
        }
        self.builder.build().map_err(|_| damaged())
    }

    /// The value of a label of the series read last; `None` when it has no such label.
    ///
    /// # Errors
    /// When names before it are no symbols.
    pub fn value<B: AsRef<[u8]>>(&mut self, index: &Index<B>, name: &str) -> Result<Option<&str>, CorruptBlock> {
        match self.value_symbol(index, name)? {
            None => Ok(None),
            Some(symbol) => self.symbol(index, symbol).map(Some),
        }
    }

    /// The symbol of the value of a label of the series read last: equal for equal values.
    ///
    /// # Errors
    /// When names before it are no symbols.
    pub fn value_symbol<B: AsRef<[u8]>>(&mut self, index: &Index<B>, name: &str) -> Result<Option<u32>, CorruptBlock> {
        self.texts.make_room();
        for &(other, value) in &self.labels {
            let text = self.texts.find(index, other);
            let text = text.ok_or_else(|| corrupt(self.at, "a series' label names no symbol"))?;
            match self.texts.get(text).cmp(name) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(Some(value)),
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    /// Symbols of the label names of the series read last.
    pub fn name_symbols(&self) -> impl Iterator<Item = u32> {
        self.labels.iter().map(|(name, _)| *name)
    }

    /// The text of a symbol.
    ///
    /// # Errors
    /// When there is none of this number.
    pub fn symbol<B: AsRef<[u8]>>(&mut self, index: &Index<B>, symbol: u32) -> Result<&str, CorruptBlock> {
        self.texts.make_room();
        let text = self.texts.find(index, symbol);
        let text = text.ok_or_else(|| corrupt(self.at, "a series names no symbol"))?;
        Ok(self.texts.get(text))
    }
}

/// Texts of symbols seen lately, so that neither the walk to a symbol nor the check that it is text is done again.
#[derive(Debug)]
struct Texts {
    slots: Box<[Slot; SLOTS]>,
    arena: String,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    symbol: u32,
    text: Text,
}

/// A place in the arena.
#[derive(Clone, Copy, Debug)]
struct Text {
    start: u32,
    end: u32,
}

impl Texts {
    /// Forgets texts when there are too many. Places found before mean nothing afterwards.
    fn make_room(&mut self) {
        if self.arena.len() > ARENA_BYTES_MAX {
            *self = Self { arena: std::mem::take(&mut self.arena), ..Self::default() };
            self.arena.clear();
        }
    }

    #[inline]
    fn find<B: AsRef<[u8]>>(&mut self, index: &Index<B>, symbol: u32) -> Option<Text> {
        let slot = &mut self.slots[symbol as usize % SLOTS];
        if slot.symbol != symbol || slot.text.end == 0 {
            let text = index.symbol(symbol)?;
            let start = self.arena.len();
            self.arena.push_str(text);
            // Below: one series' texts are at most a section of an index, 4 GiB.
            let text = Text { start: u32::try_from(start).ok()?, end: u32::try_from(self.arena.len()).ok()? };
            *slot = Slot { symbol, text };
        }
        Some(slot.text)
    }

    #[inline]
    fn get(&self, text: Text) -> &str {
        &self.arena[text.start as usize..text.end as usize]
    }
}

impl Default for Texts {
    fn default() -> Self {
        let empty = Slot { symbol: 0, text: Text { start: 0, end: 0 } };
        Self { slots: Box::new([empty; SLOTS]), arena: String::new() }
    }
}

const SLOTS: usize = 512;
/// When texts are forgotten, looked at between two series.
const ARENA_BYTES_MAX: usize = 64 << 10;
