//! Samples in order of time → chunks.

use std::sync::Arc;

use model::{NativeHistogram, TimestampMs};
use storage::Batch;
use tsdb_format::chunk::{ChunkEncoding, HistogramChunk, Misfit, XorChunk};

use super::block_writer::BlockChunk;

/// Packs samples, and begins a new chunk where one is full or a sample does not fit into it. Used again for each series.
#[derive(Default)]
pub struct ChunkCutter {
    full: Vec<Full>,
    open: Open,
    bounds: Bounds,
}

/// How much goes into one chunk.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) samples: u16,
    /// No chunk of floats grows beyond.
    pub(super) bytes: usize,
}

impl Default for Bounds {
    /// As Prometheus' head has them.
    fn default() -> Self {
        Self { samples: CHUNK_SAMPLES, bytes: 1024 }
    }
}

impl Bounds {
    fn have_room(self, samples: u16, data: &[u8], samples_min: u16) -> bool {
        samples < self.samples && (data.len() + SAMPLE_BYTES_MAX <= self.bytes || samples < samples_min)
    }
}

#[derive(Default)]
enum Open {
    #[default]
    None,
    Floats(XorChunk),
    Histograms(Box<HistogramChunk>),
}

struct Full {
    start: TimestampMs,
    end: TimestampMs,
    encoding: ChunkEncoding,
    data: Vec<u8>,
}

impl ChunkCutter {
    /// Adds a sample newer than those before.
    pub fn push_float(&mut self, at: TimestampMs, value: f64) {
        match &mut self.open {
            Open::Floats(chunk) if self.bounds.have_room(chunk.len(), chunk.data(), 1) => chunk.push(at, value),
            _ => {
                self.seal();
                self.open = Open::Floats(XorChunk::new(at, value));
            }
        }
    }

    /// Adds a sample newer than those before.
    pub fn push_histogram(&mut self, at: TimestampMs, histogram: Arc<NativeHistogram>) {
        let mut after_reset = false;
        if let Open::Histograms(chunk) = &mut self.open
            && self.bounds.have_room(chunk.len(), chunk.data(), HISTOGRAM_SAMPLES_MIN)
        {
            match chunk.push(at, Arc::clone(&histogram)) {
                Ok(()) => return,
                Err(misfit) => after_reset = misfit == Misfit::Reset,
            }
        }
        self.seal();
        self.open = Open::Histograms(Box::new(HistogramChunk::new(at, histogram, after_reset)));
    }

    /// Adds the samples of a batch, all newer than those before.
    pub(crate) fn push_batch(&mut self, batch: &Batch) {
        for (at, value) in batch.timestamps.iter().zip(&batch.floats) {
            self.push_float(*at, *value);
        }
        for (at, histogram) in batch.timestamps.iter().zip(&batch.histograms) {
            self.push_histogram(*at, Arc::clone(histogram));
        }
    }

    /// Bounds of chunks that are begun or grow from now on.
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Ends the last chunk. The next sample begins another one.
    pub fn seal(&mut self) {
        self.full.extend(match std::mem::take(&mut self.open) {
            Open::None => None,
            Open::Floats(chunk) => Some(Full {
                start: chunk.start(),
                end: chunk.newest().0,
                encoding: ChunkEncoding::Xor,
                data: chunk.data().to_vec(),
            }),
            Open::Histograms(chunk) => Some(Full {
                start: chunk.start(),
                end: chunk.newest().0,
                encoding: chunk.encoding(),
                data: chunk.data().to_vec(),
            }),
        });
    }

    /// The chunks sealed since the last [`clear`](Self::clear).
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = BlockChunk<'_>> {
        self.full.iter().map(|full| BlockChunk {
            start: full.start,
            end: full.end,
            encoding: full.encoding,
            data: &full.data,
        })
    }

    /// Forgets all samples.
    pub fn clear(&mut self) {
        self.full.clear();
        self.open = Open::None;
    }
}

/// Prometheus' aim.
pub(super) const CHUNK_SAMPLES: u16 = 120;

/// The longest float sample: 68 bits of time and 77 of value.
const SAMPLE_BYTES_MAX: usize = 19;

/// Histograms with many buckets still share their layout among so many.
const HISTOGRAM_SAMPLES_MIN: u16 = 10;
