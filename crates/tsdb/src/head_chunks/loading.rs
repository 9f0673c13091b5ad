//! What is in the files at a start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use environment::{Disk, DiskRead, FileKind};
use model::TimestampMs;
use tsdb_format::chunk::ChunkEncoding;
use tsdb_format::head_chunk::{self, FRAME_BYTES_MAX, HEADER, Next};
use tsdb_format::wal::record::WalRef;

use super::file::ChunkFile;
use super::{HeadChunks, remove_if_there};
use crate::db::OpenError;
use crate::head::{Chunk, Head};
use crate::log::{Damage, Mend, SET_ASIDE, name_of};

/// Chunks found in the files, of series that the log has yet to name.
#[derive(Default)]
pub(crate) struct LoadedChunks {
    /// By series, and for each in order of time, none overlapping.
    chunks: Vec<Loaded>,
    /// By number.
    files: Vec<Arc<ChunkFile>>,
    pub(crate) damage: Option<Damage>,
}

struct Loaded {
    series: WalRef,
    start: TimestampMs,
    end: TimestampMs,
    /// The number of the file among those opened, and where in it.
    file: u32,
    offset: u32,
}

impl HeadChunks {
    /// Opens the files in `directory/chunks_head`, and says what is in them that ends at or after `from`.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        from: TimestampMs,
        mend: Mend,
    ) -> Result<(Self, LoadedChunks), OpenError> {
        let own = directory.join("chunks_head");
        let files = list(&**disk, &own)?;
        let next_number = files.last().map_or(1, |(number, _)| number + 1);
        let opened = Self::new(Arc::clone(disk), own, next_number);
        let mut loading = Loading { disk: &**disk, from, chunks: Vec::new() };
        let mut loaded = LoadedChunks::default();
        for (index, (number, path)) in files.iter().enumerate() {
            let before = loading.chunks.len();
            let is_last = index + 1 == files.len();
            match loading.load(index as u32, path, is_last, mend).map_err(OpenError::at("read", path))? {
                // A killed process had not written its header.
                Ok((0, _)) => {}
                Ok((bytes, newest)) => {
                    let file = ChunkFile::growing(Arc::clone(disk), path.clone(), *number);
                    let file = file.map_err(OpenError::at("read", path))?;
                    file.grown(bytes, newest);
                    file.finish();
                    let file = Arc::new(file);
                    loaded.files.push(Arc::clone(&file));
                    opened.files.write().insert(*number, file);
                }
                Err(Unreadable { offset, what }) => {
                    loading.chunks.truncate(before);
                    loaded.damage = Some(give_up(&**disk, directory, &files[index..], (offset, what), mend)?);
                    break;
                }
            }
        }
        loaded.chunks = in_order(loading.chunks);
        Ok((opened, loaded))
    }
}

impl LoadedChunks {
    /// The highest reference of a series that has some.
    pub(crate) fn last_ref(&self) -> Option<WalRef> {
        self.chunks.last().map(|chunk| chunk.series)
    }

    /// Gives a new series its chunks; returns how many.
    pub(crate) fn attach(&self, head: &Head, slot: u32, series: WalRef) -> u64 {
        let first = self.chunks.partition_point(|chunk| chunk.series < series);
        let own = self.chunks[first..].iter().take_while(|chunk| chunk.series == series);
        let mut own = own.map(|chunk| Chunk {
            start: chunk.start,
            end: chunk.end,
            data: self.files[chunk.file as usize].chunk(chunk.offset),
        });
        match own.next() {
            Some(first) => head.add_full_chunks(slot, std::iter::once(first).chain(own)),
            None => 0,
        }
    }
}

struct Loading<'a> {
    disk: &'a dyn Disk,
    from: TimestampMs,
    chunks: Vec<Loaded>,
}

/// A file that is not what was written.
struct Unreadable {
    offset: u64,
    what: &'static str,
}

impl Loading<'_> {
    /// Reads a file; says how long it is and when its newest chunk ends. A torn end is what a killed process leaves.
    fn load(
        &mut self,
        file: u32,
        path: &Path,
        is_last: bool,
        mend: Mend,
    ) -> io::Result<Result<(u64, TimestampMs), Unreadable>> {
        let source = self.disk.open_read(path)?;
        let mut window = Window { file: &*source, bytes: Vec::new(), start: 0, offset: 0, wanted: WINDOW_BYTES };
        let mut newest = TimestampMs::MIN;
        window.fill()?;
        if let Err(error) = head_chunk::check_header(window.rest()) {
            // A process that was killed before it had written the header.
            return match is_last && window.offset < HEADER.len() as u64 {
                true => torn(self.disk, path, 0, mend).map(|()| Ok((0, newest))),
                false => Ok(Err(Unreadable { offset: 0, what: error.0 })),
            };
        }
        window.skip(HEADER.len());
        loop {
            let offset = window.position();
            match head_chunk::next_chunk(window.rest()) {
                Ok(Next::Chunk(chunk, bytes)) => {
                    newest = newest.max(chunk.end);
                    let Ok(begin) = u32::try_from(offset) else {
                        return Ok(Err(Unreadable { offset, what: "a file of more than 4 GiB" }));
                    };
                    let is_known = ChunkEncoding::from_byte(chunk.encoding).is_some();
                    if !chunk.out_of_order && chunk.end >= self.from {
                        // Of an unknown encoding: stands for the end of what is used of its series.
                        let start = if is_known { chunk.start } else { TimestampMs::MAX };
                        self.chunks.push(Loaded { series: chunk.series, start, end: chunk.end, file, offset: begin });
                    }
                    window.skip(bytes);
                }
                Ok(Next::More(needed)) => {
                    if window.refill(needed)? {
                        continue;
                    }
                    if window.rest().iter().all(|byte| *byte == 0) {
                        return Ok(Ok((offset, newest)));
                    }
                    return match is_last {
                        true => torn(self.disk, path, offset, mend).map(|()| Ok((offset, newest))),
                        false => Ok(Err(Unreadable { offset, what: "a chunk reaches beyond its file" })),
                    };
                }
                // Blocks of the file that never reached the disk.
                Err(error) => {
                    return match window.is_zero_to_the_end()? {
                        true => Ok(Ok((offset, newest))),
                        false => Ok(Err(Unreadable { offset, what: error.0 })),
                    };
                }
            }
        }
    }
}

