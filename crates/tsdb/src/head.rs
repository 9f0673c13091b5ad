//! The head: all series in memory, their labels, their newest samples, exemplars and metadata.
//!
//! One writer (the committer; before it starts, the replay), many readers. Locks, each held shortly and never two of a
//! kind: `index` (labels and postings; written only when series are new), a page of `series` (samples; written per run of
//! samples), `exemplars`, `metadata`.
//!
//! A series' slot does not change. What becomes of it when the series dies is told in [`slots`]; whoever keeps one for longer
//! than a lock holds a [`Generation`] from before he looked it up.

mod exemplars;
mod generation;
mod index;
mod part;
mod postings;
mod projection;
mod reclaim;
mod series;
mod slots;
mod statistics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use model::{Labels, Metadata, NativeHistogram, TimestampMs};
use parking_lot::{Mutex, RwLock};
use storage::{QueryError, TimeRange};

use crate::part::ChunkData;

pub(crate) use exemplars::{ExemplarRing, Verdict};
use generation::Generations;
pub(crate) use generation::{Era, Generation};
pub(crate) use index::{Index, Lookup};
pub(crate) use part::HeadPart;
pub(crate) use postings::{matching, matching_dead_or_alive};
pub(crate) use series::MemSeries;
use series::Sealed;
pub(crate) use series::{Chunk, Value};
use slots::Slots;

pub(crate) struct Head {
    pub(crate) index: RwLock<Index>,
    pages: RwLock<Vec<Arc<Page>>>,
    pub(crate) exemplars: Mutex<ExemplarRing>,
    /// By metric family.
    pub(crate) metadata: RwLock<BTreeMap<String, Metadata>>,
    /// Times of the oldest and the newest sample; the former after the latter while there is none.
    time_min: AtomicI64,
    time_max: AtomicI64,
    /// Samples before it are not taken in here any more.
    frozen_before: AtomicI64,
    /// Slots below have their place on a page and can be read.
    slot_count: AtomicU32,
    slots: Mutex<Slots>,
    generations: Generations,
    /// No chunk crosses a multiple of it.
    chunk_range_ms: i64,
}

/// Neighbouring series behind one lock. Those of one target came together and are written together.
pub(crate) type Page = RwLock<Vec<MemSeries>>;

impl Head {
    pub(crate) fn new(exemplars_max: usize, chunk_range_ms: i64) -> Self {
        Self {
            index: RwLock::default(),
            pages: RwLock::default(),
            exemplars: Mutex::new(ExemplarRing::new(exemplars_max)),
            metadata: RwLock::default(),
            time_min: AtomicI64::new(i64::MAX),
            time_max: AtomicI64::new(i64::MIN),
            frozen_before: AtomicI64::new(i64::MIN),
            slot_count: AtomicU32::new(0),
            slots: Mutex::default(),
            generations: Generations::default(),
            chunk_range_ms,
        }
    }

