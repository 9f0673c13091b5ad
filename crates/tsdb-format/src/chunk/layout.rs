//! Which buckets a histogram chunk has: the part that all its samples share, written once.

use model::{CUSTOM_BUCKETS_SCHEMA, Counts, NativeHistogram, Span};

use super::varbit;
use crate::bits::{BitReader, OutOfBits, write_bits};

/// Schema, zero bucket, spans and bounds.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Layout {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) positive: Vec<Span>,
    pub(super) negative: Vec<Span>,
    pub(super) custom_values: Vec<f64>,
}

impl Layout {
    pub(super) fn of(histogram: &NativeHistogram) -> Self {
        // A staleness marker has no buckets, whatever its sender left in it.
        if histogram.is_stale() {
            let (positive, negative, custom_values) = Default::default();
            return Self { schema: 0, zero_threshold: 0.0, positive, negative, custom_values };
        }
        Self {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            positive: histogram.positive_spans.clone(),
            negative: histogram.negative_spans.clone(),
            custom_values: histogram.custom_values.clone(),
        }
    }

    /// Whether the histogram's buckets have the same bounds, so that both can share a layout with enough spans.
    pub(super) fn compatible(&self, histogram: &NativeHistogram) -> bool {
        self.schema == histogram.schema
            && self.zero_threshold.to_bits() == histogram.zero_threshold.to_bits()
            && self.custom_values.len() == histogram.custom_values.len()
            && self.custom_values.iter().zip(&histogram.custom_values).all(|(a, b)| a.to_bits() == b.to_bits())
    }

    pub(super) fn bucket_count(&self) -> u64 {
        bucket_count(&self.positive) + bucket_count(&self.negative)
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>, free: &mut u8) {
        write_zero_threshold(bytes, free, self.zero_threshold);
        varbit::put_int(bytes, free, i64::from(self.schema));
        for spans in [&self.positive, &self.negative] {
            varbit::put_uint(bytes, free, spans.len() as u64);
            for span in spans {
                varbit::put_uint(bytes, free, u64::from(span.length));
                varbit::put_int(bytes, free, i64::from(span.offset));
            }
        }
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            varbit::put_uint(bytes, free, self.custom_values.len() as u64);
            for &bound in &self.custom_values {
                write_bound(bytes, free, bound);
            }
        }
    }

    pub(super) fn read(reader: &mut BitReader<'_>) -> Result<Self, LayoutError> {
        let zero_threshold = read_zero_threshold(reader)?;
        let schema = i32::try_from(varbit::int(reader)?).map_err(|_| LayoutError::Invalid("schema out of range"))?;
        let positive = read_spans(reader)?;
        let negative = read_spans(reader)?;
        let mut custom_values = Vec::new();
        if schema == CUSTOM_BUCKETS_SCHEMA {
            for _ in 0..count(reader)? {
                custom_values.push(read_bound(reader)?);
            }
        }
        Ok(Self { schema, zero_threshold, positive, negative, custom_values })
    }
}

pub(super) enum LayoutError {
    Cut,
    Invalid(&'static str),
}

impl From<OutOfBits> for LayoutError {
    fn from(OutOfBits: OutOfBits) -> Self {
        Self::Cut
    }
}

pub(super) fn bucket_count(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}

/// Indices of the buckets that the spans name, rising.
pub(super) fn indices(spans: &[Span]) -> impl Iterator<Item = i64> + '_ {
    let mut end = 0;
    spans.iter().flat_map(move |span| {
        let start = end + i64::from(span.offset);
        end = start + i64::from(span.length);
        start..end
    })
}

/// Spans that name all buckets of both.
pub(super) fn union(left: &[Span], right: &[Span]) -> Vec<Span> {
    let (mut left, mut right) = (indices(left).peekable(), indices(right).peekable());
    let mut spans: Vec<Span> = Vec::new();
    let mut end = 0;
    while let Some(index) = left.peek().copied().into_iter().chain(right.peek().copied()).min() {
        left.next_if_eq(&index);
        right.next_if_eq(&index);
        match spans.last_mut() {
            Some(last) if end == index => last.length += 1,
            // Both were offsets of 32 bits from a bucket at or before this one, so the gap is one too.
            _ => spans.push(Span { offset: (index - end) as i32, length: 1 }),
        }
        end = index + 1;
    }
    spans
}

/// Bucket counts as they stand in `from`, laid out as in `to`, which has all buckets of `from`; the rest is zero.
pub(super) fn spread<T: Copy + Default>(from: &[Span], counts: &[T], to: &[Span]) -> Vec<T> {
    let mut counts = indices(from).zip(counts.iter().copied()).peekable();
    indices(to)
        .map(|index| counts.next_if(|(at, _)| *at == index).map(|(_, count)| count).unwrap_or_default())
        .collect()
}

/// Bucket counts from differences.
pub(super) fn absolute(deltas: &[i64]) -> Vec<i64> {
    let running = deltas.iter().scan(0i64, |sum, delta| {
        *sum = sum.wrapping_add(*delta);
        Some(*sum)
    });
    running.collect()
}

/// Differences from bucket counts.
pub(super) fn deltas(absolute: &[i64]) -> Vec<i64> {
    let mut previous = 0i64;
    let steps = absolute.iter().map(|&count| {
        let delta = count.wrapping_sub(previous);
        previous = count;
        delta
    });
    steps.collect()
}

