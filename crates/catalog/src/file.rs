//! The catalogue's file: nobody else reads it, and no second process writes it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// The right to change a catalogue, held by one process at a time.
///
/// The lock is on a file beside the database: closing any handle of the database itself would take SQLite's own locks away.
pub(crate) struct Exclusive {
    _lock: File,
}

impl Exclusive {
    /// Makes the directory and the file `database` when there are none, for the owner alone, and locks it.
    pub(crate) fn take(database: &Path) -> Result<Self, StoreError> {
        let refused = |what: &Path| {
            let what = what.display().to_string();
            move |error: io::Error| StoreError::Database { action: "opened", reason: format!("{what}: {error}") }
        };
        if let Some(directory) = database.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(refused(directory))?;
        }
        let path = lock_path(database);
        let lock = private_file(&path).map_err(refused(&path))?;
        lock.try_lock().map_err(|_| StoreError::Database {
            action: "opened",
            reason: format!("{}: another process has it open: stop that one first", database.display()),
        })?;
        let file = private_file(database).map_err(refused(database))?;
        if file.metadata().map_err(refused(database))?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600)).map_err(refused(database))?;
        }
        Ok(Self { _lock: lock })
    }
}

/// Makes an empty file for the owner alone, which must not exist.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    database.with_file_name(name)
}
