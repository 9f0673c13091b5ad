//! Full chunks of the head on disk, in `chunks_head`: they need no memory, and a start need not build them again.
//!
//! The write-ahead log has every sample that is here. So nothing here is synced but a file before the next one begins, and a file
//! that is not as it should be is left out, with all that were written after it: what a series has here begins with its oldest
//! chunk and has no gaps, since replay skips what its chunks hold.
//!
//! Invariants:
//! - A chunk is written after the log that has its samples was synced: a power cut never keeps what the log has lost.
//! - Of one series, chunks are written in order of time. Files are only removed from the front.
//! - Whoever has taken a chunk can read it after its file was removed.
//! - After a deletion in the head, what is here is not what the log says at its end: all files go, and none is written before
//!   everything that the deletion may have touched has been cut off the head ([`HeadChunks::give_up`]), nor after a start that
//!   found the deletion in the log ([`HeadChunks::pause`]).

mod file;
mod loading;
mod moving;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use environment::{Disk, DiskFile};
use model::TimestampMs;
use parking_lot::{Mutex, RwLock};
use tsdb_format::head_chunk::{self, HeadChunk};

use self::file::ChunkFile;
pub(crate) use self::loading::LoadedChunks;
use crate::part::ChunkData;

/// See the module's text.
pub(crate) struct HeadChunks {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    file_bytes_max: u64,
    /// By number.
    files: RwLock<BTreeMap<u32, Arc<ChunkFile>>>,
    end: Mutex<End>,
}

/// Where chunks are appended.
struct End {
    /// The file being written, and its length.
    writing: Option<(Box<dyn DiskFile>, Arc<ChunkFile>, u64)>,
    next_number: u32,
    framed: Vec<u8>,
    /// Nothing is written before the head was cut behind this time.
    given_up_until: Option<TimestampMs>,
}

impl HeadChunks {
    /// None yet. Files begin with the number `next_number`.
    fn new(disk: Arc<dyn Disk>, directory: PathBuf, next_number: u32) -> Self {
        let end = End { writing: None, next_number, framed: Vec::new(), given_up_until: None };
        let file_bytes_max = head_chunk::FILE_BYTES_MAX;
        Self { disk, directory, file_bytes_max, files: RwLock::default(), end: Mutex::new(end) }
    }

