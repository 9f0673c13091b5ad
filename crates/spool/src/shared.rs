//! What the users of a queue and its threads share.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use environment::{Clock, Disk, Monotonic, UnixTime};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::files::{Files, set_aside};
use crate::reader::Reader;
use crate::record::entry_bytes;
use crate::segment::{Meta, Place, Segments};
use crate::syncer::Syncer;
use crate::ticket::{Ticket, Waiting, ticket};
use crate::totals::Totals;
use crate::writer::Writer;
use crate::{
    AppendError, Appended, Counts, Entry, EntryId, Expiry, NewEntry, Outcome, ReadError, Refusal, Settings, WhenFull,
};

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

/// Everything under the one lock, which is never held while the disk works.
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) segments: Segments,
    /// The account at this moment, ahead of the log by what waits to be written.
    pub(crate) totals: Totals,
    /// Of all segments.
    pub(crate) bytes: u64,
    /// Entries that are not settled.
    pub(crate) unsettled: u64,
    /// Requests on their way to the writer. Bounded by [`WAITING_BYTES_MAX`].
    pub(crate) appends: VecDeque<Append>,
    pub(crate) append_bytes: u64,
    /// Outcomes on their way to the log. Bounded by the entries there are.
    pub(crate) outcomes: VecDeque<(EntryId, Outcome)>,
    /// Requests given up at once while the disk takes nothing, not even that.
    pub(crate) unwritten_drops: Counts,
    pub(crate) cache: Cache,
    /// Bounded by those who wait.
    waiting: Vec<Ticket<()>>,
    pub(crate) reads: VecDeque<Read>,
    /// Bounded by [`REFUSALS_BYTES_MAX`].
    pub(crate) refusals: VecDeque<Refusal>,
    pub(crate) refusal_bytes: usize,
    refusals_behind: bool,
    pub(crate) closing: bool,
    /// The disk failed: what only empties the queue waits for the next try.
    pub(crate) stalled: bool,
    pub(crate) sync_failed: Option<u64>,
    /// The syncer has done its work.
    pub(crate) synced_news: bool,
    pub(crate) counters: Counters,
    pub(crate) disk_error: Option<Arc<str>>,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) appends: u64,
    pub(crate) pushed_back: u64,
    pub(crate) append_errors: u64,
    pub(crate) set_aside: u64,
}

/// A request on its way to the writer.
pub(crate) struct Append {
    pub(crate) entry: NewEntry,
    pub(crate) received_at: UnixTime,
    pub(crate) waiting_since: u64,
    /// There is no room: it is to be counted and given up.
    pub(crate) drop: bool,
    pub(crate) ticket: Ticket<Result<Appended, AppendError>>,
}

