//! Quantiles and fractions of classic histograms: cumulative buckets, each a series with its upper bound in the label `le`.

/// A bucket at one step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Bucket {
    pub(crate) upper: f64,
    /// Observations up to the bound: cumulative.
    pub(crate) count: f64,
}

/// The quantile, interpolated inside its bucket, and how counts had to be mended, if they had to. Buckets are sorted by
/// bound, each bound once.
///
/// The lowest bucket starts at 0 when its bound is positive; the highest one, which must be infinite, is represented by
/// its lower end.
pub(crate) fn quantile(q: f64, buckets: &mut [Bucket]) -> (f64, Option<Mended>) {
    match () {
        () if q.is_nan() => return (f64::NAN, None),
        () if q < 0.0 => return (f64::NEG_INFINITY, None),
        () if q > 1.0 => return (f64::INFINITY, None),
        () => {}
    }
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return (f64::NAN, None);
    }
    let mended = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, mended);
    }
    let mut rank = q * observations;
    // A rank that is NaN is above all buckets.
    let below = |bucket: &Bucket| bucket.count < rank || rank.is_nan();
    let index = buckets[..last].partition_point(below);
    if index == last {
        return (buckets[last - 1].upper, mended);
    }
    let Bucket { upper, mut count } = buckets[index];
    if index == 0 && upper <= 0.0 {
        return (upper, mended);
    }
    let mut start = 0.0;
    if index > 0 {
        let below = buckets[index - 1];
        start = below.upper;
        count -= below.count;
        rank -= below.count;
    }
    (start + (upper - start) * (rank / count), mended)
}

/// The part of all observations between two bounds, interpolated like quantiles. Buckets are sorted by bound, each bound
/// once.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &[Bucket]) -> f64 {
    let Some(last) = buckets.last().filter(|last| last.upper == f64::INFINITY) else { return f64::NAN };
    if last.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |value: f64| {
        let mut start = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
        let mut below = 0.0;
        for bucket in buckets {
            if start >= value {
                return below;
            }
            if bucket.upper > value {
                return match start == f64::NEG_INFINITY {
                    // Nothing can be said about the inside; all of it counts as below.
                    true => bucket.count,
                    false => below + (bucket.count - below) * (value - start) / (bucket.upper - start),
                };
            }
            (start, below) = (bucket.upper, bucket.count);
        }
        last.count
    };
    let [below_lower, below_upper] =
        [rank(lower), rank(upper)].map(|rank| if rank > last.count { last.count } else { rank });
    (below_upper - below_lower) / last.count
}

/// How counts had to be mended because they fell from one bucket to the next.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Mended {
    /// The lowest and the highest bound of a bucket whose count was raised.
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
    /// By how much at most.
    pub(crate) most: f64,
}

impl Mended {
    fn add(mended: &mut Option<Self>, bound: f64, by: f64) {
        let Self { lowest, highest, most } =
            mended.get_or_insert(Self { lowest: f64::INFINITY, highest: f64::NEG_INFINITY, most: 0.0 });
        (*lowest, *highest, *most) = (lowest.min(bound), highest.max(bound), most.max(by));
    }
}

/// Counts must not fall from bucket to bucket. Differences as small as rounding makes are mended silently, either way.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Mended> {
    let mut mended = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if is_rounding(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            Mended::add(&mut mended, bucket.upper, before - bucket.count);
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    mended
}

/// Whether two counts differ by no more than rounding makes.
fn is_rounding(left: f64, right: f64) -> bool {
    let (sum, difference) = (left.abs() + right.abs(), (left - right).abs());
    match () {
        () if left == right || (left.is_nan() && right.is_nan()) => true,
        () if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE => difference < ROUNDING * f64::MIN_POSITIVE,
        () => difference / sum.min(f64::MAX) < ROUNDING,
    }
}

/// Relative difference of neighbouring counts that is taken for a rounding error.
const ROUNDING: f64 = 1e-12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_buckets() {
        let usual = [(0.1, 10.0), (1.0, 20.0), (f64::INFINITY, 20.0)];
        type Case<'a> = (f64, &'a [(f64, f64)], f64);
        let cases: [Case<'_>; 8] = [
            (0.25, &usual, 0.05),
            (0.75, &usual, 0.55),
            (1.0, &usual, 1.0),
            (-1.0, &usual, f64::NEG_INFINITY),
            (2.0, &usual, f64::INFINITY),
            (0.9, &[(1.0, 5.0), (f64::INFINITY, 10.0)], 1.0),
            (0.1, &[(-1.0, 5.0), (f64::INFINITY, 10.0)], -1.0),
            (0.5, &[(1.0, 10.0), (2.0, 5.0), (f64::INFINITY, 10.0)], 0.5),
        ];
        for (q, buckets, expected) in cases {
            let mut buckets: Vec<_> =
                buckets.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect();
            let (value, _) = quantile(q, &mut buckets);
            assert!((value - expected).abs() < 1e-12 || value == expected, "{q}: {value}, not {expected}");
        }
        let no_infinite_bucket = &mut [Bucket { upper: 1.0, count: 1.0 }, Bucket { upper: 2.0, count: 1.0 }];
        assert!(quantile(0.5, no_infinite_bucket).0.is_nan());
    }

    #[test]
    fn falls_are_mended_and_told_unless_they_are_rounding() {
        let bucket = |upper, count| Bucket { upper, count };
        let mut buckets = [bucket(1.0, 5.0), bucket(2.0, 4.0), bucket(f64::INFINITY, 6.0)];
        let mended = make_monotonic(&mut buckets);
        assert_eq!(mended, Some(Mended { lowest: 2.0, highest: 2.0, most: 1.0 }));
        assert_eq!(buckets[1].count, 5.0);
        let mut buckets = [bucket(1.0, 5.0), bucket(2.0, 5.0 - 1e-13), bucket(f64::INFINITY, 6.0)];
        assert_eq!(make_monotonic(&mut buckets), None);
    }

    #[test]
    fn fractions_of_buckets() {
        let bucket = |(upper, count): &(f64, f64)| Bucket { upper: *upper, count: *count };
        let usual = [(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 40.0)];
        let negative = [(-1.0, 5.0), (1.0, 10.0), (f64::INFINITY, 10.0)];
        type Case<'a> = (f64, f64, &'a [(f64, f64)], f64);
        let cases: [Case<'_>; 8] = [
            (f64::NEG_INFINITY, f64::INFINITY, &usual, 1.0),
            (0.5, 1.5, &usual, 0.25),
            (f64::NEG_INFINITY, 0.5, &usual, 0.125),
            (2.0, f64::INFINITY, &usual, 0.5),
            (3.0, f64::INFINITY, &usual, 0.5),
            (1.0, 1.0, &usual, 0.0),
            (f64::NEG_INFINITY, -2.0, &negative, 0.5),
            (-1.0, 0.0, &negative, 0.25),
        ];
        for (lower, upper, buckets, expected) in cases {
            let buckets: Vec<_> = buckets.iter().map(bucket).collect();
            assert_eq!(fraction(lower, upper, &buckets), expected, "{lower} to {upper}");
        }
        for empty in [&[][..], &[bucket(&(1.0, 1.0))], &[bucket(&(f64::INFINITY, 0.0))]] {
            assert!(fraction(0.0, 1.0, empty).is_nan());
        }
    }
}
