//! Files that only their owner may read.

use std::io;
use std::path::Path;

use environment::Disk;

/// Writes a file so that whoever looks sees the old content or the whole new one; readable by the owner alone.
///
/// # Errors
/// As the system reports them.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let scratch = path.with_file_name(name);
    match disk.remove_file(&scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = disk.create(&scratch)?;
    file.append(content)?;
    file.sync()?;
    disk.rename(&scratch, path)?;
    path.parent().map_or(Ok(()), |directory| disk.sync_directory(directory))
}

/// A file's content; `None` when there is no such file.
///
/// # Errors
/// As the system reports them.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match disk.read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
