//! All series' late samples, of one half.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use model::{NativeHistogram, TimestampMs};
use parking_lot::{Mutex, MutexGuard, RwLock};
use storage::TimeRange;

use super::open_ranges::OpenRanges;
use super::series::OooSeries;
use crate::head::{HeadSample, Value};
use crate::part::Chunk;

/// See the module above. Series by slot, in pages, as in the head: neighbours come together.
pub(crate) struct Half {
    pages: RwLock<Vec<Option<Arc<Page>>>>,
    open_ranges: Mutex<OpenRanges>,
    bytes: AtomicUsize,
    samples: AtomicU64,
    /// The former after the latter while there are no samples.
    time_min: AtomicI64,
    time_max: AtomicI64,
    /// The first segment of `wbl` without a sample of this half; known when it takes no more.
    log_ends_before: AtomicU64,
    /// Ranges that are in blocks already.
    written: Mutex<OpenRanges>,
}

/// Empty places cost eight bytes each.
type Page = RwLock<Vec<Option<Box<OooSeries>>>>;

/// Samples whose time their series has already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Repeats {
    /// There are none: somebody has looked.
    None,
    LeaveOut,
}

impl Half {
    pub(super) fn new() -> Self {
        Self {
            pages: RwLock::default(),
            open_ranges: Mutex::default(),
            bytes: AtomicUsize::new(0),
            samples: AtomicU64::new(0),
            time_min: AtomicI64::new(i64::MAX),
            time_max: AtomicI64::new(i64::MIN),
            log_ends_before: AtomicU64::new(0),
            written: Mutex::default(),
        }
    }

