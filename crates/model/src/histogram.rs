//! Native histograms: exponential and custom buckets, integer and float counts.
//!
//! One type for both: layout (schema, spans, bounds) is shared, only the counts differ. Layout as in Prometheus'
//! `model/histogram`: spans say which buckets exist, counts follow in their order.

mod bounds;
mod resolution;
mod validation;

use crate::is_stale_nan;

/// The schema of histograms whose bounds are listed in `custom_values`.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// A run of neighbouring buckets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Span {
    /// Gap to the end of the span before; for the first span the index of its first bucket.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// What is known about a counter reset between this histogram and the one before. Discriminants as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum ResetHint {
    /// Nothing is known.
    #[default]
    Unknown = 0,
    /// There was a reset.
    Reset = 1,
    /// There was none.
    NotReset = 2,
    /// A gauge histogram: resets have no meaning.
    Gauge = 3,
}

impl ResetHint {
    /// From its number on the wire; unknown numbers are [`ResetHint::Unknown`].
    pub const fn from_wire(number: u64) -> Self {
        match number {
            1 => Self::Reset,
            2 => Self::NotReset,
            3 => Self::Gauge,
            _ => Self::Unknown,
        }
    }
}

/// The counts of a histogram.
#[derive(Clone, PartialEq, Debug)]
pub enum Counts {
    /// Whole observations. Bucket counts are stored as on the wire: the first absolute, then differences to the bucket before.
    Integer {
        /// Observations in all.
        count: u64,
        /// Observations in the zero bucket.
        zero_count: u64,
        /// Positive buckets, as differences.
        positive: Vec<i64>,
        /// Negative buckets, as differences.
        negative: Vec<i64>,
    },
    /// Fractional observations, absolute counts.
    Float {
        /// Observations in all.
        count: f64,
        /// Observations in the zero bucket.
        zero_count: f64,
        /// Positive buckets.
        positive: Vec<f64>,
        /// Negative buckets.
        negative: Vec<f64>,
    },
}

/// One native histogram sample's value.
#[derive(Clone, PartialEq, Debug)]
pub struct NativeHistogram {
    /// Resolution: -4..=8 exponential (bucket growth 2^(2^-schema)), [`CUSTOM_BUCKETS_SCHEMA`] for listed bounds.
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Sum of all observations; the staleness marker here makes the whole histogram a marker.
    pub sum: f64,
    /// What is known about a counter reset before it.
    pub reset_hint: ResetHint,
    /// Which positive buckets exist.
    pub positive_spans: Vec<Span>,
    /// Which negative buckets exist.
    pub negative_spans: Vec<Span>,
    /// Upper bounds of the buckets, finite and rising; only with [`CUSTOM_BUCKETS_SCHEMA`].
    pub custom_values: Vec<f64>,
    /// The counts.
    pub counts: Counts,
}

/// Why a histogram cannot be stored.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum HistogramError {
    /// A schema that nobody knows.
    #[error("histogram schema {0} is not one of -4..=8 or -53")]
    Schema(i32),
    /// Spans and buckets do not fit.
    #[error("spans of the {side} side need {need} buckets, have {have} buckets")]
    BucketNumber {
        /// `positive` or `negative`.
        side: &'static str,
        /// Buckets that the spans name.
        need: u64,
        /// Buckets that are there.
        have: usize,
    },
    /// A gap that runs backwards.
    #[error("span {index} of the {side} side has the negative offset {offset}")]
    SpanOffset {
        /// `positive` or `negative`.
        side: &'static str,
        /// Which span, from 0.
        index: usize,
        /// Its offset.
        offset: i32,
    },
    /// Buckets at places that cannot be named.
    #[error("span {index} of the {side} side leaves the range of bucket indexes")]
    SpanRange {
        /// `positive` or `negative`.
        side: &'static str,
        /// Which span, from 0.
        index: usize,
    },
    /// A bucket count that cannot be.
    #[error("bucket {index} of the {side} side has a count that is negative or too large")]
    BucketCount {
        /// `positive` or `negative`.
        side: &'static str,
        /// Which bucket, from 0.
        index: usize,
    },
    /// Total or zero count below zero.
    #[error("the {0} is negative")]
    NegativeCount(&'static str),
    /// The total does not fit the buckets.
    #[error("{buckets} observations found in buckets, but the count is {count}")]
    CountMismatch {
        /// Sum over all buckets and the zero bucket.
        buckets: u64,
        /// The count given.
        count: u64,
    },
    /// Bounds that do not rise.
    #[error("custom bucket bound {index} is not greater than the one before, or not finite")]
    CustomBounds {
        /// Which bound, from 0.
        index: usize,
    },
    /// Custom buckets with parts that only exponential ones have, or the reverse.
    #[error("{0}")]
    WrongParts(&'static str),
}

impl NativeHistogram {
    /// Whether this is a staleness marker.
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// Whether the counts are floats.
    pub fn is_float(&self) -> bool {
        matches!(self.counts, Counts::Float { .. })
    }

    /// Brings what a sender gave into the form that is stored: finer resolutions are reduced to the finest that is, a
    /// staleness marker is stripped of everything but its kind, anything else is [validated](Self::validate).
    ///
    /// # Errors
    /// Why it cannot be stored; its value is then undefined.
    pub fn make_storable(&mut self) -> Result<(), HistogramError> {
        if self.is_stale() {
            let counts = match self.counts {
                Counts::Integer { .. } => Self::stale().counts,
                Counts::Float { .. } => {
                    Counts::Float { count: 0.0, zero_count: 0.0, positive: Vec::new(), negative: Vec::new() }
                }
            };
            *self = Self { counts, ..Self::stale() };
            return Ok(());
        }
        if REDUCIBLE_SCHEMAS.contains(&self.schema) {
            self.reduce_resolution(EXPONENTIAL_SCHEMA_MAX)?;
        }
        self.validate()
    }

    /// A staleness marker.
    pub fn stale() -> Self {
        Self {
            schema: 0,
            zero_threshold: 0.0,
            sum: crate::stale_nan(),
            reset_hint: ResetHint::Unknown,
            positive_spans: Vec::new(),
            negative_spans: Vec::new(),
            custom_values: Vec::new(),
            counts: Counts::Integer { count: 0, zero_count: 0, positive: Vec::new(), negative: Vec::new() },
        }
    }
}

/// The coarsest resolution of exponential buckets.
const EXPONENTIAL_SCHEMA_MIN: i32 = -4;
/// The finest resolution of exponential buckets that is stored.
const EXPONENTIAL_SCHEMA_MAX: i32 = 8;
/// Finer resolutions that senders may use; there are none beyond, as a double has 52 bits of mantissa.
const REDUCIBLE_SCHEMAS: std::ops::RangeInclusive<i32> = EXPONENTIAL_SCHEMA_MAX + 1..=52;

#[cfg(test)]
mod tests;