/// An entry on its way from the disk.
pub(crate) struct Read {
    pub(crate) id: EntryId,
    pub(crate) ticket: Ticket<Result<Entry, ReadError>>,
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
        let drop = state.admit(bytes)?;
        let (ticket, waiting) = ticket();
        let (received_at, waiting_since) = (self.clock.now(), self.steady_ms());
        state.append_bytes += bytes;
        state.appends.push_back(Append { entry, received_at, waiting_since, drop, ticket });
        drop_guard(state);
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
        drop_guard(state);
        self.writer_wake.notify_one();
    }

    pub(crate) fn refuse(&self, refusal: Refusal) {
        let bytes = refusal.bytes();
        let mut state = self.state.lock();
        if state.closing || state.refusal_bytes + bytes > REFUSALS_BYTES_MAX {
            let first = !std::mem::replace(&mut state.refusals_behind, true);
            drop_guard(state);
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

impl State {
    pub(crate) fn new(settings: Settings, segments: Segments, totals: Totals) -> Self {
        let bytes = segments.0.iter().map(|segment| segment.bytes).sum();
        let unsettled = segments.0.iter().map(|segment| segment.unsettled as u64).sum();
        Self {
            settings,
            segments,
            totals,
            bytes,
            unsettled,
            appends: VecDeque::new(),
            append_bytes: 0,
            outcomes: VecDeque::new(),
            unwritten_drops: Counts::default(),
            cache: Cache::default(),
            waiting: Vec::new(),
            reads: VecDeque::new(),
            refusals: VecDeque::new(),
            refusal_bytes: 0,
            refusals_behind: false,
            closing: false,
            stalled: false,
            sync_failed: None,
            synced_news: false,
            counters: Counters::default(),
            disk_error: None,
        }
    }

    /// Whether a request of so many bytes is taken, and whether only to be given up.
    fn admit(&mut self, bytes: u64) -> Result<bool, AppendError> {
        let bytes_max = self.settings.bytes_max;
        let in_use = self.segments.bytes_in_use() + self.append_bytes;
        let full = AppendError::Full { bytes: in_use, bytes_max };
        if bytes > bytes_max.min(crate::frame::PAYLOAD_BYTES_MAX as u64) {
            self.counters.pushed_back += 1;
            return Err(full);
        }
        if self.append_bytes > 0 && self.append_bytes + bytes > WAITING_BYTES_MAX {
            self.counters.append_errors += 1;
            return Err(AppendError::Disk("the disk is slower than the requests come".into()));
        }
        match self.settings.when_full {
            _ if in_use + bytes <= bytes_max => Ok(false),
            WhenFull::PushBack => {
                self.counters.pushed_back += 1;
                Err(full)
            }
            WhenFull::DropOldest => Ok(false),
            WhenFull::DropNewest => Ok(true),
        }
    }

    pub(crate) fn is_expired(&self, place: Place, now: u64) -> bool {
        let meta = self.segments.meta(place);
        // What was handed out is its sender's to judge: it may be on its way.
        !meta.handed_out && now.saturating_sub(meta.waiting_since) > duration_millis(self.settings.age_max)
    }

    pub(crate) fn expire(&mut self, place: Place, reason: Expiry) {
        let tally = self.segments.meta(place).tally();
        self.settle(place, Outcome::expired(reason, tally));
    }

    pub(crate) fn settle(&mut self, place: Place, outcome: Outcome) {
        let id = EntryId(self.segments.settle(place).id);
        self.unsettled -= 1;
        self.totals.settle(&outcome);
        self.cache.take(id);
        self.outcomes.push_back((id, outcome));
    }

    pub(crate) fn hand_out(&mut self, place: Place, cached: Cached) -> Entry {
        let meta = &mut self.segments.0[place.0].entries[place.1];
        meta.handed_out = true;
        Entry {
            id: EntryId(meta.id),
            received_at: UnixTime::from_millis(meta.received_at),
            version: meta.version,
            body: cached.body,
            tally: meta.tally(),
            series: cached.series,
            recovered: meta.recovered,
        }
    }

    fn wait(&mut self) -> Waiting<()> {
        self.waiting.retain(Ticket::is_awaited);
        let (ticket, waiting) = ticket();
        self.waiting.push(ticket);
        waiting
    }

    /// Those who wait for entries; dropped, they look again.
    pub(crate) fn take_waiting(&mut self) -> Vec<Ticket<()>> {
        std::mem::take(&mut self.waiting)
    }

    pub(crate) fn has_work(&self) -> bool {
        let outcomes = !self.outcomes.is_empty() || self.unwritten_drops != Counts::default();
        !self.appends.is_empty() || self.sync_failed.is_some() || self.synced_news || (outcomes && !self.stalled)
    }

    /// Lets entries expire that waited too long. Those handed out are passed over.
    pub(crate) fn expire_old(&mut self, now: u64) {
        let mut after = None;
        while let Some(place) = self.segments.next_unsettled(after) {
            let meta = self.segments.meta(place);
            after = Some(EntryId(meta.id));
            if self.is_expired(place, now) {
                self.expire(place, Expiry::Age);
            } else if !self.segments.meta(place).handed_out {
                return;
            }
        }
    }

    /// The last segment ends.
    pub(crate) fn seal_last(&mut self) {
        if let Some(last) = self.segments.0.back_mut() {
            last.sealed = true;
            last.entries.shrink_to_fit();
        }
    }

    /// The last segment has so many bytes now.
    pub(crate) fn grow_last(&mut self, bytes: u64) {
        let last = self.segments.0.back_mut().expect("a segment is open");
        self.bytes += bytes - last.bytes;
        last.bytes = bytes;
    }

    /// A request is in the log; without a place of its own it was given up.
    pub(crate) fn appended(&mut self, entry: NewEntry, meta: Option<Meta>) -> Appended {
        self.append_bytes -= entry_bytes(&entry) as u64;
        let Some(meta) = meta else {
            self.totals.drop_newest(entry.tally);
            return Appended::Dropped;
        };
        let id = EntryId(meta.id);
        self.counters.appends += 1;
        self.unsettled += 1;
        self.totals.receive(entry.tally);
        self.segments.0.back_mut().expect("a segment is open").push(meta);
        let bytes_max = self.settings.cached_bytes_max;
        self.cache.put(id, Cached { body: entry.body, series: entry.series }, bytes_max);
        Appended::Kept(id)
    }
}

/// Contents of entries that were just written, so that what is sent at once is not read back.
#[derive(Default)]
pub(crate) struct Cache {
    entries: BTreeMap<u64, Cached>,
    bytes: usize,
}

pub(crate) struct Cached {
    pub(crate) body: Bytes,
    pub(crate) series: Arc<[u32]>,
}

impl Cached {
    fn bytes(&self) -> usize {
        self.body.len() + self.series.len() * 4
    }
}

impl Cache {
    /// Adds an entry; the oldest make room.
    pub(crate) fn put(&mut self, id: EntryId, cached: Cached, bytes_max: usize) {
        self.bytes += cached.bytes();
        self.entries.insert(id.0, cached);
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.entries.pop_first() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    pub(crate) fn take(&mut self, id: EntryId) -> Option<Cached> {
        let cached = self.entries.remove(&id.0)?;
        self.bytes -= cached.bytes();
        Some(cached)
    }
}

pub(crate) fn millis(time: UnixTime) -> u64 {
    duration_millis(time.since_epoch())
}

fn duration_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Lets go of the lock before waking others, who need it.
fn drop_guard(guard: MutexGuard<'_, State>) {
    drop(guard);
}

/// Of requests that wait for the disk. Beyond it they are refused, or a disk that hangs would cost all memory.
const WAITING_BYTES_MAX: u64 = 16 << 20;
/// Of refused series that wait for the disk.
const REFUSALS_BYTES_MAX: usize = 2 << 20;
