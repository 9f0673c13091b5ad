//! Zero buckets of different width: the narrower one is widened to the other, and takes in the buckets on its way.

use super::{BucketCount, Buckets, Histogram};

impl<C: BucketCount> Histogram<C> {
    /// Widens the zero bucket until it covers that of `other` and no populated bucket of either reaches over its end.
    /// Gives what `other` would have in a zero bucket of that width.
    pub(super) fn reconcile_zero_bucket<D: BucketCount>(&mut self, other: &Histogram<D>) -> D {
        let (mut count, mut threshold) = (other.zero_count, other.zero_threshold);
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (count, threshold) = other.zero_count_within(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                (self.zero_count, self.zero_threshold) = self.zero_count_within(threshold);
                self.drop_buckets_within_zero();
            }
            if threshold.is_nan() || self.zero_threshold.is_nan() {
                break;
            }
        }
        count
    }

    /// What a zero bucket of a greater width has, and its width: if a populated bucket would be cut, it is taken in whole.
    pub(super) fn zero_count_within(&self, threshold: f64) -> (C, f64) {
        let mut threshold = threshold;
        if threshold == self.zero_threshold {
            return (self.zero_count, threshold);
        }
        loop {
            let mut count = self.zero_count;
            if let Some(wider) = self.add_within(&self.positive, threshold, &mut count) {
                threshold = wider;
            }
            match self.add_within(&self.negative, threshold, &mut count) {
                // More positive buckets may be inside now.
                Some(wider) => threshold = wider,
                None => return (count, threshold),
            }
        }
    }

    /// Adds up the buckets of one side that begin within `threshold`; gives where the last one ends if that is outside.
    fn add_within(&self, buckets: &Buckets<C>, threshold: f64, sum: &mut C) -> Option<f64> {
        for (index, count) in buckets.iter() {
            let bucket = self.positive_bucket(index, count);
            if bucket.lower >= threshold {
                break;
            }
            sum.add(count);
            if bucket.upper > threshold {
                return (bucket.count != 0.0).then_some(bucket.upper);
            }
        }
        None
    }

    fn drop_buckets_within_zero(&mut self) {
        let is_inside = |index: &i32| self.bound(index.saturating_sub(1)) < self.zero_threshold;
        let inside = |buckets: &Buckets<C>| buckets.indexes().take_while(is_inside).count();
        let (positive, negative) = (inside(&self.positive), inside(&self.negative));
        self.positive.counts_mut()[..positive].fill(C::default());
        self.negative.counts_mut()[..negative].fill(C::default());
        self.compact();
    }
}
