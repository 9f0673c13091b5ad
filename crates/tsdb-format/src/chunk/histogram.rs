//! Histogram chunks: native histograms of one layout, with whole or fractional counts.
//!
//! Invariants of a chunk: all samples have one layout and one kind of counts; in a chunk of counters no count ever falls;
//! after a staleness marker only markers follow. A histogram that would break one of them is a [`Misfit`]: the caller
//! starts a new chunk. One with buckets that the chunk lacks makes the chunk wider instead.

use std::sync::Arc;

use model::{Counts, NativeHistogram, ResetHint, TimestampMs};

use super::layout::{Layout, LayoutError, absolute, union, widened};
use super::start_times::StartTimes;
use super::xor_value::XorValue;
use super::{ChunkEncoding, CorruptChunk, increment_count, reserve, sample_count, varbit};
use crate::bits::{BitReader, OutOfBits, write_bits};

/// A chunk that still grows. Samples must come in order of time; this type does not check it.
#[derive(Clone, Debug)]
pub struct HistogramChunk {
    bytes: Vec<u8>,
    free: u8,
    layout: Layout,
    start: i64,
    running: Running,
    newest: Arc<NativeHistogram>,
}

/// Why a histogram does not fit into a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// A count fell, or its sender says that it was reset.
    Reset,
    /// Another kind of counts, other bounds, a gauge after counters, or a value after a staleness marker.
    Kind,
}

impl HistogramChunk {
    /// A chunk with its first sample. `after_reset` says that the one before ended because of [`Misfit::Reset`].
    pub fn new(timestamp: TimestampMs, histogram: Arc<NativeHistogram>, after_reset: bool) -> Self {
        let header = match histogram.reset_hint {
            ResetHint::Gauge => HEADER_GAUGE,
            ResetHint::Reset => HEADER_RESET,
            _ if after_reset => HEADER_RESET,
            _ => HEADER_UNKNOWN,
        };
        Self::with_header(timestamp, histogram, header)
    }

    /// Adds a sample, or says why it needs a new chunk; then nothing has changed.
    ///
    /// # Errors
    /// [`Misfit`].
    ///
    /// # Panics
    /// At 65,535 samples; cut chunks long before.
    pub fn push(&mut self, timestamp: TimestampMs, histogram: Arc<NativeHistogram>) -> Result<(), Misfit> {
        if histogram.is_stale() {
            self.write(timestamp, histogram);
            return Ok(());
        }
        self.check_kind(&histogram)?;
        let (spans, other) = (&self.layout, &*histogram);
        if spans.positive == other.positive_spans && spans.negative == other.negative_spans {
            self.check_counts(&histogram)?;
            self.write(timestamp, histogram);
            return Ok(());
        }
        let positive = union(&spans.positive, &other.positive_spans);
        let negative = union(&spans.negative, &other.negative_spans);
        let wide = Arc::new(widened(&histogram, &positive, &negative));
        if positive == spans.positive && negative == spans.negative {
            self.check_counts(&wide)?;
        } else {
            let wider = self.widened(&positive, &negative);
            wider.check_counts(&wide)?;
            *self = wider;
        }
        self.write(timestamp, wide);
        Ok(())
    }

    /// How the samples are packed.
    pub fn encoding(&self) -> ChunkEncoding {
        match self.running.counts {
            RunningCounts::Integer { .. } => ChunkEncoding::Histogram,
            RunningCounts::Float { .. } => ChunkEncoding::FloatHistogram,
        }
    }

    /// Number of samples, at least one.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }

    /// Time of the first sample.
    pub fn start(&self) -> TimestampMs {
        TimestampMs(self.start)
    }

    /// The newest sample. It may have empty buckets that were not there when it was added.
    pub fn newest(&self) -> (TimestampMs, &Arc<NativeHistogram>) {
        (TimestampMs(self.running.timestamp), &self.newest)
    }

