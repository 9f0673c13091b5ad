//! Native histograms in answers: count, sum and the buckets that are not empty, each with its bounds.

use model::{CUSTOM_BUCKETS_SCHEMA, Counts, NativeHistogram, Span};

use crate::json;

/// One bucket with absolute count.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Bucket {
    lower: f64,
    upper: f64,
    count: f64,
    bounds: Bounds,
}

/// Which bounds belong to a bucket; discriminants as in the API.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Bounds {
    /// `(lower, upper]`
    Upper = 0,
    /// `[lower, upper)`
    Lower = 1,
    /// `[lower, upper]`
    Both = 3,
}

/// Writes `{"count":"…","sum":"…","buckets":[[bounds,"lower","upper","count"],…]}`; `buckets` only if there are any.
pub(crate) fn write_histogram(out: &mut Vec<u8>, histogram: &NativeHistogram) {
    let count = match &histogram.counts {
        Counts::Integer { count, .. } => *count as f64,
        Counts::Float { count, .. } => *count,
    };
    write_quoted(out, b"{\"count\":", count);
    write_quoted(out, b",\"sum\":", histogram.sum);
    let mut first = true;
    for bucket in buckets(histogram).into_iter().filter(|bucket| bucket.count != 0.0) {
        out.extend_from_slice(if first { b",\"buckets\":[" } else { b"," });
        first = false;
        out.push(b'[');
        out.push(b'0' + bucket.bounds as u8);
        for number in [bucket.lower, bucket.upper, bucket.count] {
            write_quoted(out, b",", number);
        }
        out.push(b']');
    }
    if !first {
        out.push(b']');
    }
    out.push(b'}');
}

fn write_quoted(out: &mut Vec<u8>, before: &[u8], number: f64) {
    out.extend_from_slice(before);
    out.push(b'"');
    json::write_float(out, number);
    out.push(b'"');
}

/// All buckets from the lowest to the highest.
fn buckets(histogram: &NativeHistogram) -> Vec<Bucket> {
    let (zero_count, positive, negative) = match &histogram.counts {
        Counts::Integer { zero_count, positive, negative, .. } => {
            (*zero_count as f64, absolute(positive), absolute(negative))
        }
        Counts::Float { zero_count, positive, negative, .. } => (*zero_count, positive.clone(), negative.clone()),
    };
    let threshold = histogram.zero_threshold;
    let mut buckets: Vec<Bucket> = indexed(&histogram.negative_spans, &negative)
        .map(|(index, count)| {
            let (lower, upper) = bounds(histogram, index);
            let lower = beyond_zero_bucket(lower, threshold);
            Bucket { lower: -upper, upper: -lower, count, bounds: Bounds::Lower }
        })
        .collect();
    buckets.reverse();
    // Differences of histograms may have a negative one, which Prometheus does not show.
    if zero_count > 0.0 {
        buckets.push(Bucket { lower: -threshold, upper: threshold, count: zero_count, bounds: Bounds::Both });
    }
    buckets.extend(indexed(&histogram.positive_spans, &positive).map(|(index, count)| {
        let (lower, upper) = bounds(histogram, index);
        // The lowest custom bucket is open downwards and so takes in its lower bound, unless that is a finite one.
        let bounds = if lower == f64::NEG_INFINITY { Bounds::Both } else { Bounds::Upper };
        let lower = beyond_zero_bucket(lower, threshold);
        Bucket { lower, upper, count, bounds }
    }));
    buckets
}

/// The number of observations, and those of each positive bucket with its index.
pub(crate) fn absolute_counts(histogram: &NativeHistogram) -> (f64, Vec<(i32, f64)>) {
    let (count, positive) = match &histogram.counts {
        Counts::Integer { count, positive, .. } => (*count as f64, absolute(positive)),
        Counts::Float { count, positive, .. } => (*count, positive.clone()),
    };
    (count, indexed(&histogram.positive_spans, &positive).collect())
}

/// Observations of each negative bucket.
pub(crate) fn absolute_negative(histogram: &NativeHistogram) -> impl Iterator<Item = f64> + use<> {
    let negative = match &histogram.counts {
        Counts::Integer { negative, .. } => absolute(negative),
        Counts::Float { negative, .. } => negative.clone(),
    };
    negative.into_iter()
}

