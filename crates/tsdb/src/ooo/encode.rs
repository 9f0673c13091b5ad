//! Samples in order of time ↔ chunks.

use std::ops::Range;
use std::sync::Arc;

use model::{NativeHistogram, Span, TimestampMs};
use tsdb_format::chunk::{
    ChunkEncoding, CorruptChunk, HistogramChunk, HistogramDecoder, XorChunk, XorDecoder, sample_count,
};

use crate::head::Value;
use crate::part::{Chunk, ChunkData};

pub(super) type Sample = (TimestampMs, Value);

/// A chunk in memory. A third smaller than [`Chunk`], of which there would be as many.
#[derive(Clone)]
pub(super) struct Packed {
    pub(super) start: TimestampMs,
    pub(super) end: TimestampMs,
    pub(super) encoding: ChunkEncoding,
    pub(super) data: Arc<[u8]>,
}

impl Packed {
    pub(super) fn floats(chunk: &XorChunk) -> Self {
        let (start, end) = (chunk.start(), chunk.newest().0);
        Self { start, end, encoding: ChunkEncoding::Xor, data: chunk.data().into() }
    }

    pub(super) fn histograms(chunk: &HistogramChunk) -> Self {
        let (start, end) = (chunk.start(), chunk.newest().0);
        Self { start, end, encoding: chunk.encoding(), data: chunk.data().into() }
    }

    pub(super) fn samples(&self) -> usize {
        usize::from(sample_count(&self.data).expect(PACKED_HERE))
    }

    /// Memory that hangs on it: the data and the two counts before them.
    pub(super) fn heap_bytes(&self) -> usize {
        self.data.len() + 2 * size_of::<usize>()
    }

    pub(super) fn to_chunk(&self) -> Chunk {
        let data = ChunkData::Memory(self.encoding, Arc::clone(&self.data));
        Chunk { start: self.start, end: self.end, data, deleted: None }
    }

    pub(super) fn decode(&self) -> Vec<Sample> {
        self.try_decode().expect(PACKED_HERE)
    }

    /// The value stored for exactly this time.
    pub(super) fn value_at(&self, at: TimestampMs) -> Option<Value> {
        let samples = self.decode();
        let found = samples.binary_search_by_key(&at, |(at, _)| *at).ok()?;
        samples.into_iter().nth(found).map(|(_, value)| value)
    }

    fn try_decode(&self) -> Result<Vec<Sample>, CorruptChunk> {
        match self.encoding {
            ChunkEncoding::Xor => {
                let mut decoder = XorDecoder::new(&self.data)?;
                let count = usize::from(decoder.remaining());
                let (mut timestamps, mut values) = (Vec::with_capacity(count), Vec::with_capacity(count));
                decoder.read(&mut timestamps, &mut values, count)?;
                Ok(timestamps.into_iter().zip(values.into_iter().map(Value::Float)).collect())
            }
            encoding => HistogramDecoder::new(encoding, &self.data)
                .map(|sample| sample.map(|(at, histogram)| (at, Value::Histogram(histogram))))
                .collect(),
        }
    }
}

/// Packs samples whose times rise into chunks of at most [`CHUNK_SAMPLES`], about equally full. No chunk crosses the range
/// of blocks that `range_of` gives for its first sample.
pub(super) fn pack(mut samples: &[Sample], range_of: impl Fn(TimestampMs) -> Range<i64>, into: &mut Vec<Packed>) {
    while let Some((at, value)) = samples.first() {
        let end = range_of(*at).end;
        let is_float = matches!(value, Value::Float(_));
        let others = |(at, value): &Sample| at.0 >= end || matches!(value, Value::Float(_)) != is_float;
        let run = samples.iter().position(others).unwrap_or(samples.len());
        let pieces = run.div_ceil(CHUNK_SAMPLES);
        for piece in samples[..run].chunks(run.div_ceil(pieces)) {
            if is_float { pack_floats(piece, into) } else { pack_histograms(piece, into) }
        }
        samples = &samples[run..];
    }
}

fn pack_floats(samples: &[Sample], into: &mut Vec<Packed>) {
    let mut floats = samples.iter().map(|(at, value)| match value {
        Value::Float(value) => (*at, *value),
        Value::Histogram(_) => unreachable!("runs are of one kind"),
    });
    let Some((at, value)) = floats.next() else { return };
    let mut chunk = XorChunk::new(at, value);
    floats.for_each(|(at, value)| chunk.push(at, value));
    into.push(Packed::floats(&chunk));
}

fn pack_histograms(samples: &[Sample], into: &mut Vec<Packed>) {
    let mut chunk: Option<HistogramChunk> = None;
    for (at, value) in samples {
        let Value::Histogram(histogram) = value else { unreachable!("runs are of one kind") };
        if let Some(open) = &mut chunk
            && histograms_go_on(open)
            && open.push(*at, Arc::clone(histogram)).is_ok()
        {
            continue;
        }
        into.extend(chunk.as_ref().map(Packed::histograms));
        chunk = Some(first_histogram(*at, Arc::clone(histogram)));
    }
    into.extend(chunk.as_ref().map(Packed::histograms));
}

/// Begins a chunk. Whatever ended the one before: samples that come later may belong between the two, so it is not said to
/// follow a reset, unless the sender said so; readers compare.
pub(super) fn first_histogram(at: TimestampMs, histogram: Arc<NativeHistogram>) -> HistogramChunk {
    HistogramChunk::new(at, histogram, false)
}

/// Whether a chunk of histograms takes one more.
pub(super) fn histograms_go_on(chunk: &HistogramChunk) -> bool {
    let samples = usize::from(chunk.len());
    samples < CHUNK_SAMPLES && (samples < HISTOGRAM_SAMPLES_MIN || chunk.data().len() < CHUNK_BYTES)
}

/// Memory that a histogram takes.
pub(super) fn histogram_bytes(histogram: &NativeHistogram) -> usize {
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    let buckets: usize =
        histogram.positive_spans.iter().chain(&histogram.negative_spans).map(|s| s.length as usize).sum();
    size_of::<NativeHistogram>()
        + spans * size_of::<Span>()
        + (buckets + histogram.custom_values.len()) * size_of::<u64>()
        + 2 * size_of::<usize>()
}

/// Prometheus' aim.
pub(super) const CHUNK_SAMPLES: usize = 120;

/// Histograms with many buckets still share their layout among so many.
const HISTOGRAM_SAMPLES_MIN: usize = 10;

/// Beyond it, chunks of histograms are ended.
const CHUNK_BYTES: usize = 1024;

const PACKED_HERE: &str = "the chunk was packed in this process";
