//! Syncs the log in the background, at an interval.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use environment::DiskFile;
use parking_lot::{Condvar, Mutex};

use super::sync;
use crate::stats::Counters;

/// Shared by the committer, which says when there is something to sync, and a thread in [`Syncer::run`].
#[derive(Default)]
pub(crate) struct Syncer {
    dirty: AtomicBool,
    /// Held while syncing; the committer takes it only to change segments.
    file: Mutex<Option<Box<dyn DiskFile>>>,
    stopped: Mutex<bool>,
    wake: Condvar,
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

    /// Ends [`Syncer::run`], without a last sync.
    pub(crate) fn stop(&self) {
        *self.stopped.lock() = true;
        self.wake.notify_all();
    }

    /// Syncs until stopped, or until the first failure, which it returns: afterwards nothing may be assumed about what
    /// was written, so there is no second try.
    pub(crate) fn run(&self, interval: Duration, counters: &Counters) -> io::Result<()> {
        let mut stopped = self.stopped.lock();
        while !*stopped {
            self.wake.wait_for(&mut stopped, interval);
            if !*stopped && self.dirty.swap(false, Ordering::AcqRel) {
                let file = self.file.lock();
                if let Some(file) = &*file {
                    sync(&**file, counters)?;
                }
            }
        }
        Ok(())
    }
}
