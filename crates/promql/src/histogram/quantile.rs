//! Estimates from buckets: quantiles, fractions, variance.
//!
//! Inside custom buckets and the zero bucket observations are taken to be spread evenly; inside exponential buckets evenly
//! on a logarithmic scale, as they would be in the buckets of a finer resolution.

use super::{Bucket, FloatHistogram};
use crate::statistics::KahanSum;

/// A quantile, and what the user should know.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HistogramQuantile {
    /// The quantile.
    pub value: f64,
    /// What observations that were no numbers did to it.
    pub nan_effect: NanEffect,
}

/// What observations that were no numbers do to an estimate: they are counted, but in no bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NanEffect {
    /// There were none.
    None,
    /// The quantile is too high, as they count as the greatest.
    Skewed,
    /// The quantile lies among them.
    Result,
}

/// A fraction, and what the user should know.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HistogramFraction {
    /// The fraction.
    pub value: f64,
    /// There were observations that are no numbers. They belong to no fraction.
    pub has_nan: bool,
}

impl FloatHistogram {
    /// The quantile `q`. NaN without observations or for NaN; infinite for `q` outside 0 to 1.
    pub fn quantile(&self, q: f64) -> HistogramQuantile {
        let plain = |value| HistogramQuantile { value, nan_effect: NanEffect::None };
        match () {
            () if q < 0.0 => plain(f64::NEG_INFINITY),
            () if q > 1.0 => plain(f64::INFINITY),
            () if self.count == 0.0 || q.is_nan() => plain(f64::NAN),
            // From the nearer end, for accuracy; but observations that are no numbers are all at the upper one.
            () if self.sum.is_nan() || q < 0.5 => self.quantile_from_below(q * self.count),
            () => plain(self.quantile_from_above((1.0 - q) * self.count)),
        }
    }

    fn quantile_from_below(&self, rank: f64) -> HistogramQuantile {
        let mut buckets = self.ascending();
        let found = Found::search(&mut buckets, rank);
        if let Some(value) = self.quantile_at_end(&found) {
            return HistogramQuantile { value, nan_effect: NanEffect::None };
        }
        let (mut bucket, counted) = (self.with_natural_end(found.bucket), found.counted.min(self.count));
        if counted < rank {
            return match self.sum.is_nan() {
                true => HistogramQuantile { value: f64::NAN, nan_effect: NanEffect::Result },
                // Rounding, or counts that do not fit.
                false => HistogramQuantile { value: bucket.upper, nan_effect: NanEffect::None },
            };
        }
        let inside = rank - (counted - bucket.count);
        let mut nan_effect = NanEffect::None;
        if self.sum.is_nan() {
            // The sum is NaN as well when both infinities were observed. Prometheus interpolates in the last bucket when it
            // had to look at it.
            let mut all = counted;
            for last in buckets {
                all += last.count;
                bucket = last;
            }
            if all < self.count {
                nan_effect = NanEffect::Skewed;
            }
        }
        HistogramQuantile { value: self.interpolate(bucket, inside), nan_effect }
    }

    fn quantile_from_above(&self, rank: f64) -> f64 {
        let found = Found::search(&mut self.descending(), rank);
        if let Some(value) = self.quantile_at_end(&found) {
            return value;
        }
        let (bucket, counted) = (self.with_natural_end(found.bucket), found.counted.min(self.count));
        match counted < rank {
            true => bucket.upper,
            false => self.interpolate(bucket, counted - rank),
        }
    }

    /// In custom buckets that reach to an infinity, there is nothing to interpolate.
    fn quantile_at_end(&self, found: &Found) -> Option<f64> {
        let Bucket { lower, upper, .. } = found.bucket;
        match () {
            () if !self.has_custom_buckets() => None,
            () if lower == f64::NEG_INFINITY => (upper <= 0.0).then_some(upper),
            () => (upper == f64::INFINITY).then_some(lower),
        }
    }

