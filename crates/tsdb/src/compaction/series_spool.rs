//! Series on their way into an index, in memory while they are few, then in a file of their own.
//!
//! The symbols of an index come before its series and are numbered in their order, so no series can be written before all
//! symbols are known. Meanwhile what goes into the index lies here: labels as numbers of texts, and chunks.

use std::io;
use std::path::PathBuf;

use environment::{Disk, DiskFile, DiskRead};
use model::TimestampMs;
use tsdb_format::block::ChunkMeta;
use tsdb_format::block::segment::ChunkRef;

/// Takes series.
pub(super) struct SeriesSpool {
    path: PathBuf,
    /// Made when the first series do not fit into memory any more.
    file: Option<Box<dyn DiskFile>>,
    /// Not in the file.
    buffer: Vec<u8>,
    file_bytes: u64,
    series: u64,
    buffer_bytes_max: usize,
}

/// One series; used again for the next.
#[derive(Default, PartialEq, Debug)]
pub(super) struct SeriesEntry {
    /// Names and values, as the caller numbers texts.
    pub(super) labels: Vec<(u32, u32)>,
    pub(super) chunks: Vec<ChunkMeta>,
}

impl SeriesSpool {
    /// A spool that may make a file at `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        let buffer_bytes_max = BUFFER_BYTES;
        Self { path, file: None, buffer: Vec::new(), file_bytes: 0, series: 0, buffer_bytes_max }
    }

    pub(super) fn push(&mut self, disk: &dyn Disk, entry: &SeriesEntry) -> io::Result<()> {
        put_number(&mut self.buffer, entry.labels.len() as u64);
        for &(name, value) in &entry.labels {
            put_number(&mut self.buffer, name.into());
            put_number(&mut self.buffer, value.into());
        }
        put_number(&mut self.buffer, entry.chunks.len() as u64);
        for chunk in &entry.chunks {
            put_number(&mut self.buffer, chunk.min_time.0 as u64);
            put_number(&mut self.buffer, chunk.max_time.0.wrapping_sub(chunk.min_time.0) as u64);
            put_number(&mut self.buffer, chunk.reference.0);
        }
        self.series += 1;
        if self.buffer.len() < self.buffer_bytes_max {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(disk.create(&self.path)?),
        };
        file.append(&self.buffer)?;
        self.file_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Reads all series from the first one on.
    pub(super) fn read(&self, disk: &dyn Disk) -> io::Result<SpoolReader<'_>> {
        let file = self.file.is_some().then(|| disk.open_read(&self.path)).transpose()?;
        Ok(SpoolReader { spool: self, file, window: Vec::new(), position: 0, read_bytes: 0, left: self.series })
    }

    /// Removes the file, if there is one.
    pub(super) fn remove_file(&mut self, disk: &dyn Disk) -> io::Result<()> {
        if self.file.take().is_some() { disk.remove_file(&self.path) } else { Ok(()) }
    }
}

/// Hands the series out again, in their order.
pub(super) struct SpoolReader<'a> {
    spool: &'a SeriesSpool,
    file: Option<Box<dyn DiskRead>>,
    window: Vec<u8>,
    position: usize,
    /// Of the file and of what is behind it in memory.
    read_bytes: u64,
    left: u64,
}

impl SpoolReader<'_> {
    /// Replaces `entry` by the next series; `false` when there is none left.
    pub(super) fn next(&mut self, entry: &mut SeriesEntry) -> io::Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        entry.labels.clear();
        entry.chunks.clear();
        for _ in 0..self.number()? {
            entry.labels.push((self.number()? as u32, self.number()? as u32));
        }
        for _ in 0..self.number()? {
            let min = self.number()? as i64;
            let max = min.wrapping_add(self.number()? as i64);
            let reference = ChunkRef(self.number()?);
            entry.chunks.push(ChunkMeta { min_time: TimestampMs(min), max_time: TimestampMs(max), reference });
        }
        Ok(true)
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            if self.position == self.window.len() {
                self.fill()?;
            }
            let byte = self.window[self.position];
            self.position += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(number)
    }

    /// Takes the next bytes, of which there are some.
    fn fill(&mut self) -> io::Result<()> {
        self.position = 0;
        let in_file = self.spool.file_bytes.saturating_sub(self.read_bytes);
        match &self.file {
            Some(file) if in_file > 0 => {
                self.window.resize(in_file.min(WINDOW_BYTES as u64) as usize, 0);
                let read = file.read_at(&mut self.window, self.read_bytes)?;
                self.window.truncate(read);
            }
            _ => self.window.clone_from(&self.spool.buffer),
        }
        self.read_bytes += self.window.len() as u64;
        if self.window.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Series of a small block never see the disk here.
const BUFFER_BYTES: usize = 1 << 20;
const WINDOW_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use testkit::MemoryDisk;

    use super::*;

    #[test]
    fn series_come_back_from_memory_and_file() {
        for buffer_bytes_max in [1, 100, usize::MAX] {
            let disk = MemoryDisk::new();
            disk.create_directory(Path::new("d")).unwrap();
            let mut spool = SeriesSpool { buffer_bytes_max, ..SeriesSpool::new("d/spool".into()) };
            let entries: Vec<SeriesEntry> = (0..100).map(entry).collect();
            entries.iter().for_each(|entry| spool.push(&disk, entry).unwrap());
            for _ in 0..2 {
                let (mut reader, mut found) = (spool.read(&disk).unwrap(), SeriesEntry::default());
                for expected in &entries {
                    assert!(reader.next(&mut found).unwrap());
                    assert_eq!(&found, expected);
                }
                assert!(!reader.next(&mut found).unwrap());
            }
            assert_eq!(disk.paths().len(), usize::from(buffer_bytes_max < usize::MAX));
            spool.remove_file(&disk).unwrap();
            assert!(disk.paths().is_empty());
        }
    }

    fn entry(number: u64) -> SeriesEntry {
        let chunk = |index: u64| ChunkMeta {
            min_time: TimestampMs(index as i64 * 1000 - 5000),
            max_time: TimestampMs(if index == 9 { i64::MAX } else { index as i64 * 1000 }),
            reference: ChunkRef(index << 40),
        };
        let labels = (0..number as u32 % 5).map(|index| (index, index * number as u32 * 1000)).collect();
        SeriesEntry { labels, chunks: (0..number % 10 + 1).map(chunk).collect() }
    }
}
