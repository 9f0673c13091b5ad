//! What one request brings, on its way from its appender to the committer.

use std::sync::Arc;

use model::{Exemplar, Labels, Metadata, NativeHistogram, TimestampMs};
use parking_lot::Mutex;

use crate::head::Generation;
use crate::key_cache::KeyHash;

/// A series as a batch names it: one of the head, or one of the batch's own that the head did not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BatchSeries(u32);

pub(crate) enum Known {
    /// Its slot in the head.
    Head(u32),
    /// Its index among the batch's new series.
    New(usize),
}

impl BatchSeries {
    /// Slots stay below this: the bit tells new series apart.
    pub(crate) const NEW: u32 = 1 << 31;

    pub(crate) fn head(slot: u32) -> Self {
        debug_assert!(slot < Self::NEW);
        Self(slot)
    }

    pub(crate) fn new_at(index: usize) -> Self {
        Self(Self::NEW | u32::try_from(index).expect("a batch has fewer than 2^31 series"))
    }

    pub(crate) fn from_ref(series: u64) -> Option<Self> {
        u32::try_from(series).ok().map(Self)
    }

    pub(crate) fn as_ref(self) -> u64 {
        u64::from(self.0)
    }

    #[inline]
    pub(crate) fn known(self) -> Known {
        if self.0 & Self::NEW == 0 { Known::Head(self.0) } else { Known::New((self.0 & !Self::NEW) as usize) }
    }
}

/// One sample. Histograms lie beside, so that the many floats stay small.
#[derive(Clone, Copy)]
pub(crate) struct BatchSample {
    pub(crate) series: BatchSeries,
    pub(crate) is_histogram: bool,
    pub(crate) timestamp: TimestampMs,
    /// The bits of the float, or the index of the histogram.
    pub(crate) value: u64,
}

/// A series that the head did not have when the batch asked.
pub(crate) struct NewSeries {
    pub(crate) labels: Labels,
    pub(crate) key: Option<KeyHash>,
}

#[derive(Default)]
pub(crate) struct Batch {
    /// From before the first series was looked up.
    pub(crate) _generation: Option<Arc<Generation>>,
    pub(crate) samples: Vec<BatchSample>,
    pub(crate) histograms: Vec<Arc<NativeHistogram>>,
    pub(crate) exemplars: Vec<(BatchSeries, Exemplar)>,
    pub(crate) metadata: Vec<(String, Metadata)>,
    pub(crate) new_series: Vec<NewSeries>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.exemplars.is_empty() && self.metadata.is_empty()
    }
}

/// Keeps the memory of past batches, so that in steady state none is allocated.
#[derive(Default)]
pub(crate) struct BatchPool(Mutex<Vec<Vec<BatchSample>>>);

impl BatchPool {
    pub(crate) fn take(&self, generation: Arc<Generation>) -> Batch {
        let samples = self.0.lock().pop().unwrap_or_default();
        Batch { _generation: Some(generation), samples, ..Batch::default() }
    }

    pub(crate) fn put(&self, batch: Batch) {
        let mut samples = batch.samples;
        if samples.capacity() > POOLED_SAMPLES_MAX {
            return;
        }
        samples.clear();
        let mut pool = self.0.lock();
        if pool.len() < POOLED_BATCHES_MAX {
            pool.push(samples);
        }
    }
}

/// Together at most 3 MiB.
const POOLED_BATCHES_MAX: usize = 16;
const POOLED_SAMPLES_MAX: usize = 8192;
