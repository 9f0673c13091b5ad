//! Making room: what expires, what is removed, and what is set by for when the disk is full.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::{Writer, is_full};
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
            if !self.drop_oldest(&mut shared.state.lock()) {
                return;
            }
        }
    }

    /// Lets everything in the oldest finished segment expire where something waits.
    fn drop_oldest(&mut self, state: &mut State) -> bool {
        let oldest = state.segments.0.iter().position(|segment| segment.sealed && segment.unsettled > 0);
        let Some(oldest) = oldest else { return false };
        for entry in 0..state.segments.0[oldest].entries.len() {
            if !state.segments.meta((oldest, entry)).settled {
                state.expire((oldest, entry), Expiry::Space);
            }
        }
        self.outcomes.extend(state.outcomes.drain(..));
        true
    }

    /// The disk is full: gives back to it what can be spared. Says whether that was anything.
    pub(super) fn free(&mut self, shared: &Shared) -> bool {
        if self.batch.is_empty() {
            return !self.outcomes.is_empty() && (self.spend_reserve(shared) || self.remove_dead(shared));
        }
        // A request must not take the room that outcomes need.
        if shared.state.lock().settings.when_full != WhenFull::DropOldest {
            return false;
        }
        let has_finished = shared.state.lock().segments.0.front().is_some_and(|front| front.sealed);
        if !has_finished && !self.start_anew(shared) {
            return false;
        }
        let mut state = shared.state.lock();
        if state.segments.0.len() < 2 {
            return false;
        }
        if state.segments.0.front().is_some_and(|front| front.unsettled > 0) {
            self.drop_oldest(&mut state);
        }
        drop(state);
        // Before their outcomes are in the log: a crash in between would count these as damaged. But the other way round
        // there would never be room.
        let removed = self.remove_front(shared);
        self.regain_reserve(shared);
        removed
    }

    fn spend_reserve(&mut self, shared: &Shared) -> bool {
        if !std::mem::replace(&mut self.reserve, false) {
            return false;
        }
        if !std::mem::replace(&mut self.reserve_spent, true) {
            tracing::warn!("the disk is full; the queue uses its reserve");
        }
        shared.disk.remove_file(&shared.files.reserve()).is_ok()
    }

    /// Removes the oldest segment if nothing waits in it, although not all its outcomes may be in the log.
    fn remove_dead(&mut self, shared: &Shared) -> bool {
        let state = shared.state.lock();
        let front = state.segments.0.front().filter(|front| front.sealed && front.unsettled == 0);
        if state.segments.0.len() < 2 || front.is_none() {
            return false;
        }
        drop(state);
        self.remove_front(shared)
    }

    /// Ends the open segment, so that it can go, and starts another, if need be with the room of the reserve.
    fn start_anew(&mut self, shared: &Shared) -> bool {
        self.seal(shared);
        self.start(shared).is_ok() || (self.spend_reserve(shared) && self.start(shared).is_ok())
    }

    /// Makes the reserve again once it was spent. Until there is room for it, no request is taken, or the outcomes of those
    /// that wait could never be written.
    pub(super) fn regain_reserve(&mut self, shared: &Shared) {
        if !self.reserve_spent {
            return;
        }
        let state = shared.state.lock();
        let is_dead = state.segments.0.iter().all(|segment| segment.unsettled == 0 && segment.unwritten == 0);
        drop(state);
        if is_dead && self.log.is_begun() {
            self.start_anew(shared);
        }
        if is_dead {
            while self.remove_dead(shared) {}
        }
        self.keep_reserve(shared);
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
        // A start on a full disk is no different: what room comes first is for outcomes.
        self.reserve_spent = made.is_err_and(|error| self.reserve_spent || is_full(&error));
        if !self.reserve {
            let _ = shared.disk.remove_file(&path);
        }
    }
}

/// Of the bound of bytes that may wait to be given back.
const HURRY_SHARE: u64 = 8;
const RESERVE_BYTES: usize = 64 << 10;