    /// The data as they go to disk; always complete.
    pub fn data(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of memory that hang on this value, without the value itself.
    pub fn heap_bytes(&self) -> usize {
        let buckets = self.layout.bucket_count() as usize;
        self.bytes.capacity() + buckets * (size_of::<XorValue>() + size_of::<i64>())
    }

    fn with_header(timestamp: TimestampMs, histogram: Arc<NativeHistogram>, header: u8) -> Self {
        let layout = Layout::of(&histogram);
        let (mut bytes, mut free) = (vec![0, 0, header], 0);
        layout.write(&mut bytes, &mut free);
        let running = Running::first(timestamp, &histogram, &mut bytes, &mut free);
        increment_count(&mut bytes);
        Self { bytes, free, layout, start: timestamp.0, running, newest: histogram }
    }

    fn check_kind(&self, histogram: &NativeHistogram) -> Result<(), Misfit> {
        let gauge = histogram.reset_hint == ResetHint::Gauge;
        let same_kind = self.newest.is_float() == histogram.is_float()
            && (self.bytes[2] == HEADER_GAUGE) == gauge
            && !self.newest.is_stale()
            && self.layout.compatible(histogram);
        match (same_kind, histogram.reset_hint) {
            (false, _) => Err(Misfit::Kind),
            (true, ResetHint::Reset) => Err(Misfit::Reset),
            (true, _) => Ok(()),
        }
    }

    /// For counters: no count may fall. The histogram has this chunk's layout already.
    fn check_counts(&self, histogram: &NativeHistogram) -> Result<(), Misfit> {
        if self.bytes[2] == HEADER_GAUGE {
            return Ok(());
        }
        let falls = match (&self.newest.counts, &histogram.counts) {
            (
                Counts::Integer { count, zero_count, positive, negative },
                Counts::Integer { count: new_count, zero_count: new_zero, positive: up, negative: down },
            ) => {
                let bucket_falls = |old: &[i64], new: &[i64]| any_falls(&absolute(old), &absolute(new));
                new_count < count || new_zero < zero_count || bucket_falls(positive, up) || bucket_falls(negative, down)
            }
            (
                Counts::Float { count, zero_count, positive, negative },
                Counts::Float { count: new_count, zero_count: new_zero, positive: up, negative: down },
            ) => new_count < count || new_zero < zero_count || any_falls(positive, up) || any_falls(negative, down),
            _ => false,
        };
        if falls { Err(Misfit::Reset) } else { Ok(()) }
    }

    /// The same samples with more buckets.
    fn widened(&self, positive: &[model::Span], negative: &[model::Span]) -> Self {
        let mut samples = HistogramDecoder::new(self.encoding(), &self.bytes)
            .map(|sample| sample.expect("written by this type"))
            .map(|(at, histogram)| (at, Arc::new(widened(&histogram, positive, negative))));
        let (at, first) = samples.next().expect("a chunk has a sample");
        let mut wider = Self::with_header(at, first, self.bytes[2]);
        for (at, histogram) in samples {
            wider.write(at, histogram);
        }
        wider
    }

    fn write(&mut self, timestamp: TimestampMs, histogram: Arc<NativeHistogram>) {
        reserve(&mut self.bytes, SAMPLE_BYTES);
        self.running.push(timestamp, &histogram, &mut self.bytes, &mut self.free);
        self.newest = histogram;
        increment_count(&mut self.bytes);
    }
}

/// The data without start times. `None` when there is no sample.
///
/// # Errors
/// Data that are no histograms with start times.
pub(super) fn without_start_times(
    encoding: ChunkEncoding,
    data: &[u8],
) -> Result<Option<(HistogramChunk, Vec<TimestampMs>)>, CorruptChunk> {
    let mut decoder = HistogramDecoder::with_start_times(encoding, data);
    let (header, are_known) = (decoder.header, decoder.start_times.may_be_known());
    let Some(first) = decoder.next() else { return Ok(None) };
    let (at, histogram) = first?;
    let mut chunk = HistogramChunk::with_header(at, histogram, header);
    let mut start_times = Vec::new();
    if are_known {
        start_times.push(TimestampMs(decoder.start_times.current()));
    }
    while let Some(sample) = decoder.next() {
        // They were one chunk before, so they have one layout, and belong together.
        let (at, histogram) = sample?;
        chunk.write(at, histogram);
        if are_known {
            start_times.push(TimestampMs(decoder.start_times.current()));
        }
    }
    Ok(Some((chunk, start_times)))
}

fn any_falls<T: PartialOrd>(old: &[T], new: &[T]) -> bool {
    old.iter().zip(new).any(|(old, new)| new < old)
}

/// What the next sample is the difference to; kept alike by writer and reader.
#[derive(Clone, Debug)]
struct Running {
    timestamp: i64,
    delta: i64,
    sum: XorValue,
    counts: RunningCounts,
}

#[derive(Clone, Debug)]
enum RunningCounts {
    Integer {
        count: Track,
        zero_count: Track,
        /// Positive, then negative, as stored: differences between buckets.
        buckets: Vec<Track>,
    },
    Float {
        count: XorValue,
        zero_count: XorValue,
        buckets: Vec<XorValue>,
    },
}

/// An integer written as delta of delta.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    value: i64,
    delta: i64,
}

