//! Writing which series have a label: lists, and the table of them.
//!
//! Lists of many millions of series do not fit into memory. But it is known how long each is, so its place is known before
//! its content, and a window of neighbouring lists can be filled while all series pass by; then the next one.

use std::collections::HashMap;

use super::symbol_table::SymbolTable;
use super::toc::Toc;
use super::write::{put_section, u32_of};
use super::{ALL_POSTINGS, CHECKSUM_BYTES};
use crate::bytes::{put_str, put_uvarint};

/// Writes the lists of an index whose series are written.
#[derive(Debug)]
pub struct PostingsWriter {
    symbols: SymbolTable,
    /// Numbers of names and values, in order, each with the length of its list.
    lists: Vec<((u32, u32), u32)>,
    /// The first of `lists` with each name.
    names: Vec<(u32, usize)>,
    series: Vec<u32>,
    window: Window,
    /// The series that comes next.
    next: usize,
    window_entries: usize,
    bytes: Vec<u8>,
    taken: u64,
    toc: Toc,
}

/// Neighbouring lists being filled.
#[derive(Debug, Default)]
struct Window {
    lists: std::ops::Range<usize>,
    /// Where each list begins in `entries`, and how far it is filled.
    starts: Vec<usize>,
    filled: Vec<usize>,
    entries: Vec<u32>,
}

impl PostingsWriter {
    pub(super) fn new(symbols: SymbolTable, counts: HashMap<(u32, u32), u32>, series: Vec<u32>, mut toc: Toc) -> Self {
        // Numbers are in the order of texts.
        let mut lists: Vec<((u32, u32), u32)> = counts.into_iter().collect();
        lists.sort_unstable();
        let mut names: Vec<(u32, usize)> = Vec::new();
        for (index, ((name, _), _)) in lists.iter().enumerate() {
            if names.last().is_none_or(|(last, _)| last != name) {
                names.push((*name, index));
            }
        }
        let (mut bytes, taken) = (Vec::new(), toc.label_indices);
        bytes.resize(taken.next_multiple_of(ALIGNMENT) as usize - taken as usize, 0);
        toc.postings = taken + bytes.len() as u64;
        put_list(&mut bytes, &series);
        let window = Window::default();
        Self { symbols, lists, names, series, window, next: 0, bytes, taken, toc, window_entries: WINDOW_ENTRIES }
    }

    /// Ends the lists that were filled, and begins the next ones; `false` when all are written. After `true` the caller shows
    /// all series with [`add`](Self::add), and takes the bytes.
    pub fn begin(&mut self) -> bool {
        self.end_window();
        let start = self.window.lists.end;
        let (mut end, mut entries) = (start, 0);
        self.window.starts.clear();
        while let Some((_, count)) = self.lists.get(end)
            && (end == start || entries + *count as usize <= self.window_entries)
        {
            self.window.starts.push(entries);
            entries += *count as usize;
            end += 1;
        }
        self.window.filled.clone_from(&self.window.starts);
        self.window.lists = start..end;
        self.window.entries.clear();
        self.window.entries.resize(entries, 0);
        self.next = 0;
        start < end
    }

    /// Shows a series, by the numbers of the names and values of its labels; all of them, in their order.
    ///
    /// # Panics
    /// When it is not one of those that were written, in their order.
    pub fn add(&mut self, labels: &[(u32, u32)]) {
        let reference = self.series[self.next];
        self.next += 1;
        let (first, last) = (self.lists[self.window.lists.start].0, self.lists[self.window.lists.end - 1].0);
        for label in labels.iter().filter(|label| (first..=last).contains(label)) {
            let place = self.list_of(*label) - self.window.lists.start;
            let filled = &mut self.window.filled[place];
            self.window.entries[*filled] = reference;
            *filled += 1;
        }
    }

