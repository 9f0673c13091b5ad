//! Which of the log's bytes are still to be synced, for who does so at an interval.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use environment::DiskFile;
use parking_lot::Mutex;

use super::sync;
use crate::stats::Counters;

/// Shared by the log, which says when there is something to sync, and the engine, which does so.
#[derive(Default)]
pub(crate) struct Syncer {
    dirty: AtomicBool,
    /// Held while syncing; the log takes it only to change segments.
    file: Mutex<Option<Box<dyn DiskFile>>>,
}

impl Syncer {
    /// Syncs this file from now on.
    pub(crate) fn watch(&self, file: Box<dyn DiskFile>) {
        *self.file.lock() = Some(file);
    }

    /// Something was appended to it.
    pub(crate) fn written(&self) {
        self.dirty.store(true, Ordering::Release);
    }

    /// Syncs what was appended. After a failure nothing may be assumed about it: there is no second try.
    pub(crate) fn sync(&self, counters: &Counters) -> io::Result<()> {
        // Held before the flag is taken back: whoever finds nothing to do here knows that it is done.
        let file = self.file.lock();
        match &*file {
            Some(file) if self.dirty.swap(false, Ordering::AcqRel) => sync(&**file, counters),
            _ => Ok(()),
        }
    }
}