impl Track {
    fn at(value: i64) -> Self {
        Self { value, delta: 0 }
    }

    fn write(&mut self, bytes: &mut Vec<u8>, free: &mut u8, value: i64) {
        let delta = value.wrapping_sub(self.value);
        varbit::put_int(bytes, free, delta.wrapping_sub(self.delta));
        *self = Self { value, delta };
    }

    fn read(&mut self, reader: &mut BitReader<'_>) -> Result<(), OutOfBits> {
        self.delta = self.delta.wrapping_add(varbit::int(reader)?);
        self.value = self.value.wrapping_add(self.delta);
        Ok(())
    }
}

impl Running {
    fn first(timestamp: TimestampMs, histogram: &NativeHistogram, bytes: &mut Vec<u8>, free: &mut u8) -> Self {
        varbit::put_int(bytes, free, timestamp.0);
        let stale = histogram.is_stale();
        let sum = XorValue::new(histogram.sum);
        let counts = match &histogram.counts {
            Counts::Integer { count, zero_count, positive, negative } => {
                let (count, zero_count) = if stale { (0, 0) } else { (*count, *zero_count) };
                varbit::put_uint(bytes, free, count);
                varbit::put_uint(bytes, free, zero_count);
                write_bits(bytes, free, sum.bits, 64);
                let mut buckets = Vec::new();
                for &bucket in positive.iter().chain(negative).filter(|_| !stale) {
                    varbit::put_int(bytes, free, bucket);
                    buckets.push(Track::at(bucket));
                }
                let (count, zero_count) = (Track::at(count as i64), Track::at(zero_count as i64));
                RunningCounts::Integer { count, zero_count, buckets }
            }
            Counts::Float { count, zero_count, positive, negative } => {
                let (count, zero_count) = if stale { (0.0, 0.0) } else { (*count, *zero_count) };
                write_bits(bytes, free, count.to_bits(), 64);
                write_bits(bytes, free, zero_count.to_bits(), 64);
                write_bits(bytes, free, sum.bits, 64);
                let mut buckets = Vec::new();
                for &bucket in positive.iter().chain(negative).filter(|_| !stale) {
                    write_bits(bytes, free, bucket.to_bits(), 64);
                    buckets.push(XorValue::new(bucket));
                }
                let (count, zero_count) = (XorValue::new(count), XorValue::new(zero_count));
                RunningCounts::Float { count, zero_count, buckets }
            }
        };
        Self { timestamp: timestamp.0, delta: 0, sum, counts }
    }