    /// What is collected and not yet taken.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        self.taken += self.bytes.len() as u64;
        std::mem::take(&mut self.bytes)
    }

    /// Ends the index: gives the rest of its bytes to `write`, piece by piece.
    ///
    /// # Errors
    /// What `write` says.
    ///
    /// # Panics
    /// When lists are not written.
    pub fn finish<E>(mut self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        assert_eq!(self.window.lists, self.lists.len()..self.lists.len(), "all lists are written");
        self.toc.postings_table = self.taken + self.bytes.len() as u64;
        self.toc.label_table = self.toc.postings_table;
        let (mut length, mut place, mut entry) = (4, self.toc.postings, Vec::new());
        // Twice: the length stands in front.
        self.each_entry(&mut place, &mut entry, |entry| {
            length += entry.len();
            Ok(())
        })?;
        self.bytes.extend_from_slice(&u32_of(length).to_be_bytes());
        let count = u32_of(self.lists.len() + 1).to_be_bytes();
        self.bytes.extend_from_slice(&count);
        let (mut bytes, mut checksum) = (std::mem::take(&mut self.bytes), crc32c::crc32c(&count));
        let mut place = self.toc.postings;
        self.each_entry(&mut place, &mut entry, |entry| {
            checksum = crc32c::crc32c_append(checksum, entry);
            bytes.extend_from_slice(entry);
            if bytes.len() < PIECE_BYTES {
                return Ok(());
            }
            write(&bytes)?;
            bytes.clear();
            Ok(())
        })?;
        bytes.extend_from_slice(&checksum.to_be_bytes());
        self.toc.encode(&mut bytes);
        write(&bytes)
    }

    /// Shows the entries of the table. Places follow from lengths.
    fn each_entry<E>(
        &self,
        place: &mut u64,
        entry: &mut Vec<u8>,
        mut show: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let all = std::iter::once((ALL_POSTINGS, u32_of(self.series.len())));
        let texts = |(name, value)| (self.symbols.get(name), self.symbols.get(value));
        for ((name, value), count) in all.chain(self.lists.iter().map(|(label, count)| (texts(*label), *count))) {
            entry.clear();
            put_uvarint(entry, 2);
            put_str(entry, name);
            put_str(entry, value);
            put_uvarint(entry, *place);
            show(entry)?;
            *place += (SECTION_BYTES + ENTRY_BYTES * (1 + count as usize)) as u64;
        }
        Ok(())
    }

    /// The list of a label among all.
    fn list_of(&self, label: (u32, u32)) -> usize {
        let after = self.names.partition_point(|(name, _)| *name <= label.0);
        let start = self.names[after - 1].1;
        let end = self.names.get(after).map_or(self.lists.len(), |(_, start)| *start);
        let place = self.lists[start..end].binary_search_by_key(&label, |(other, _)| *other);
        start + place.expect("labels are those that were counted")
    }

    fn end_window(&mut self) {
        if self.window.lists.is_empty() {
            return;
        }
        assert_eq!(self.next, self.series.len(), "all series are shown");
        let Self { window, bytes, .. } = self;
        for (start, end) in window.starts.iter().zip(&window.filled) {
            put_list(bytes, &window.entries[*start..*end]);
        }
    }
}

fn put_list(bytes: &mut Vec<u8>, list: &[u32]) {
    put_section(bytes, |bytes| {
        bytes.extend_from_slice(&u32_of(list.len()).to_be_bytes());
        list.iter().for_each(|reference| bytes.extend_from_slice(&reference.to_be_bytes()));
    });
}

/// Lists are so long that all begin at a multiple of it when the first one does.
const ALIGNMENT: u64 = 4;
const ENTRY_BYTES: usize = 4;
const SECTION_BYTES: usize = 4 + CHECKSUM_BYTES;
/// 8 MB.
const WINDOW_ENTRIES: usize = 2 << 20;
const PIECE_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use crate::block::index::{Index, IndexWriter};

    /// Series with labels a, b and c of 1, 3 and 1000 values.
    fn series() -> Vec<[(u32, u32); 3]> {
        let mut series: Vec<_> =
            (0..1000).map(|index| [(1000, 0), (1001, index % 3), (1002, index * 7 % 1000)]).collect();
        series.sort_unstable();
        series
    }

    fn written(window_entries: usize) -> (Vec<u8>, usize) {
        let values = (0..1000).map(|value| format!("{value:04}"));
        let symbols: Vec<String> = values.chain(["a", "b", "c"].map(str::to_owned)).collect();
        let mut writer = IndexWriter::new(symbols.iter().map(String::as_str));
        for labels in series() {
            writer.push_numbered(&labels, &[]);
        }
        let mut file = writer.take_bytes();
        let mut postings = writer.end_series();
        postings.window_entries = window_entries;
        let mut windows = 0;
        while postings.begin() {
            series().iter().for_each(|labels| postings.add(labels));
            file.extend(postings.take_bytes());
            windows += 1;
        }
        let ended = postings.finish(|piece| {
            file.extend_from_slice(piece);
            Ok::<(), ()>(())
        });
        ended.unwrap();
        (file, windows)
    }

    #[test]
    fn windows_of_any_size_give_the_same_index() {
        let (expected, windows) = written(usize::MAX);
        assert_eq!(windows, 1);
        for window_entries in [1, 7, 400, 1500] {
            let (file, windows) = written(window_entries);
            assert!(windows > 1 && file == expected, "{window_entries}");
        }
        let index = Index::open(expected).unwrap();
        let length = |name, value| index.postings(name, value).unwrap().unwrap().len();
        assert_eq!((length("a", "0000"), length("b", "0001"), length("c", "0999")), (1000, 333, 1));
    }

    #[test]
    #[should_panic(expected = "all series are shown")]
    fn series_left_out_are_noticed() {
        let mut writer = IndexWriter::new(["a", "b"]);
        writer.push_numbered(&[(0, 1)], &[]);
        writer.take_bytes();
        let mut postings = writer.end_series();
        while postings.begin() {}
    }
}
