//! Forces the log to the disk at an interval, so that nobody who appends waits for it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use environment::DiskFile;
use parking_lot::{Condvar, Mutex};

use crate::shared::Shared;

/// Shared by the writer, which says what is to be synced, and a thread in [`Syncer::run`].
#[derive(Default)]
pub(crate) struct Syncer {
    /// Segments started since the last round.
    started: Mutex<Vec<(u64, Box<dyn DiskFile>)>>,
    /// Segments to be synced, the one being written last. Held while syncing.
    files: Mutex<Vec<(u64, Box<dyn DiskFile>)>>,
    asked: Mutex<Asked>,
    wake: Condvar,
}

#[derive(Default)]
struct Asked {
    hurry: bool,
    stop: bool,
}

impl Syncer {
    /// Syncs this segment from now on, by a handle of its own.
    pub(crate) fn watch(&self, number: u64, file: Box<dyn DiskFile>) {
        self.started.lock().push((number, file));
    }

    /// Segments wait to be removed.
    pub(crate) fn hurry(&self) {
        self.asked.lock().hurry = true;
        self.wake.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.asked.lock().stop = true;
        self.wake.notify_one();
    }

    pub(crate) fn run(&self, shared: &Shared, interval: Duration) {
        loop {
            let mut asked = self.asked.lock();
            if !asked.stop && !asked.hurry {
                self.wake.wait_for(&mut asked, interval);
            }
            asked.hurry = false;
            if asked.stop {
                return;
            }
            drop(asked);
            self.round(shared);
        }
    }

    /// Syncs what was written so far.
    pub(crate) fn round(&self, shared: &Shared) {
        let written = shared.written();
        if written == shared.synced.load(Ordering::Acquire) {
            return;
        }
        let mut files = self.files.lock();
        let started = std::mem::take(&mut *self.started.lock());
        let directory = if started.is_empty() { Ok(()) } else { shared.disk.sync_directory(&shared.files.log()) };
        files.extend(started);
        let mut failed = directory.err().map(|error| (files.last().map_or(0, |(number, _)| *number), error));
        // What was removed meanwhile need not reach the disk.
        let exist: Vec<u64> = shared.state.lock().segments.0.iter().map(|segment| segment.number).collect();
        files.retain(|(number, _)| exist.binary_search(number).is_ok());
        // In order, so that a power cut never keeps a later segment without an earlier one.
        while failed.is_none()
            && let Some((number, file)) = files.first()
        {
            shared.syncs.fetch_add(1, Ordering::Relaxed);
            failed = file.sync().err().map(|error| (*number, error));
            if files.len() == 1 && failed.is_none() {
                break;
            }
            files.remove(0);
        }
        drop(files);
        match failed {
            None => {
                shared.synced.store(written, Ordering::Release);
                shared.state.lock().synced_news = true;
            }
            Some((number, error)) => {
                shared.disk_failed(&format!("sync of {}: {error}", shared.files.segment(number).display()));
                shared.state.lock().sync_failed = Some(number);
            }
        }
        shared.writer_wake.notify_one();
    }
}
