//! The head: all series in memory, their labels, their newest samples, exemplars and metadata.
//!
//! One writer (the committer; before it starts, the replay), many readers. Locks, each held shortly and never two of a
//! kind: `index` (labels and postings; written only when series are new), a page of `series` (samples; written per run of
//! samples), `exemplars`, `metadata`. A series' slot never changes and is never reused while the head lives.

mod exemplars;
mod index;
mod part;
mod postings;
mod series;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use model::{Labels, Metadata, NativeHistogram, TimestampMs};
use parking_lot::{Mutex, RwLock};
use storage::TimeRange;

pub use exemplars::SeriesExemplars;
pub(crate) use exemplars::{ExemplarRing, Verdict};
pub(crate) use index::{Index, Lookup};
pub(crate) use part::HeadPart;
pub(crate) use postings::matching;
pub(crate) use series::MemSeries;
use series::Sealed;
pub(crate) use series::{Chunk, Value};

pub(crate) struct Head {
    pub(crate) index: RwLock<Index>,
    pages: RwLock<Vec<Arc<Page>>>,
    pub(crate) exemplars: Mutex<ExemplarRing>,
    /// By metric family.
    pub(crate) metadata: RwLock<BTreeMap<String, Metadata>>,
    /// Times of the oldest and the newest sample; the former after the latter while there is none.
    time_min: AtomicI64,
    time_max: AtomicI64,
    /// Of series whose page has them: what is below it can be read.
    series_count: AtomicU32,
}

/// Neighbouring series behind one lock. Those of one target came together and are written together.
pub(crate) type Page = RwLock<Vec<MemSeries>>;

impl Head {
    pub(crate) fn new(exemplars_max: usize) -> Self {
        Self {
            index: RwLock::default(),
            pages: RwLock::default(),
            exemplars: Mutex::new(ExemplarRing::new(exemplars_max)),
            metadata: RwLock::default(),
            time_min: AtomicI64::new(i64::MAX),
            time_max: AtomicI64::new(i64::MIN),
            series_count: AtomicU32::new(0),
        }
    }

    /// Number of series.
    #[inline]
    pub(crate) fn series_count(&self) -> u32 {
        self.series_count.load(Ordering::Acquire)
    }

    /// Adds a series that the index does not have. Only the writer calls it.
    pub(crate) fn add_series(&self, labels: &Labels) -> u32 {
        // Before the index, so that a slot found there can be read.
        let slot = self.series_count();
        let mut pages = self.pages.write();
        if place(slot).0 == pages.len() {
            pages.push(Arc::default());
        }
        pages[place(slot).0].write().push(MemSeries::default());
        drop(pages);
        self.series_count.store(slot + 1, Ordering::Release);
        let indexed = self.index.write().add(labels);
        debug_assert_eq!(slot, indexed, "index and pages count alike");
        slot
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

    /// Widens the times of the samples in here.
    fn cover(&self, start: TimestampMs, end: TimestampMs) {
        self.time_min.fetch_min(start.0, Ordering::Relaxed);
        self.time_max.fetch_max(end.0, Ordering::Relaxed);
    }

    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        range.start.0 <= self.time_max.load(Ordering::Relaxed) && self.time_min.load(Ordering::Relaxed) <= range.end.0
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
            for sample in run {
                appended.append(&mut series[place(sample.slot).1], sample, histograms);
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
    fn append(&mut self, series: &mut MemSeries, sample: &HeadSample, histograms: &[Arc<NativeHistogram>]) {
        if series.newest_time().is_some_and(|newest| newest >= sample.at) {
            self.stale += 1;
            return;
        }
        if let Sealed::Yes { bytes } = series.append(sample.at, sample.value(histograms)) {
            self.chunks += 1;
            self.sealed_bytes += bytes as u64;
        }
        self.floats += u64::from(!sample.is_histogram);
        self.histograms += u64::from(sample.is_histogram);
    }
}

/// Few enough that a reader's copy seldom meets the writer, many enough that a request touches few locks.
const PAGE_SERIES: usize = 256;
