//! One series' late samples.
//!
//! They nearly always come in runs whose times rise: a sender catches up, a year is imported. So there is an open chunk
//! that grows at its end, as in the head. What does not fit there is gathered in a short sorted run and worked into the
//! packed chunks when the run is full, as into the leaves of a B-tree: each chunk that is touched is unpacked once for many
//! samples, chunks never overlap, and a time is looked up in one of them.

use std::mem;
use std::sync::Arc;

use model::TimestampMs;
use storage::TimeRange;
use tsdb_format::chunk::{HistogramChunk, XorChunk};

use super::encode::{CHUNK_SAMPLES, Packed, Sample, first_histogram, histogram_bytes, histograms_go_on, pack};
use super::open_ranges::OpenRanges;
use crate::head::Value;
use crate::part::Chunk;

/// Invariants: `packed` rise and overlap neither each other nor `open`; times of `run` rise and are in neither, though
/// perhaps between theirs.
pub(super) struct OooSeries {
    packed: Vec<Packed>,
    packed_bytes: usize,
    open: Open,
    /// Where `open` must end: its range does, or the next chunk starts.
    open_until: i64,
    run: Vec<Sample>,
    run_bytes: usize,
    newest: TimestampMs,
}

enum Open {
    None,
    Floats(XorChunk),
    Histograms(Box<HistogramChunk>),
}

impl OooSeries {
    pub(super) fn new() -> Self {
        Self {
            packed: Vec::new(),
            packed_bytes: 0,
            open: Open::None,
            open_until: i64::MIN,
            run: Vec::new(),
            run_bytes: 0,
            newest: TimestampMs::MIN,
        }
    }

    /// The value stored for exactly this time.
    pub(super) fn find(&self, at: TimestampMs) -> Option<Value> {
        if at > self.newest {
            return None;
        }
        if let Ok(index) = self.run.binary_search_by_key(&at, |(at, _)| *at) {
            return Some(self.run[index].1.clone());
        }
        match self.open.range() {
            Some((start, end)) if start <= at && at <= end => self.open.value_at(at),
            _ => {
                let chunk = self.packed.get(self.packed.partition_point(|chunk| chunk.end < at))?;
                if chunk.start <= at { chunk.value_at(at) } else { None }
            }
        }
    }

    /// Takes a sample whose time is not here yet and lies in an open range.
    #[inline]
    pub(super) fn insert(&mut self, at: TimestampMs, value: Value, ranges: &OpenRanges) {
        self.newest = self.newest.max(at);
        if !self.open.push(at, &value, self.open_until) {
            self.insert_elsewhere(at, value, ranges);
        }
    }

    /// Its chunks that overlap `range`, appended to a list; they may overlap each other, but have no time in common.
    pub(super) fn chunks(&self, range: TimeRange, into: &mut Vec<Chunk>) {
        let first = self.packed.partition_point(|chunk| chunk.end < range.start);
        let packed = self.packed[first..].iter().take_while(|chunk| chunk.start <= range.end);
        let mut open = self.open.range().filter(|(start, end)| *start <= range.end && range.start <= *end);
        for chunk in packed {
            if open.is_some_and(|(start, _)| start < chunk.start) {
                open = None;
                into.extend(self.open.pack().map(|chunk| chunk.to_chunk()));
            }
            into.push(chunk.to_chunk());
        }
        if open.is_some() {
            into.extend(self.open.pack().map(|chunk| chunk.to_chunk()));
        }
        let run = self.run_in(range);
        if !run.is_empty() {
            let mut packed = Vec::new();
            pack(run, |_| i64::MIN..i64::MAX, &mut packed);
            into.extend(packed.iter().map(Packed::to_chunk));
        }
    }

    /// Whether it has chunks that overlap `range`.
    pub(super) fn has_chunks(&self, range: TimeRange) -> bool {
        let first = self.packed.partition_point(|chunk| chunk.end < range.start);
        self.packed.get(first).is_some_and(|chunk| chunk.start <= range.end)
            || self.open.range().is_some_and(|(start, end)| start <= range.end && range.start <= end)
            || !self.run_in(range).is_empty()
    }