    fn push(&mut self, timestamp: TimestampMs, histogram: &NativeHistogram, bytes: &mut Vec<u8>, free: &mut u8) {
        let delta = timestamp.0.wrapping_sub(self.timestamp);
        varbit::put_int(bytes, free, delta.wrapping_sub(self.delta));
        (self.timestamp, self.delta) = (timestamp.0, delta);
        match &mut self.counts {
            RunningCounts::Integer { count, zero_count, buckets } => match &histogram.counts {
                Counts::Integer { count: new_count, zero_count: new_zero, positive, negative }
                    if !histogram.is_stale() =>
                {
                    count.write(bytes, free, *new_count as i64);
                    zero_count.write(bytes, free, *new_zero as i64);
                    self.sum.write(bytes, free, histogram.sum);
                    for (bucket, &value) in buckets.iter_mut().zip(positive.iter().chain(negative)) {
                        bucket.write(bytes, free, value);
                    }
                }
                _ => {
                    // A marker: the counts go on as they were, which readers do not look at.
                    write_bits(bytes, free, 0b00, 2);
                    self.sum.write(bytes, free, histogram.sum);
                }
            },
            RunningCounts::Float { count, zero_count, buckets } => match &histogram.counts {
                Counts::Float { count: new_count, zero_count: new_zero, positive, negative }
                    if !histogram.is_stale() =>
                {
                    count.write(bytes, free, *new_count);
                    zero_count.write(bytes, free, *new_zero);
                    self.sum.write(bytes, free, histogram.sum);
                    for (bucket, &value) in buckets.iter_mut().zip(positive.iter().chain(negative)) {
                        bucket.write(bytes, free, value);
                    }
                }
                _ => {
                    count.write(bytes, free, 0.0);
                    zero_count.write(bytes, free, 0.0);
                    self.sum.write(bytes, free, histogram.sum);
                }
            },
        }
    }
}

/// Whether the data of a histogram chunk say that a counter was reset before its first sample.
pub fn begins_with_reset(data: &[u8]) -> bool {
    data.get(2).is_some_and(|header| header & HEADER_GAUGE == HEADER_RESET)
}

/// Reads the samples of a histogram chunk.
///
/// Hints are Prometheus': gauges in a chunk of gauges; otherwise no sample but the first follows a reset, and nothing is known
/// of the first, as the chunk before it may be gone, or samples may have come between. See [`begins_with_reset`].
pub struct HistogramDecoder<'a> {
    reader: BitReader<'a>,
    encoding: ChunkEncoding,
    count: u16,
    read: u16,
    header: u8,
    start_times: StartTimes,
    state: Option<(Layout, Running)>,
    failed: bool,
}

impl<'a> HistogramDecoder<'a> {
    /// A decoder at the first sample. Whatever is wrong is told by the first sample.
    ///
    /// # Panics
    /// When `encoding` is the one of floats.
    pub fn new(encoding: ChunkEncoding, data: &'a [u8]) -> Self {
        assert!(encoding != ChunkEncoding::Xor, "a chunk of floats has no histograms");
        // Data too short for a count are told as an error by the first read.
        let count = sample_count(data).unwrap_or(0);
        let header = data.get(2).map_or(0, |header| header & HEADER_MASK);
        Self::with(data, encoding, count, header, StartTimes::NONE)
    }

    /// A decoder of data with start times, whose first two bytes are the header's two bits and a shorter count.
    fn with_start_times(encoding: ChunkEncoding, data: &'a [u8]) -> Self {
        let count = sample_count(data).unwrap_or(0);
        let header = (count >> 8) as u8 & HEADER_MASK;
        let start_times = StartTimes::of_header(data.get(2).copied().unwrap_or(0));
        Self::with(data, encoding, count & 0x3fff, header, start_times)
    }

    fn with(data: &'a [u8], encoding: ChunkEncoding, count: u16, header: u8, start_times: StartTimes) -> Self {
        let reader = BitReader::new(data);
        Self { reader, encoding, count, read: 0, header, start_times, state: None, failed: false }
    }

