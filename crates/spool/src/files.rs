//! Names in a queue's directory.
//!
//! ```text
//! lock                    held while a process has the queue open
//! log/00000001            segments, counting up
//! log/00000001.index      what a finished segment holds
//! log/reserve             room for the outcomes that make room when the disk is full
//! refusals/00000001       ring of refused series
//! replayed                which refused series were sent again; not the queue's own, but that of `ledger replay`
//! set-aside/              copies of damaged files, for people to look at
//! ```

use std::io;
use std::path::{Path, PathBuf};

use environment::{Disk, FileKind};

/// Where a queue's files are.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_path_buf() }
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.directory.join("lock")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub(crate) fn segment(&self, number: u64) -> PathBuf {
        self.log().join(numbered(number))
    }

    pub(crate) fn index(&self, number: u64) -> PathBuf {
        self.log().join(format!("{}.index", numbered(number)))
    }

    pub(crate) fn reserve(&self) -> PathBuf {
        self.log().join("reserve")
    }

    pub(crate) fn refusals(&self) -> PathBuf {
        self.directory.join("refusals")
    }

    pub(crate) fn refusals_file(&self, number: u64) -> PathBuf {
        self.refusals().join(numbered(number))
    }

    pub(crate) fn set_aside(&self) -> PathBuf {
        self.directory.join("set-aside")
    }
}

/// Numbers of the files in `directory` that are called by a number alone, and of those with `.index` behind it.
pub(crate) fn list_numbered(disk: &dyn Disk, directory: &Path) -> io::Result<(Vec<u64>, Vec<u64>)> {
    let (mut files, mut indexes) = (Vec::new(), Vec::new());
    for (path, kind) in disk.list(directory)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| kind == FileKind::File) else {
            continue;
        };
        let (name, found) = match name.strip_suffix(".index") {
            Some(name) => (name, &mut indexes),
            None => (name, &mut files),
        };
        if name.len() >= NAME_DIGITS
            && name.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = name.parse()
        {
            found.push(number);
        }
    }
    files.sort_unstable();
    indexes.sort_unstable();
    Ok((files, indexes))
}

/// Copies a damaged file for people to look at; the oldest copies make room. `None` when it was copied before.
pub(crate) fn set_aside(disk: &dyn Disk, files: &Files, path: &Path) -> io::Result<Option<PathBuf>> {
    let directory = files.set_aside();
    disk.create_directory(&directory)?;
    let copy = directory.join(path.file_name().unwrap_or_default());
    let copies = disk.list(&directory)?;
    if copies.iter().any(|(path, _)| *path == copy) {
        return Ok(None);
    }
    for (old, _) in copies.iter().take((copies.len() + 1).saturating_sub(SET_ASIDE_FILES_MAX)) {
        disk.remove_file(old)?;
    }
    let bytes = disk.read(path)?;
    disk.create(&copy)?.append(&bytes)?;
    Ok(Some(copy))
}

fn numbered(number: u64) -> String {
    format!("{number:0NAME_DIGITS$}")
}

const NAME_DIGITS: usize = 8;
const SET_ASIDE_FILES_MAX: usize = 16;