    /// Memory that it takes.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.packed.capacity() * size_of::<Packed>()
            + self.packed_bytes
            + self.open.heap_bytes()
            + self.run.capacity() * size_of::<Sample>()
            + self.run_bytes
    }

    /// Packs everything: afterwards no two chunks overlap and none crosses a range.
    pub(super) fn settle(&mut self, ranges: &OpenRanges) {
        let mut run = mem::take(&mut self.run);
        if !run.is_empty() && self.open.len().is_some_and(|samples| samples < MOVE_SAMPLES_MIN) {
            // Packed by itself, it would stay a chunk of few samples.
            run.extend(mem::replace(&mut self.open, Open::None).pack().map(|chunk| chunk.decode()).unwrap_or_default());
            run.sort_by_key(|(at, _)| *at);
        }
        self.seal_open();
        if run.is_empty() {
            return;
        }
        self.run_bytes = 0;
        let old = mem::take(&mut self.packed);
        let mut packed = Vec::with_capacity(old.len() + run.len() / (CHUNK_SAMPLES / 2) + 1);
        let mut rest = run.as_slice();
        let before = old.first().map_or(rest.len(), |first| rest.partition_point(|(at, _)| *at < first.start));
        pack(&rest[..before], |at| ranges.of(at), &mut packed);
        rest = &rest[before..];
        let mut old = old.into_iter().peekable();
        while let Some(chunk) = old.next() {
            let until = old.peek().map_or(rest.len(), |next| rest.partition_point(|(at, _)| *at < next.start));
            let (samples, later) = rest.split_at(until);
            merge(chunk, samples, ranges, &mut packed);
            rest = later;
        }
        self.packed_bytes = packed.iter().map(Packed::heap_bytes).sum();
        self.packed = packed;
    }

    /// The open chunk does not take the sample. A new one is begun behind or before it, where no other chunk is, but not
    /// for every few samples: chunks of few samples cost more memory than the samples.
    #[cold]
    fn insert_elsewhere(&mut self, at: TimestampMs, value: Value, ranges: &OpenRanges) {
        let outside = self.open.range().is_none_or(|(start, end)| at < start || end < at);
        if outside && self.open.len().is_none_or(|samples| samples >= MOVE_SAMPLES_MIN) {
            let next = self.packed.partition_point(|chunk| chunk.end < at);
            if self.packed.get(next).is_none_or(|chunk| at < chunk.start) {
                self.seal_open();
                let next = self.packed.get(self.packed.partition_point(|chunk| chunk.end < at));
                self.open_until = next.map_or(i64::MAX, |next| next.start.0).min(ranges.of(at).end);
                self.open = Open::new(at, value);
                return;
            }
        }
        if let Value::Histogram(histogram) = &value {
            self.run_bytes += histogram_bytes(histogram);
        }
        let place = self.run.partition_point(|(other, _)| *other < at);
        if self.run.len() == self.run.capacity() {
            self.run.reserve_exact(self.run.len().clamp(4, 16));
        }
        self.run.insert(place, (at, value));
        if self.run.len() >= RUN_SAMPLES_MAX || self.run_bytes > RUN_BYTES_MAX {
            self.settle(ranges);
        }
    }

    fn seal_open(&mut self) {
        if let Some(chunk) = mem::replace(&mut self.open, Open::None).pack() {
            let place = self.packed.partition_point(|other| other.end < chunk.start);
            if self.packed.len() == self.packed.capacity() {
                // Doubling would leave a quarter of them empty.
                self.packed.reserve_exact(self.packed.len() / 4 + 1);
            }
            self.packed_bytes += chunk.heap_bytes();
            self.packed.insert(place, chunk);
        }
    }

    fn run_in(&self, range: TimeRange) -> &[Sample] {
        let first = self.run.partition_point(|(at, _)| *at < range.start);
        let last = self.run.partition_point(|(at, _)| *at <= range.end);
        &self.run[first.min(last)..last]
    }
}