    /// To be held from before slots are looked up until they are not used any more, and from before the list of blocks is taken:
    /// samples that have a block since are here as long as somebody holds an older one.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.generations.current()
    }

    /// Begins a generation, whose holders know what was published before; returns the one that ended. Only who holds the lock of
    /// maintenance calls it.
    pub(crate) fn begin_generation(&self) -> Era {
        self.generations.advance()
    }

    /// Whether nobody holds this generation or an older one.
    pub(crate) fn is_over(&self, era: Era) -> bool {
        self.generations.is_over(era)
    }

    /// Slots below can be read. Some of them may be nobody's.
    #[inline]
    pub(crate) fn slot_count(&self) -> u32 {
        self.slot_count.load(Ordering::Acquire)
    }

    /// Number of living series.
    pub(crate) fn series_count(&self) -> u32 {
        self.slots.lock().alive()
    }

    /// Number of series in memory, be they dead.
    pub(crate) fn used_slots(&self) -> u32 {
        self.slots.lock().used()
    }

    /// A slot for a new series. Only who holds the writer calls it.
    pub(crate) fn take_slot(&self) -> u32 {
        self.slots.lock().take()
    }

    /// The series does not come to be.
    pub(crate) fn give_back_slot(&self, slot: u32) {
        self.slots.lock().give_back(slot);
    }

    /// Adds a series that the index does not have; returns its slot. Only the writer calls it.
    pub(crate) fn add_series(&self, labels: &Labels) -> u32 {
        let slot = self.take_slot();
        self.add_all(vec![(slot, labels.clone())]);
        slot
    }

    /// Adds series that the index does not have, in slots that were taken for them. Only the writer calls it.
    pub(crate) fn add_all(&self, mut series: Vec<(u32, Labels)>) {
        series.sort_unstable_by_key(|(slot, _)| *slot);
        let Some((last, _)) = series.last() else { return };
        // Before the index, so that a slot found there can be read.
        self.make_room(last + 1);
        self.index.write().add(&series);
    }

    fn make_room(&self, slots: u32) {
        let first = self.slot_count();
        if slots <= first {
            return;
        }
        let mut pages = self.pages.write();
        for slot in first..slots {
            if place(slot).0 == pages.len() {
                pages.push(Arc::default());
            }
            pages[place(slot).0].write().push(MemSeries::default());
        }
        self.slot_count.store(slots, Ordering::Release);
    }

    /// From now on, samples before `time` are not taken in here: what is here of that time does not change any more. Only who
    /// holds the writer calls it.
    pub(crate) fn freeze_before(&self, time: TimestampMs) {
        self.frozen_before.fetch_max(time.0, Ordering::AcqRel);
    }

    /// The oldest time of which samples are taken in here.
    #[inline]
    pub(crate) fn frozen_before(&self) -> TimestampMs {
        TimestampMs(self.frozen_before.load(Ordering::Acquire))
    }

    /// Times of the oldest and the newest sample; `None` while there is none.
    pub(crate) fn time_range(&self) -> Option<TimeRange> {
        let (start, end) = (self.time_min.load(Ordering::Relaxed), self.time_max.load(Ordering::Relaxed));
        (start <= end).then_some(TimeRange { start: TimestampMs(start), end: TimestampMs(end) })
    }

    pub(crate) fn page(&self, page: usize) -> Arc<Page> {
        Arc::clone(&self.pages.read()[page])
    }

    pub(crate) fn read<T>(&self, slot: u32, read: impl FnOnce(&MemSeries) -> T) -> T {
        let (page, place) = place(slot);
        let page = self.page(page);
        let series = page.read();
        read(&series[place])
    }

    /// Reads some series, one after the other, which must be few: meanwhile no page is added.
    pub(crate) fn read_each(&self, slots: impl Iterator<Item = u32>, mut read: impl FnMut(u32, &MemSeries)) {
        let pages = self.pages.read();
        for slot in slots {
            let (page, place) = place(slot);
            read(slot, &pages[page].read()[place]);
        }
    }

    /// Widens the times of the samples in here.
    fn cover(&self, start: TimestampMs, end: TimestampMs) {
        self.time_min.fetch_min(start.0, Ordering::Relaxed);
        self.time_max.fetch_max(end.0, Ordering::Relaxed);
    }

    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        range.start.0 <= self.time_max.load(Ordering::Relaxed) && self.time_min.load(Ordering::Relaxed) <= range.end.0
    }
}

impl Head {
    /// Takes the samples in `range` out of a series; returns how many there were. Only who holds the writer calls it.
    ///
    /// # Errors
    /// As [`MemSeries::delete`].
    pub(crate) fn delete(&self, slot: u32, range: TimeRange) -> Result<u64, QueryError> {
        let (number, place) = place(slot);
        self.page(number).write()[place].delete(range, self.chunk_range_ms)
    }
}

/// Full chunks, which may move to files.
impl Head {
    /// Number of pages.
    pub(crate) fn pages(&self) -> usize {
        self.pages.read().len()
    }

    /// Gives each full chunk of a page that is in memory, with its series' slot.
    pub(crate) fn full_chunks_of(&self, page: usize, mut give: impl FnMut(u32, &Chunk)) {
        let first = (page * PAGE_SERIES) as u32;
        for (slot, series) in (first..).zip(self.page(page).read().iter()) {
            series.full_in_memory().for_each(|chunk| give(slot, chunk));
        }
    }

