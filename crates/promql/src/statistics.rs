//! Sums that keep their small parts, means, quantiles, regression.

/// A compensated sum (Kahan, in Neumaier's form, which also survives a term larger than the sum).
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct KahanSum {
    sum: f64,
    compensation: f64,
}

impl KahanSum {
    pub(crate) const fn starting_at(sum: f64) -> Self {
        Self { sum, compensation: 0.0 }
    }

    #[inline]
    pub(crate) fn add(&mut self, term: f64) {
        let sum = self.sum + term;
        if sum.is_infinite() {
            self.compensation = 0.0;
        } else if self.sum.abs() >= term.abs() {
            self.compensation += (self.sum - sum) + term;
        } else {
            self.compensation += (term - sum) + self.sum;
        }
        self.sum = sum;
    }

    /// The sum without its compensation.
    #[inline]
    pub(crate) fn sum(&self) -> f64 {
        self.sum
    }

    #[inline]
    pub(crate) fn total(&self) -> f64 {
        match self.sum.is_infinite() {
            true => self.sum,
            false => self.sum + self.compensation,
        }
    }

    /// What rounding lost of the sum.
    #[inline]
    pub(crate) fn compensation(&self) -> f64 {
        self.compensation
    }

    pub(crate) fn scale(&mut self, factor: f64) {
        self.sum *= factor;
        self.compensation *= factor;
    }

    pub(crate) fn divide(&mut self, divisor: f64) {
        self.sum /= divisor;
        self.compensation /= divisor;
    }
}

impl From<f64> for KahanSum {
    fn from(value: f64) -> Self {
        Self::starting_at(value)
    }
}

/// A mean over values that come one by one: sum by count, and incremental from where the sum would overflow.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Mean {
    /// The sum, or the mean itself once `incremental`.
    state: KahanSum,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(crate) const fn starting_at(value: f64) -> Self {
        Self { state: KahanSum::starting_at(value), count: 1.0, incremental: false }
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut sum = self.state;
            sum.add(value);
            if !sum.sum.is_infinite() {
                self.state = sum;
                return;
            }
            self.incremental = true;
            let before = self.count - 1.0;
            self.state = KahanSum { sum: self.state.sum / before, compensation: self.state.compensation / before };
        }
        self.state.scale((self.count - 1.0) / self.count);
        self.state.add(value / self.count);
    }

    pub(crate) fn value(&self) -> f64 {
        match self.incremental {
            true => self.state.sum + self.state.compensation,
            false => self.state.sum / self.count + self.state.compensation / self.count,
        }
    }

    pub(crate) fn of(values: &[f64]) -> Option<f64> {
        let (first, rest) = values.split_first()?;
        let mut mean = Self::starting_at(*first);
        rest.iter().for_each(|value| mean.add(*value));
        Some(mean.value())
    }
}

/// A variance over values that come one by one (Welford, compensated).
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Variance {
    count: f64,
    mean: KahanSum,
    squares: KahanSum,
}

impl Variance {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - (self.mean.sum + self.mean.compensation);
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - (self.mean.sum + self.mean.compensation)));
    }

    pub(crate) fn value(&self) -> f64 {
        (self.squares.sum + self.squares.compensation) / self.count
    }

    pub(crate) fn of(values: &[f64]) -> f64 {
        let mut variance = Self::default();
        values.iter().for_each(|value| variance.add(*value));
        variance.value()
    }
}

/// The sum of `values`, compensated.
pub(crate) fn sum(values: &[f64]) -> f64 {
    let mut sum = KahanSum::default();
    values.iter().for_each(|value| sum.add(*value));
    sum.total()
}

/// The quantile `q` of `values`, interpolated between neighbours. Sorts them, NaN first.
///
/// NaN without values or for NaN; below 0 negative infinity, above 1 positive infinity.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values
        .sort_unstable_by(|left, right| left.partial_cmp(right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan())));
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// A line fitted to samples by least squares.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Line {
    /// Per second.
    pub(crate) slope: f64,
    /// At the reference time.
    pub(crate) intercept: f64,
}

