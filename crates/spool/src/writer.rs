//! What the writing thread does: takes all requests and outcomes that wait, writes them with one append, then tells those
//! who wait. Outcomes first: they are what makes room.

mod room;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::index::Index;
use crate::log::{Log, Sealed};
use crate::record::{entry_bytes, outcome_bytes};
use crate::segment::Meta;
use crate::shared::{Shared, millis};
use crate::state::Append;
use crate::syncer::Syncer;
use crate::{AppendError, Appended, Counts, EntryId, Outcome, Settings, Sync, WhenFull};

pub(crate) struct Writer {
    pub(crate) log: Log,
    pub(crate) syncer: Option<Arc<Syncer>>,
    /// Requests of the write that is being made.
    batch: Vec<Append>,
    outcomes: Vec<(EntryId, Outcome)>,
    /// Drops that could not be written when they happened.
    drops: Counts,
    /// Room set by for when the disk is full.
    reserve: bool,
    /// It was used, and there is no room for another.
    reserve_spent: bool,
    sync: Sync,
}

impl Writer {
    pub(crate) fn new(log: Log, syncer: Option<Arc<Syncer>>, sync: Sync) -> Self {
        Self {
            log,
            syncer,
            batch: Vec::new(),
            outcomes: Vec::new(),
            drops: Counts::default(),
            reserve: false,
            reserve_spent: false,
            sync,
        }
    }

    /// Works until the queue is closing and nothing waits.
    pub(crate) fn run(&mut self, shared: &Shared) {
        self.tick(shared);
        let mut ticked_at = shared.clock.monotonic();
        loop {
            let mut state = shared.state.lock();
            let mut timed_out = false;
            while !state.has_work() && !state.closing && !timed_out {
                timed_out = shared.writer_wake.wait_for(&mut state, TICK).timed_out();
            }
            let done = state.closing && !state.has_work();
            drop(state);
            let now = shared.clock.monotonic();
            // Also while requests come without a pause.
            if timed_out || now.since(ticked_at) >= TICK {
                ticked_at = now;
                self.tick(shared);
            }
            self.turn(shared);
            if done {
                return;
            }
        }
    }

    /// What is done from time to time.
    pub(crate) fn tick(&mut self, shared: &Shared) {
        let now = shared.steady_ms();
        let mut state = shared.state.lock();
        // Another try for what the disk did not take.
        state.stalled = false;
        state.expire_old(now);
        drop(state);
        self.keep_reserve(shared);
    }

    /// Writes what waits, and removes segments that are of no use any more.
    pub(crate) fn turn(&mut self, shared: &Shared) {
        self.leave_unsynced(shared);
        while self.take(shared) {
            self.make_room(shared);
            self.write(shared);
        }
        self.remove_settled(shared);
        self.regain_reserve(shared);
    }

    /// The last work of a queue that closes.
    pub(crate) fn finish(&mut self, shared: &Shared) -> io::Result<()> {
        shared.state.lock().stalled = false;
        self.turn(shared);
        let synced = if self.sync == Sync::Never { Ok(()) } else { self.log.sync() };
        self.seal(shared);
        let _ = shared.disk.remove_file(&shared.files.reserve());
        synced?;
        let state = shared.state.lock();
        match &state.disk_error {
            Some(error) if !state.outcomes.is_empty() => Err(io::Error::other(error.to_string())),
            _ => Ok(()),
        }
    }

    /// A failed sync in the background: nothing may be assumed about that segment, so nothing more goes there.
    fn leave_unsynced(&mut self, shared: &Shared) {
        let failed = shared.state.lock().sync_failed.take();
        if failed.is_some() && failed == self.log.position().map(|(number, _)| number) {
            self.seal(shared);
        }
    }

    fn take(&mut self, shared: &Shared) -> bool {
        let mut state = shared.state.lock();
        if !state.has_work() {
            return false;
        }
        state.synced_news = false;
        let mut bytes = 0;
        while let Some(append) =
            state.appends.pop_front_if(|append| bytes == 0 || bytes + entry_bytes(&append.entry) <= GROUP_BYTES_MAX)
        {
            bytes += entry_bytes(&append.entry);
            self.batch.push(append);
        }
        let count = state.outcomes.len().min(GROUP_OUTCOMES_MAX);
        self.outcomes.extend(state.outcomes.drain(..count));
        self.drops = std::mem::take(&mut state.unwritten_drops);
        !self.is_idle()
    }

    fn is_idle(&self) -> bool {
        self.batch.is_empty() && self.outcomes.is_empty() && self.drops == Counts::default()
    }

    fn batch_bytes(&self) -> usize {
        self.batch.iter().filter(|append| !append.to_drop).map(|append| entry_bytes(&append.entry)).sum()
    }

    /// Writes the batch, or as much as can be written.
    fn write(&mut self, shared: &Shared) {
        while !self.is_idle() {
            let error = match self.try_write(shared) {
                Ok(metas) => return self.written(shared, metas),
                Err(error) => error,
            };
            if self.log.position().is_none() {
                shared.state.lock().seal_last();
            }
            let what = format!("{}: {error}", shared.files.log().display());
            if is_full(&error) && self.free(shared) {
                continue;
            }
            let reason = shared.disk_failed(&what);
            if self.batch.is_empty() {
                // The outcomes keep; they are written as soon as the disk takes them.
                let mut state = shared.state.lock();
                self.outcomes.drain(..).rev().for_each(|outcome| state.outcomes.push_front(outcome));
                state.unwritten_drops = crate::totals::plus(state.unwritten_drops, std::mem::take(&mut self.drops));
                return;
            }
            self.refuse(shared, is_full(&error), &reason);
        }
    }

