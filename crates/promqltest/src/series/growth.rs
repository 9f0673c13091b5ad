//! Adds one histogram of a script to another, bucket by bucket.

use std::collections::BTreeMap;

use model::{CUSTOM_BUCKETS_SCHEMA, Counts, NativeHistogram, Span};

/// `left` plus `factor` times `right`; `right` is as fine as `left` or finer.
pub(super) fn combined(
    left: &NativeHistogram,
    right: &NativeHistogram,
    factor: f64,
) -> Result<NativeHistogram, String> {
    let (
        Counts::Float { count, zero_count, positive, negative },
        Counts::Float {
            count: other_count,
            zero_count: other_zero,
            positive: other_positive,
            negative: other_negative,
        },
    ) = (&left.counts, &right.counts)
    else {
        return Err("scripts have histograms with float counts".into());
    };
    let is_custom = |histogram: &NativeHistogram| histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    if is_custom(left) != is_custom(right) || left.custom_values != right.custom_values {
        return Err("histograms with different bounds cannot be combined".into());
    }
    let coarser = if is_custom(left) { 0 } else { right.schema - left.schema };
    let side = |spans: &[Span], counts: &[f64], other_spans: &[Span], other: &[f64]| {
        let mut buckets = BTreeMap::new();
        for (index, count) in indexes(spans).zip(counts) {
            *buckets.entry(index).or_insert(0.0) += count;
        }
        for (index, count) in indexes(other_spans).zip(other) {
            let index = if coarser == 0 { index } else { ((index - 1) >> coarser) + 1 };
            *buckets.entry(index).or_insert(0.0) += factor * count;
        }
        laid_out(&buckets)
    };
    let (positive_spans, positive) = side(&left.positive_spans, positive, &right.positive_spans, other_positive);
    let (negative_spans, negative) = side(&left.negative_spans, negative, &right.negative_spans, other_negative);
    Ok(NativeHistogram {
        sum: left.sum + factor * right.sum,
        zero_threshold: left.zero_threshold.max(right.zero_threshold),
        positive_spans,
        negative_spans,
        counts: Counts::Float {
            count: count + factor * other_count,
            zero_count: zero_count + factor * other_zero,
            positive,
            negative,
        },
        ..left.clone()
    })
}

fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> + '_ {
    let mut next = 0;
    spans.iter().flat_map(move |span| {
        let start = next + i64::from(span.offset);
        next = start + i64::from(span.length);
        start..next
    })
}

fn laid_out(buckets: &BTreeMap<i64, f64>) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for index in buckets.keys() {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(Span { offset: (index - next) as i32, length: 1 }),
        }
        next = index + 1;
    }
    (spans, buckets.values().copied().collect())
}
