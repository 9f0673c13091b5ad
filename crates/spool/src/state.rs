//! What a queue knows, without the disk.

use std::collections::VecDeque;
use std::sync::Arc;

use environment::UnixTime;

use crate::cache::{Cache, Cached};
use crate::record::entry_bytes;
use crate::segment::{Meta, Place, Segments};
use crate::shared::duration_millis;
use crate::ticket::{Ticket, Waiting, ticket};
use crate::totals::Totals;
use crate::{
    AppendError, Appended, Counts, Entry, EntryId, Expiry, NewEntry, Outcome, ReadError, Refusal, Settings, WhenFull,
};

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
    pub(crate) refusals_behind: bool,
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
    pub(crate) to_drop: bool,
    pub(crate) ticket: Ticket<Result<Appended, AppendError>>,
}

/// An entry on its way from the disk.
pub(crate) struct Read {
    pub(crate) id: EntryId,
    pub(crate) ticket: Ticket<Result<Entry, ReadError>>,
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
    pub(crate) fn admit(&mut self, bytes: u64) -> Result<bool, AppendError> {
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

    pub(crate) fn wait(&mut self) -> Waiting<()> {
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

/// Of requests that wait for the disk. Beyond it they are refused, or a disk that hangs would cost all memory.
const WAITING_BYTES_MAX: u64 = 16 << 20;
