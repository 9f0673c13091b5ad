//! The data directory: where it is, and that only one process uses it.
//!
//! ```text
//! lock                        held while a process runs on the directory
//! catalog/catalog.db          what exists
//! workspaces/<accountId>/     one database each
//! backups/<name>/             backups, unless they lie elsewhere
//! restoring                   there until a backup has been restored whole
//! up.json                     what runs where, while `remora up` runs
//! installation.json, secrets/, authority/      what `remora up` made
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use environment::Disk;
use model::AccountId;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::private_file;

/// A data directory that this process alone uses.
pub(crate) struct DataDirectory {
    path: PathBuf,
    /// The system lets go of the lock when the process ends, however it ends.
    _lock: File,
}

impl DataDirectory {
    /// Makes the directory if there is none, and takes it.
    ///
    /// # Errors
    /// When it cannot be made or written to, or another process has it.
    pub(crate) fn take(path: PathBuf, disk: &dyn Disk) -> anyhow::Result<Self> {
        // Absolute, since names of files in it are handed to programs that run elsewhere.
        let path = std::path::absolute(&path).with_context(|| format!("{:?} is no directory name", path.display()))?;
        disk.create_directory(&path).with_context(|| format!("cannot make the data directory {}", path.display()))?;
        let lock_path = path.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .with_context(|| format!("cannot open {}", lock_path.display()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let taken = Self { path, _lock: lock };
                taken.check_complete(disk)?;
                Ok(taken)
            }
            Err(Errno::WOULDBLOCK) => bail!(
                "the data directory {} is in use by another remora process: end that one, or give another --data-dir",
                path.display()
            ),
            Err(error) => Err(error).with_context(|| format!("cannot lock {}", lock_path.display())),
        }
    }

    /// Whether a process runs on the directory at `path` now. `false` also when there is no such directory.
    pub(crate) fn is_taken(path: &Path) -> bool {
        let Ok(lock) = File::open(path.join("lock")) else { return false };
        flock(&lock, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the catalogue is.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.path.join("catalog").join("catalog.db")
    }

    /// Notes that what is being restored into the directory is not all there yet.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub(crate) fn mark_incomplete(&self, disk: &dyn Disk) -> anyhow::Result<()> {
        private_file::replace(disk, &self.path.join(RESTORING), b"").context("cannot write to the data directory")
    }

    /// Takes that note away.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(crate) fn mark_complete(&self, disk: &dyn Disk) -> anyhow::Result<()> {
        disk.sync_directory(&self.path).context("cannot sync the data directory")?;
        disk.remove_file(&self.path.join(RESTORING)).context("cannot write to the data directory")?;
        disk.sync_directory(&self.path).context("cannot sync the data directory")
    }

    fn check_complete(&self, disk: &dyn Disk) -> anyhow::Result<()> {
        let mark = private_file::read(disk, &self.path.join(RESTORING)).context("cannot read the data directory")?;
        ensure!(
            mark.is_none(),
            "a backup was restored into {} in part only: empty the directory and restore it again",
            self.path.display()
        );
        Ok(())
    }

    /// Where a workspace's database is.
    pub(crate) fn workspace(&self, account: AccountId) -> PathBuf {
        self.workspaces().join(account.to_string())
    }

    /// Where all databases are.
    pub(crate) fn workspaces(&self) -> PathBuf {
        self.path.join("workspaces")
    }
}

/// Where data are kept when nobody says: `$XDG_DATA_HOME/remora`, `~/.local/share/remora`, for root `/var/lib/remora`.
///
/// # Errors
/// When neither variable is set for a user other than root.
#[expect(clippy::disallowed_methods, reason = "this is the program; the environment is read here")]
pub(crate) fn default_path() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/remora"));
    }
    if let Some(data_home) = variable("XDG_DATA_HOME") {
        return Ok(PathBuf::from(data_home).join("remora"));
    }
    let home = variable("HOME").context("neither XDG_DATA_HOME nor HOME is set: say with --data-dir where data go")?;
    Ok(PathBuf::from(home).join(".local/share/remora"))
}

/// Its presence says that a restore has not ended.
const RESTORING: &str = "restoring";
