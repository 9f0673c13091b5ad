//! Files as an argument.
//!
//! The operations are those that a crash-safe store needs to name: appending, syncing a file, syncing a directory,
//! renaming. Calls block; engines make them on threads of their own.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// What a directory entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else (a socket, a device).
    Other,
}

/// A file open for appending.
pub trait DiskFile: Send + 'static {
    /// Appends all of `bytes`. On `Ok` they have left the process: they survive its death, not a power cut.
    ///
    /// # Errors
    /// As the system reports them. After an error an unknown part of `bytes` may stand in the file.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended so far survive a power cut (`fdatasync`).
    ///
    /// # Errors
    /// As the system reports them. After an error nothing may be assumed about unsynced bytes; do not retry.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to `len` bytes; later appends go there.
    ///
    /// # Errors
    /// As the system reports them.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// As the system reports them.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds no bytes.
    ///
    /// # Errors
    /// As the system reports them.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file open for reading at places of one's choice, while others may append to it.
pub trait DiskRead: Send + Sync + 'static {
    /// Reads bytes from `offset` on and returns how many; fewer than asked for only where the file ends.
    ///
    /// # Errors
    /// As the system reports them.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// As the system reports them.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds no bytes.
    ///
    /// # Errors
    /// As the system reports them.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A lock that is let go of when it is dropped, and by the death of the process, however it comes.
pub trait DiskLock: Send + Sync + 'static {}

/// A file system.
pub trait Disk: Send + Sync + 'static {
    /// The whole content of a file.
    ///
    /// # Errors
    /// `NotFound` when there is none; otherwise as the system reports them.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Opens an existing file for reading. It can be read on after it was removed or renamed.
    ///
    /// # Errors
    /// `NotFound` when there is none; otherwise as the system reports them.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>>;

    /// The whole content of a file that nobody changes any more, mapped into memory: its pages are read when they are touched.
    /// `None` where this disk does not map files; [`Disk::open_read`] does instead. The mapping outlives removal and renaming.
    ///
    /// # Errors
    /// `NotFound` when there is none; otherwise as the system reports them.
    fn map(&self, path: &Path) -> io::Result<Option<Bytes>> {
        let _ = path;
        Ok(None)
    }

    /// Gives a file a second name, under which it stays when the first is removed. Durable after [`Disk::sync_directory`].
    ///
    /// # Errors
    /// `AlreadyExists` when something stands at `to`; `CrossesDevices` or `Unsupported` where the file system cannot: copy
    /// then; otherwise as the system reports them.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes an exclusive lock on a file, which is made if there is none and stays when the lock is gone. Does not wait.
    ///
    /// # Errors
    /// `WouldBlock` when it is taken, by this process or another; otherwise as the system reports them.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;

    /// Entries of a directory with their kinds, sorted by path.
    ///
    /// # Errors
    /// `NotFound` when there is no such directory; otherwise as the system reports them.
    fn list(&self, directory: &Path) -> io::Result<Vec<(PathBuf, FileKind)>>;

    /// Creates a directory and its parents; one that exists already is fine.
    ///
    /// # Errors
    /// As the system reports them.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;

    /// Creates a file that must not exist yet, open for appending.
    ///
    /// # Errors
    /// `AlreadyExists` when it exists; otherwise as the system reports them.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens an existing file for appending at its end.
    ///
    /// # Errors
    /// `NotFound` when there is none; otherwise as the system reports them.
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Renames a file or directory, replacing a file that stands at `to`. Atomic; durable after [`Disk::sync_directory`].
    ///
    /// # Errors
    /// As the system reports them.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound` when there is none; otherwise as the system reports them.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and all that is in it.
    ///
    /// # Errors
    /// As the system reports them.
    fn remove_directory(&self, directory: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in `directory` survive a power cut.
    ///
    /// # Errors
    /// As the system reports them.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}