    fn sample(&mut self) -> Result<(TimestampMs, Arc<NativeHistogram>), CorruptChunk> {
        let before = self.state.as_ref().map_or(0, |(_, running)| running.timestamp);
        match &mut self.state {
            None => self.first()?,
            Some((_, running)) => {
                let next = running.next(&mut self.reader);
                next.map_err(|error| self.corrupt(error))?;
            }
        }
        let at = self.state.as_ref().map_or(0, |(_, running)| running.timestamp);
        match self.start_times.read(&mut self.reader, self.read, at, before) {
            Ok(true) => {}
            Ok(false) => return Err(self.corrupt(LayoutError::Invalid("number longer than 64 bits"))),
            Err(error) => return Err(self.corrupt(error.into())),
        }
        self.read += 1;
        let (layout, running) = self.state.as_ref().expect("just read");
        if !running.has_buckets(layout) {
            return Err(self.corrupt(LayoutError::Invalid("a value after a staleness marker")));
        }
        let sample = (TimestampMs(running.timestamp), Arc::new(running.histogram(layout, self.hint())));
        if self.read == self.count && (self.reader.remaining() >= 16 || self.reader.peek() != 0) {
            return Err(self.corrupt(LayoutError::Invalid("bytes left over after the last sample")));
        }
        Ok(sample)
    }

    fn first(&mut self) -> Result<(), CorruptChunk> {
        let state = read_first(&mut self.reader, self.encoding).map_err(|error| self.corrupt(error))?;
        self.state = Some(state);
        Ok(())
    }

    fn hint(&self) -> ResetHint {
        match (self.header, self.read) {
            (HEADER_GAUGE, _) => ResetHint::Gauge,
            (_, 2..) => ResetHint::NotReset,
            _ => ResetHint::Unknown,
        }
    }

    fn corrupt(&self, error: LayoutError) -> CorruptChunk {
        let what = match error {
            LayoutError::Cut => "the data end inside a sample",
            LayoutError::Invalid(what) => what,
        };
        CorruptChunk { what, bit: self.reader.position(), sample: self.read }
    }
}

impl Iterator for HistogramDecoder<'_> {
    type Item = Result<(TimestampMs, Arc<NativeHistogram>), CorruptChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.reader.remaining() < 16 && self.state.is_none() {
            self.failed = true;
            return Some(Err(self.corrupt(LayoutError::Cut)));
        }
        if self.read == self.count {
            return None;
        }
        let sample = self.sample();
        self.failed = sample.is_err();
        Some(sample)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some((self.count - self.read) as usize))
    }
}

fn read_first(reader: &mut BitReader<'_>, encoding: ChunkEncoding) -> Result<(Layout, Running), LayoutError> {
    // Count and header.
    reader.skip(24)?;
    let layout = Layout::read(reader)?;
    let timestamp = varbit::int(reader)?;
    let (sum, counts) = match encoding {
        ChunkEncoding::FloatHistogram => {
            let count = XorValue::new(f64::from_bits(reader.bits(64)?));
            let zero_count = XorValue::new(f64::from_bits(reader.bits(64)?));
            let sum = XorValue::new(f64::from_bits(reader.bits(64)?));
            let mut buckets = Vec::with_capacity(buckets_to_read(reader, &layout, sum, 64)?);
            for _ in 0..buckets.capacity() {
                buckets.push(XorValue::new(f64::from_bits(reader.bits(64)?)));
            }
            (sum, RunningCounts::Float { count, zero_count, buckets })
        }
        _ => {
            let count = Track::at(varbit::uint(reader)? as i64);
            let zero_count = Track::at(varbit::uint(reader)? as i64);
            let sum = XorValue::new(f64::from_bits(reader.bits(64)?));
            let mut buckets = Vec::new();
            for _ in 0..buckets_to_read(reader, &layout, sum, 1)? {
                buckets.push(Track::at(varbit::int(reader)?));
            }
            (sum, RunningCounts::Integer { count, zero_count, buckets })
        }
    };
    Ok((layout, Running { timestamp, delta: 0, sum, counts }))
}

/// Number of buckets of a first sample, after a check that so many can follow.
fn buckets_to_read(
    reader: &BitReader<'_>,
    layout: &Layout,
    sum: XorValue,
    bits_min: u64,
) -> Result<usize, LayoutError> {
    if model::is_stale_nan(sum.value()) {
        return Ok(0);
    }
    let buckets = layout.bucket_count();
    if buckets > reader.remaining() as u64 / bits_min {
        return Err(LayoutError::Cut);
    }
    Ok(buckets as usize)
}

