//! Finding a workspace's storage.

use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, ErrorKind, Kinded};

use crate::{BoxFuture, Storage};

/// Finds a workspace's storage. Held by whoever opens and closes workspaces.
pub trait Workspaces: Send + Sync + 'static {
    /// The storage of the workspace. One that nobody used for a while is opened first, which is waited for, but not for
    /// long.
    ///
    /// Whoever holds what is answered keeps it open, unless the workspace is deleted or the service ends.
    ///
    /// # Errors
    /// [`NoStorage`]; trying again later may help.
    fn storage(&self, workspace: AccountId, purpose: Purpose) -> BoxFuture<'_, Result<Arc<dyn Storage>, NoStorage>>;
}

/// What a storage is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Reading: as soon as anything can be read. What is not there yet is waited for by the selection that needs it.
    Read,
    /// Writing: when what was written before is known.
    Write,
}

/// Why there is no storage of a workspace now.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum NoStorage {
    /// There is no such workspace here, or not any more.
    #[error("the workspace {0} is not here: it was deleted, or has just been made")]
    Unknown(AccountId),
    /// Everything ends.
    #[error("the service is ending")]
    Ending,
    /// It is being opened, which takes long.
    #[error("the workspace {0} is being opened: send this again")]
    Opening(AccountId),
    /// It could not be opened; it is tried again when it is asked for after a while.
    #[error("the workspace {workspace} cannot be opened: {reason}")]
    Failed {
        /// Which.
        workspace: AccountId,
        /// What failed on what.
        reason: Arc<str>,
        /// In how much time it is tried again.
        retry_after: Duration,
    },
}

impl NoStorage {
    /// When asking again makes sense.
    pub const fn retry_after(&self) -> Duration {
        match self {
            Self::Failed { retry_after, .. } => *retry_after,
            _ => Duration::from_secs(1),
        }
    }
}

impl Kinded for NoStorage {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}
