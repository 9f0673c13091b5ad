//! Reading an index.

use std::collections::BTreeMap;

use model::{Labels, LabelsBuilder, TimestampMs};

use super::postings::Postings;
use super::symbols::Symbols;
use super::toc::{TOC_BYTES, Toc};
use super::{ALL_POSTINGS, BlockSeriesRef, CHECKSUM_BYTES, HEADER_BYTES, MAGIC, SERIES_ALIGNMENT, corrupt, section};
use crate::block::segment::ChunkRef;
use crate::block::{ChunkMeta, CorruptBlock};
use crate::bytes::Cursor;

/// An index over the bytes of its file, which may be mapped into memory.
///
/// Opening walks symbols and the table of postings and verifies their checksums; lists and series are verified when they
/// are read. In memory are only places: of every 32nd symbol and of every 32nd value of a label name.
#[derive(Debug)]
pub struct Index<B> {
    file: B,
    version: u8,
    toc: Toc,
    symbols: Symbols,
    names: Vec<Name>,
    /// How many entries follow each other from one place on.
    values_step: usize,
}

/// The entries of one label name in the table of postings.
#[derive(Debug)]
struct Name {
    name: Box<str>,
    /// Places of every [`VALUES_STEP`]th entry (of each in version 1), from the start of the file.
    places: Vec<u64>,
    count: u32,
}

/// A series as the index has it.
#[derive(Clone, PartialEq, Debug)]
pub struct IndexedSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its chunks, in order of time.
    pub chunks: Vec<ChunkMeta>,
}

/// The values of a label name with where their postings are, in order.
#[derive(Clone, Debug)]
pub struct LabelValues<'a> {
    file: &'a [u8],
    places: std::slice::Iter<'a, u64>,
    cursor: Cursor<'a>,
    /// Entries that follow before the next place.
    in_group: usize,
    values_step: usize,
    left: u32,
}

impl<B: AsRef<[u8]>> Index<B> {
    /// Opens the index in `file`.
    ///
    /// # Errors
    /// When it is none, or what is walked at opening is damaged.
    pub fn open(file: B) -> Result<Self, CorruptBlock> {
        Self::open_as(file, None)
    }

    /// The same for a block that says which version its index has: see [`BlockMeta::index_version`].
    ///
    /// [`BlockMeta::index_version`]: crate::block::meta::BlockMeta::index_version
    ///
    /// # Errors
    /// As for [`Index::open`].
    pub fn open_as(file: B, known_version: Option<u8>) -> Result<Self, CorruptBlock> {
        let bytes = file.as_ref();
        let version = match bytes.first_chunk::<HEADER_BYTES>() {
            Some([magic @ .., version]) if *magic == MAGIC => known_version.unwrap_or(*version),
            _ => return Err(corrupt(0, "not an index: its magic number is missing")),
        };
        // A Prometheus of 2018 called version 2 version 3 for a while.
        let version = match version {
            1 => 1,
            2 | 3 => 2,
            _ => return Err(corrupt(4, "an index of another version than 1 and 2")),
        };
        let toc = Toc::decode(bytes)?;
        let symbols = Symbols::open(bytes, place(toc.symbols)?, version)?;
        // Version 1 has its table in no order.
        let values_step = if version == 1 { 1 } else { VALUES_STEP };
        let names = match version {
            1 => read_unordered_names(bytes, place(toc.postings_table)?)?,
            _ => read_names(bytes, place(toc.postings_table)?)?,
        };
        Ok(Self { file, version, toc, symbols, names, values_step })
    }

    /// The file's bytes.
    pub fn file(&self) -> &[u8] {
        self.file.as_ref()
    }

    /// How many symbols there are.
    pub fn symbol_count(&self) -> u32 {
        self.symbols.count()
    }

    /// Memory of the places, beside the file.
    pub fn memory_bytes(&self) -> usize {
        let names = self.names.iter().map(|name| name.name.len() + name.places.capacity() * size_of::<u64>());
        self.symbols.memory_bytes() + names.sum::<usize>() + self.names.capacity() * size_of::<Name>()
    }

