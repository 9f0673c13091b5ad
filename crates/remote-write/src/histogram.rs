//! Native histograms as they stand in a request; the message is the same in both versions.

use model::{Counts, NativeHistogram, ResetHint, Span, TimestampMs};

use crate::error::Fault;
use crate::series::{Context, Layout, start_timestamp};
use crate::wire::{Reader, Wire, fields, key};

/// One histogram sample. Decoded, not validated.
#[derive(Clone, PartialEq, Debug)]
pub struct HistogramSample {
    /// When it was taken.
    pub timestamp: TimestampMs,
    /// Since when it counts, where the sender says it (2.0 only).
    pub start_timestamp: Option<TimestampMs>,
    /// Its value.
    pub histogram: NativeHistogram,
}

/// A count that is one of two fields; the one written last holds.
#[derive(Clone, Copy)]
enum Count {
    Integer(u64),
    Float(f64),
}

impl Count {
    const UNSET: Self = Self::Integer(0);

    fn as_float(self) -> f64 {
        match self {
            Self::Integer(count) => count as f64,
            Self::Float(count) => count,
        }
    }
}

/// The buckets of one side: spans, and counts in both forms.
#[derive(Default)]
struct Side {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

pub(crate) fn decode(mut reader: Reader<'_>, context: &Context<'_>) -> Result<HistogramSample, Fault> {
    let (mut count, mut zero_count) = (Count::UNSET, Count::UNSET);
    let (mut sum, mut schema, mut zero_threshold) = (0.0, 0, 0.0);
    let (mut positive, mut negative) = (Side::default(), Side::default());
    let (mut reset_hint, mut timestamp, mut start) = (0, 0, 0);
    let mut custom_values = Vec::new();
    while !reader.is_empty() {
        match reader.key()? {
            COUNT_INTEGER => count = Count::Integer(reader.varint()?),
            COUNT_FLOAT => count = Count::Float(reader.double()?),
            SUM => sum = reader.double()?,
            SCHEMA => schema = reader.sint32()?,
            ZERO_THRESHOLD => zero_threshold = reader.double()?,
            ZERO_COUNT_INTEGER => zero_count = Count::Integer(reader.varint()?),
            ZERO_COUNT_FLOAT => zero_count = Count::Float(reader.double()?),
            NEGATIVE_SPANS => negative.spans.push(span(reader.message()?)?),
            NEGATIVE_DELTAS => negative.deltas.push(reader.sint64()?),
            NEGATIVE_DELTAS_PACKED => push_sints(reader.message()?, &mut negative.deltas)?,
            NEGATIVE_COUNTS => negative.counts.push(reader.double()?),
            NEGATIVE_COUNTS_PACKED => push_doubles(reader.message()?, &mut negative.counts)?,
            POSITIVE_SPANS => positive.spans.push(span(reader.message()?)?),
            POSITIVE_DELTAS => positive.deltas.push(reader.sint64()?),
            POSITIVE_DELTAS_PACKED => push_sints(reader.message()?, &mut positive.deltas)?,
            POSITIVE_COUNTS => positive.counts.push(reader.double()?),
            POSITIVE_COUNTS_PACKED => push_doubles(reader.message()?, &mut positive.counts)?,
            RESET_HINT => reset_hint = reader.enumeration()?,
            TIMESTAMP => timestamp = reader.varint()? as i64,
            CUSTOM_VALUES => custom_values.push(reader.double()?),
            CUSTOM_VALUES_PACKED => push_doubles(reader.message()?, &mut custom_values)?,
            START_TIMESTAMP if context.layout.start_timestamps => start = reader.varint()? as i64,
            other => reader.skip(other, HISTOGRAM_FIELDS)?,
        }
    }
    let counts = match count {
        Count::Integer(count) => Counts::Integer {
            count,
            // A float zero count cannot belong to an integer histogram. Its total will not fit, and validation says so.
            zero_count: if let Count::Integer(zero_count) = zero_count { zero_count } else { 0 },
            positive: positive.deltas,
            negative: negative.deltas,
        },
        Count::Float(count) => Counts::Float {
            count,
            zero_count: zero_count.as_float(),
            positive: positive.counts,
            negative: negative.counts,
        },
    };
    Ok(HistogramSample {
        timestamp: TimestampMs(timestamp),
        start_timestamp: start_timestamp(start),
        histogram: NativeHistogram {
            schema,
            zero_threshold,
            sum,
            reset_hint: ResetHint::from_wire(reset_hint),
            positive_spans: positive.spans,
            negative_spans: negative.spans,
            custom_values,
            counts,
        },
    })
}

/// Checks that a `Histogram` message is whole, without keeping anything of it.
pub(crate) fn check(mut reader: Reader<'_>, layout: &Layout) -> Result<(), Fault> {
    while !reader.is_empty() {
        match reader.key()? {
            COUNT_INTEGER | ZERO_COUNT_INTEGER | RESET_HINT | TIMESTAMP | NEGATIVE_DELTAS | POSITIVE_DELTAS => {
                reader.varint()?;
            }
            COUNT_FLOAT | SUM | ZERO_THRESHOLD | ZERO_COUNT_FLOAT | NEGATIVE_COUNTS | POSITIVE_COUNTS
            | CUSTOM_VALUES => drop(reader.fixed64()?),
            SCHEMA => drop(reader.sint32()?),
            NEGATIVE_SPANS | POSITIVE_SPANS => drop(span(reader.message()?)?),
            NEGATIVE_DELTAS_PACKED | POSITIVE_DELTAS_PACKED => reader.message()?.varints()?,
            NEGATIVE_COUNTS_PACKED | POSITIVE_COUNTS_PACKED | CUSTOM_VALUES_PACKED => reader.message()?.doubles()?,
            START_TIMESTAMP if layout.start_timestamps => drop(reader.varint()?),
            other => reader.skip(other, HISTOGRAM_FIELDS)?,
        }
    }
    Ok(())
}

fn span(mut reader: Reader<'_>) -> Result<Span, Fault> {
    let mut span = Span { offset: 0, length: 0 };
    while !reader.is_empty() {
        match reader.key()? {
            SPAN_OFFSET => span.offset = reader.sint32()?,
            SPAN_LENGTH => span.length = reader.uint32()?,
            other => reader.skip(other, fields(&[1, 2]))?,
        }
    }
    Ok(span)
}

fn push_sints(mut packed: Reader<'_>, out: &mut Vec<i64>) -> Result<(), Fault> {
    while !packed.is_empty() {
        out.push(packed.sint64()?);
    }
    Ok(())
}

fn push_doubles(mut packed: Reader<'_>, out: &mut Vec<f64>) -> Result<(), Fault> {
    out.reserve(packed.rest().len() / size_of::<f64>());
    while !packed.is_empty() {
        out.push(packed.double()?);
    }
    Ok(())
}

pub(crate) const COUNT_INTEGER: u32 = key(1, Wire::Varint);
pub(crate) const COUNT_FLOAT: u32 = key(2, Wire::Fixed64);
pub(crate) const SUM: u32 = key(3, Wire::Fixed64);
pub(crate) const SCHEMA: u32 = key(4, Wire::Varint);
pub(crate) const ZERO_THRESHOLD: u32 = key(5, Wire::Fixed64);
pub(crate) const ZERO_COUNT_INTEGER: u32 = key(6, Wire::Varint);
pub(crate) const ZERO_COUNT_FLOAT: u32 = key(7, Wire::Fixed64);
pub(crate) const NEGATIVE_SPANS: u32 = key(8, Wire::Bytes);
const NEGATIVE_DELTAS: u32 = key(9, Wire::Varint);
pub(crate) const NEGATIVE_DELTAS_PACKED: u32 = key(9, Wire::Bytes);
const NEGATIVE_COUNTS: u32 = key(10, Wire::Fixed64);
pub(crate) const NEGATIVE_COUNTS_PACKED: u32 = key(10, Wire::Bytes);
pub(crate) const POSITIVE_SPANS: u32 = key(11, Wire::Bytes);
const POSITIVE_DELTAS: u32 = key(12, Wire::Varint);
pub(crate) const POSITIVE_DELTAS_PACKED: u32 = key(12, Wire::Bytes);
const POSITIVE_COUNTS: u32 = key(13, Wire::Fixed64);
pub(crate) const POSITIVE_COUNTS_PACKED: u32 = key(13, Wire::Bytes);
pub(crate) const RESET_HINT: u32 = key(14, Wire::Varint);
pub(crate) const TIMESTAMP: u32 = key(15, Wire::Varint);
const CUSTOM_VALUES: u32 = key(16, Wire::Fixed64);
pub(crate) const CUSTOM_VALUES_PACKED: u32 = key(16, Wire::Bytes);
pub(crate) const START_TIMESTAMP: u32 = key(17, Wire::Varint);
/// All but 17, which 1.0 does not know.
const HISTOGRAM_FIELDS: u32 = (1 << 17) - 2;
pub(crate) const SPAN_OFFSET: u32 = key(1, Wire::Varint);
pub(crate) const SPAN_LENGTH: u32 = key(2, Wire::Varint);
