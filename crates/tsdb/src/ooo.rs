//! Samples that came late: older than their series' newest one, or than what was cut off the head. They are logged in
//! `wbl`, kept here, found beside the head's, and written out as blocks of their own.
//!
//! There are two halves. New samples go to the *active* one. To be written out, it becomes the *flushing* one
//! ([`Ooo::rotate`]): it takes no more samples, is still read, and is let go of when its blocks can be read. Views keep both
//! alive, so a reader that takes its view before it looks at the blocks misses nothing.
//!
//! Invariants:
//! - Only who holds the writer inserts or rotates.
//! - No time of a series is twice in here, nor at once in here and in the head: whoever inserts has looked.
//! - Chunks do not cross ranges of blocks. At most [`OPEN_RANGES_MAX`] ranges are open in the active half, but for a batch
//!   that spans more by itself and finds none open.
//!
//! Not here: which samples are taken (`admission`), the log's files, writing blocks.

mod encode;
mod flush;
mod half;
mod open_ranges;
mod series;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use environment::Monotonic;
use model::{NativeHistogram, TimestampMs};
use parking_lot::{Mutex, RwLock};
use storage::TimeRange;

use crate::compaction::BlockRanges;
use crate::head::{Head, HeadSample, Value};
use crate::part::{Chunk, aligned};

pub(crate) use flush::{FlushError, FlushWhen};
pub(crate) use half::Half;
use half::Repeats;
pub(crate) use open_ranges::OpenRanges;

/// See the module's text.
pub(crate) struct Ooo {
    view: RwLock<OooView>,
    ranges: BlockRanges,
    /// What is before it is complete but for what comes here: it goes to larger ranges.
    complete_until: AtomicI64,
    bytes_max: usize,
    last_append: Mutex<Option<Monotonic>>,
    /// A batch had to be sent away until there is room.
    wanted: AtomicBool,
    /// How far the head was written out when late samples were last.
    frozen_at_flush: AtomicI64,
    /// The first segment of `wbl` with samples that may not be in blocks.
    log_begins_with: AtomicU64,
    /// Samples up to this time come here: a power cut took from the head what others were late to.
    orphans_until: AtomicI64,
}

/// Both halves, as they are at one time. Samples that come later are seen, too, as long as the active half stays so.
#[derive(Clone)]
pub(crate) struct OooView {
    flushing: Option<Arc<Half>>,
    active: Arc<Half>,
}

/// Why a batch must come again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Busy {
    #[error(
        "its old samples belong to more than {OPEN_RANGES_MAX} ranges of time together with those that wait to be stored as blocks, which has begun"
    )]
    Ranges,
    #[error("{0} bytes of old samples wait to be stored as blocks")]
    Bytes(usize),
}

impl Ooo {
    /// Room for late samples that are written out in these ranges, at the latest when they take `bytes_max`.
    pub(crate) fn new(ranges: BlockRanges, bytes_max: usize) -> Self {
        Self {
            view: RwLock::new(OooView { flushing: None, active: Arc::new(Half::new()) }),
            ranges,
            complete_until: AtomicI64::new(i64::MIN),
            bytes_max,
            last_append: Mutex::new(None),
            wanted: AtomicBool::new(false),
            frozen_at_flush: AtomicI64::new(i64::MIN),
            log_begins_with: AtomicU64::new(0),
            orphans_until: AtomicI64::new(i64::MIN),
        }
    }

    /// What is here now. Taken before looking at the set of blocks, it misses nothing that is written out meanwhile.
    pub(crate) fn view(&self) -> OooView {
        self.view.read().clone()
    }