    /// Gives full chunks to a series that has none, in order of time. Returns how many. Before the writer is there.
    pub(crate) fn add_full_chunks(&self, slot: u32, chunks: impl Iterator<Item = Chunk>) -> u64 {
        let (number, place) = place(slot);
        let page = self.page(number);
        let mut page = page.write();
        let mut added = 0;
        for chunk in chunks {
            self.cover(chunk.start, chunk.end);
            page[place].add_full(chunk);
            added += 1;
        }
        added
    }

    /// A full chunk's data are elsewhere from now on; returns the bytes that need no memory any more.
    pub(crate) fn replace_full_chunk(&self, slot: u32, moved: &Chunk, data: ChunkData) -> usize {
        let (number, place) = place(slot);
        self.page(number).write()[place].replace_full(moved, data)
    }
}

/// The page of a slot and its place there.
#[inline]
pub(crate) fn place(slot: u32) -> (usize, usize) {
    (slot as usize / PAGE_SERIES, slot as usize % PAGE_SERIES)
}

/// A sample on its way into the head. Histograms lie beside, so that the many floats stay small.
#[derive(Clone, Copy)]
pub(crate) struct HeadSample {
    pub(crate) slot: u32,
    pub(crate) is_histogram: bool,
    pub(crate) at: TimestampMs,
    /// The bits of the float, or the index of the histogram.
    pub(crate) value: u64,
}

impl HeadSample {
    pub(crate) fn value(&self, histograms: &[Arc<NativeHistogram>]) -> Value {
        if self.is_histogram {
            Value::Histogram(Arc::clone(&histograms[self.value as usize]))
        } else {
            Value::Float(f64::from_bits(self.value))
        }
    }
}

/// What appending a run of samples did.
#[derive(Clone, Copy, Default)]
pub(crate) struct Appended {
    pub(crate) floats: u64,
    pub(crate) histograms: u64,
    /// Samples not newer than what their series had.
    pub(crate) stale: u64,
    pub(crate) chunks: u64,
    pub(crate) sealed_bytes: u64,
}

impl Head {
    /// Appends samples in their order. Those that are not newer than their series are left out: a log may hold a sample
    /// twice; what the committer sends was checked.
    pub(crate) fn append(&self, samples: &[HeadSample], histograms: &[Arc<NativeHistogram>]) -> Appended {
        let mut appended = Appended::default();
        for run in samples.chunk_by(|left, right| place(left.slot).0 == place(right.slot).0) {
            let page = self.page(place(run[0].slot).0);
            let mut series = page.write();
            // Ends of chunks lie all over memory. Loads that do not wait for each other are on their way together; appending,
            // each would be waited for.
            let touched = run.iter().take(PAGE_SERIES).map(|sample| series[place(sample.slot).1].touch());
            std::hint::black_box(touched.fold(0, |all, byte| all ^ byte));
            for sample in run {
                appended.append(&mut series[place(sample.slot).1], sample, histograms, self.chunk_range_ms);
            }
        }
        if let (Some(start), Some(end)) = (samples.iter().map(|s| s.at).min(), samples.iter().map(|s| s.at).max()) {
            self.cover(start, end);
        }
        appended
    }
}

impl Appended {
    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        self.floats += other.floats;
        self.histograms += other.histograms;
        self.stale += other.stale;
        self.chunks += other.chunks;
        self.sealed_bytes += other.sealed_bytes;
    }

    #[inline]
    fn append(
        &mut self,
        series: &mut MemSeries,
        sample: &HeadSample,
        histograms: &[Arc<NativeHistogram>],
        chunk_range_ms: i64,
    ) {
        if series.newest_time().is_some_and(|newest| newest >= sample.at) {
            self.stale += 1;
            return;
        }
        if let Sealed::Yes { bytes } = series.append(sample.at, sample.value(histograms), chunk_range_ms) {
            self.chunks += 1;
            self.sealed_bytes += bytes as u64;
        }
        self.floats += u64::from(!sample.is_histogram);
        self.histograms += u64::from(sample.is_histogram);
    }
}

/// Few enough that a reader's copy seldom meets the writer, many enough that a request touches few locks.
pub(crate) const PAGE_SERIES: usize = 256;
