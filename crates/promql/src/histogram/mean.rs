//! The mean of histograms that come one by one.

use super::{BucketCount, Combined, FloatHistogram, Histogram, IncompatibleBuckets};
use crate::statistics::KahanSum;

/// A sum, and how many there were; from where the sum would overflow, an incremental mean.
#[derive(Clone, Debug)]
pub(crate) struct HistogramMean {
    /// The sum, or the mean itself once `incremental`.
    state: Histogram<KahanSum>,
    count: f64,
    incremental: bool,
}

impl HistogramMean {
    pub(crate) fn starting_at(histogram: &FloatHistogram) -> Self {
        Self { state: histogram.map(KahanSum::of), count: 1.0, incremental: false }
    }

    /// # Errors
    /// [`IncompatibleBuckets`]; there is no mean then.
    pub(crate) fn add(&mut self, histogram: &FloatHistogram) -> Result<Combined, IncompatibleBuckets> {
        self.count += 1.0;
        if !self.incremental {
            // Most sums are far from overflow, and need no copy to go back to.
            if !self.state.may_overflow() && !histogram.may_overflow() {
                return self.state.add(histogram);
            }
            let mut sum = self.state.clone();
            let combined = sum.add(histogram)?;
            if !sum.is_infinite() {
                self.state = sum;
                return Ok(combined);
            }
            self.incremental = true;
            self.state.divide(self.count - 1.0);
        }
        self.state.multiply((self.count - 1.0) / self.count);
        let mut part = histogram.clone();
        part.divide(self.count);
        self.state.add(&part)
    }

    /// Samples that it takes the room of.
    pub(crate) fn samples(&self) -> usize {
        self.state.samples()
    }

    pub(crate) fn value(mut self) -> FloatHistogram {
        if !self.incremental {
            self.state.divide(self.count);
        }
        self.state.total()
    }
}

impl<C: BucketCount> Histogram<C> {
    fn is_infinite(&self) -> bool {
        self.any_count(f64::is_infinite) || self.custom_values.iter().any(|bound| bound.is_infinite())
    }

    fn may_overflow(&self) -> bool {
        self.any_count(|count| count.abs() > FAR_FROM_OVERFLOW || count.is_nan())
    }

    fn any_count(&self, is: impl Fn(f64) -> bool) -> bool {
        let buckets = self.positive.counts().iter().chain(self.negative.counts());
        [self.zero_count, self.count, self.sum].iter().chain(buckets).any(|count| is(count.plain()))
    }
}

/// No number of buckets that fits into memory adds up to infinity from here.
const FAR_FROM_OVERFLOW: f64 = 1e290;
