//! What can count the observations of a bucket.

use std::fmt::Debug;

use crate::statistics::KahanSum;

/// A number, or a running sum that keeps what rounding would lose.
pub trait BucketCount: Copy + PartialEq + Debug + Default {
    /// From a number.
    fn of(value: f64) -> Self;

    /// Adds another one.
    fn add(&mut self, other: Self);

    /// Multiplies it.
    fn multiply(&mut self, factor: f64);

    /// Divides it.
    fn divide(&mut self, divisor: f64);

    /// The number, with compensation.
    fn total(self) -> f64;

    /// The number that was added up so far, without compensation.
    fn plain(self) -> f64;

    /// Whether nothing at all is counted.
    fn is_zero(self) -> bool;
}

impl BucketCount for f64 {
    #[inline]
    fn of(value: f64) -> Self {
        value
    }

    #[inline]
    fn add(&mut self, other: Self) {
        *self += other;
    }

    #[inline]
    fn multiply(&mut self, factor: f64) {
        *self *= factor;
    }

    #[inline]
    fn divide(&mut self, divisor: f64) {
        *self /= divisor;
    }

    #[inline]
    fn total(self) -> f64 {
        self
    }

    #[inline]
    fn plain(self) -> f64 {
        self
    }

    #[inline]
    fn is_zero(self) -> bool {
        self == 0.0
    }
}

impl BucketCount for KahanSum {
    #[inline]
    fn of(value: f64) -> Self {
        Self::starting_at(value)
    }

    #[inline]
    fn add(&mut self, other: Self) {
        Self::add(self, other.sum());
        if other.compensation() != 0.0 {
            Self::add(self, other.compensation());
        }
    }

    #[inline]
    fn multiply(&mut self, factor: f64) {
        self.scale(factor);
    }

    #[inline]
    fn divide(&mut self, divisor: f64) {
        Self::divide(self, divisor);
    }

    #[inline]
    fn total(self) -> f64 {
        Self::total(&self)
    }

    #[inline]
    fn plain(self) -> f64 {
        self.sum()
    }

    #[inline]
    fn is_zero(self) -> bool {
        self.sum() == 0.0 && self.compensation() == 0.0
    }
}