    /// Appends chunks; returns where they are. With an error, those behind the ones returned are not here.
    pub(crate) fn append(&self, chunks: &[HeadChunk<'_>]) -> (Vec<ChunkData>, io::Result<()>) {
        let mut end = self.end.lock();
        let mut places = Vec::with_capacity(chunks.len());
        let appended = runs(chunks).try_for_each(|run| end.append(self, run, &mut places));
        (places, appended)
    }

    /// Whether chunks may be appended.
    pub(crate) fn is_written(&self) -> bool {
        self.end.lock().given_up_until.is_none()
    }

    /// The next chunk begins a new file, so that those before it can go on their own.
    pub(crate) fn cut(&self) {
        self.end.lock().finish();
    }

    /// Removes files from the front, as long as all their chunks are older than `time`, before which the head was cut.
    pub(crate) fn remove_before(&self, time: TimestampMs) -> io::Result<()> {
        let mut end = self.end.lock();
        end.given_up_until = end.given_up_until.filter(|until| *until >= time);
        let writing = end.writing.as_ref().map(|(_, file, _)| file.number());
        loop {
            let first = self.files.read().first_key_value().map(|(number, file)| (*number, Arc::clone(file)));
            match first {
                Some((number, file)) if file.newest() < time && writing != Some(number) => {
                    remove_if_there(&*self.disk, file.path())?;
                    self.files.write().remove(&number);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Removes all files, before samples up to `newest`, or of any time before, are deleted from the head: at a start, chunks
    /// are there before the log is read, so that deletions would not be done at their place. What the head has of them stays
    /// readable.
    pub(crate) fn give_up(&self, newest: TimestampMs) -> io::Result<()> {
        let mut end = self.end.lock();
        end.finish();
        end.given_up_until = end.given_up_until.max(Some(newest));
        loop {
            // The last first: what is left of a series at any time begins with its oldest chunk.
            let last = self.files.read().last_key_value().map(|(number, file)| (*number, Arc::clone(file)));
            let Some((number, file)) = last else { break };
            remove_if_there(&*self.disk, file.path())?;
            self.files.write().remove(&number);
        }
        match self.disk.sync_directory(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        }
    }

    /// Writes nothing before the head was cut behind `newest`: the log that was read has deletions up to then. At the next start
    /// they would be done to chunks written from now on, which may have what came after them.
    pub(crate) fn pause(&self, newest: TimestampMs) {
        let mut end = self.end.lock();
        end.given_up_until = end.given_up_until.max(Some(newest));
    }
}

impl End {
    /// Appends a run to the file, or to the next one where it would grow too large.
    fn append(&mut self, chunks: &HeadChunks, run: &[HeadChunk<'_>], places: &mut Vec<ChunkData>) -> io::Result<()> {
        let bound: usize = run.iter().map(framed_bytes_max).sum();
        if self.writing.as_ref().is_some_and(|(_, _, length)| length + bound as u64 > chunks.file_bytes_max) {
            self.finish();
        }
        if self.writing.is_none() {
            self.start(chunks)?;
        }
        let (writer, file, length) = self.writing.as_mut().expect("it was just started");
        self.framed.clear();
        let mut offsets = Vec::with_capacity(run.len());
        for chunk in run {
            offsets.push(u32::try_from(*length + self.framed.len() as u64).expect("a file is cut long before 4 GiB"));
            head_chunk::put_chunk(&mut self.framed, chunk);
        }
        if let Err(error) = writer.append(&self.framed) {
            // What reached the file is no chunk of the head, and at the next start a torn end.
            let _ = writer.truncate(*length);
            self.finish();
            return Err(error);
        }
        *length += self.framed.len() as u64;
        file.grown(*length, run.iter().map(|chunk| chunk.end).max().expect("a run is not empty"));
        places.extend(offsets.into_iter().map(|offset| file.chunk(offset)));
        Ok(())
    }

    fn start(&mut self, chunks: &HeadChunks) -> io::Result<()> {
        let number = self.next_number;
        let path = file_path(&chunks.directory, number);
        chunks.disk.create_directory(&chunks.directory)?;
        // Left by a try that failed.
        remove_if_there(&*chunks.disk, &path)?;
        // The only sync: else a power cut could keep the new file and chunks of the same series before it not.
        let before = chunks.files.read().last_key_value().map(|(_, file)| file.path().to_path_buf());
        if let Some(before) = before {
            chunks.disk.open_append(&before)?.sync()?;
        }
        let mut writer = chunks.disk.create(&path)?;
        writer.append(&head_chunk::HEADER)?;
        let file = Arc::new(ChunkFile::growing(Arc::clone(&chunks.disk), path, number)?);
        chunks.files.write().insert(number, Arc::clone(&file));
        self.writing = Some((writer, file, head_chunk::HEADER.len() as u64));
        self.next_number += 1;
        Ok(())
    }

    fn finish(&mut self) {
        if let Some((_, file, _)) = self.writing.take() {
            file.finish();
        }
        self.framed = Vec::new();
    }
}

/// Runs of chunks, each small enough for one append.
fn runs<'c>(chunks: &'c [HeadChunk<'c>]) -> impl Iterator<Item = &'c [HeadChunk<'c>]> {
    let mut rest = chunks;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |chunk: &&HeadChunk<'_>| {
            bytes += framed_bytes_max(chunk);
            bytes <= APPEND_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (run, after) = rest.split_at(count);
        rest = after;
        (!run.is_empty()).then_some(run)
    })
}

fn framed_bytes_max(chunk: &HeadChunk<'_>) -> usize {
    chunk.data.len() + head_chunk::FRAME_BYTES_MAX
}

fn file_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:06}"))
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Chunks written with one append.
const APPEND_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
