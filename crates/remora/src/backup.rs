//! Backups: catalogue and all workspaces together, while the service runs; and restoring one, while it does not.
//!
//! ```text
//! <backup directory>/<name>/
//!   backup.json                 what it is; written last
//!   catalog/catalog.db          consistent in itself
//!   workspaces/<accountId>/     a snapshot of each, which shares blocks with the database where the file system can
//!   installation.json, secrets/, authority/      of an installation or a local authority, if there is one
//! ```
//!
//! The catalogue comes first, then every workspace in it. So what was acknowledged before the backup began is in it, and of
//! what comes meanwhile a part. A backup is written beside its place and renamed: one that can be seen is whole.

mod copy;
mod restore;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use arm_api::{Administration, AdministrationError, Backup};
use catalog::{Snapshot, Store};
use copy::{bytes_below, copy_tree, sync_parents};
use environment::{BoxFuture, Clock, Disk, FileKind};
use model::AccountId;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

pub(crate) use restore::restore;

use crate::data_directory::DataDirectory;
use crate::databases::{Databases, Snapshotted};
use crate::private_file;

/// Makes backups, one at a time.
pub(crate) struct Backups {
    directory: PathBuf,
    store: Arc<Store>,
    data: Arc<DataDirectory>,
    databases: Arc<Databases>,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    making: Mutex<()>,
}

/// The content of `backup.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    /// Layout of the backup.
    version: u32,
    name: String,
    /// The program that made it.
    program: String,
    created_ms: i64,
    bytes: u64,
    workspaces: u64,
}

impl Backups {
    /// Backups in `directory` of what `data` holds.
    pub(crate) fn new(
        directory: PathBuf,
        store: Arc<Store>,
        data: Arc<DataDirectory>,
        databases: Arc<Databases>,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { directory, store, data, databases, disk, clock, making: Mutex::new(()) }
    }

    async fn make(&self, name: &str) -> Result<Backup, AdministrationError> {
        if !is_name(name) {
            return Err(AdministrationError::Name(format!(
                "{name:?} cannot name a backup: take up to {NAME_BYTES_MAX} letters, digits, hyphens, underscores and inner dots, \
                 and no {SCRATCH:?} at the end"
            )));
        }
        let Ok(_making) = self.making.try_lock() else { return Err(AdministrationError::Busy) };
        let place = self.directory.join(name);
        let scratch = self.directory.join(format!("{name}{SCRATCH}"));
        match self.disk.list(&place) {
            Ok(_) => return Err(AdministrationError::Exists(name.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(format!("cannot read {}: {error}", place.display()))),
        }
        let made = self.write(name, &scratch, &place).await;
        made.map_err(|error| {
            // What could not be finished must not fill the disk.
            let _nothing_there = self.disk.remove_directory(&scratch);
            failed(format!("the backup {name:?} was not made: {error:#}"))
        })
    }

    async fn write(&self, name: &str, scratch: &Path, place: &Path) -> anyhow::Result<Backup> {
        remove_left_over(&*self.disk, scratch)?;
        let catalog = scratch.join("catalog");
        self.disk.create_directory(&catalog).with_context(|| format!("cannot make {}", catalog.display()))?;
        let created_ms = self.clock.now().as_millis();
        self.store.backup(&catalog.join("catalog.db")).await?;
        // At least those that the copy of the catalogue holds: it was made before, and data of what is deleted are kept.
        let snapshot = self.store.catalog().snapshot();
        let snapshots = self.snapshots(&snapshot, scratch).await?;
        let (name, scratch, place) = (name.to_owned(), scratch.to_owned(), place.to_owned());
        let (data, disk) = (Arc::clone(&self.data), Arc::clone(&self.disk));
        let copied = tokio::task::spawn_blocking(move || {
            let (bytes, workspaces) = copy_data(&snapshot, &snapshots, &data, &*disk, &scratch)?;
            let program = concat!("remora ", env!("CARGO_PKG_VERSION")).to_owned();
            let manifest = Manifest { version: VERSION, name, program, created_ms, bytes, workspaces };
            let text = serde_json::to_vec_pretty(&manifest).context("a manifest is plain data")?;
            private_file::replace(&*disk, &scratch.join(MANIFEST), &text).context("cannot write backup.json")?;
            disk.rename(&scratch, &place).with_context(|| format!("cannot put {} in place", place.display()))?;
            sync_parents(&*disk, &place)?;
            anyhow::Ok(manifest)
        });
        Ok(describe(copied.await.context("copying panicked")??, &self.directory))
    }

    /// Takes snapshots of all workspaces that have data and are not deleted; which ones those are. What cannot be opened is
    /// left to be copied as it lies there.
    async fn snapshots(&self, snapshot: &Snapshot, scratch: &Path) -> anyhow::Result<BTreeSet<AccountId>> {
        let workspaces = scratch.join("workspaces");
        self.disk.create_directory(&workspaces).with_context(|| format!("cannot make {}", workspaces.display()))?;
        let mut taken = BTreeSet::new();
        for account in snapshot.workspaces().values().map(|workspace| workspace.account_id) {
            match self.databases.snapshot(account, &workspaces.join(account.to_string())).await? {
                Snapshotted::Yes => drop(taken.insert(account)),
                Snapshotted::Empty => {}
                Snapshotted::NotOpen(reason) => {
                    tracing::warn!(workspace = %account, %reason, "A workspace that is not open is backed up as it lies there");
                }
            }
        }
        Ok(taken)
    }

    fn list(&self) -> anyhow::Result<Vec<Backup>> {
        let entries = match self.disk.list(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("cannot read {}", self.directory.display()))?,
        };
        let mut backups = Vec::new();
        for (path, _) in entries.iter().filter(|(path, kind)| *kind == FileKind::Directory && !is_scratch(path)) {
            // Whatever else lies there is none of ours.
            if let Some(manifest) = Manifest::read(path, &*self.disk)? {
                backups.push(describe(manifest, &self.directory));
            }
        }
        Ok(backups)
    }
}

