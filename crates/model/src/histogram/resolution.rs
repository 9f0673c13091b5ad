//! Coarser resolutions: each step down joins two neighbouring exponential buckets.

use super::{CUSTOM_BUCKETS_SCHEMA, Counts, HistogramError, NativeHistogram, Span};

impl NativeHistogram {
    /// Reduces exponential buckets to `schema`, exactly; does nothing when they are as coarse already, or custom.
    ///
    /// # Errors
    /// Spans that do not fit the buckets, or bucket counts that cannot be added up; the value is then undefined.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), HistogramError> {
        if self.schema == CUSTOM_BUCKETS_SCHEMA || self.schema <= schema {
            return Ok(());
        }
        self.validate_layout()?;
        // Indexes have 32 bits, so there is no difference between greater shifts.
        let steps = self.schema.abs_diff(schema).min(u64::BITS - 1);
        match &mut self.counts {
            Counts::Integer { positive, negative, .. } => {
                reduce_deltas("positive", &mut self.positive_spans, positive, steps)?;
                reduce_deltas("negative", &mut self.negative_spans, negative, steps)?;
            }
            Counts::Float { positive, negative, .. } => {
                let add = |sum, count| Some(sum + count);
                reduce("positive", &mut self.positive_spans, positive, steps, add)?;
                reduce("negative", &mut self.negative_spans, negative, steps, add)?;
            }
        }
        self.schema = schema;
        Ok(())
    }
}

fn reduce_deltas(
    side: &'static str,
    spans: &mut Vec<Span>,
    deltas: &mut Vec<i64>,
    steps: u32,
) -> Result<(), HistogramError> {
    let mut count = 0i64;
    for (index, delta) in deltas.iter_mut().enumerate() {
        // Checked here and not only on what results: a sum may hide a negative part.
        count =
            count.checked_add(*delta).filter(|count| *count >= 0).ok_or(HistogramError::BucketCount { side, index })?;
        *delta = count;
    }
    reduce(side, spans, deltas, steps, i64::checked_add)?;
    let mut previous = 0;
    for count in deltas {
        previous = std::mem::replace(count, *count - previous);
    }
    Ok(())
}

/// Joins absolute counts in place and makes spans for what results.
fn reduce<T: Copy>(
    side: &'static str,
    spans: &mut Vec<Span>,
    counts: &mut Vec<T>,
    steps: u32,
    add: impl Fn(T, T) -> Option<T>,
) -> Result<(), HistogramError> {
    let mut reduced: Vec<Span> = Vec::with_capacity(spans.len());
    let mut joined = 0;
    // Index of the bucket that was made last, and of the next source bucket.
    let (mut last, mut source) = (None, 0i64);
    let mut read = 0;
    for span in spans.iter() {
        source += i64::from(span.offset);
        for _ in 0..span.length {
            // Bucket i covers (base^(i-1), base^i], hence the shift by one on both sides.
            let target = ((source - 1) >> steps) + 1;
            if last == Some(target) {
                counts[joined - 1] =
                    add(counts[joined - 1], counts[read]).ok_or(HistogramError::BucketCount { side, index: read })?;
            } else {
                counts[joined] = counts[read];
                joined += 1;
                push_bucket(&mut reduced, last, target);
                last = Some(target);
            }
            read += 1;
            source += 1;
        }
    }
    counts.truncate(joined);
    *spans = reduced;
    Ok(())
}

fn push_bucket(spans: &mut Vec<Span>, last: Option<i64>, target: i64) {
    let gap = target - last.map_or(0, |last| last + 1);
    match spans.last_mut() {
        Some(span) if gap == 0 => span.length += 1,
        _ => {
            let offset =
                i32::try_from(gap).expect("the distance of two 32-bit indexes, halved at least once, fits 32 bits");
            spans.push(Span { offset, length: 1 });
        }
    }
}