impl Running {
    fn next(&mut self, reader: &mut BitReader<'_>) -> Result<(), LayoutError> {
        self.delta = self.delta.wrapping_add(varbit::int(reader)?);
        self.timestamp = self.timestamp.wrapping_add(self.delta);
        match &mut self.counts {
            RunningCounts::Integer { count, zero_count, buckets } => {
                count.read(reader)?;
                zero_count.read(reader)?;
                read_xor(&mut self.sum, reader)?;
                if !model::is_stale_nan(self.sum.value()) {
                    for bucket in buckets {
                        bucket.read(reader)?;
                    }
                }
            }
            RunningCounts::Float { count, zero_count, buckets } => {
                read_xor(count, reader)?;
                read_xor(zero_count, reader)?;
                read_xor(&mut self.sum, reader)?;
                if !model::is_stale_nan(self.sum.value()) {
                    for bucket in buckets {
                        read_xor(bucket, reader)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A chunk that starts with a marker has no buckets to add to.
    fn has_buckets(&self, layout: &Layout) -> bool {
        let buckets = match &self.counts {
            RunningCounts::Integer { buckets, .. } => buckets.len(),
            RunningCounts::Float { buckets, .. } => buckets.len(),
        };
        buckets as u64 == layout.bucket_count() || model::is_stale_nan(self.sum.value())
    }

    fn histogram(&self, layout: &Layout, reset_hint: ResetHint) -> NativeHistogram {
        if model::is_stale_nan(self.sum.value()) {
            return self.stale();
        }
        let positive_count = super::layout::bucket_count(&layout.positive) as usize;
        let counts = match &self.counts {
            RunningCounts::Integer { count, zero_count, buckets } => {
                let (positive, negative) = buckets.split_at(positive_count);
                Counts::Integer {
                    count: count.value as u64,
                    zero_count: zero_count.value as u64,
                    positive: positive.iter().map(|bucket| bucket.value).collect(),
                    negative: negative.iter().map(|bucket| bucket.value).collect(),
                }
            }
            RunningCounts::Float { count, zero_count, buckets } => {
                let (positive, negative) = buckets.split_at(positive_count);
                Counts::Float {
                    count: count.value(),
                    zero_count: zero_count.value(),
                    positive: positive.iter().map(|bucket| bucket.value()).collect(),
                    negative: negative.iter().map(|bucket| bucket.value()).collect(),
                }
            }
        };
        NativeHistogram {
            schema: layout.schema,
            zero_threshold: layout.zero_threshold,
            sum: self.sum.value(),
            reset_hint,
            positive_spans: layout.positive.clone(),
            negative_spans: layout.negative.clone(),
            custom_values: layout.custom_values.clone(),
            counts,
        }
    }

    fn stale(&self) -> NativeHistogram {
        let marker = NativeHistogram::stale();
        match self.counts {
            RunningCounts::Integer { .. } => marker,
            RunningCounts::Float { .. } => {
                let counts = Counts::Float { count: 0.0, zero_count: 0.0, positive: Vec::new(), negative: Vec::new() };
                NativeHistogram { counts, ..marker }
            }
        }
    }
}

fn read_xor(value: &mut XorValue, reader: &mut BitReader<'_>) -> Result<(), LayoutError> {
    if value.read(reader)? { Ok(()) } else { Err(LayoutError::Invalid("impossible window of significant bits")) }
}

/// The bits of a header that count.
const HEADER_MASK: u8 = 0b1100_0000;
const HEADER_UNKNOWN: u8 = 0b0000_0000;
const HEADER_RESET: u8 = 0b1000_0000;
const HEADER_GAUGE: u8 = 0b1100_0000;

/// Room that many samples fit into; others let the vector grow as it likes.
const SAMPLE_BYTES: usize = 32;

#[cfg(test)]
mod tests;
