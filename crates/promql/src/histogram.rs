//! Native histograms as queries compute with them: float counts, exponential or custom buckets.
//!
//! The stored form ([`NativeHistogram`]) is converted once, when a sample enters an evaluation, and back when the answer
//! leaves it. In between the same operations work on plain counts and on counts with the compensation of a running sum
//! ([`BucketCount`]), so that a sum over many histograms is as exact as one over many floats.
//!
//! Invariants: spans name as many buckets as there are counts, in rising order of indexes that fit an `i32`, whatever a
//! damaged block says. Buckets may be empty; [`Histogram::compact`] drops those.
//!
//! Not here: JSON, and which annotation follows from what is returned.

mod arithmetic;
mod bucket;
mod buckets;
mod count;
mod custom_bounds;
mod mean;
mod quantile;
mod reset;
mod text;
mod trim;
mod zero_bucket;

#[cfg(test)]
mod tests;

use model::{CUSTOM_BUCKETS_SCHEMA, Counts, NativeHistogram, ResetHint};

pub use arithmetic::{Combined, IncompatibleBuckets};
pub use bucket::Bucket;
pub use buckets::Buckets;
pub use count::BucketCount;
pub(crate) use mean::HistogramMean;
pub use quantile::{HistogramFraction, HistogramQuantile, NanEffect};
pub use trim::Keep;

/// A native histogram; `C` is what counts are: plain numbers, or running sums.
#[derive(Clone, PartialEq, Debug)]
pub struct Histogram<C = f64> {
    /// What is known about a counter reset before it.
    pub reset_hint: ResetHint,
    /// Resolution: -4..=8 exponential, [`CUSTOM_BUCKETS_SCHEMA`] for listed bounds.
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: C,
    /// All observations.
    pub count: C,
    /// Sum of all observations.
    pub sum: C,
    /// Buckets above zero; the buckets between listed bounds.
    pub positive: Buckets<C>,
    /// Buckets below zero, by the index of their positive mirror image.
    pub negative: Buckets<C>,
    /// Upper bounds of the buckets, finite and rising; only with [`CUSTOM_BUCKETS_SCHEMA`].
    pub custom_values: Vec<f64>,
}

/// A native histogram with plain float counts.
pub type FloatHistogram = Histogram<f64>;

impl<C: BucketCount> Histogram<C> {
    /// Whether the bounds are listed rather than exponential.
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Drops empty buckets.
    pub fn compact(&mut self) {
        self.positive.compact();
        self.negative.compact();
    }

    /// Makes another kind of counts out of these.
    pub fn map<D>(&self, change: impl Fn(C) -> D) -> Histogram<D> {
        Histogram {
            reset_hint: self.reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: change(self.zero_count),
            count: change(self.count),
            sum: change(self.sum),
            positive: self.positive.map(&change),
            negative: self.negative.map(&change),
            custom_values: self.custom_values.clone(),
        }
    }

    /// The values of running sums.
    pub fn total(&self) -> FloatHistogram {
        self.map(BucketCount::total)
    }

    /// The samples that it counts for against a query's limit: a float takes one.
    pub fn samples(&self) -> usize {
        let bytes = size_of::<Self>()
            + size_of_val(self.custom_values.as_slice())
            + self.positive.bytes()
            + self.negative.bytes();
        bytes.div_ceil(SAMPLE_BYTES)
    }

    /// All counts, and the sum of observations, which is treated as they are.
    fn for_each_count(&mut self, mut change: impl FnMut(&mut C)) {
        [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter().for_each(&mut change);
        self.positive.counts_mut().iter_mut().for_each(&mut change);
        self.negative.counts_mut().iter_mut().for_each(&mut change);
    }
}

impl FloatHistogram {
    /// Whether both are the same, bit by bit, in the same buckets. Hints do not matter; empty buckets do.
    pub fn is_same(&self, other: &Self) -> bool {
        let bits = |histogram: &Self| [histogram.zero_count, histogram.count, histogram.sum].map(f64::to_bits);
        self.schema == other.schema
            && bits(self) == bits(other)
            && self.zero_threshold == other.zero_threshold
            && (!self.has_custom_buckets() || self.custom_values == other.custom_values)
            && self.positive.is_same(&other.positive)
            && self.negative.is_same(&other.negative)
    }

    /// The stored form.
    pub fn to_native(&self) -> NativeHistogram {
        NativeHistogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            reset_hint: self.reset_hint,
            positive_spans: self.positive.spans().to_vec(),
            negative_spans: self.negative.spans().to_vec(),
            custom_values: self.custom_values.clone(),
            counts: Counts::Float {
                count: self.count,
                zero_count: self.zero_count,
                positive: self.positive.counts().to_vec(),
                negative: self.negative.counts().to_vec(),
            },
        }
    }
}

impl From<&NativeHistogram> for FloatHistogram {
    fn from(native: &NativeHistogram) -> Self {
        let (count, zero_count, positive, negative) = match &native.counts {
            Counts::Integer { count, zero_count, positive, negative } => {
                (*count as f64, *zero_count as f64, absolute(positive), absolute(negative))
            }
            Counts::Float { count, zero_count, positive, negative } => {
                (*count, *zero_count, positive.clone(), negative.clone())
            }
        };
        Self {
            reset_hint: native.reset_hint,
            schema: native.schema,
            zero_threshold: native.zero_threshold,
            zero_count,
            count,
            sum: native.sum,
            positive: Buckets::new(native.positive_spans.clone(), positive),
            negative: Buckets::new(native.negative_spans.clone(), negative),
            custom_values: native.custom_values.clone(),
        }
    }
}

impl From<NativeHistogram> for FloatHistogram {
    fn from(native: NativeHistogram) -> Self {
        Self::from(&native)
    }
}

/// The samples that a histogram in its stored form counts for against a query's limit.
pub(crate) fn stored_samples(native: &NativeHistogram) -> usize {
    let counts = match &native.counts {
        Counts::Integer { positive, negative, .. } => positive.len() + negative.len(),
        Counts::Float { positive, negative, .. } => positive.len() + negative.len(),
    };
    let spans = native.positive_spans.len() + native.negative_spans.len();
    let words = counts + spans + native.custom_values.len();
    (size_of::<NativeHistogram>() + words * size_of::<f64>()).div_ceil(SAMPLE_BYTES)
}

/// Counts from differences to the bucket before.
fn absolute(deltas: &[i64]) -> Vec<f64> {
    let mut count = 0i64;
    let add = |delta: &i64| {
        count = count.wrapping_add(*delta);
        count as f64
    };
    deltas.iter().map(add).collect()
}

/// A time and a value.
const SAMPLE_BYTES: usize = 16;