    /// Label names, in order.
    pub fn label_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &*name.name).filter(|name| !name.is_empty())
    }

    /// The values of a label name, in order; none when there is no such name.
    pub fn label_values(&self, name: &str) -> LabelValues<'_> {
        let (places, left) = self.name(name).map_or((&[][..], 0), |found| (found.places.as_slice(), found.count));
        let file = self.file();
        let (cursor, values_step) = (Cursor::new(file, file.len()), self.values_step);
        LabelValues { file, places: places.iter(), cursor, in_group: 0, values_step, left }
    }

    /// The values of a label name that begin with `prefix`, in order, and perhaps some around them: the walk begins at a
    /// place near the first and ends after the last. Its length is how many are walked at most.
    pub fn label_values_near(&self, name: &str, prefix: &str) -> LabelValues<'_> {
        let mut values = self.label_values(name);
        let Some(found) = self.name(name).filter(|_| !prefix.is_empty()) else { return values };
        let file = self.file();
        let value_at = |place: &u64| entry(&mut Cursor::new(file, *place as usize)).map(|(_, value, _)| value);
        let first = found.places.partition_point(|place| value_at(place).is_some_and(|value| value < prefix));
        // The place before may have some, too.
        let first = first.saturating_sub(1);
        let begins = |value: &str| value < prefix || value.starts_with(prefix);
        let after = found.places[first..].partition_point(|place| value_at(place).is_some_and(begins)) + first;
        values.places = found.places[first..after.max(first)].iter();
        let walked = (after * self.values_step).min(found.count as usize);
        values.left = walked.saturating_sub(first * self.values_step) as u32;
        values
    }

    /// The series with this label; `None` when there is no such value.
    ///
    /// # Errors
    /// A damaged list.
    pub fn postings(&self, name: &str, value: &str) -> Result<Option<Postings<'_>>, CorruptBlock> {
        let Some(found) = self.name(name) else { return Ok(None) };
        let file = self.file();
        let value_at = |place: &u64| entry(&mut Cursor::new(file, *place as usize)).map(|(_, value, _)| value);
        let after = found.places.partition_point(|place| value_at(place).is_some_and(|first| first <= value));
        let Some(group) = after.checked_sub(1) else { return Ok(None) };
        let mut cursor = Cursor::new(file, found.places[group] as usize);
        let left = (found.count as usize - group * self.values_step).min(self.values_step);
        for _ in 0..left {
            let at = cursor.position();
            let Some((_, other, offset)) = entry(&mut cursor) else {
                return Err(corrupt(at, "an entry of the table of postings is cut or not text"));
            };
            if other == value {
                return Postings::read(file, place(offset)?).map(Some);
            }
            if other > value {
                break;
            }
        }
        Ok(None)
    }

    /// All series, in order of their labels.
    ///
    /// # Errors
    /// A damaged list, or none.
    pub fn all_postings(&self) -> Result<Postings<'_>, CorruptBlock> {
        let all = self.postings(ALL_POSTINGS.0, ALL_POSTINGS.1)?;
        all.ok_or_else(|| corrupt(self.toc.postings_table as usize, "there is no list of all series"))
    }

    /// The list that an entry of [`label_values`](Self::label_values) points to.
    ///
    /// # Errors
    /// A damaged list.
    pub fn postings_at(&self, offset: u64) -> Result<Postings<'_>, CorruptBlock> {
        Postings::read(self.file(), place(offset)?)
    }

    /// A series with its chunks.
    ///
    /// # Errors
    /// When there is no whole series there, its checksum is wrong, or its labels or chunks are out of order.
    pub fn series(&self, series: BlockSeriesRef) -> Result<IndexedSeries, CorruptBlock> {
        let (at, mut cursor) = self.entry_of(series)?;
        let damaged = |what| corrupt(at, what);
        let labels = self.labels_at(at, &mut cursor)?;
        let count = cursor.count(CHUNK_BYTES_MIN).ok_or_else(|| damaged("a series' chunks do not fit into it"))?;
        let mut chunks: Vec<ChunkMeta> = Vec::with_capacity(count);
        for _ in 0..count {
            let chunk = next_chunk(&mut cursor, chunks.last());
            chunks.push(chunk.ok_or_else(|| damaged("a series' chunks are cut or out of order"))?);
        }
        match cursor.is_empty() {
            true => Ok(IndexedSeries { labels, chunks }),
            false => Err(damaged("bytes after a series' last chunk")),
        }
    }

    /// The labels of a series alone.
    ///
    /// # Errors
    /// As for [`series`](Self::series).
    pub fn labels(&self, series: BlockSeriesRef) -> Result<Labels, CorruptBlock> {
        let (at, mut cursor) = self.entry_of(series)?;
        self.labels_at(at, &mut cursor)
    }

    /// Where a series' entry begins, and a cursor over its body, whose checksum is verified.
    fn entry_of(&self, series: BlockSeriesRef) -> Result<(usize, Cursor<'_>), CorruptBlock> {
        let scale = if self.version == 1 { 1 } else { SERIES_ALIGNMENT };
        let (at, file) = (series.0 as usize * scale, self.file());
        let outside = || corrupt(at, "a reference to a series outside the index");
        if at < HEADER_BYTES || at >= file.len() - TOC_BYTES {
            return Err(outside());
        }
        let mut cursor = Cursor::new(file, at);
        let length = cursor.uvarint().and_then(|length| usize::try_from(length).ok()).ok_or_else(outside)?;
        let body = cursor.take(length).ok_or_else(outside)?;
        let checksum = cursor.take(CHECKSUM_BYTES).ok_or_else(outside)?;
        if crc32c::crc32c(body).to_be_bytes() != checksum {
            return Err(corrupt(at, "the checksum of a series is wrong"));
        }
        Ok((at, Cursor::new(body, 0)))
    }

    /// The entry of a series, to be taken apart by [`SeriesReader`].
    ///
    /// [`SeriesReader`]: super::SeriesReader
    ///
    /// # Errors
    /// When there is no whole entry there, or its checksum is wrong.
    pub(super) fn body_of(&self, series: BlockSeriesRef) -> Result<(usize, Cursor<'_>), CorruptBlock> {
        self.entry_of(series)
    }

    /// A text that a series entry names.
    pub(super) fn symbol(&self, reference: u32) -> Option<&str> {
        self.symbols.get(self.file(), reference)
    }

    fn labels_at(&self, at: usize, cursor: &mut Cursor<'_>) -> Result<Labels, CorruptBlock> {
        let damaged = || corrupt(at, "a series' labels are cut, out of order, or no symbols");
        let count = cursor.count(LABEL_BYTES_MIN).ok_or_else(damaged)?;
        let (mut builder, file) = (LabelsBuilder::default(), self.file());
        let mut symbol = || self.symbols.get(file, u32::try_from(cursor.uvarint()?).ok()?);
        for _ in 0..count {
            let (name, value) = (symbol().ok_or_else(damaged)?, symbol().ok_or_else(damaged)?);
            builder.push(name, value);
        }
        builder.build().map_err(|_| damaged())
    }

    fn name(&self, name: &str) -> Option<&Name> {
        self.names.binary_search_by(|other| (*other.name).cmp(name)).ok().map(|index| &self.names[index])
    }
}

