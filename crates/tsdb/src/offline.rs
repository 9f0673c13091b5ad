//! A database's directory looked at, copied from and added to without opening the database: for commands.
//!
//! [`list`] and [`verify`] read blocks alone and may run beside a program that has the database open. [`Offline`] reads the logs,
//! too, into memory of its own, and [`Importer`] writes blocks: both lock the directory. Nothing here mends anything: what is
//! damaged stays as it is, and is told.

mod analyze;
mod export;
mod import;
mod import_blocks;
mod list;
mod verify;
mod verify_block;
mod view;

use std::io;
use std::path::{Path, PathBuf};

use storage::QueryError;

pub use analyze::{Analysis, AnalysisOptions, LabelUse, PairUse, analyze};
pub use export::{Exported, export};
pub use import::{ImportReport, Importer};
pub use import_blocks::{ImportedBlocks, import_directory};
pub use list::{FoundBlock, ListedBlock, list};
pub use verify::{Finding, Verified, verify};
pub use view::{Logs, Offline};

use crate::compaction::WriteBlockError;

/// Is told how far something has come.
pub trait Progress: Sync {
    /// Something begins that has `total` parts.
    fn begin(&self, what: &str, total: u64) {
        let _ = (what, total);
    }

    /// So many more parts are done.
    fn advance(&self, parts: u64) {
        let _ = parts;
    }
}

/// Nobody wants to know.
impl Progress for () {}

/// Why nothing can be done with a directory.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The disk does not do its part.
    #[error("cannot {action} {}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another program has the database open.
    #[error("{} is open in a running program: end that program, or work on a snapshot or backup of it", .0.display())]
    InUse(PathBuf),
    /// There is nothing of a database.
    #[error("{} is no data directory of a database: it has neither blocks nor a wal directory (of a block, name the directory it lies in)", .0.display())]
    NoDatabase(PathBuf),
    /// The logs cannot be read.
    #[error("cannot read the logs of {}", path.display())]
    Logs {
        /// The database's directory.
        path: PathBuf,
        /// Why.
        source: Box<crate::OpenError>,
    },
    /// Stored data cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A block cannot be written.
    #[error(transparent)]
    Write(#[from] WriteBlockError),
}

impl OfflineError {
    fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { action, path: path.to_path_buf(), source }
    }
}
