//! Whether two histograms are the same sample.

use model::{Counts, NativeHistogram, Span};

use super::layout::{absolute, indices};

/// Whether two histograms hold the same observations: bit for bit, but for empty buckets, which chunks may add, and for
/// the reset hint, which chunks do not keep. All staleness markers are the same.
pub fn same_observations(left: &NativeHistogram, right: &NativeHistogram) -> bool {
    if left.is_stale() || right.is_stale() {
        return left.is_stale() && right.is_stale();
    }
    let same_bounds = left.custom_values.len() == right.custom_values.len()
        && left.custom_values.iter().zip(&right.custom_values).all(|(a, b)| a.to_bits() == b.to_bits());
    left.schema == right.schema
        && left.zero_threshold.to_bits() == right.zero_threshold.to_bits()
        && left.sum.to_bits() == right.sum.to_bits()
        && same_bounds
        && same_counts(left, right)
}

fn same_counts(left: &NativeHistogram, right: &NativeHistogram) -> bool {
    let (spans, other_spans) =
        ((&left.positive_spans, &left.negative_spans), (&right.positive_spans, &right.negative_spans));
    match (&left.counts, &right.counts) {
        (
            Counts::Integer { count, zero_count, positive, negative },
            Counts::Integer { count: other_count, zero_count: other_zero, positive: up, negative: down },
        ) => {
            let same = |spans: (&[Span], &[Span]), left: &[i64], right: &[i64]| {
                filled(spans.0, &absolute(left)).eq(filled(spans.1, &absolute(right)))
            };
            count == other_count
                && zero_count == other_zero
                && same((spans.0, other_spans.0), positive, up)
                && same((spans.1, other_spans.1), negative, down)
        }
        (
            Counts::Float { count, zero_count, positive, negative },
            Counts::Float { count: other_count, zero_count: other_zero, positive: up, negative: down },
        ) => {
            let same = |spans: (&[Span], &[Span]), left: &[f64], right: &[f64]| {
                let bits = |(index, count): (i64, f64)| (index, count.to_bits());
                filled(spans.0, left).map(bits).eq(filled(spans.1, right).map(bits))
            };
            count.to_bits() == other_count.to_bits()
                && zero_count.to_bits() == other_zero.to_bits()
                && same((spans.0, other_spans.0), positive, up)
                && same((spans.1, other_spans.1), negative, down)
        }
        _ => false,
    }
}

/// Buckets with observations.
fn filled<'a, T: Copy + PartialEq + Default>(
    spans: &'a [Span],
    counts: &'a [T],
) -> impl Iterator<Item = (i64, T)> + 'a {
    indices(spans).zip(counts.iter().copied()).filter(|(_, count)| *count != T::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_buckets_and_hints_do_not_matter() {
        let histogram = |spans: &[(i32, u32)], deltas: &[i64], sum: f64| NativeHistogram {
            sum,
            positive_spans: spans.iter().map(|&(offset, length)| Span { offset, length }).collect(),
            counts: Counts::Integer { count: 5, zero_count: 0, positive: deltas.to_vec(), negative: Vec::new() },
            ..NativeHistogram::stale()
        };
        let plain = histogram(&[(0, 1), (1, 1)], &[2, 1], 1.0);
        assert!(same_observations(&plain, &histogram(&[(-1, 5)], &[0, 2, -2, 3, -3], 1.0)));
        assert!(!same_observations(&plain, &histogram(&[(0, 1), (1, 1)], &[2, 1], 1.5)));
        assert!(!same_observations(&plain, &histogram(&[(0, 1), (2, 1)], &[2, 1], 1.0)));
        assert!(!same_observations(&plain, &NativeHistogram::stale()));
        assert!(same_observations(&NativeHistogram::stale(), &NativeHistogram::stale()));
    }
}
