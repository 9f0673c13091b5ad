//! Single buckets with their bounds.

use model::NativeHistogram;

use super::{BucketCount, Histogram};

/// A bucket with its bounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    /// Observations in it are greater (or equal, below zero).
    pub lower: f64,
    /// Observations in it are smaller (or equal, above zero).
    pub upper: f64,
    /// Observations in it.
    pub count: f64,
}

impl Bucket {
    /// Which part of its observations lies below `value`, which lies between the finite bounds. Observations are taken to
    /// be spread evenly, or evenly on a logarithmic scale.
    pub(super) fn fraction_below(&self, value: f64, linear: bool) -> f64 {
        if linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let [lower, upper, value_log] = [self.lower, self.upper, value].map(|bound| bound.abs().log2());
        match value > 0.0 {
            true => (value_log - lower) / (upper - lower),
            false => 1.0 - (value_log - upper) / (lower - upper),
        }
    }
}

impl<C: BucketCount> Histogram<C> {
    /// The upper bound of a positive bucket, infinite bounds of custom buckets included.
    pub(super) fn bound(&self, index: i32) -> f64 {
        if !self.has_custom_buckets() {
            return NativeHistogram::exponential_bound(index, self.schema);
        }
        match usize::try_from(index) {
            Err(_) => f64::NEG_INFINITY,
            Ok(place) => self.custom_values.get(place).copied().unwrap_or(f64::INFINITY),
        }
    }

    /// The positive bucket of an index.
    pub(super) fn positive_bucket(&self, index: i32, count: C) -> Bucket {
        Bucket { lower: self.bound(index.saturating_sub(1)), upper: self.bound(index), count: count.plain() }
    }

    /// The negative bucket of an index.
    pub(super) fn negative_bucket(&self, index: i32, count: C) -> Bucket {
        let mirrored = self.positive_bucket(index, count);
        Bucket { lower: -mirrored.upper, upper: -mirrored.lower, ..mirrored }
    }

    pub(super) fn zero_bucket(&self) -> Bucket {
        Bucket { lower: -self.zero_threshold, upper: self.zero_threshold, count: self.zero_count.plain() }
    }

    /// All buckets from the lowest to the highest. The zero bucket takes its width from its neighbours, and is left out
    /// when nothing is in it.
    pub fn ascending(&self) -> impl Iterator<Item = Bucket> + '_ {
        let negative = self.negative.iter_back().map(|(index, count)| self.negative_bucket(index, count));
        let positive = self.positive.iter().map(|(index, count)| self.positive_bucket(index, count));
        let around = negative.map(|bucket| self.outside_zero(bucket)).chain(self.populated_zero_bucket());
        around.chain(positive.map(|bucket| self.outside_zero(bucket)))
    }

    /// All buckets from the highest to the lowest.
    pub fn descending(&self) -> impl Iterator<Item = Bucket> + '_ {
        let negative = self.negative.iter().map(|(index, count)| self.negative_bucket(index, count));
        let positive = self.positive.iter_back().map(|(index, count)| self.positive_bucket(index, count));
        let around = positive.map(|bucket| self.outside_zero(bucket)).chain(self.populated_zero_bucket());
        around.chain(negative.map(|bucket| self.outside_zero(bucket)))
    }

    fn populated_zero_bucket(&self) -> Option<Bucket> {
        let bucket = self.zero_bucket();
        (bucket.count > 0.0).then_some(bucket)
    }

    fn outside_zero(&self, mut bucket: Bucket) -> Bucket {
        if bucket.upper < 0.0 && bucket.upper > -self.zero_threshold {
            bucket.upper = -self.zero_threshold;
        } else if bucket.lower > 0.0 && bucket.lower < self.zero_threshold {
            bucket.lower = self.zero_threshold;
        }
        bucket
    }
}