/// Fits a line; the reference time should be near the samples', for accuracy. There is at least one sample.
pub(crate) fn linear_regression(times_ms: impl Iterator<Item = i64>, values: &[f64], reference_ms: i64) -> Line {
    let (mut sum_x, mut sum_y) = (KahanSum::default(), KahanSum::default());
    let (mut sum_xy, mut sum_xx) = (KahanSum::default(), KahanSum::default());
    for (time, y) in times_ms.zip(values) {
        let x = (time - reference_ms) as f64 / 1e3;
        sum_x.add(x);
        sum_y.add(*y);
        sum_xy.add(x * y);
        sum_xx.add(x * x);
    }
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        // A constant has slope 0 exactly; an infinite one has no line.
        return match first.is_infinite() {
            true => Line { slope: f64::NAN, intercept: f64::NAN },
            false => Line { slope: 0.0, intercept: first },
        };
    }
    let count = values.len() as f64;
    let [x, y, xy, xx] = [sum_x, sum_y, sum_xy, sum_xx].map(|sum| sum.sum + sum.compensation);
    let slope = (xy - x * y / count) / (xx - x * x / count);
    Line { slope, intercept: y / count - slope * x / count }
}

/// The smaller one; NaN when either is (unlike `f64::min`), except that negative infinity is below even that.
pub(crate) fn min_or_nan(left: f64, right: f64) -> f64 {
    match () {
        () if left == f64::NEG_INFINITY || right == f64::NEG_INFINITY => f64::NEG_INFINITY,
        () if left.is_nan() || right.is_nan() => f64::NAN,
        () => left.min(right),
    }
}

/// The greater one; NaN when either is (unlike `f64::max`), except that positive infinity is above even that.
pub(crate) fn max_or_nan(left: f64, right: f64) -> f64 {
    -min_or_nan(-left, -right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_small_parts() {
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(sum(&[]), 0.0);
    }

    #[test]
    fn means_survive_overflow_of_the_sum() {
        let big = f64::MAX;
        assert!((Mean::of(&[big, big, big]).unwrap() / big - 1.0).abs() < 1e-15);
        assert_eq!(Mean::of(&[1.0, 2.0, 3.0, 6.0]), Some(3.0));
        assert_eq!(Mean::of(&[f64::INFINITY, 1.0, 1.0]), Some(f64::INFINITY));
        assert!(Mean::of(&[f64::INFINITY, f64::NEG_INFINITY]).unwrap().is_nan());
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn variance_of_shifted_values() {
        assert!((Variance::of(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]) - 22.5).abs() < 1e-9);
        assert_eq!(Variance::of(&[3.0]), 0.0);
    }

    #[test]
    fn quantiles_interpolate() {
        let cases: [(f64, &[f64], f64); 6] = [
            (0.5, &[3.0, 1.0, 2.0], 2.0),
            (0.75, &[0.0, 1.0], 0.75),
            (0.0, &[2.0, 1.0], 1.0),
            (1.0, &[2.0, 1.0], 2.0),
            (-0.1, &[1.0], f64::NEG_INFINITY),
            (1.1, &[1.0], f64::INFINITY),
        ];
        for (q, values, expected) in cases {
            assert_eq!(quantile(q, &mut values.to_vec()), expected, "{q} of {values:?}");
        }
        assert!(quantile(0.0, &mut [1.0, f64::NAN]).is_nan(), "NaN sorts first");
        assert_eq!(quantile(1.0, &mut [1.0, f64::NAN]), 1.0);
    }

    #[test]
    fn lines() {
        let line = linear_regression([0, 1000, 2000].into_iter(), &[1.0, 3.0, 5.0], 0);
        assert_eq!(line, Line { slope: 2.0, intercept: 1.0 });
        assert_eq!(linear_regression([0, 1000].into_iter(), &[2.0, 2.0], 0), Line { slope: 0.0, intercept: 2.0 });
    }

    #[test]
    fn minima_and_maxima_respect_nan() {
        assert!(min_or_nan(1.0, f64::NAN).is_nan() && max_or_nan(f64::NAN, 1.0).is_nan());
        assert_eq!(min_or_nan(f64::NEG_INFINITY, f64::NAN), f64::NEG_INFINITY);
        assert_eq!(max_or_nan(f64::INFINITY, f64::NAN), f64::INFINITY);
        assert_eq!((min_or_nan(1.0, 2.0), max_or_nan(1.0, 2.0)), (1.0, 2.0));
    }
}
