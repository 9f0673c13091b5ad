//! Small files replaced as a whole.

use std::io;
use std::path::{Path, PathBuf};

use environment::Disk;

/// A file of the authority could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}")]
pub struct FileError {
    action: &'static str,
    path: String,
    source: io::Error,
}

/// The whole content; `None` when there is no such file.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match disk.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError { action: "read", path: path.display().to_string(), source }),
    }
}

/// Puts `bytes` in place of the file, so that after a crash either the old content or the new is there, whole.
/// The disk gives new files to their owner alone.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = with_suffix(path, ".new");
    let directory = path.parent().unwrap_or(Path::new("."));
    let write = || {
        disk.create_directory(directory)?;
        match disk.remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = disk.create(&temporary)?;
        file.append(bytes)?;
        file.sync()?;
        disk.rename(&temporary, path)?;
        disk.sync_directory(directory)
    };
    write().map_err(|source| FileError { action: "write", path: path.display().to_string(), source })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