    /// Memory taken, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.samples() == 0
    }

    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        range.start.0 <= self.time_max.load(Ordering::Relaxed) && self.time_min.load(Ordering::Relaxed) <= range.end.0
    }

    /// Ranges of blocks that its samples belong to.
    pub(crate) fn open_ranges(&self) -> MutexGuard<'_, OpenRanges> {
        self.open_ranges.lock()
    }

    /// It takes no more samples, and those it has are in segments of `wbl` before this one.
    pub(super) fn end_log_before(&self, segment: u64) {
        self.log_ends_before.store(segment, Ordering::Relaxed);
    }

    pub(super) fn log_ends_before(&self) -> u64 {
        self.log_ends_before.load(Ordering::Relaxed)
    }

    /// The samples of this range are in a block.
    pub(super) fn set_written(&self, range: Range<i64>) {
        self.written.lock().open(range);
    }

    /// Whether all samples of a range are in blocks. Ranges may have become larger since: what is written twice is harmless.
    pub(super) fn is_written(&self, range: &Range<i64>) -> bool {
        self.written.lock().as_slice().iter().any(|written| written.start <= range.start && range.end <= written.end)
    }

    /// Whether the series has samples here.
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.read(slot, |_| ()).is_some()
    }

    /// The value that the series has for exactly this time.
    pub(crate) fn find(&self, slot: u32, at: TimestampMs) -> Option<Value> {
        self.read(slot, |series| series.find(at))?
    }

    /// The series' chunks that overlap `range`, appended to a list. They may overlap, but have no time in common.
    pub(crate) fn chunks(&self, slot: u32, range: TimeRange, into: &mut Vec<Chunk>) {
        self.read(slot, |series| series.chunks(range, into));
    }

    pub(crate) fn has_chunks(&self, slot: u32, range: TimeRange) -> bool {
        self.read(slot, |series| series.has_chunks(range)).unwrap_or(false)
    }

    /// Slots of all series here, rising.
    pub(crate) fn slots(&self) -> Vec<u32> {
        let pages = self.pages.read().clone();
        let mut slots = Vec::new();
        for (number, page) in pages.iter().enumerate().filter_map(|(number, page)| Some((number, page.as_ref()?))) {
            let series = page.read();
            let places = series.iter().enumerate().filter(|(_, series)| series.is_some()).map(|(place, _)| place);
            slots.extend(places.map(|place| (number * PAGE_SERIES + place) as u32));
        }
        slots
    }

    /// Takes in samples, opening the ranges they need; returns how many.
    pub(super) fn append(
        &self,
        samples: &[HeadSample],
        histograms: &[Arc<NativeHistogram>],
        range_of: impl Fn(TimestampMs) -> Range<i64>,
        repeats: Repeats,
    ) -> u64 {
        let mut ranges = self.open_ranges.lock();
        let mut taken = 0;
        for run in samples.chunk_by(|left, right| page_of(left.slot) == page_of(right.slot)) {
            taken += self.append_to_page(run, histograms, &mut ranges, &range_of, repeats);
        }
        if let (Some(start), Some(end)) = (samples.iter().map(|s| s.at.0).min(), samples.iter().map(|s| s.at.0).max()) {
            self.time_min.fetch_min(start, Ordering::Relaxed);
            self.time_max.fetch_max(end, Ordering::Relaxed);
        }
        self.samples.fetch_add(taken, Ordering::Relaxed);
        taken
    }

    /// Packs everything, so that no chunk crosses one of `ranges`, in which all samples lie. Readers may go on.
    pub(super) fn settle(&self, slot: u32, ranges: &OpenRanges) {
        let Some(page) = self.page(slot) else { return };
        if let Some(series) = &mut page.write()[slot as usize % PAGE_SERIES] {
            let before = series.bytes();
            series.settle(ranges);
            self.count_bytes(before, series.bytes());
        }
    }

    #[cfg(test)]
    pub(super) fn series_bytes(&self, slot: u32) -> usize {
        self.read(slot, OooSeries::bytes).unwrap_or(0)
    }

    fn append_to_page(
        &self,
        run: &[HeadSample],
        histograms: &[Arc<NativeHistogram>],
        ranges: &mut OpenRanges,
        range_of: &impl Fn(TimestampMs) -> Range<i64>,
        repeats: Repeats,
    ) -> u64 {
        let page = self.page_or_new(run[0].slot);
        let mut page = page.write();
        let (mut before, mut after, mut taken) = (0, 0, 0);
        for sample in run {
            if ranges.find(sample.at).is_none() {
                ranges.open(range_of(sample.at));
            }
            let place = &mut page[sample.slot as usize % PAGE_SERIES];
            let series = match place {
                Some(series) if repeats == Repeats::LeaveOut && series.find(sample.at).is_some() => continue,
                Some(series) => {
                    before += series.bytes();
                    series
                }
                None => place.insert(Box::new(OooSeries::new())),
            };
            series.insert(sample.at, sample.value(histograms), ranges);
            after += series.bytes();
            taken += 1;
        }
        drop(page);
        self.count_bytes(before, after);
        taken
    }

    fn count_bytes(&self, before: usize, after: usize) {
        if after >= before {
            self.bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    fn read<T>(&self, slot: u32, read: impl FnOnce(&OooSeries) -> T) -> Option<T> {
        self.page(slot)?.read()[slot as usize % PAGE_SERIES].as_deref().map(read)
    }

    fn page(&self, slot: u32) -> Option<Arc<Page>> {
        self.pages.read().get(page_of(slot))?.clone()
    }

    fn page_or_new(&self, slot: u32) -> Arc<Page> {
        if let Some(page) = self.page(slot) {
            return page;
        }
        let mut pages = self.pages.write();
        let number = page_of(slot);
        if number >= pages.len() {
            self.bytes.fetch_add((number + 1 - pages.len()) * size_of::<Option<Arc<Page>>>(), Ordering::Relaxed);
            pages.resize_with(number + 1, || None);
        }
        let page = pages[number].get_or_insert_with(|| {
            self.bytes.fetch_add(PAGE_SERIES * size_of::<Option<Box<OooSeries>>>(), Ordering::Relaxed);
            let mut places = Vec::new();
            places.resize_with(PAGE_SERIES, || None);
            Arc::new(RwLock::new(places))
        });
        Arc::clone(page)
    }
}

fn page_of(slot: u32) -> usize {
    slot as usize / PAGE_SERIES
}

const PAGE_SERIES: usize = 256;