/// Part of a file.
struct Window<'a> {
    file: &'a dyn DiskRead,
    bytes: Vec<u8>,
    start: usize,
    /// Of the end of `bytes` in the file.
    offset: u64,
    wanted: usize,
}

impl Window<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn position(&self) -> u64 {
        self.offset - self.rest().len() as u64
    }

    fn skip(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Reads on until there are so many bytes; `false` when the file ends before.
    fn refill(&mut self, needed: usize) -> io::Result<bool> {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.wanted = needed.max(WINDOW_BYTES);
        let before = self.bytes.len();
        self.fill()?;
        Ok(self.bytes.len() > before)
    }

    fn fill(&mut self) -> io::Result<()> {
        let before = self.bytes.len();
        self.bytes.resize(self.wanted.max(before), 0);
        let read = self.file.read_at(&mut self.bytes[before..], self.offset)?;
        self.bytes.truncate(before + read);
        self.offset += read as u64;
        Ok(())
    }

    fn is_zero_to_the_end(&mut self) -> io::Result<bool> {
        loop {
            if self.rest().iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            self.start = self.bytes.len();
            if !self.refill(1)? {
                return Ok(true);
            }
        }
    }
}

/// Cuts off what is no whole chunk.
fn torn(disk: &dyn Disk, path: &Path, length: u64, mend: Mend) -> io::Result<()> {
    match mend {
        Mend::Yes if length == 0 => disk.remove_file(path),
        Mend::Yes => disk.open_append(path)?.truncate(length),
        Mend::No => Ok(()),
    }
}

/// Sets the first file aside, and removes those behind it, which are not used without it.
fn give_up(
    disk: &dyn Disk,
    directory: &Path,
    files: &[(u32, PathBuf)],
    (offset, what): (u64, &'static str),
    mend: Mend,
) -> Result<Damage, OpenError> {
    let path = &files[0].1;
    let into = directory.join(SET_ASIDE);
    let aside = into.join(format!("chunks_head-{}", name_of(path)));
    tracing::error!(
        file = %path.display(), offset, what, set_aside = %aside.display(), files = files.len(),
        "a file of the head's chunks is damaged; it and those behind it are left out: the write-ahead log has their samples"
    );
    let bytes = disk.open_read(path).and_then(|file| file.len()).map_err(OpenError::at("read", path))?;
    if mend == Mend::Yes {
        // The last first: what is left at any time has no gap.
        for (_, path) in files[1..].iter().rev() {
            remove_if_there(disk, path).map_err(OpenError::at("remove", path))?;
        }
        disk.create_directory(&into).map_err(OpenError::at("create", &into))?;
        disk.rename(path, &aside).map_err(OpenError::at("set aside", path))?;
        disk.sync_directory(&into).map_err(OpenError::at("sync", &into))?;
    }
    Ok(Damage { file: path.clone(), offset, bytes: bytes - offset.min(bytes), what: what.to_owned(), set_aside: aside })
}

/// By series; of each, those from the first on that follow each other in time.
fn in_order(mut chunks: Vec<Loaded>) -> Vec<Loaded> {
    // Stable: those of a series stay as they were written.
    chunks.sort_by_key(|chunk| chunk.series);
    let mut last: Option<(WalRef, Option<TimestampMs>)> = None;
    chunks.retain(|chunk| {
        let before = match last {
            Some((series, end)) if series == chunk.series => end,
            _ => Some(TimestampMs::MIN),
        };
        let follows = before.is_some_and(|end| chunk.start > end && chunk.start <= chunk.end);
        last = Some((chunk.series, if follows { Some(chunk.end) } else { None }));
        follows
    });
    chunks.shrink_to_fit();
    chunks
}

/// Numbered files, rising.
fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<(u32, PathBuf)>, OpenError> {
    let listed = match disk.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(OpenError::at("list", directory))?,
    };
    let files = listed.into_iter().filter(|(_, kind)| *kind == FileKind::File);
    let mut files: Vec<_> = files.filter_map(|(path, _)| Some((name_of(&path).parse().ok()?, path))).collect();
    files.sort();
    Ok(files)
}

/// Read at once: many chunks.
const WINDOW_BYTES: usize = 256 << 10;

const _: () = assert!(WINDOW_BYTES > FRAME_BYTES_MAX);