/// Works samples that lie behind the chunk's start into it; leaves it as it is where that makes no chunks of few samples.
fn merge(chunk: Packed, samples: &[Sample], ranges: &OpenRanges, into: &mut Vec<Packed>) {
    let half = CHUNK_SAMPLES / 2;
    let is_behind = samples.first().is_none_or(|(at, _)| *at > chunk.end);
    let end = if samples.is_empty() { i64::MIN } else { ranges.of(chunk.start).end };
    let (near, far) = samples.split_at(samples.partition_point(|(at, _)| at.0 < end));
    if is_behind && (near.is_empty() || (near.len() >= half && chunk.samples() >= half)) {
        into.push(chunk);
        pack(near, |at| ranges.of(at), into);
    } else {
        let mut all = chunk.decode();
        all.extend_from_slice(near);
        all.sort_by_key(|(at, _)| *at);
        pack(&all, |at| ranges.of(at), into);
    }
    pack(far, |at| ranges.of(at), into);
}

impl Open {
    fn new(at: TimestampMs, value: Value) -> Self {
        match value {
            Value::Float(value) => Self::Floats(XorChunk::new(at, value)),
            Value::Histogram(histogram) => Self::Histograms(Box::new(first_histogram(at, histogram))),
        }
    }

    /// Appends a sample, if it belongs at the end of this chunk.
    #[inline]
    fn push(&mut self, at: TimestampMs, value: &Value, until: i64) -> bool {
        if at.0 >= until {
            return false;
        }
        match (self, value) {
            (Self::Floats(chunk), Value::Float(value))
                if at > chunk.newest().0 && usize::from(chunk.len()) < CHUNK_SAMPLES =>
            {
                chunk.push(at, *value);
                true
            }
            (Self::Histograms(chunk), Value::Histogram(histogram))
                if at > chunk.newest().0 && histograms_go_on(chunk) =>
            {
                chunk.push(at, Arc::clone(histogram)).is_ok()
            }
            _ => false,
        }
    }

    fn range(&self) -> Option<(TimestampMs, TimestampMs)> {
        match self {
            Self::None => None,
            Self::Floats(chunk) => Some((chunk.start(), chunk.newest().0)),
            Self::Histograms(chunk) => Some((chunk.start(), chunk.newest().0)),
        }
    }

    fn len(&self) -> Option<u16> {
        match self {
            Self::None => None,
            Self::Floats(chunk) => Some(chunk.len()),
            Self::Histograms(chunk) => Some(chunk.len()),
        }
    }

    fn value_at(&self, at: TimestampMs) -> Option<Value> {
        match self {
            Self::Floats(chunk) if chunk.newest().0 == at => Some(Value::Float(chunk.newest().1)),
            Self::Histograms(chunk) if chunk.newest().0 == at => Some(Value::Histogram(Arc::clone(chunk.newest().1))),
            _ => self.pack()?.value_at(at),
        }
    }

    fn pack(&self) -> Option<Packed> {
        match self {
            Self::None => None,
            Self::Floats(chunk) => Some(Packed::floats(chunk)),
            Self::Histograms(chunk) => Some(Packed::histograms(chunk)),
        }
    }

    #[inline]
    fn heap_bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Floats(chunk) => chunk.heap_bytes(),
            Self::Histograms(chunk) => {
                size_of::<HistogramChunk>() + chunk.heap_bytes() + histogram_bytes(chunk.newest().1)
            }
        }
    }
}

/// Samples that wait in a run. More make lookups in it cheaper, and memory per sample dearer.
const RUN_SAMPLES_MAX: usize = 64;

/// Histograms in it may be large.
const RUN_BYTES_MAX: usize = 64 << 10;

/// What an open chunk must hold before another is begun elsewhere.
const MOVE_SAMPLES_MIN: u16 = 32;

#[cfg(test)]
mod tests;
