//! When two histograms are the same: by their buckets that are not empty, however spans lay them out.

use model::{Counts, NativeHistogram, Span};

use super::float::close;

/// Whether they are the same. Reset hints count only where asked for.
pub(super) fn same(wanted: &NativeHistogram, found: &NativeHistogram, with_hint: bool) -> bool {
    let (wanted_counts, found_counts) = (Totals::of(wanted), Totals::of(found));
    wanted.schema == found.schema
        && close(wanted_counts.count, found_counts.count)
        && close(wanted.sum, found.sum)
        && wanted.zero_threshold.to_bits() == found.zero_threshold.to_bits()
        && close(wanted_counts.zero_count, found_counts.zero_count)
        && wanted.custom_values == found.custom_values
        && same_buckets(&wanted_counts.positive, &found_counts.positive)
        && same_buckets(&wanted_counts.negative, &found_counts.negative)
        && (!with_hint || wanted.reset_hint == found.reset_hint)
}

/// Counts of a histogram, with indexes of buckets that are not empty.
struct Totals {
    count: f64,
    zero_count: f64,
    positive: Vec<(i64, f64)>,
    negative: Vec<(i64, f64)>,
}

impl Totals {
    fn of(histogram: &NativeHistogram) -> Self {
        let NativeHistogram { positive_spans, negative_spans, .. } = histogram;
        match &histogram.counts {
            Counts::Float { count, zero_count, positive, negative } => Self {
                count: *count,
                zero_count: *zero_count,
                positive: buckets(positive_spans, positive.iter().copied()),
                negative: buckets(negative_spans, negative.iter().copied()),
            },
            Counts::Integer { count, zero_count, positive, negative } => Self {
                count: *count as f64,
                zero_count: *zero_count as f64,
                positive: buckets(positive_spans, absolute(positive)),
                negative: buckets(negative_spans, absolute(negative)),
            },
        }
    }
}

/// Absolute counts of differences.
fn absolute(deltas: &[i64]) -> impl Iterator<Item = f64> + '_ {
    deltas.iter().scan(0_i64, |count, delta| {
        *count = count.wrapping_add(*delta);
        Some(*count as f64)
    })
}

fn buckets(spans: &[Span], counts: impl Iterator<Item = f64>) -> Vec<(i64, f64)> {
    let mut next = 0;
    let indexes = spans.iter().flat_map(move |span| {
        let start = next + i64::from(span.offset);
        next = start + i64::from(span.length);
        start..next
    });
    indexes.zip(counts).filter(|(_, count)| *count != 0.0).collect()
}

fn same_buckets(wanted: &[(i64, f64)], found: &[(i64, f64)]) -> bool {
    wanted.len() == found.len()
        && wanted.iter().zip(found).all(|(wanted, found)| wanted.0 == found.0 && close(wanted.1, found.1))
}