    /// Memory taken, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.view.read().halves().map(Half::bytes).sum()
    }

    /// Samples held.
    pub(crate) fn samples(&self) -> u64 {
        self.view.read().halves().map(Half::samples).sum()
    }

    /// Ranges of blocks that the active half's samples belong to.
    pub(crate) fn open_ranges(&self) -> OpenRanges {
        self.view.read().active.open_ranges().clone()
    }

    /// Whether the series has samples here. Its slot must stay its own as long.
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.view.read().halves().any(|half| half.contains(slot))
    }

    /// The value that the series has for exactly this time.
    pub(crate) fn find(&self, slot: u32, at: TimestampMs) -> Option<Value> {
        self.view.read().halves().find_map(|half| half.find(slot, at))
    }

    /// Looks where the head stands; returns the time before which samples come here, however old their series are. As
    /// Prometheus has it, that is half a block before the newest sample of all, so that the head can be written out behind it.
    pub(crate) fn follow(&self, head: &Head) -> TimestampMs {
        let range = self.ranges.smallest_ms();
        let newest = head.time_range().map_or(TimestampMs::MIN, |range| range.end);
        let floor = newest.plus(-range / 2).max(head.frozen_before());
        let floor = floor.max(TimestampMs(self.orphans_until.load(Ordering::Relaxed)).plus(1));
        self.complete_until(TimestampMs(aligned(floor, range).start));
        floor
    }

    /// A start found a late sample of this time whose series has nothing newer in the head: that was written to the other log, and
    /// a power cut took it. Samples up to this time are compared with it, which those at the end of a series are not.
    pub(crate) fn note_orphan(&self, at: TimestampMs) {
        self.orphans_until.fetch_max(at.0, Ordering::Relaxed);
    }

    /// Everything before `time` is complete but for what comes here. Never goes back.
    fn complete_until(&self, time: TimestampMs) {
        self.complete_until.fetch_max(time.0, Ordering::Relaxed);
    }

    /// Whether there is room for samples of these times, and the ranges that they need: `planned` are those open or asked for
    /// by batches before, and are more after it.
    pub(crate) fn plan(&self, times: impl Iterator<Item = TimestampMs>, planned: &mut OpenRanges) -> Result<(), Busy> {
        let mut wider = planned.clone();
        let mut any = false;
        for at in times {
            any = true;
            if wider.find(at).is_none() {
                wider.open(self.range_of(at));
            }
        }
        let bytes = self.bytes();
        let busy = if any && bytes >= self.bytes_max.saturating_mul(2) {
            Busy::Bytes(bytes)
        } else if wider.len() > OPEN_RANGES_MAX && wider.len() > planned.len() && planned.len() > 0 {
            Busy::Ranges
        } else {
            *planned = wider;
            return Ok(());
        };
        self.wanted.store(true, Ordering::Relaxed);
        Err(busy)
    }

    /// Takes in samples whose times their series have neither here nor in the head.
    pub(crate) fn append(&self, samples: &[HeadSample], histograms: &[Arc<NativeHistogram>], now: Monotonic) {
        if !samples.is_empty() {
            let active = Arc::clone(&self.view.read().active);
            active.append(samples, histograms, |at| self.range_of(at), Repeats::None);
            *self.last_append.lock() = Some(now);
        }
    }

    /// Takes in samples of a log, but for those whose time is here already; returns how many it took. Before anything is
    /// written out.
    pub(crate) fn append_new(
        &self,
        samples: &[HeadSample],
        histograms: &[Arc<NativeHistogram>],
        now: Monotonic,
    ) -> u64 {
        *self.last_append.lock() = Some(now);
        self.view.read().active.append(samples, histograms, |at| self.range_of(at), Repeats::LeaveOut)
    }

    /// Whether the active half should be written out: it is large, in the way of a batch, spread widely, or at rest, or the head
    /// was written out up to `frozen` meanwhile.
    pub(crate) fn is_due(&self, frozen: TimestampMs, now: Monotonic) -> bool {
        let view = self.view.read();
        if view.active.is_empty() {
            return false;
        }
        let before = self.frozen_at_flush.load(Ordering::Relaxed);
        if before == i64::MIN {
            self.frozen_at_flush.store(frozen.0, Ordering::Relaxed);
        }
        let complete_until = self.complete_until.load(Ordering::Relaxed);
        let old = view.active.open_ranges().as_slice().iter().any(|range| range.end <= complete_until);
        let rests = || self.last_append.lock().is_none_or(|last| now.since(last) >= REST);
        self.must_flush(&view.active) || (before != i64::MIN && before < frozen.0) || (old && rests())
    }

    /// Whether writing out must not wait for the next round of maintenance.
    pub(crate) fn is_pressing(&self) -> bool {
        let view = self.view.read();
        view.flushing.is_none() && !view.active.is_empty() && self.must_flush(&view.active)
    }

    /// Whether the active half has no samples.
    pub(crate) fn is_empty(&self) -> bool {
        self.view.read().active.is_empty()
    }

    /// The half that is to be written out, if its turn has come.
    pub(crate) fn flushing(&self) -> Option<Arc<Half>> {
        self.view.read().flushing.clone()
    }

    /// Has the active half written out, in whose place an empty one comes. What comes from here on is in segments of `wbl` from
    /// `segment` on; the head is written out up to `frozen`. Only who holds the writer calls it.
    ///
    /// # Panics
    /// When another half is still being written out.
    pub(crate) fn rotate(&self, segment: u64, frozen: TimestampMs) -> Arc<Half> {
        let mut view = self.view.write();
        assert!(view.flushing.is_none(), "one half is written out at a time");
        let full = std::mem::replace(&mut view.active, Arc::new(Half::new()));
        full.end_log_before(segment);
        view.flushing = Some(Arc::clone(&full));
        self.wanted.store(false, Ordering::Relaxed);
        self.frozen_at_flush.store(frozen.0, Ordering::Relaxed);
        full
    }

    /// The half that was to be written out can be read from blocks.
    pub(crate) fn flushed(&self) {
        if let Some(half) = self.view.write().flushing.take() {
            self.log_begins_with.fetch_max(half.log_ends_before(), Ordering::Relaxed);
        }
    }

    /// Segments of `wbl` before this one have samples that are in blocks, and no others.
    pub(crate) fn log_begins_with(&self) -> u64 {
        self.log_begins_with.load(Ordering::Relaxed)
    }

    /// The ranges of blocks that the samples of a half belong to by now, rising, none in another.
    pub(crate) fn ranges_of(&self, half: &Half) -> OpenRanges {
        let mut ranges = OpenRanges::default();
        for range in half.open_ranges().as_slice() {
            ranges.open(self.range_of(TimestampMs(range.start)));
            // What was open is not left alone when a larger range than today's was in use.
            ranges.open(range.clone());
        }
        ranges
    }

    /// Whether somebody waits, or soon would.
    fn must_flush(&self, active: &Half) -> bool {
        let bytes = active.bytes();
        self.wanted.load(Ordering::Relaxed)
            || bytes >= self.bytes_max
            || (bytes >= self.bytes_max / WIDELY_SHARE && active.open_ranges().len() > OPEN_RANGES_MAX / 2)
    }

    fn range_of(&self, at: TimestampMs) -> std::ops::Range<i64> {
        self.ranges.range_of(at, TimestampMs(self.complete_until.load(Ordering::Relaxed)))
    }
}

impl OooView {
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        self.halves().any(|half| half.overlaps(range))
    }

    /// The series' chunks that overlap `range`, appended to a list. They may overlap each other, but have no time in common.
    pub(crate) fn chunks(&self, slot: u32, range: TimeRange, into: &mut Vec<Chunk>) {
        self.halves().filter(|half| half.overlaps(range)).for_each(|half| half.chunks(slot, range, into));
    }

    /// Whether the series has chunks that overlap `range`.
    pub(crate) fn has_chunks(&self, slot: u32, range: TimeRange) -> bool {
        self.halves().any(|half| half.overlaps(range) && half.has_chunks(slot, range))
    }

    /// The older one first.
    fn halves(&self) -> impl Iterator<Item = &Half> {
        self.flushing.as_deref().into_iter().chain([&*self.active])
    }
}

/// Ranges that are written to at once, each of which becomes a block.
pub(crate) const OPEN_RANGES_MAX: usize = 20;

/// With more than half of the ranges open, this part of the memory is enough to write them out before somebody has to wait;
/// less would make many small blocks of a sender that jumps to and fro.
const WIDELY_SHARE: usize = 16;

/// Without a new sample for so long, what belongs to old ranges is complete.
const REST: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