impl Administration for Backups {
    fn backup(&self, name: &str) -> BoxFuture<'_, Result<Backup, AdministrationError>> {
        let name = name.to_owned();
        Box::pin(async move { self.make(&name).await })
    }

    fn backups(&self) -> BoxFuture<'_, Result<Vec<Backup>, AdministrationError>> {
        Box::pin(async move { self.list().map_err(|error| failed(format!("{error:#}"))) })
    }
}

impl Manifest {
    /// Of the backup in `directory`; `None` when there is none.
    fn read(directory: &Path, disk: &dyn Disk) -> anyhow::Result<Option<Self>> {
        let path = directory.join(MANIFEST);
        let Some(text) = private_file::read(disk, &path).with_context(|| format!("cannot read {}", path.display()))?
        else {
            return Ok(None);
        };
        serde_json::from_slice(&text).map(Some).with_context(|| format!("{} cannot be understood", path.display()))
    }
}

/// Copies the workspaces of `snapshot` that are not there as `snapshots`, deleted ones too, and the files of an installation; how
/// many bytes and workspaces there are then.
fn copy_data(
    snapshot: &Snapshot,
    snapshots: &BTreeSet<AccountId>,
    data: &DataDirectory,
    disk: &dyn Disk,
    to: &Path,
) -> anyhow::Result<(u64, u64)> {
    let live = snapshot.workspaces().values().map(|workspace| workspace.account_id);
    let accounts = live.chain(snapshot.deleted_workspaces().keys().copied());
    let (mut bytes, mut workspaces) = (disk.open_read(&to.join("catalog/catalog.db"))?.len()?, 0);
    for account in accounts {
        let copy = to.join("workspaces").join(account.to_string());
        bytes += match snapshots.contains(&account) {
            true => bytes_below(disk, &copy)?,
            // One that was purged this moment is gone, as it should be.
            false => copy_tree(disk, &data.workspace(account), &copy)?,
        };
        workspaces += 1;
    }
    for directory in INSTALLATION_DIRECTORIES {
        bytes += copy_tree(disk, &data.path().join(directory), &to.join(directory))?;
    }
    let installation = data.path().join(INSTALLATION);
    if let Some(text) = private_file::read(disk, &installation).context("cannot read installation.json")? {
        private_file::replace(disk, &to.join(INSTALLATION), &text).context("cannot copy installation.json")?;
        bytes += text.len() as u64;
    }
    Ok((bytes, workspaces))
}

fn describe(manifest: Manifest, directory: &Path) -> Backup {
    let Manifest { name, created_ms, bytes, workspaces, .. } = manifest;
    let path = directory.join(&name).display().to_string();
    Backup { name, path, created_ms, bytes, workspaces }
}

fn remove_left_over(disk: &dyn Disk, scratch: &Path) -> anyhow::Result<()> {
    match disk.remove_directory(scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", scratch.display()))
        }
        _ => Ok(()),
    }
}

/// A plain file name, and none of our own.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.ends_with(SCRATCH)
}

fn is_scratch(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(SCRATCH)
}

fn failed(reason: String) -> AdministrationError {
    AdministrationError::Failed(reason)
}

const MANIFEST: &str = "backup.json";
const INSTALLATION: &str = "installation.json";
const INSTALLATION_DIRECTORIES: [&str; 2] = ["secrets", "authority"];

/// Ends the name of a backup that is being written.
const SCRATCH: &str = ".partial";

/// Layout of backups.
const VERSION: u32 = 1;

const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests;