impl<'a> Iterator for LabelValues<'a> {
    /// The value, and where its postings are (for [`Index::postings_at`]).
    type Item = (&'a str, u64);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.in_group == 0 {
            self.cursor = Cursor::new(self.file, *self.places.next()? as usize);
            self.in_group = self.values_step;
        }
        self.in_group -= 1;
        // The table was walked when the index was opened.
        entry(&mut self.cursor).map(|(_, value, offset)| (value, offset))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for LabelValues<'_> {}

/// Walks the table of postings and keeps places of it.
fn read_names(file: &[u8], offset: usize) -> Result<Vec<Name>, CorruptBlock> {
    let mut names: Vec<Name> = Vec::new();
    let mut previous = None;
    walk_table(file, offset, |at, name, value| {
        if previous.is_some_and(|previous| previous >= (name, value)) {
            return Err(corrupt(at, "the table of postings is not in order"));
        }
        previous = Some((name, value));
        if names.last().is_none_or(|last| *last.name != *name) {
            names.push(Name { name: name.into(), places: Vec::new(), count: 0 });
        }
        let last = names.last_mut().expect("one was pushed when there was none");
        if (last.count as usize).is_multiple_of(VALUES_STEP) {
            last.places.push(at as u64);
        }
        last.count += 1;
        Ok(())
    })?;
    Ok(names)
}

/// The same for a table in any order, of which every place is kept.
fn read_unordered_names(file: &[u8], offset: usize) -> Result<Vec<Name>, CorruptBlock> {
    let mut by_name: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    walk_table(file, offset, |at, name, value| match by_name.entry(name).or_default().insert(value, at as u64) {
        None => Ok(()),
        Some(_) => Err(corrupt(at, "a label stands twice in the table of postings")),
    })?;
    let names = by_name.into_iter().map(|(name, values)| Name {
        name: name.into(),
        count: values.len() as u32,
        places: values.into_values().collect(),
    });
    Ok(names.collect())
}

/// Shows each entry of the table of postings: its place, name and value.
fn walk_table<'a>(
    file: &'a [u8],
    offset: usize,
    mut each: impl FnMut(usize, &'a str, &'a str) -> Result<(), CorruptBlock>,
) -> Result<(), CorruptBlock> {
    let body = section(file, offset, "the table of postings reaches beyond the file")?;
    let (count, _) = body.split_first_chunk::<4>().ok_or_else(|| corrupt(offset, "no number of postings"))?;
    let start = offset + 4;
    let mut cursor = Cursor::new(&file[..start + body.len()], start + 4);
    for _ in 0..u32::from_be_bytes(*count) {
        let at = cursor.position();
        let Some((name, value, _)) = entry(&mut cursor) else {
            return Err(corrupt(at, "an entry of the table of postings is cut or not text"));
        };
        each(at, name, value)?;
    }
    match cursor.is_empty() {
        true => Ok(()),
        false => Err(corrupt(cursor.position(), "bytes after the table of postings")),
    }
}