/// The histogram with all buckets of the wider spans.
pub(super) fn widened(histogram: &NativeHistogram, positive: &[Span], negative: &[Span]) -> NativeHistogram {
    let spread_deltas = |from: &[Span], counts: &[i64], to: &[Span]| deltas(&spread(from, &absolute(counts), to));
    let (old_positive, old_negative) = (&histogram.positive_spans, &histogram.negative_spans);
    let counts = match &histogram.counts {
        Counts::Integer { count, zero_count, positive: up, negative: down } => Counts::Integer {
            count: *count,
            zero_count: *zero_count,
            positive: spread_deltas(old_positive, up, positive),
            negative: spread_deltas(old_negative, down, negative),
        },
        Counts::Float { count, zero_count, positive: up, negative: down } => Counts::Float {
            count: *count,
            zero_count: *zero_count,
            positive: spread(old_positive, up, positive),
            negative: spread(old_negative, down, negative),
        },
    };
    NativeHistogram {
        positive_spans: positive.to_vec(),
        negative_spans: negative.to_vec(),
        custom_values: histogram.custom_values.clone(),
        counts,
        ..*histogram
    }
}

/// One byte for zero and for powers of two from 2^-243 to 2^10, nine for others.
fn write_zero_threshold(bytes: &mut Vec<u8>, free: &mut u8, threshold: f64) {
    let bits = threshold.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    if bits == 0 {
        write_bits(bytes, free, 0, 8);
    } else if bits.trailing_zeros() >= 52 && (-243..=10).contains(&exponent) {
        write_bits(bytes, free, (exponent + 244) as u64, 8);
    } else {
        write_bits(bytes, free, 255, 8);
        write_bits(bytes, free, bits, 64);
    }
}

fn read_zero_threshold(reader: &mut BitReader<'_>) -> Result<f64, OutOfBits> {
    Ok(match reader.bits(8)? {
        0 => 0.0,
        255 => f64::from_bits(reader.bits(64)?),
        power => f64::from_bits((power + 1023 - 244) << 52),
    })
}

fn read_spans(reader: &mut BitReader<'_>) -> Result<Vec<Span>, LayoutError> {
    let mut spans = Vec::new();
    for _ in 0..count(reader)? {
        let length =
            u32::try_from(varbit::uint(reader)?).map_err(|_| LayoutError::Invalid("span length out of range"))?;
        let offset =
            i32::try_from(varbit::int(reader)?).map_err(|_| LayoutError::Invalid("span offset out of range"))?;
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

/// A number of items that follow, each at least one bit long.
fn count(reader: &mut BitReader<'_>) -> Result<u64, LayoutError> {
    let count = varbit::uint(reader)?;
    if count > reader.remaining() as u64 {
        return Err(LayoutError::Cut);
    }
    Ok(count)
}

/// Bounds of whole thousandths up to 33554.43 as integers, others as they are.
fn write_bound(bytes: &mut Vec<u8>, free: &mut u8, bound: f64) {
    let thousandths = bound * 1000.0;
    let fits = (0.0..=THOUSANDTHS_MAX).contains(&thousandths);
    // Whole or not, what counts is that it comes back the same; otherwise it is written in full.
    if fits && ((thousandths as u64) as f64 / 1000.0).to_bits() == bound.to_bits() {
        varbit::put_uint(bytes, free, thousandths as u64 + 1);
    } else {
        write_bits(bytes, free, 0, 1);
        write_bits(bytes, free, bound.to_bits(), 64);
    }
}

fn read_bound(reader: &mut BitReader<'_>) -> Result<f64, OutOfBits> {
    match varbit::uint(reader)? {
        0 => Ok(f64::from_bits(reader.bits(64)?)),
        thousandths => Ok((thousandths - 1) as f64 / 1000.0),
    }
}

/// The largest that fits the class of 25 bits after adding one.
const THOUSANDTHS_MAX: f64 = 33_554_430.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_thresholds_take_one_byte_or_nine() {
        let smallest = 2f64.powi(-243);
        let table = [
            (0.0, 1),
            (2f64.powi(-128), 1),
            (smallest, 1),
            (1024.0, 1),
            (2048.0, 9),
            (smallest / 2.0, 9),
            (0.001, 9),
            (-0.0, 9),
        ];
        for (threshold, length) in table {
            let (mut bytes, mut free) = (Vec::new(), 0);
            write_zero_threshold(&mut bytes, &mut free, threshold);
            assert_eq!(bytes.len(), length, "{threshold}");
            let read = read_zero_threshold(&mut BitReader::new(&bytes)).unwrap();
            assert_eq!(read.to_bits(), threshold.to_bits());
        }
        let (mut bytes, mut free) = (Vec::new(), 0);
        write_zero_threshold(&mut bytes, &mut free, 2f64.powi(-128));
        assert_eq!(bytes, [116], "Prometheus' default threshold");
    }

    #[test]
    fn bounds_come_back() {
        for bound in [0.0, 0.005, 0.1, 1.0, 33_554.43, 33_554.431, -1.0, 1e-9, f64::MAX, -0.0] {
            let (mut bytes, mut free) = (Vec::new(), 0);
            write_bound(&mut bytes, &mut free, bound);
            assert_eq!(read_bound(&mut BitReader::new(&bytes)).unwrap().to_bits(), bound.to_bits(), "{bound}");
        }
    }

    #[test]
    fn union_of_spans() {
        let span = |offset, length| Span { offset, length };
        let left = [span(0, 2), span(2, 1), span(3, 2), span(3, 1), span(1, 1)];
        let right = [span(0, 3), span(1, 1), span(1, 4), span(3, 3)];
        assert_eq!(union(&left, &right), right);
        assert_eq!(union(&[], &[span(-5, 1), span(0, 1)]), [span(-5, 2)]);
        let counts = spread(&left, &[6, 3, 3, 2, 4, 5, 1], &right);
        assert_eq!(counts, [6, 3, 0, 3, 0, 0, 2, 4, 5, 0, 1]);
        assert_eq!(deltas(&counts), [6, -3, -3, 3, -3, 0, 2, 2, 1, -5, 1]);
    }
}
