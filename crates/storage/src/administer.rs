//! What is done to stored samples beside writing and reading them.

use std::sync::Arc;

use model::{ErrorKind, Kinded, Matcher};

use crate::{QueryError, TimeRange};

/// Deletes samples, and copies what is stored. Every call blocks, perhaps for long: make it where that is allowed.
pub trait Administer: Send + Sync {
    /// Deletes the samples in `range` of all series that meet all matchers of any of the `selectors`.
    ///
    /// On `Ok` queriers opened afterwards do not see them, also after a crash. They may take space until
    /// [`Administer::clean_tombstones`] or the engine's own compaction. Samples that come later are not touched, whatever
    /// their times.
    ///
    /// # Errors
    /// [`AdministerError`]; a part may be deleted then, and repeating it is safe.
    fn delete(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<(), AdministerError>;

    /// Takes deleted samples out of what is stored.
    ///
    /// # Errors
    /// [`AdministerError`]; nothing that is not deleted is lost by it.
    fn clean_tombstones(&self) -> Result<(), AdministerError>;

    /// Copies what is stored into a directory of its own that opens as a database, and answers the directory's name. Every
    /// sample acknowledged before the call is in it, unless `skip_head` leaves out what is in no block yet.
    ///
    /// # Errors
    /// [`AdministerError`]; nothing is left of the copy then.
    fn snapshot(&self, skip_head: bool) -> Result<String, AdministerError>;
}

/// Why something could not be done to stored samples.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AdministerError {
    /// It cannot be done now; trying again may help.
    #[error("{0}")]
    Unavailable(Arc<str>),
    /// What is stored cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl AdministerError {
    /// Because of what an engine says.
    pub fn unavailable(reason: impl std::fmt::Display) -> Self {
        Self::Unavailable(reason.to_string().into())
    }
}

impl Kinded for AdministerError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Query(error) => error.kind(),
        }
    }
}
