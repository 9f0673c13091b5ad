//! What the users of a queue and its threads share.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use environment::{Clock, Disk, Monotonic, UnixTime};
use parking_lot::{Condvar, Mutex};

use crate::files::{Files, set_aside};
use crate::reader::Reader;
use crate::record::entry_bytes;
use crate::state::{Append, Read, State};
use crate::syncer::Syncer;
use crate::ticket::{Waiting, ticket};
use crate::writer::Writer;
use crate::{AppendError, Appended, Entry, EntryId, Expiry, NewEntry, Outcome, ReadError, Refusal};

pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) files: Files,
    /// Wall time and monotonic time at the opening, between which the queue's own steady time runs.
    opened: (UnixTime, Monotonic),
    pub(crate) state: Mutex<State>,
    pub(crate) writer_wake: Condvar,
    pub(crate) reader_wake: Condvar,
    pub(crate) written: AtomicU64,
    /// Writes up to this one survive a power cut.
    pub(crate) synced: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) refusals: AtomicU64,
    /// The threads' work, when there are none and the callers do it.
    inline: OnceLock<Mutex<Works>>,
}

/// Those who do the work.
pub(crate) struct Works {
    pub(crate) writer: Writer,
    pub(crate) reader: Reader,
    pub(crate) syncer: Option<(Arc<Syncer>, Duration)>,
    pub(crate) synced_at: Monotonic,
}

/// What [`Shared::look`] found.
pub(crate) enum Look {
    Ready(Entry),
    Read(Waiting<Result<Entry, ReadError>>),
    Wait(Waiting<()>),
    Closing,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>, directory: &Path, state: State) -> Self {
        let opened = (clock.now(), clock.monotonic());
        Self {
            disk,
            clock,
            files: Files::new(directory),
            opened,
            state: Mutex::new(state),
            writer_wake: Condvar::new(),
            reader_wake: Condvar::new(),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            inline: OnceLock::new(),
        }
    }

    /// Lets the callers do the work of the threads from now on.
    pub(crate) fn set_inline(&self, works: Works) {
        let _ = self.inline.set(Mutex::new(works));
    }

    /// Does what waits, if there are no threads for it.
    pub(crate) fn work_inline(&self) {
        let Some(works) = self.inline.get() else { return };
        let Works { writer, reader, syncer, synced_at } = &mut *works.lock();
        writer.tick(self);
        writer.turn(self);
        reader.turn(self);
        let now = self.clock.monotonic();
        if let Some((syncer, interval)) = syncer
            && now.since(*synced_at) >= *interval
        {
            *synced_at = now;
            syncer.round(self);
            writer.turn(self);
        }
    }

    /// Ends what [`Shared::work_inline`] does; none if threads do it.
    pub(crate) fn finish_inline(&self) -> Option<std::io::Result<()>> {
        let works = &mut *self.inline.get()?.lock();
        let result = works.writer.finish(self);
        if let Some((syncer, _)) = &works.syncer {
            syncer.round(self);
        }
        Some(result)
    }

    /// Milliseconds on a clock that began with the wall's time and does not step with it.
    pub(crate) fn steady_ms(&self) -> u64 {
        let elapsed = self.clock.monotonic().since(self.opened.1);
        millis(self.opened.0.plus(elapsed))
    }

    pub(crate) fn begin_append(&self, entry: NewEntry) -> Result<Waiting<Result<Appended, AppendError>>, AppendError> {
        let bytes = entry_bytes(&entry) as u64;
        let mut state = self.state.lock();
        if state.closing {
            return Err(AppendError::Closing);
        }
        let to_drop = state.admit(bytes)?;
        let (ticket, waiting) = ticket();
        let (received_at, waiting_since) = (self.clock.now(), self.steady_ms());
        state.append_bytes += bytes;
        state.appends.push_back(Append { entry, received_at, waiting_since, to_drop, ticket });
        drop(state);
        self.writer_wake.notify_one();
        Ok(waiting)
    }

    /// The first entry behind `after`, or how to wait for it.
    pub(crate) fn look(&self, after: Option<EntryId>) -> Look {
        let now = self.steady_ms();
        let mut state = self.state.lock();
        loop {
            if state.closing {
                return Look::Closing;
            }
            let Some(place) = state.segments.next_unsettled(after) else {
                return Look::Wait(state.wait());
            };
            if state.is_expired(place, now) {
                state.expire(place, Expiry::Age);
                self.writer_wake.notify_one();
                continue;
            }
            let id = EntryId(state.segments.meta(place).id);
            if let Some(cached) = state.cache.take(id) {
                return Look::Ready(state.hand_out(place, cached));
            }
            let (ticket, waiting) = ticket();
            state.reads.push_back(Read { id, ticket });
            self.reader_wake.notify_one();
            return Look::Read(waiting);
        }
    }

    pub(crate) fn settle(&self, id: EntryId, outcome: Outcome) {
        let mut state = self.state.lock();
        let Some(place) = state.segments.find(id) else { return };
        let tally = state.segments.meta(place).tally();
        assert!(outcome.total() == tally, "the outcome of entry {id:?} must add up to {tally:?}: {outcome:?}");
        state.settle(place, outcome);
        drop(state);
        self.writer_wake.notify_one();
    }

    pub(crate) fn refuse(&self, refusal: Refusal) {
        let bytes = refusal.bytes();
        let mut state = self.state.lock();
        if state.closing || state.refusal_bytes + bytes > REFUSALS_BYTES_MAX {
            let first = !std::mem::replace(&mut state.refusals_behind, true);
            drop(state);
            if first {
                tracing::warn!("refused series are not kept in the ring, which is behind");
            }
            return;
        }
        state.refusals_behind = false;
        state.refusal_bytes += bytes;
        state.refusals.push_back(refusal);
        self.reader_wake.notify_one();
    }

    /// Copies a damaged file once and says so.
    pub(crate) fn set_aside(&self, path: &Path) -> Option<std::path::PathBuf> {
        match set_aside(&*self.disk, &self.files, path) {
            Ok(Some(copy)) => {
                tracing::error!(file = %path.display(), copy = %copy.display(), "a file of the queue is damaged; copied for you to look at");
                self.state.lock().counters.set_aside += 1;
                Some(copy)
            }
            Ok(None) => None,
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "a file of the queue is damaged and cannot be copied");
                None
            }
        }
    }

    pub(crate) fn disk_failed(&self, what: &str) -> Arc<str> {
        let mut state = self.state.lock();
        state.stalled = true;
        if state.disk_error.is_none() {
            tracing::error!(error = what, "the queue cannot be written; requests are refused until it can");
        }
        let error: Arc<str> = what.into();
        state.disk_error = Some(Arc::clone(&error));
        error
    }

    pub(crate) fn disk_works(&self, state: &mut State) {
        state.stalled = false;
        if state.disk_error.take().is_some() {
            tracing::info!("the queue is written again");
        }
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }
}

pub(crate) fn millis(time: UnixTime) -> u64 {
    duration_millis(time.since_epoch())
}

pub(crate) fn duration_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Of refused series that wait for the disk.
const REFUSALS_BYTES_MAX: usize = 2 << 20;
