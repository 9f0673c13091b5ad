//! Copying files that others may append to meanwhile.

use std::io;
use std::path::Path;

use anyhow::Context;
use environment::{Disk, FileKind};

/// Copies a directory with all that is in it, file by file in the order of their names, and syncs it; how many bytes. A
/// directory that is not there is an empty one, and so is a file that vanishes meanwhile.
///
/// Of a log that is written meanwhile, the copy ends somewhere in the last segment that there was when copying began: the
/// list is read once, and a segment that is not the last is complete.
pub(super) fn copy_tree(disk: &dyn Disk, from: &Path, to: &Path) -> anyhow::Result<u64> {
    let entries = match disk.list(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.with_context(|| format!("cannot read {}", from.display()))?,
    };
    disk.create_directory(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut bytes = 0;
    for (path, kind) in entries {
        let target = to.join(path.file_name().context("an entry of a directory has a name")?);
        bytes += match kind {
            FileKind::Directory => copy_tree(disk, &path, &target)?,
            FileKind::File => copy_file(disk, &path, &target)?,
            FileKind::Other => 0,
        };
    }
    disk.sync_directory(to).with_context(|| format!("cannot sync {}", to.display()))?;
    Ok(bytes)
}

/// Bytes of all files in a directory and below.
pub(super) fn bytes_below(disk: &dyn Disk, directory: &Path) -> anyhow::Result<u64> {
    let entries = disk.list(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut bytes = 0;
    for (path, kind) in entries {
        bytes += match kind {
            FileKind::Directory => bytes_below(disk, &path)?,
            FileKind::File => {
                let length = disk.open_read(&path).and_then(|file| file.len());
                length.with_context(|| format!("cannot read {}", path.display()))?
            }
            FileKind::Other => 0,
        };
    }
    Ok(bytes)
}

/// Syncs the directory that `path` lies in, so that it is found after a power cut.
pub(super) fn sync_parents(disk: &dyn Disk, path: &Path) -> anyhow::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    disk.sync_directory(parent).with_context(|| format!("cannot sync {}", parent.display()))
}

fn copy_file(disk: &dyn Disk, from: &Path, to: &Path) -> anyhow::Result<u64> {
    let source = match disk.open_read(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        source => source.with_context(|| format!("cannot read {}", from.display()))?,
    };
    let mut target = disk.create(to).with_context(|| format!("cannot make {}", to.display()))?;
    // What is appended from now on is not needed; without this bound, copying a busy log might never end.
    let length = source.len().with_context(|| format!("cannot read {}", from.display()))?;
    let (mut buffer, mut offset) = (vec![0; BUFFER_BYTES], 0);
    while offset < length {
        let wanted = buffer.len().min(usize::try_from(length - offset).unwrap_or(usize::MAX));
        let read = source.read_at(&mut buffer[..wanted], offset);
        let read = read.with_context(|| format!("cannot read {}", from.display()))?;
        if read == 0 {
            break;
        }
        target.append(&buffer[..read]).with_context(|| format!("cannot write {}", to.display()))?;
        offset += read as u64;
    }
    target.sync().with_context(|| format!("cannot sync {}", to.display()))?;
    Ok(offset)
}

const BUFFER_BYTES: usize = 1 << 20;
