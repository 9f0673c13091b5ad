//! Adding, subtracting and scaling histograms.

use model::ResetHint;

use super::custom_bounds::{intersection, joined};
use super::{BucketCount, FloatHistogram, Histogram};

/// Exponential and custom buckets cannot be combined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
pub struct IncompatibleBuckets;

/// What was odd about two histograms that were combined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct Combined {
    /// One came after a counter reset, the other did not.
    pub conflicting_resets: bool,
    /// Their custom bounds differed; what they share was kept.
    pub reconciled_bounds: bool,
}

impl<C: BucketCount> Histogram<C> {
    /// Adds another histogram. The result has the coarser resolution and the wider zero bucket of both, or the custom
    /// bounds that both have.
    ///
    /// # Errors
    /// [`IncompatibleBuckets`]; nothing is changed then.
    pub fn add<D: BucketCount>(&mut self, other: &Histogram<D>) -> Result<Combined, IncompatibleBuckets>
    where
        C: From<D>,
    {
        self.combine(other, C::from)
    }

    /// Adds a histogram; `read` makes these counts out of its own, with whatever sign.
    fn combine<D: BucketCount>(
        &mut self,
        other: &Histogram<D>,
        read: impl Fn(D) -> C + Copy,
    ) -> Result<Combined, IncompatibleBuckets> {
        if self.has_custom_buckets() != other.has_custom_buckets() {
            return Err(IncompatibleBuckets);
        }
        let mut combined = Combined { conflicting_resets: self.combine_hint(other.reset_hint), ..Combined::default() };
        self.count.add(read(other.count));
        self.sum.add(read(other.sum));
        match self.has_custom_buckets() {
            true => combined.reconciled_bounds = self.combine_custom(other, read),
            false => self.combine_exponential(other, read),
        }
        Ok(combined)
    }

    fn combine_exponential<D: BucketCount>(&mut self, other: &Histogram<D>, read: impl Fn(D) -> C + Copy) {
        let zero_count = self.reconcile_zero_bucket(other);
        self.zero_count.add(read(zero_count));
        if self.schema > other.schema {
            self.reduce_resolution(other.schema);
        }
        let (schema, threshold) = (self.schema, self.zero_threshold);
        // The zero bucket has these already. Only leading buckets can be inside.
        let is_within_zero = |index| model::NativeHistogram::exponential_bound(index, schema) <= threshold;
        if other.schema > schema {
            let steps = other.schema.abs_diff(schema);
            for (side, added) in [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)] {
                let mut reduced = added.map(read);
                reduced.reduce_resolution(steps);
                side.add(&reduced, |count| count, is_within_zero);
            }
            return;
        }
        self.positive.add(&other.positive, read, is_within_zero);
        self.negative.add(&other.negative, read, is_within_zero);
    }

    /// Says whether bounds had to be reconciled.
    fn combine_custom<D: BucketCount>(&mut self, other: &Histogram<D>, read: impl Fn(D) -> C + Copy) -> bool {
        if self.custom_values == other.custom_values {
            self.positive.add(&other.positive, read, |_| false);
            return false;
        }
        let bounds = intersection(&self.custom_values, &other.custom_values);
        let mut counts = vec![C::default(); bounds.len() + 1];
        joined(&self.positive, &self.custom_values, &bounds, |place, count| counts[place].add(count));
        joined(&other.positive, &other.custom_values, &bounds, |place, count| counts[place].add(read(count)));
        let populated = (0i32..).zip(counts).filter(|(_, count)| !count.is_zero());
        self.positive = super::Buckets::collect(populated);
        self.custom_values = bounds;
        true
    }

    /// What is known of the result's resets. Says whether the hints were in conflict.
    fn combine_hint(&mut self, other: ResetHint) -> bool {
        let (hint, conflict) = match (self.reset_hint, other) {
            (own, other) if own == other => (own, false),
            (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => (ResetHint::Gauge, false),
            (ResetHint::Unknown, _) | (_, ResetHint::Unknown) => (ResetHint::Unknown, false),
            _ => (ResetHint::Unknown, true),
        };
        self.reset_hint = hint;
        conflict
    }

    /// Reduces exponential buckets to a coarser resolution; does nothing when they are as coarse already, or custom.
    pub fn reduce_resolution(&mut self, schema: i32) {
        if self.has_custom_buckets() || self.schema <= schema {
            return;
        }
        let steps = self.schema.abs_diff(schema);
        self.positive.reduce_resolution(steps);
        self.negative.reduce_resolution(steps);
        self.schema = schema;
    }

    /// Multiplies all counts, and the sum. With a negative factor it is no counter any more.
    pub fn multiply(&mut self, factor: f64) {
        self.for_each_count(|count| count.multiply(factor));
        if factor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
    }

    /// Divides all counts, and the sum. By zero, no buckets stay.
    pub fn divide(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive = super::Buckets::default();
            self.negative = super::Buckets::default();
        }
        self.for_each_count(|count| count.divide(divisor));
        if divisor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
    }
}

impl FloatHistogram {
    /// Subtracts another histogram, as [`Histogram::add`] adds it. Whoever shows the difference marks it as a gauge.
    ///
    /// # Errors
    /// [`IncompatibleBuckets`]; nothing is changed then.
    pub fn subtract(&mut self, other: &Self) -> Result<Combined, IncompatibleBuckets> {
        self.combine(other, |count: f64| -count)
    }

    /// Changes the sign.
    pub fn negate(&mut self) {
        self.multiply(-1.0);
    }
}