    fn try_write(&mut self, shared: &Shared) -> io::Result<Vec<Option<Meta>>> {
        let outcomes: usize = self.outcomes.iter().map(|(_, outcome)| outcome_bytes(outcome)).sum();
        let bytes = (self.batch_bytes() + outcomes) as u64;
        let segment_bytes_max = segment_bytes_max(&shared.state.lock().settings);
        if self.log.is_begun() && self.log.position().is_some_and(|(_, begun)| begun + bytes > segment_bytes_max) {
            self.seal(shared);
        }
        if self.reserve_spent && !self.batch.is_empty() {
            return Err(ErrorKind::StorageFull.into());
        }
        self.start(shared)?;
        self.log.begin();
        self.outcomes.iter().for_each(|(id, outcome)| self.log.outcome(*id, outcome));
        if self.drops != Counts::default() {
            self.log.dropped(self.drops);
        }
        let metas = self.batch.iter().map(|append| {
            if append.to_drop {
                self.log.dropped(append.entry.tally);
                return None;
            }
            let (front, position, bytes) = self
                .log
                .entry(&append.entry, millis(append.received_at))
                .expect("tallies and segments are bounded far below 4 Gi");
            let mut meta = Meta::new(&front, position, bytes);
            (meta.waiting_since, meta.recovered) = (append.waiting_since, false);
            Some(meta)
        });
        let metas = metas.collect();
        let sync = self.sync == Sync::EveryRequest && !self.batch.is_empty();
        self.log.write(sync)?;
        if sync {
            shared.syncs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(metas)
    }

    fn start(&mut self, shared: &Shared) -> io::Result<()> {
        let Some(handle) = self.log.start()? else { return Ok(()) };
        let (number, bytes) = self.log.position().expect("it was just started");
        let mut state = shared.state.lock();
        state.segments.start(number, bytes);
        state.bytes += bytes;
        drop(state);
        match (&self.syncer, self.sync) {
            (Some(syncer), _) => syncer.watch(number, handle),
            (None, Sync::EveryRequest) => shared.disk.sync_directory(&shared.files.log())?,
            (None, _) => {}
        }
        Ok(())
    }

    fn written(&mut self, shared: &Shared, metas: Vec<Option<Meta>>) {
        let write = shared.written() + 1;
        let synced = match self.sync {
            Sync::Never => true,
            Sync::EveryRequest => !self.batch.is_empty(),
            Sync::Interval(_) => false,
        };
        let mut answers = Vec::with_capacity(self.batch.len());
        let mut state = shared.state.lock();
        let (_, bytes) = self.log.position().expect("it was just written");
        state.grow_last(bytes);
        for (append, meta) in self.batch.drain(..).zip(metas) {
            let appended = state.appended(append.entry, meta);
            answers.push((append.ticket, appended));
        }
        for (id, _) in self.outcomes.drain(..) {
            state.segments.outcome_written(id, write);
        }
        self.drops = Counts::default();
        shared.written.store(write, Ordering::Release);
        if synced {
            shared.synced.store(write, Ordering::Release);
        }
        shared.disk_works(&mut state);
        let waiting = state.take_waiting();
        drop(state);
        answers.into_iter().for_each(|(ticket, appended)| ticket.answer(Ok(appended)));
        drop(waiting);
    }

    /// Answers the requests of the batch, which is not in the log.
    fn refuse(&mut self, shared: &Shared, full: bool, reason: &Arc<str>) {
        let mut state = shared.state.lock();
        let drop_newest = full && state.settings.when_full == WhenFull::DropNewest;
        let mut answers = Vec::with_capacity(self.batch.len());
        for append in self.batch.drain(..) {
            state.append_bytes -= entry_bytes(&append.entry) as u64;
            let answer = if drop_newest {
                state.totals.drop_newest(append.entry.tally);
                state.unwritten_drops = crate::totals::plus(state.unwritten_drops, append.entry.tally);
                Ok(Appended::Dropped)
            } else {
                state.counters.append_errors += 1;
                Err(AppendError::Disk(Arc::clone(reason)))
            };
            answers.push((append.ticket, answer));
        }
        drop(state);
        answers.into_iter().for_each(|(ticket, answer)| ticket.answer(answer));
    }

    /// Ends the open segment and writes down what is in it.
    fn seal(&mut self, shared: &Shared) {
        let Some(Sealed { number, bytes, opening, closing, settled }) = self.log.seal() else { return };
        let mut state = shared.state.lock();
        state.seal_last();
        let entries = state.segments.0.back().map(|segment| segment.entries.clone()).unwrap_or_default();
        drop(state);
        write_index(shared, &Index { number, bytes, opening, closing, entries, settled });
    }
}

/// Best effort: without its index a segment is read whole at the next start.
pub(crate) fn write_index(shared: &Shared, index: &Index) {
    let path = shared.files.index(index.number);
    let _ = shared.disk.remove_file(&path);
    let written = shared.disk.create(&path).and_then(|mut file| file.append(&index.encode()));
    if let Err(error) = written {
        tracing::debug!(file = %path.display(), %error, "an index of the queue cannot be written");
        let _ = shared.disk.remove_file(&path);
    }
}

/// Small against the bound of the queue, so that giving back whole segments comes near to it.
fn segment_bytes_max(settings: &Settings) -> u64 {
    settings.segment_bytes_max.min((settings.bytes_max / SEGMENTS_MIN).max(SEGMENT_BYTES_MIN)).min(1 << 31)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

const TICK: Duration = Duration::from_secs(1);
/// Of one write, unless a single request is larger.
const GROUP_BYTES_MAX: usize = 1 << 20;
const GROUP_OUTCOMES_MAX: usize = 256;
const SEGMENTS_MIN: u64 = 32;
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
