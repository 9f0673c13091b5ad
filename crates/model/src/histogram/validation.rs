//! What makes a histogram one: the rules of Prometheus' `model/histogram`, and bounds on indexes and counts, which it leaves
//! to wrap around.

use super::{
    CUSTOM_BUCKETS_SCHEMA, Counts, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, HistogramError, NativeHistogram,
    Span,
};

impl NativeHistogram {
    /// Whether it can be stored. A staleness marker always can.
    ///
    /// An integer histogram's count must be the sum of its buckets; if an observation was no number (the sum tells) it may
    /// be greater, since such observations are in no bucket. A float histogram's count is not held against its buckets:
    /// rounding would refuse good ones.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn validate(&self) -> Result<(), HistogramError> {
        if self.is_stale() {
            return Ok(());
        }
        match self.schema {
            CUSTOM_BUCKETS_SCHEMA => self.validate_custom_parts()?,
            EXPONENTIAL_SCHEMA_MIN..=EXPONENTIAL_SCHEMA_MAX if self.custom_values.is_empty() => {}
            EXPONENTIAL_SCHEMA_MIN..=EXPONENTIAL_SCHEMA_MAX => {
                return Err(HistogramError::WrongParts("exponential buckets must have no custom bounds"));
            }
            other => return Err(HistogramError::Schema(other)),
        }
        self.validate_layout()?;
        match &self.counts {
            Counts::Integer { count, zero_count, positive, negative } => {
                let buckets = u128::from(*zero_count)
                    + sum_of_deltas("negative", negative)?
                    + sum_of_deltas("positive", positive)?;
                let whole =
                    if self.sum.is_nan() { buckets <= u128::from(*count) } else { buckets == u128::from(*count) };
                if !whole {
                    let buckets = u64::try_from(buckets).unwrap_or(u64::MAX);
                    return Err(HistogramError::CountMismatch { buckets, count: *count });
                }
            }
            Counts::Float { count, zero_count, positive, negative } => {
                // A NaN passes, as in Prometheus: arithmetic on histograms in rules can make one.
                for (name, value) in [("count", count), ("zero count", zero_count)] {
                    if *value < 0.0 {
                        return Err(HistogramError::NegativeCount(name));
                    }
                }
                for (side, counts) in [("negative", negative), ("positive", positive)] {
                    if let Some(index) = counts.iter().position(|count| *count < 0.0) {
                        return Err(HistogramError::BucketCount { side, index });
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks that spans name as many buckets as there are, at places that exist.
    pub(super) fn validate_layout(&self) -> Result<(), HistogramError> {
        let (positive, negative) = match &self.counts {
            Counts::Integer { positive, negative, .. } => (positive.len(), negative.len()),
            Counts::Float { positive, negative, .. } => (positive.len(), negative.len()),
        };
        validate_spans("positive", &self.positive_spans, positive)?;
        validate_spans("negative", &self.negative_spans, negative)
    }

    fn validate_custom_parts(&self) -> Result<(), HistogramError> {
        let (zero_count, negative) = match &self.counts {
            Counts::Integer { zero_count, negative, .. } => (*zero_count as f64, negative.len()),
            Counts::Float { zero_count, negative, .. } => (*zero_count, negative.len()),
        };
        if zero_count != 0.0 || self.zero_threshold != 0.0 {
            return Err(HistogramError::WrongParts("custom buckets must have no zero bucket"));
        }
        if negative != 0 || !self.negative_spans.is_empty() {
            return Err(HistogramError::WrongParts("custom buckets must have no negative buckets"));
        }
        let rises = |index: usize| index == 0 || self.custom_values[index - 1] < self.custom_values[index];
        let bad = (0..self.custom_values.len()).find(|index| !self.custom_values[*index].is_finite() || !rises(*index));
        if let Some(index) = bad {
            return Err(HistogramError::CustomBounds { index });
        }
        if let Some(Span { offset, .. }) = self.positive_spans.first().filter(|span| span.offset < 0) {
            return Err(HistogramError::SpanOffset { side: "positive", index: 0, offset: *offset });
        }
        // The bucket behind the last bound is the one up to infinity.
        let end: i64 = self.positive_spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
        if end > self.custom_values.len() as i64 + 1 {
            return Err(HistogramError::WrongParts("custom buckets must not reach beyond their bounds"));
        }
        Ok(())
    }
}

fn validate_spans(side: &'static str, spans: &[Span], have: usize) -> Result<(), HistogramError> {
    let (mut need, mut end) = (0, 0);
    for (index, span) in spans.iter().enumerate() {
        if index > 0 && span.offset < 0 {
            return Err(HistogramError::SpanOffset { side, index, offset: span.offset });
        }
        need += u64::from(span.length);
        end += i64::from(span.offset) + i64::from(span.length);
        if i32::try_from(end).is_err() {
            return Err(HistogramError::SpanRange { side, index });
        }
    }
    if need != have as u64 {
        return Err(HistogramError::BucketNumber { side, need, have });
    }
    Ok(())
}

/// Observations in buckets given as differences. Each bucket's count must fit an `i64`, as readers add the differences up in
/// one.
fn sum_of_deltas(side: &'static str, deltas: &[i64]) -> Result<u128, HistogramError> {
    let (mut count, mut sum) = (0i64, 0);
    for (index, delta) in deltas.iter().enumerate() {
        count =
            count.checked_add(*delta).filter(|count| *count >= 0).ok_or(HistogramError::BucketCount { side, index })?;
        sum += u128::from(count.unsigned_abs());
    }
    Ok(sum)
}
