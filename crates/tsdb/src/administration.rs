//! What people have done to a database beside writing and reading it.

use std::path::Path;

use environment::UnixTime;
use model::Matcher;
use parking_lot::MutexGuard;
use storage::{Administer, AdministerError, TimeRange};

use crate::db::Db;
use crate::deletion::Deleted;
use crate::maintenance::{self, Maintenance, with_sources};

impl Db {
    /// Does now what is done in the background otherwise: writes what is old in memory to blocks, removes blocks that are too
    /// old or too much, merges blocks. Blocks, also while a round is under way. What failed is in the program's log and
    /// in [`Db::stats`], and tried again.
    ///
    /// # Errors
    /// When the database is being closed, or its log could not be read.
    pub fn maintain(&self, now: UnixTime) -> Result<(), AdministerError> {
        let mut held = self.administer()?;
        maintenance::round_now(self.shared(), &mut held, now);
        Ok(())
    }

    /// Deletes the samples in `range` of the series that meet all matchers. On `Ok` queriers opened afterwards do not see
    /// them, also after a crash; samples that come later are not touched. Blocks.
    ///
    /// # Errors
    /// [`AdministerError`]; a part may be deleted then, and repeating it is safe.
    pub fn delete(&self, matchers: &[Matcher], range: TimeRange) -> Result<Deleted, AdministerError> {
        let mut held = self.administer()?;
        self.shared().delete(&mut held, matchers, range)
    }

    /// Writes all blocks anew that hold deleted samples, without them. Blocks, perhaps for long.
    ///
    /// # Errors
    /// [`AdministerError`]; nothing that is not deleted is lost by it.
    pub fn clean_tombstones(&self) -> Result<(), AdministerError> {
        let mut held = self.administer()?;
        self.shared().clean_tombstones(&mut held)
    }

    /// Copies the database to a directory that does not exist yet, while it is in use; the copy opens as a database. Every
    /// sample acknowledged before the call is in it. Blocks of samples are shared with the copy where the file system
    /// can do so: then it takes little space until they are merged here. Blocks.
    ///
    /// # Errors
    /// [`AdministerError`]; nothing is left of the copy then.
    pub fn snapshot(&self, to: &Path) -> Result<(), AdministerError> {
        let _held = self.administer()?;
        self.shared().copy_to(to, true).map_err(|error| AdministerError::unavailable(with_sources(&error)))
    }

    /// Has the files to itself: waits until the log was read, and until nobody else changes files.
    fn administer(&self) -> Result<MutexGuard<'_, Maintenance>, AdministerError> {
        self.wait_ready().map_err(|error| AdministerError::unavailable(with_sources(&error)))?;
        let held = self.shared().maintenance.lock();
        match self.shared().is_stopping() {
            true => Err(AdministerError::unavailable("the database is being closed")),
            false => Ok(held),
        }
    }
}

impl Administer for Db {
    fn delete(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<(), AdministerError> {
        selectors.iter().try_for_each(|matchers| Self::delete(self, matchers, range).map(drop))
    }

    fn clean_tombstones(&self) -> Result<(), AdministerError> {
        Self::clean_tombstones(self)
    }

    fn snapshot(&self, skip_head: bool) -> Result<String, AdministerError> {
        let _held = self.administer()?;
        let shared = self.shared();
        let name = shared.ulids.next().to_string();
        let snapshots = shared.directory.join(SNAPSHOTS);
        let failed = |error| AdministerError::unavailable(format!("cannot create {}: {error}", snapshots.display()));
        shared.disk.create_directory(&snapshots).map_err(failed)?;
        shared.disk.sync_directory(&shared.directory).map_err(failed)?;
        shared
            .copy_to(&snapshots.join(&name), !skip_head)
            .map_err(|error| AdministerError::unavailable(with_sources(&error)))?;
        Ok(name)
    }
}

/// Where snapshots go that nobody named a place for, in the database's directory.
const SNAPSHOTS: &str = "snapshots";
