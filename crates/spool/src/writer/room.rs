//! Making room: what expires, what is removed, and what is set by for when the disk is full.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::Writer;
use crate::shared::Shared;
use crate::state::State;
use crate::{Expiry, WhenFull};

impl Writer {
    /// Over the bound, and the oldest are to go: lets whole segments of them expire.
    pub(super) fn make_room(&mut self, shared: &Shared) {
        let bytes = self.batch_bytes() as u64;
        loop {
            let state = shared.state.lock();
            let over = state.segments.bytes_in_use() + bytes > state.settings.bytes_max;
            let drops = state.settings.when_full == WhenFull::DropOldest && !self.batch.is_empty();
            if !drops || !over || state.unsettled == 0 {
                return;
            }
            let only_open =
                state.segments.0.iter().filter(|segment| segment.unsettled > 0).all(|segment| !segment.sealed);
            drop(state);
            if only_open {
                self.seal(shared);
            }
            self.drop_oldest(&mut shared.state.lock());
        }
    }

    /// Lets everything in the oldest finished segment expire where something waits.
    fn drop_oldest(&mut self, state: &mut State) {
        let oldest = state.segments.0.iter().position(|segment| segment.sealed && segment.unsettled > 0);
        let Some(oldest) = oldest else { return };
        for entry in 0..state.segments.0[oldest].entries.len() {
            if !state.segments.meta((oldest, entry)).settled {
                state.expire((oldest, entry), Expiry::Space);
            }
        }
        self.outcomes.extend(state.outcomes.drain(..));
    }

    /// The disk is full: gives back to it what can be spared. Says whether that was anything.
    pub(super) fn free(&mut self, shared: &Shared) -> bool {
        let mut state = shared.state.lock();
        let drops = state.settings.when_full == WhenFull::DropOldest;
        if !drops && (!self.batch.is_empty() || self.outcomes.is_empty()) {
            // A request must not take the room that outcomes need.
            return false;
        }
        if self.reserve {
            self.reserve = false;
            drop(state);
            tracing::warn!("the disk is full; the queue uses its reserve");
            return shared.disk.remove_file(&shared.files.reserve()).is_ok();
        }
        // Before their outcomes are in the log: a crash in between would count these as damaged. But the other way round
        // there would never be room.
        let front = state.segments.0.front().filter(|front| front.sealed);
        if state.segments.0.len() < 2 || front.is_none_or(|front| front.unsettled > 0 && !drops) {
            return false;
        }
        if front.is_some_and(|front| front.unsettled > 0) {
            self.drop_oldest(&mut state);
        }
        drop(state);
        self.remove_front(shared)
    }

    /// Removes segments from the front whose entries are all settled, once their outcomes survive what the entries would.
    pub(super) fn remove_settled(&mut self, shared: &Shared) {
        loop {
            let state = shared.state.lock();
            // The last segment holds the account.
            let front = state.segments.0.front().filter(|_| state.segments.0.len() > 1);
            let Some(front) = front.filter(|front| front.sealed && front.unsettled == 0 && front.unwritten == 0) else {
                return;
            };
            let outcomes_written = front.outcomes_written;
            drop(state);
            if shared.synced.load(Ordering::Acquire) < outcomes_written && !self.sync_for_removal(shared) {
                return;
            }
            if !self.remove_front(shared) {
                return;
            }
        }
    }

    fn sync_for_removal(&mut self, shared: &Shared) -> bool {
        if let Some(syncer) = &self.syncer {
            let state = shared.state.lock();
            // Otherwise the next round is soon enough.
            if (state.bytes - state.segments.bytes_in_use()) * HURRY_SHARE > state.settings.bytes_max {
                syncer.hurry();
            }
            return false;
        }
        match self.log.sync() {
            Ok(()) => {
                shared.syncs.fetch_add(1, Ordering::Relaxed);
                shared.synced.store(shared.written(), Ordering::Release);
                true
            }
            Err(error) => {
                shared.disk_failed(&format!("sync of {}: {error}", shared.files.log().display()));
                self.seal(shared);
                false
            }
        }
    }

    fn remove_front(&mut self, shared: &Shared) -> bool {
        let Some((number, bytes)) = shared.state.lock().segments.0.front().map(|front| (front.number, front.bytes))
        else {
            return false;
        };
        let removed = |path: &Path| match shared.disk.remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        // In order: a later segment must not go while an earlier one stays, or its outcomes would be forgotten.
        if let Err(error) = removed(&shared.files.segment(number)) {
            shared.disk_failed(&format!("removal of {}: {error}", shared.files.segment(number).display()));
            return false;
        }
        let _ = removed(&shared.files.index(number));
        let mut state = shared.state.lock();
        state.segments.0.pop_front();
        state.bytes -= bytes;
        true
    }

    pub(super) fn keep_reserve(&mut self, shared: &Shared) {
        if self.reserve {
            return;
        }
        let path = shared.files.reserve();
        let _ = shared.disk.remove_file(&path);
        let made = shared.disk.create(&path).and_then(|mut file| file.append(&vec![0; RESERVE_BYTES]));
        self.reserve = made.is_ok();
        if !self.reserve {
            let _ = shared.disk.remove_file(&path);
        }
    }
}

/// Of the bound of bytes that may wait to be given back.
const HURRY_SHARE: u64 = 8;
const RESERVE_BYTES: usize = 64 << 10;
