//! Which blocks there are.

use std::path::{Path, PathBuf};

use environment::{Disk, FileKind};
use tsdb_format::block::Ulid;
use tsdb_format::block::meta::{self, BlockMeta};

use super::OfflineError;

/// A directory that is named like a block.
#[derive(Clone, Debug)]
pub struct FoundBlock {
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself, or why it says nothing.
    pub block: Result<ListedBlock, String>,
}

/// A block as it describes itself.
#[derive(Clone, Debug)]
pub struct ListedBlock {
    /// Its `meta.json`.
    pub meta: BlockMeta,
    /// Bytes of its files.
    pub bytes: u64,
}

/// The blocks in `directory`, oldest times first; those that cannot be described come last. Reads nothing but their
/// `meta.json`.
///
/// # Errors
/// When the directory cannot be read, or holds nothing of a database.
pub fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<FoundBlock>, OfflineError> {
    let found = blocks_in(disk, directory)?;
    if found.is_empty() && disk.list(&directory.join("wal")).is_err() {
        return Err(OfflineError::NoDatabase(directory.to_path_buf()));
    }
    Ok(found)
}

/// The same of a directory that may be empty.
pub(super) fn blocks_in(disk: &dyn Disk, directory: &Path) -> Result<Vec<FoundBlock>, OfflineError> {
    let entries = disk.list(directory).map_err(OfflineError::at("read", directory))?;
    let mut found = Vec::new();
    for (path, kind) in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if kind == FileKind::Directory && name.parse::<Ulid>().is_ok() {
            let block = describe(disk, &path);
            found.push(FoundBlock { path, block });
        }
    }
    found.sort_by_key(|found| match &found.block {
        Ok(block) => (block.meta.min_time, block.meta.max_time),
        Err(_) => (i64::MAX, i64::MAX),
    });
    Ok(found)
}

fn describe(disk: &dyn Disk, path: &Path) -> Result<ListedBlock, String> {
    let text = disk.read(&path.join("meta.json")).map_err(|error| format!("meta.json: {error}"))?;
    let meta = meta::decode(&text).map_err(|error| error.to_string())?;
    Ok(ListedBlock { meta, bytes: bytes_below(disk, path) })
}

/// Bytes of all files; what cannot be asked for is nothing.
pub(super) fn bytes_below(disk: &dyn Disk, directory: &Path) -> u64 {
    let entries = disk.list(directory).unwrap_or_default();
    let bytes = entries.iter().map(|(path, kind)| match kind {
        FileKind::Directory => bytes_below(disk, path),
        FileKind::File => disk.open_read(path).and_then(|file| file.len()).unwrap_or(0),
        FileKind::Other => 0,
    });
    bytes.sum()
}
