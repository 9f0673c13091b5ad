//! A file that is synced as it grows.

use std::io;
use std::path::{Path, PathBuf};

use environment::{Disk, DiskFile};

/// Syncs every few megabytes, so that the disk never owes so much that a sync of the log would have to wait for it, and
/// in larger pieces than it is given.
pub(super) struct SyncedFile {
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    unsynced: usize,
}

impl SyncedFile {
    pub(super) fn create(disk: &dyn Disk, path: PathBuf) -> io::Result<Self> {
        Ok(Self { file: disk.create(&path)?, buffer: Vec::new(), unsynced: 0 })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() < WRITE_BYTES {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.write()?;
        self.unsynced += bytes.len();
        self.file.append(bytes)?;
        if self.unsynced < SYNC_BYTES {
            return Ok(());
        }
        self.unsynced = 0;
        self.file.sync()
    }

    /// Writes what is collected and syncs all.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        self.unsynced = 0;
        self.file.sync()
    }

    fn write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.unsynced += self.buffer.len();
        self.file.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

const WRITE_BYTES: usize = 1 << 20;
const SYNC_BYTES: usize = 8 << 20;

/// Replaces a small file by another content in one step that survives a power cut.
pub(crate) fn replace_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    match disk.remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = disk.create(&temporary)?;
    let written = file.append(content).and_then(|()| file.sync());
    written.and_then(|()| disk.rename(&temporary, path)).inspect_err(|_| {
        let _ = disk.remove_file(&temporary);
    })?;
    path.parent().map_or(Ok(()), |directory| disk.sync_directory(directory))
}
