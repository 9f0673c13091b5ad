//! Cutting observations off above or below a value (`</`, `>/`).
//!
//! The bucket that the value cuts keeps its part, estimated as for quantiles; the sum is estimated anew from the middles of
//! what is left.

use super::{Bucket, FloatHistogram};

/// Which observations stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Those up to the value: `</`.
    Below,
    /// Those from the value on: `>/`.
    Above,
}

/// What stays of a bucket.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Rest {
    count: f64,
    /// Where its observations are taken to lie.
    middle: f64,
}

impl Rest {
    const NOTHING: Self = Self { count: 0.0, middle: 0.0 };
}

/// How observations are spread in a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Spread {
    Even,
    /// On a logarithmic scale, above zero or below.
    Logarithmic {
        positive: bool,
    },
}

impl FloatHistogram {
    /// Cuts observations off at a value. Count and sum stay as they are when nothing is cut.
    pub fn trim(&mut self, at: f64, keep: Keep) {
        let custom = self.has_custom_buckets();
        let mut total = Total::default();
        let spread = |positive| if custom { Spread::Even } else { Spread::Logarithmic { positive } };
        let positive: Vec<f64> = {
            let buckets = self.positive.iter().map(|(index, count)| self.positive_bucket(index, count));
            buckets.map(|bucket| total.trimmed(bucket, at, keep, spread(true))).collect()
        };
        let has_positive = self.positive.counts().iter().any(|count| *count != 0.0);
        let negative: Vec<f64> = {
            let buckets = self.negative.iter().map(|(index, count)| self.negative_bucket(index, count));
            buckets.map(|bucket| total.trimmed(bucket, at, keep, spread(false))).collect()
        };
        let has_negative = self.negative.counts().iter().any(|count| *count != 0.0);
        self.positive.counts_mut().copy_from_slice(&positive);
        self.negative.counts_mut().copy_from_slice(&negative);
        if self.zero_count > 0.0 {
            let mut bucket = self.zero_bucket();
            match (has_negative, has_positive) {
                (true, false) => bucket.upper = 0.0,
                (false, true) => bucket.lower = 0.0,
                _ => {}
            }
            let rest = zero_bucket_rest(bucket, at, keep);
            total.add(rest, self.zero_count);
            self.zero_count = rest.count;
        }
        if total.is_cut {
            (self.count, self.sum) = (total.count, total.sum);
            self.compact();
        }
    }
}

/// What all buckets keep.
#[derive(Default)]
struct Total {
    count: f64,
    sum: f64,
    is_cut: bool,
}

impl Total {
    /// What a bucket keeps, added up.
    fn trimmed(&mut self, bucket: Bucket, at: f64, keep: Keep, spread: Spread) -> f64 {
        if bucket.count == 0.0 {
            return bucket.count;
        }
        let rest = rest(bucket, at, keep, spread);
        self.add(rest, bucket.count);
        rest.count
    }

    fn add(&mut self, rest: Rest, before: f64) {
        self.count += rest.count;
        self.sum += rest.middle * rest.count;
        self.is_cut |= rest.count != before;
    }
}

fn rest(bucket: Bucket, at: f64, keep: Keep, spread: Spread) -> Rest {
    let Bucket { lower, upper, count } = bucket;
    let (stays_whole, is_cut) = match keep {
        Keep::Below => (upper <= at, lower < at),
        Keep::Above => (lower >= at, upper > at),
    };
    match () {
        () if stays_whole => Rest { count, middle: middle(lower, upper, spread) },
        () if !is_cut => Rest::NOTHING,
        () if lower == f64::NEG_INFINITY => open_below_rest(bucket, at, keep),
        () if upper == f64::INFINITY => open_above_rest(bucket, at, keep),
        () => {
            let below = match () {
                () if at <= lower => 0.0,
                () if at >= upper => count,
                () => count * bucket.fraction_below(at, spread == Spread::Even),
            };
            match keep {
                Keep::Below => Rest { count: below, middle: middle(lower, at, spread) },
                Keep::Above => Rest { count: count - below, middle: middle(at, upper, spread) },
            }
        }
    }
}

/// A cut bucket that reaches down to negative infinity. If it ends above zero, it is taken to start there. Otherwise
/// nothing is known of the spread: what might be on the wrong side goes, except that all of a bucket below zero stays below.
fn open_below_rest(bucket: Bucket, at: f64, keep: Keep) -> Rest {
    let Bucket { upper, count, .. } = bucket;
    let ends_above_zero = upper > 0.0 && upper != f64::INFINITY;
    match keep {
        Keep::Below if at > 0.0 && ends_above_zero => Rest { count: count * at / upper, middle: at / 2.0 },
        Keep::Below if upper <= 0.0 => Rest { count, middle: at },
        Keep::Above if at == f64::NEG_INFINITY => Rest { count, middle: 0.0 },
        Keep::Above if at >= 0.0 && ends_above_zero => {
            Rest { count: count * (1.0 - at / upper), middle: (at + upper) / 2.0 }
        }
        Keep::Below | Keep::Above => Rest::NOTHING,
    }
}

/// A cut bucket that reaches up to infinity: all of it may be above the value.
fn open_above_rest(bucket: Bucket, at: f64, keep: Keep) -> Rest {
    match keep {
        Keep::Above if at >= bucket.lower => Rest { count: bucket.count, middle: at },
        Keep::Below | Keep::Above => Rest::NOTHING,
    }
}

fn zero_bucket_rest(bucket: Bucket, at: f64, keep: Keep) -> Rest {
    let Bucket { lower, upper, count } = bucket;
    let whole = Rest { count, middle: (lower + upper) / 2.0 };
    match keep {
        Keep::Below if at <= lower => Rest::NOTHING,
        Keep::Below if at >= upper => whole,
        Keep::Below => Rest { count: count * ((at - lower) / (upper - lower)), middle: (lower + at) / 2.0 },
        Keep::Above if at <= lower => whole,
        Keep::Above if at >= upper => Rest::NOTHING,
        Keep::Above => Rest { count: count * ((upper - at) / (upper - lower)), middle: (at + upper) / 2.0 },
    }
}

/// Where observations between two bounds are taken to lie on average.
fn middle(lower: f64, upper: f64, spread: Spread) -> f64 {
    match (lower.is_infinite(), upper.is_infinite(), spread) {
        (true, true, _) => 0.0,
        (true, false, _) if upper > 0.0 => upper / 2.0,
        (true, false, _) => upper,
        (false, true, _) => lower,
        (false, false, Spread::Even) => (lower + upper) / 2.0,
        (false, false, Spread::Logarithmic { positive }) => {
            let middle = (lower * upper).abs().sqrt();
            if positive { middle } else { -middle }
        }
    }
}
