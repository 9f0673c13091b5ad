//! Restoring a backup into an empty data directory, offline.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use environment::{Disk, FileKind};

use super::copy::copy_tree;
use super::{INSTALLATION, INSTALLATION_DIRECTORIES, Manifest, VERSION};
use crate::data_directory::DataDirectory;
use crate::private_file;

/// Puts the backup `from` into the data directory `to`, which must be empty or not exist. Answers how many workspaces and
/// bytes it was.
///
/// # Errors
/// When one of them is not what it must be, or a file cannot be read or written. A directory that was restored in part is
/// marked and not used by any later start.
pub(crate) fn restore(from: &Path, to: PathBuf, disk: &dyn Disk) -> anyhow::Result<(u64, u64)> {
    let manifest = Manifest::read(from, disk)?
        .with_context(|| format!("{} is no backup: it has no backup.json", from.display()))?;
    ensure!(
        manifest.version <= VERSION,
        "the backup {} was made by a newer remora ({}): use that one",
        from.display(),
        manifest.program
    );
    check_empty(&to, disk)?;
    let data = DataDirectory::take(to, disk)?;
    data.mark_incomplete(disk)?;
    let copied = copy_all(from, data.path(), disk)?;
    data.mark_complete(disk)?;
    Ok((manifest.workspaces, copied))
}

fn copy_all(from: &Path, to: &Path, disk: &dyn Disk) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for directory in ["catalog", "workspaces"].into_iter().chain(INSTALLATION_DIRECTORIES) {
        bytes += copy_tree(disk, &from.join(directory), &to.join(directory))?;
    }
    let installation = from.join(INSTALLATION);
    if let Some(text) = private_file::read(disk, &installation).context("cannot read installation.json")? {
        private_file::replace(disk, &to.join(INSTALLATION), &text).context("cannot write installation.json")?;
        bytes += text.len() as u64;
    }
    Ok(bytes)
}

fn check_empty(to: &Path, disk: &dyn Disk) -> anyhow::Result<()> {
    match disk.list(to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", to.display())),
        Ok(entries) => match entries.iter().find(|(path, kind)| *kind != FileKind::File || !path.ends_with("lock")) {
            None => Ok(()),
            Some((path, _)) => bail!(
                "{} is not empty ({} is in it): a backup is restored into a new data directory",
                to.display(),
                path.file_name().unwrap_or_default().display()
            ),
        },
    }
}
