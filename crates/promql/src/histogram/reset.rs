//! Whether a counter started anew between two histograms.

use model::ResetHint;

use super::custom_bounds::{intersection, joined};
use super::{Buckets, FloatHistogram};

impl FloatHistogram {
    /// Whether there was a counter reset since `previous`: what the hint says, or else whether any count fell (the sum
    /// of observations may), or the layout changed in a way that only a restart explains: finer buckets, a narrower zero
    /// bucket, or a wider one that cuts a populated bucket.
    pub fn is_reset_after(&self, previous: &Self) -> bool {
        match self.reset_hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            // Gauges are treated like counters, since the user asked for it.
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.has_custom_buckets() {
            return !previous.has_custom_buckets()
                || match self.custom_values == previous.custom_values {
                    true => {
                        self.zero_count < previous.zero_count || fell(&self.positive, &previous.positive, |_| false)
                    }
                    false => self.fell_over_shared_bounds(previous),
                };
        }
        if previous.has_custom_buckets()
            || self.schema > previous.schema
            || self.zero_threshold < previous.zero_threshold
        {
            return true;
        }
        let (zero_count, threshold) = previous.zero_count_within(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let within_zero = |index| model::NativeHistogram::exponential_bound(index, self.schema) <= self.zero_threshold;
        let side_fell = |now: &Buckets, before: &Buckets| {
            let steps = previous.schema.abs_diff(self.schema);
            if steps == 0 {
                return fell(now, before, within_zero);
            }
            let mut before = before.clone();
            before.reduce_resolution(steps);
            fell(now, &before, within_zero)
        };
        side_fell(&self.positive, &previous.positive) || side_fell(&self.negative, &previous.negative)
    }

    fn fell_over_shared_bounds(&self, previous: &Self) -> bool {
        let bounds = intersection(&self.custom_values, &previous.custom_values);
        let mut rise = vec![(0.0, 0.0); bounds.len() + 1];
        joined(&self.positive, &self.custom_values, &bounds, |place, count| rise[place].0 += count);
        joined(&previous.positive, &previous.custom_values, &bounds, |place, count| rise[place].1 += count);
        rise.iter().any(|(now, before)| now < before)
    }
}

/// Whether a populated bucket is gone or has less. Leading buckets for which `skipped` holds are not looked at.
fn fell(now: &Buckets, before: &Buckets, skipped: impl Fn(i32) -> bool) -> bool {
    if now.spans() == before.spans() && !now.indexes().next().is_some_and(&skipped) {
        return now.counts().iter().zip(before.counts()).any(|(now, before)| now < before);
    }
    let mut now = now.iter().skip_while(|(index, _)| skipped(*index)).peekable();
    before.iter().skip_while(|(index, _)| skipped(*index)).any(|(index, count)| {
        while now.next_if(|(place, _)| *place < index).is_some() {}
        match now.peek() {
            Some((place, now)) if *place == index => *now < count,
            _ => count != 0.0,
        }
    })
}