    /// The zero bucket ends at zero if there are observations on one side only; the lowest custom bucket starts there.
    fn with_natural_end(&self, mut bucket: Bucket) -> Bucket {
        if self.has_custom_buckets() {
            if bucket.lower == f64::NEG_INFINITY {
                bucket.lower = 0.0;
            }
        } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
            self.cut_at_zero(&mut bucket);
        }
        bucket
    }

    fn cut_at_zero(&self, bucket: &mut Bucket) {
        match (self.negative.is_empty(), self.positive.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            _ => {}
        }
    }

    /// Where in the bucket `inside` of its observations lie below.
    fn interpolate(&self, bucket: Bucket, inside: f64) -> f64 {
        let Bucket { lower, upper, count } = bucket;
        let fraction = inside / count;
        if self.has_custom_buckets() || (lower <= 0.0 && upper >= 0.0) {
            return lower + (upper - lower) * fraction;
        }
        let [lower_log, upper_log] = [lower, upper].map(|bound| bound.abs().log2());
        match lower > 0.0 {
            true => (lower_log + (upper_log - lower_log) * fraction).exp2(),
            false => -(upper_log + (lower_log - upper_log) * (1.0 - fraction)).exp2(),
        }
    }

    /// The part of all observations between two bounds. NaN without observations or for a bound that is NaN.
    pub fn fraction(&self, lower: f64, upper: f64) -> HistogramFraction {
        let plain = |value| HistogramFraction { value, has_nan: false };
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return plain(f64::NAN);
        }
        if lower >= upper {
            return plain(0.0);
        }
        let (mut rank, mut counted) = (0.0, 0.0);
        let (mut lower_rank, mut upper_rank) = (None, None);
        let mut buckets = self.ascending();
        for mut bucket in &mut buckets {
            counted += bucket.count;
            let is_zero_bucket = bucket.lower <= 0.0 && bucket.upper >= 0.0;
            if is_zero_bucket {
                self.cut_at_zero(&mut bucket);
            }
            let linear = self.has_custom_buckets() || is_zero_bucket;
            for (bound, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
                if found.is_none() && bucket.lower >= bound {
                    *found = Some(rank);
                } else if found.is_none() && bucket.upper > bound {
                    *found = Some(match bucket.lower == f64::NEG_INFINITY && linear {
                        // Nothing can be said about the inside; all of it counts as below.
                        true => bucket.count,
                        false => rank + bucket.count * bucket.fraction_below(bound, linear),
                    });
                }
            }
            if lower_rank.is_some() && upper_rank.is_some() {
                break;
            }
            rank += bucket.count;
        }
        let mut has_nan = false;
        if self.sum.is_nan() {
            counted += buckets.map(|bucket| bucket.count).sum::<f64>();
            has_nan = counted < self.count;
        } else {
            counted = self.count;
        }
        let [lower_rank, upper_rank] = [lower_rank, upper_rank]
            .map(|rank| rank.map_or(counted, |rank| if rank > counted { counted } else { rank }));
        HistogramFraction { value: (upper_rank - lower_rank) / self.count, has_nan }
    }

    /// The variance, each bucket's observations taken to lie in its middle: the geometric one of exponential buckets.
    pub fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let mut squares = KahanSum::default();
        for Bucket { lower, upper, count } in self.ascending().filter(|bucket| bucket.count != 0.0) {
            let middle = match () {
                () if self.has_custom_buckets() => (upper + lower) / 2.0,
                () if lower <= 0.0 && upper >= 0.0 => 0.0,
                () if upper < 0.0 => -(upper * lower).sqrt(),
                () => (upper * lower).sqrt(),
            };
            let distance = middle - mean;
            squares.add(count * distance * distance);
        }
        squares.total() / self.count
    }
}

/// A bucket that was searched by rank.
struct Found {
    bucket: Bucket,
    /// Observations up to it, its own among them.
    counted: f64,
}

impl Found {
    /// The bucket in which the rank is reached, or the last one.
    fn search(buckets: &mut impl Iterator<Item = Bucket>, rank: f64) -> Self {
        let mut found = Self { bucket: Bucket { lower: 0.0, upper: 0.0, count: 0.0 }, counted: 0.0 };
        for bucket in buckets {
            found.bucket = bucket;
            found.counted += bucket.count;
            if bucket.count != 0.0 && found.counted >= rank {
                break;
            }
        }
        found
    }
}
