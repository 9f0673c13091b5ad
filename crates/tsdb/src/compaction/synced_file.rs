//! A file that is synced as it grows.

use std::io;
use std::path::PathBuf;

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
