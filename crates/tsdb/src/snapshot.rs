//! A copy of a database while it is in use.
//!
//! Blocks never change, so they get a second name in the copy, or are copied where the file system has no such thing; what
//! was deleted of them is copied. Of the logs everything is copied that was written when the snapshot began: opening the
//! copy reads them as after a crash at that moment. What is in `chunks_head` is in the log, too, and stays away.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use environment::{Disk, FileKind};

use crate::block::Block;
use crate::shared::Shared;

/// Why there is no copy. Nothing is left of it, as far as the disk let us.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("cannot {action} {}", path.display())]
    Disk { action: &'static str, path: PathBuf, source: io::Error },
}

impl SnapshotError {
    fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { action, path: path.to_path_buf(), source }
    }
}

/// A file of a log, and how much of it there was.
struct LogFile {
    path: PathBuf,
    length: u64,
}

impl Shared {
    /// Copies the database to the directory `to`, which must not exist; whole or not at all. The lock of maintenance is held.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub(crate) fn copy_to(&self, to: &Path, with_logs: bool) -> Result<(), SnapshotError> {
        let temporary = to.with_extension("tmp");
        if self.disk.list(to).is_ok() {
            return Err(SnapshotError::at("create", to)(io::ErrorKind::AlreadyExists.into()));
        }
        match self.disk.remove_directory(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(SnapshotError::at("remove", &temporary)(error));
            }
            _ => {}
        }
        let copied = self.fill(&temporary, with_logs).and_then(|()| {
            self.disk.rename(&temporary, to).map_err(SnapshotError::at("name", to))?;
            let parent = to.parent().unwrap_or(to);
            self.disk.sync_directory(parent).map_err(SnapshotError::at("sync", parent))
        });
        copied.inspect_err(|_| {
            let _ = self.disk.remove_directory(&temporary);
        })
    }

    fn fill(&self, to: &Path, with_logs: bool) -> Result<(), SnapshotError> {
        // The logs first: what is in them and not yet in these blocks is then in the copy.
        let logs = if with_logs { self.with_writer(|_| self.log_files())? } else { Vec::new() };
        self.make(to)?;
        for block in self.blocks.all().iter() {
            self.copy_block(block, to)?;
        }
        for LogFile { path, length } in logs {
            let inside = path.strip_prefix(&self.directory).unwrap_or(&path);
            let copy = to.join(inside);
            self.make(copy.parent().unwrap_or(to))?;
            copy_file(&*self.disk, &path, &copy, Some(length)).map_err(SnapshotError::at("copy", &path))?;
            self.sync(copy.parent().unwrap_or(to))?;
        }
        self.sync(to)
    }

    /// The files of the logs with their lengths. The writer is held, so they are those of one moment.
    fn log_files(&self) -> Result<Vec<LogFile>, SnapshotError> {
        let mut found = Vec::new();
        let mut directories = vec![self.directory.join("wal"), self.directory.join("wbl")];
        while let Some(directory) = directories.pop() {
            let listed = match self.disk.list(&directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                listed => listed.map_err(SnapshotError::at("list", &directory))?,
            };
            for (path, kind) in listed {
                match kind {
                    FileKind::Directory if !is_unfinished(&path) => directories.push(path),
                    FileKind::File => {
                        let length = self.disk.open_read(&path).and_then(|file| file.len());
                        let length = length.map_err(SnapshotError::at("read", &path))?;
                        found.push(LogFile { path, length });
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    fn copy_block(&self, block: &Arc<Block>, to: &Path) -> Result<(), SnapshotError> {
        let (from, to) = (self.blocks.path_of(block.ulid()), to.join(block.ulid().to_string()));
        let chunks = to.join("chunks");
        self.make(&chunks)?;
        for (directory, copy) in [(from.join("chunks"), &chunks), (from, &to)] {
            for (path, kind) in self.disk.list(&directory).map_err(SnapshotError::at("list", &directory))? {
                if kind == FileKind::File {
                    let copy = copy.join(path.file_name().unwrap_or_default());
                    link_or_copy(&*self.disk, &path, &copy).map_err(SnapshotError::at("copy", &path))?;
                }
            }
            self.sync(copy)?;
        }
        Ok(())
    }

    fn make(&self, directory: &Path) -> Result<(), SnapshotError> {
        self.disk.create_directory(directory).map_err(SnapshotError::at("create", directory))
    }

    fn sync(&self, directory: &Path) -> Result<(), SnapshotError> {
        self.disk.sync_directory(directory).map_err(SnapshotError::at("sync", directory))
    }
}

/// Whether a directory in a log's is a checkpoint under way, or damage set aside.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let finished = name.strip_prefix("checkpoint.").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
    !finished
}

fn link_or_copy(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    match disk.link(from, to) {
        Err(error) if matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported) => {
            copy_file(disk, from, to, None)
        }
        linked => linked,
    }
}

/// Copies a file, or so much of it, and syncs the copy.
fn copy_file(disk: &dyn Disk, from: &Path, to: &Path, length: Option<u64>) -> io::Result<()> {
    let (source, mut copy) = (disk.open_read(from)?, disk.create(to)?);
    let length = length.map_or_else(|| source.len(), Ok)?;
    let (mut offset, mut buffer) = (0, vec![0; COPY_BYTES]);
    while offset < length {
        let wanted = buffer.len().min(usize::try_from(length - offset).unwrap_or(usize::MAX));
        let read = source.read_at(&mut buffer[..wanted], offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        copy.append(&buffer[..read])?;
        offset += read as u64;
    }
    copy.sync()
}

const COPY_BYTES: usize = 1 << 20;