/// An entry of the table of postings: name, value, and where the list is.
fn entry<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a str, &'a str, u64)> {
    let strings = cursor.uvarint()?;
    let (name, value) = (cursor.str()?, cursor.str()?);
    Some((name, value, cursor.uvarint()?)).filter(|_| strings == 2)
}

pub(super) fn next_chunk(cursor: &mut Cursor<'_>, previous: Option<&ChunkMeta>) -> Option<ChunkMeta> {
    let (min, reference) = match previous {
        None => (cursor.varint()?, None),
        Some(last) => {
            // Chunks do not overlap.
            let gap = i64::try_from(cursor.uvarint()?).ok()?;
            (last.max_time.0.checked_add(gap)?, Some(last.reference.0))
        }
    };
    let max = min.checked_add(i64::try_from(cursor.uvarint()?).ok()?)?;
    let reference = match reference {
        None => cursor.uvarint()?,
        Some(last) => last.checked_add_signed(cursor.varint()?)?,
    };
    Some(ChunkMeta { min_time: TimestampMs(min), max_time: TimestampMs(max), reference: ChunkRef(reference) })
}

fn place(offset: u64) -> Result<usize, CorruptBlock> {
    usize::try_from(offset).map_err(|_| corrupt(0, "an offset beyond this machine's memory"))
}

/// As Prometheus has it: at most 31 entries are walked over to find a value.
const VALUES_STEP: usize = 32;
/// Two references of a byte.
pub(super) const LABEL_BYTES_MIN: usize = 2;
/// Three numbers of a byte.
pub(super) const CHUNK_BYTES_MIN: usize = 3;