/// The bound of the bucket next to the zero bucket: where that ends, if it reaches into the other.
fn beyond_zero_bucket(lower: f64, threshold: f64) -> f64 {
    if 0.0 < lower && lower < threshold { threshold } else { lower }
}

fn absolute(deltas: &[i64]) -> Vec<f64> {
    let mut count = 0i64;
    let add = |delta: &i64| {
        count = count.wrapping_add(*delta);
        count as f64
    };
    deltas.iter().map(add).collect()
}

/// Bucket counts with the bucket indices that the spans give them.
fn indexed<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i32, f64)> + 'a {
    let mut next = 0i32;
    let indices = spans.iter().flat_map(move |span| {
        let start = next.wrapping_add(span.offset);
        next = start.wrapping_add(span.length as i32);
        start..next
    });
    indices.zip(counts.iter().copied())
}

/// Lower and upper bound of the positive bucket `index`.
fn bounds(histogram: &NativeHistogram, index: i32) -> (f64, f64) {
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        let bound =
            |index: i32| usize::try_from(index).ok().and_then(|index| histogram.custom_values.get(index).copied());
        let lower = if index <= 0 { f64::NEG_INFINITY } else { bound(index - 1).unwrap_or(f64::INFINITY) };
        return (lower, bound(index).unwrap_or(f64::INFINITY));
    }
    [index.saturating_sub(1), index].map(|index| NativeHistogram::exponential_bound(index, histogram.schema)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(histogram: &NativeHistogram) -> String {
        let mut out = Vec::new();
        write_histogram(&mut out, histogram);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bounds_have_the_bits_of_prometheus() {
        let histogram = NativeHistogram {
            schema: 1,
            sum: 0.0,
            positive_spans: vec![Span { offset: 1, length: 1 }],
            counts: Counts::Float { count: 1.0, zero_count: 0.0, positive: vec![1.0], negative: Vec::new() },
            ..NativeHistogram::stale()
        };
        let buckets = r#""buckets":[[0,"1","1.414213562373095","1"]]"#;
        assert_eq!(text(&histogram), format!(r#"{{"count":"1","sum":"0",{buckets}}}"#));
    }

    #[test]
    fn exponential_buckets_from_low_to_high() {
        let histogram = NativeHistogram {
            zero_threshold: 0.001,
            sum: 18.4,
            positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
            negative_spans: vec![Span { offset: 0, length: 1 }],
            counts: Counts::Integer { count: 10, zero_count: 2, positive: vec![1, 1, -1], negative: vec![4] },
            ..NativeHistogram::stale()
        };
        assert_eq!(
            text(&histogram),
            concat!(
                r#"{"count":"10","sum":"18.4","buckets":[[1,"-1","-0.5","4"],[3,"-0.001","0.001","2"],"#,
                r#"[0,"0.5","1","1"],[0,"1","2","2"],[0,"4","8","1"]]}"#
            )
        );
    }

    #[test]
    fn buckets_start_where_the_zero_bucket_ends() {
        let histogram = NativeHistogram {
            zero_threshold: 0.75,
            sum: 0.0,
            positive_spans: vec![Span { offset: 0, length: 2 }],
            negative_spans: vec![Span { offset: 0, length: 1 }],
            counts: Counts::Integer { count: 8, zero_count: 1, positive: vec![2, 0], negative: vec![3] },
            ..NativeHistogram::stale()
        };
        assert_eq!(
            text(&histogram),
            concat!(
                r#"{"count":"8","sum":"0","buckets":[[1,"-1","-0.75","3"],[3,"-0.75","0.75","1"],"#,
                r#"[0,"0.75","1","2"],[0,"1","2","2"]]}"#
            )
        );
    }

    #[test]
    fn custom_buckets_and_empty_ones() {
        let histogram = NativeHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            sum: 1.0,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            custom_values: vec![5.0, 10.0],
            counts: Counts::Float { count: 3.5, zero_count: 0.0, positive: vec![1.0, 0.0, 2.5], negative: vec![] },
            ..NativeHistogram::stale()
        };
        assert_eq!(
            text(&histogram),
            r#"{"count":"3.5","sum":"1","buckets":[[3,"-Inf","5","1"],[0,"10","+Inf","2.5"]]}"#
        );
        let empty = NativeHistogram { sum: 0.0, ..NativeHistogram::stale() };
        assert_eq!(text(&empty), r#"{"count":"0","sum":"0"}"#);
    }
}
