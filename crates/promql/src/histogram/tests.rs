use std::collections::BTreeMap;

use model::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram, ResetHint, Span};
use proptest::prelude::*;
use testkit::series_notation::parse_series_line;
use testkit::series_store::StoredValue;

use super::*;
use crate::statistics::KahanSum;

/// From the notation of test scripts, without the braces.
#[track_caller]
fn parse(body: &str) -> FloatHistogram {
    let line = parse_series_line(&format!("x {{{{{body}}}}}")).unwrap();
    match &line.values[0] {
        Some(StoredValue::Histogram(histogram)) => FloatHistogram::from(histogram.as_ref()),
        other => panic!("{other:?}"),
    }
}

/// Indexes and counts that are not zero.
fn populated(buckets: &Buckets) -> BTreeMap<i32, f64> {
    buckets.iter().filter(|(_, count)| *count != 0.0).collect()
}

#[test]
fn damaged_spans_are_cut_off() {
    let span = |offset, length| Span { offset, length };
    let cases: [(&[Span], usize, &[i32]); 6] = [
        (&[span(2, 1), span(1, 2)], 3, &[2, 4, 5]),
        (&[span(2, 1), span(1, 2)], 2, &[2]),
        (&[span(2, 1)], 5, &[2]),
        (&[span(2, 1), span(-1, 1)], 2, &[2]),
        (&[span(i32::MAX - 1, 1), span(1, 1)], 2, &[i32::MAX - 1]),
        (&[span(i32::MIN, 2), span(0, u32::MAX)], 2, &[i32::MIN, i32::MIN + 1]),
    ];
    for (spans, counts, expected) in cases {
        let buckets = Buckets::new(spans.to_vec(), vec![1.0; counts]);
        assert_eq!(buckets.indexes().collect::<Vec<_>>(), expected, "{spans:?}");
        assert_eq!(buckets.counts().len(), expected.len());
        let mut back: Vec<i32> = buckets.iter_back().map(|(index, _)| index).collect();
        back.reverse();
        assert_eq!(back, expected, "{spans:?} backwards");
    }
}

#[test]
fn sums() {
    let cases = [
        ("same buckets", "count:3 sum:4 buckets:[1 2]", "count:1 sum:1 buckets:[0 1]", "count:4 sum:5 buckets:[1 3]"),
        ("before", "count:1 offset:3 buckets:[1]", "count:1 offset:1 buckets:[1]", "count:2 offset:1 buckets:[1 0 1]"),
        ("coarser", "schema:1 count:3 buckets:[1 1 1]", "count:1 buckets:[1]", "count:4 buckets:[2 2]"),
        ("finer", "count:1 buckets:[1]", "schema:1 count:3 buckets:[1 1 1]", "count:4 buckets:[2 2]"),
        (
            "wider zero bucket",
            "count:4 z_bucket:1 z_bucket_w:0.5 buckets:[1 2]",
            "count:1 z_bucket:1 z_bucket_w:1 n_buckets:[0 3]",
            "count:5 z_bucket:3 z_bucket_w:1 offset:1 buckets:[2] n_offset:1 n_buckets:[3]",
        ),
        (
            "zero bucket that cuts a bucket",
            "count:4 z_bucket:1 z_bucket_w:0.5 offset:1 buckets:[2]",
            "count:1 z_bucket:1 z_bucket_w:1.5",
            "count:5 z_bucket:4 z_bucket_w:2",
        ),
        (
            "custom",
            "schema:-53 custom_values:[1 2 4] count:10 buckets:[1 2 3 4]",
            "schema:-53 custom_values:[2 3 4] count:4 buckets:[1 1 1 1]",
            "schema:-53 custom_values:[2 4] count:14 buckets:[4 5 5]",
        ),
        (
            "custom without any shared bound",
            "schema:-53 custom_values:[1] count:3 buckets:[1 2]",
            "schema:-53 custom_values:[2] count:2 buckets:[1 1]",
            "schema:-53 count:5 buckets:[5]",
        ),
    ];
    for (what, left, right, expected) in cases {
        let expected = {
            let mut expected = parse(expected);
            expected.compact();
            expected
        };
        let mut sum = parse(left);
        let combined = sum.add(&parse(right)).unwrap();
        sum.compact();
        assert!(sum.is_same(&expected), "{what}: {sum:?}");
        assert_eq!(combined.reconciled_bounds, what.starts_with("custom"), "{what}");

        let mut running = parse(left).map(KahanSum::of);
        assert_eq!(running.add(&parse(right)), Ok(combined));
        running.compact();
        assert!(running.total().is_same(&expected), "{what}, compensated: {running:?}");
    }
    assert_eq!(parse("").add(&parse("schema:-53")), Err(IncompatibleBuckets));
}

#[test]
fn hints_of_sums() {
    use ResetHint::{Gauge, NotReset, Reset, Unknown};
    let cases = [
        (Unknown, Unknown, Unknown, false),
        (Reset, Reset, Reset, false),
        (Reset, NotReset, Unknown, true),
        (NotReset, Reset, Unknown, true),
        (Gauge, Reset, Gauge, false),
        (NotReset, Gauge, Gauge, false),
        (Unknown, NotReset, Unknown, false),
        (Reset, Unknown, Unknown, false),
    ];
    for (left, right, expected, conflict) in cases {
        let with = |reset_hint| FloatHistogram { reset_hint, ..parse("count:1") };
        let mut sum = with(left);
        assert_eq!(sum.add(&with(right)).unwrap().conflicting_resets, conflict, "{left:?} + {right:?}");
        assert_eq!(sum.reset_hint, expected, "{left:?} + {right:?}");
    }
    let mut negative = parse("count:1");
    negative.negate();
    assert_eq!(negative.reset_hint, Gauge);
}

#[test]
fn resets() {
    let cases = [
        ("", "", false),
        ("count:2 buckets:[1 1]", "count:1 buckets:[0 1]", false),
        ("count:2 buckets:[2]", "count:2 buckets:[1 1]", true),
        ("count:2 buckets:[2]", "count:1 buckets:[1 0]", false),
        ("count:9", "count:3 buckets:[0 0 1]", true),
        ("count:9 offset:5 buckets:[9]", "count:3 offset:2 buckets:[0 1]", true),
        ("count:1", "count:2", true),
        ("count:9 z_bucket:1", "count:3 z_bucket:2", true),
        ("schema:1 count:9", "count:3", true),
        ("count:9 buckets:[1 2]", "schema:1 count:3 buckets:[1 1 1]", false),
        ("count:9 buckets:[1 1]", "schema:1 count:3 buckets:[1 1 1]", true),
        ("count:9 z_bucket_w:0.5", "count:3 z_bucket_w:1", true),
        ("count:9 z_bucket:3 z_bucket_w:1", "count:3 z_bucket:1 z_bucket_w:0.5 buckets:[2]", false),
        ("count:9 z_bucket:9 z_bucket_w:1.5", "count:3 z_bucket:1 z_bucket_w:0.5 offset:1 buckets:[2]", true),
        ("count:1 counter_reset_hint:not_reset", "count:2", false),
        ("count:3 counter_reset_hint:reset", "count:2", true),
        ("count:1 counter_reset_hint:gauge", "count:2", true),
        ("schema:-53 count:9", "count:2", true),
        ("count:9", "schema:-53 count:2", true),
        (
            "schema:-53 custom_values:[1 2] count:3 buckets:[1 2]",
            "schema:-53 custom_values:[2] count:3 buckets:[3]",
            false,
        ),
        (
            "schema:-53 custom_values:[1 2] count:3 buckets:[1 1 1]",
            "schema:-53 custom_values:[2] count:3 buckets:[3]",
            true,
        ),
    ];
    for (now, before, expected) in cases {
        assert_eq!(parse(now).is_reset_after(&parse(before)), expected, "{now} after {before}");
    }
}

#[test]
fn quantiles_and_fractions() {
    let close = |found: f64, expected: f64| {
        found == expected || (found - expected).abs() < 1e-12 || (found.is_nan() && expected.is_nan())
    };
    let positive = "count:12 sum:100 z_bucket:2 z_bucket_w:0.5 buckets:[0 4 6]";
    let both = "count:10 z_bucket:2 z_bucket_w:0.5 buckets:[4] n_buckets:[4]";
    let custom = "schema:-53 custom_values:[1 2 4] count:10 buckets:[2 3 4 1]";
    let quantiles = [
        (positive, 0.0, 0.0),
        (positive, 1.0 / 12.0, 0.25),
        (positive, 4.0 / 12.0, std::f64::consts::SQRT_2),
        (positive, 1.0, 4.0),
        (positive, -0.1, f64::NEG_INFINITY),
        (positive, 1.1, f64::INFINITY),
        (positive, f64::NAN, f64::NAN),
        (both, 0.5, 0.0),
        (both, 0.2, -std::f64::consts::FRAC_1_SQRT_2),
        (custom, 0.1, 0.5),
        (custom, 0.35, 1.5),
        (custom, 0.95, 4.0),
        ("schema:-53 custom_values:[-1] count:1 buckets:[1]", 0.5, -1.0),
        ("", 0.5, f64::NAN),
    ];
    for (histogram, q, expected) in quantiles {
        let found = parse(histogram).quantile(q);
        assert!(close(found.value, expected), "{q} of {histogram}: {}", found.value);
        assert_eq!(found.nan_effect, NanEffect::None);
    }
    let fractions = [
        (positive, f64::NEG_INFINITY, f64::INFINITY, 1.0),
        (positive, f64::NEG_INFINITY, std::f64::consts::SQRT_2, 4.0 / 12.0),
        (positive, 0.0, 0.25, 1.0 / 12.0),
        (both, -0.5, 0.5, 0.2),
        (custom, 0.5, 1.5, 0.25),
        (custom, 1.0, 1.0, 0.0),
        ("", 0.0, 1.0, f64::NAN),
    ];
    for (histogram, lower, upper, expected) in fractions {
        let found = parse(histogram).fraction(lower, upper);
        assert!(close(found.value, expected), "{lower}..{upper} of {histogram}: {}", found.value);
        assert!(!found.has_nan);
    }
    let with_nan = parse("count:15 sum:NaN buckets:[12]");
    assert_eq!(with_nan.quantile(0.9).nan_effect, NanEffect::Result);
    assert_eq!(with_nan.quantile(0.4).nan_effect, NanEffect::Skewed);
    assert!(with_nan.fraction(0.0, 1.0).has_nan);
}

#[test]
fn variances() {
    assert_eq!(parse("count:4 sum:6 schema:-53 custom_values:[1 2 3] buckets:[0 4]").variance(), 0.0);
    assert_eq!(parse("count:2 sum:0 z_bucket:2 z_bucket_w:1").variance(), 0.0);
    assert!((parse("count:1 sum:2 offset:1 buckets:[1]").variance() - (2f64.sqrt() - 2.0).powi(2)).abs() < 1e-12);
}

#[test]
fn trimming() {
    let custom = "schema:-53 custom_values:[1 2] count:6 sum:9 buckets:[2 2 2]";
    let cases = [
        ("count:2 sum:3 offset:1 buckets:[2]", 4.0, Keep::Below, "count:2 sum:3 offset:1 buckets:[2]"),
        (
            "count:4 sum:9 offset:1 buckets:[2 2]",
            2.0,
            Keep::Below,
            "count:2 sum:2.8284271247461903 offset:1 buckets:[2]",
        ),
        ("count:4 sum:9 offset:1 buckets:[2 2]", 8.0, Keep::Above, ""),
        (custom, 1.5, Keep::Below, "schema:-53 custom_values:[1 2] count:3 sum:2.25 buckets:[2 1]"),
        (custom, 1.5, Keep::Above, "schema:-53 custom_values:[1 2] count:3 sum:5.75 offset:1 buckets:[1 2]"),
        ("count:2 z_bucket:2 z_bucket_w:1", 0.0, Keep::Below, "count:1 sum:-0.5 z_bucket:1 z_bucket_w:1"),
    ];
    for (histogram, at, keep, expected) in cases {
        let mut trimmed = parse(histogram);
        trimmed.trim(at, keep);
        assert!(trimmed.is_same(&parse(expected)), "{histogram} {keep:?} {at}: {trimmed:?}");
    }
}

#[test]
fn texts() {
    let cases = [
        ("", "{count:0, sum:0}"),
        (
            "count:12 sum:1e7 z_bucket:1 z_bucket_w:0.001 buckets:[5] n_offset:1 n_buckets:[6]",
            "{count:12, sum:1e+07, [-2,-1):6, [-0.001,0.001]:1, (0.5,1]:5}",
        ),
        ("schema:-53 custom_values:[5] count:3 buckets:[1 2]", "{count:3, sum:0, [-Inf,5]:1, (5,+Inf]:2}"),
    ];
    for (histogram, expected) in cases {
        assert_eq!(parse(histogram).to_string(), expected);
    }
}

#[test]
fn means_survive_overflow_of_the_sum() {
    let big = parse("count:1 sum:1.7e308 buckets:[1]");
    let mut mean = HistogramMean::starting_at(&big);
    for _ in 0..3 {
        let _ = mean.add(&big).unwrap();
    }
    let mean = mean.value();
    assert!((mean.sum / 1.7e308 - 1.0).abs() < 1e-12, "{mean:?}");
    assert_eq!((mean.count, mean.positive.counts()), (1.0, &[1.0][..]));
}

fn any_buckets() -> impl Strategy<Value = Buckets> {
    let runs = prop::collection::vec((0i32..6, 1u32..5), 0..5);
    (-20i32..20, runs, prop::collection::vec(0u32..20, 20)).prop_map(|(first, runs, counts)| {
        let spans = runs
            .iter()
            .enumerate()
            .map(|(index, (gap, length))| Span { offset: if index == 0 { first } else { *gap }, length: *length });
        let spans: Vec<Span> = spans.collect();
        let number = spans.iter().map(|span| span.length as usize).sum();
        Buckets::new(spans, counts.into_iter().map(f64::from).cycle().take(number).collect())
    })
}

fn any_exponential() -> impl Strategy<Value = FloatHistogram> {
    // Bounds at every resolution: buckets that are joined across the end of a zero bucket count twice, as in Prometheus.
    let zero = prop_oneof![Just(0.0), Just(1.0 / 65536.0), Just(1.0), Just(65536.0)];
    (-4i32..=8, zero, 0u32..9, any_buckets(), any_buckets()).prop_map(
        |(schema, zero_threshold, zero_count, positive, negative)| {
            let zero_count = f64::from(zero_count);
            let count = zero_count + positive.counts().iter().sum::<f64>() + negative.counts().iter().sum::<f64>();
            let mut histogram =
                FloatHistogram { schema, zero_count, count, sum: count / 2.0, positive, negative, ..parse("") };
            // No bucket may lie within the zero bucket, or be cut by it.
            let _ = histogram.add(&FloatHistogram { schema, zero_threshold, ..parse("") }).unwrap();
            histogram
        },
    )
}

fn any_custom() -> impl Strategy<Value = FloatHistogram> {
    (prop::collection::btree_set(0u8..12, 0..8), prop::collection::vec(0u32..20, 9)).prop_map(|(bounds, counts)| {
        let custom_values: Vec<f64> = bounds.into_iter().map(f64::from).collect();
        let length = custom_values.len() as u32 + 1;
        let counts: Vec<f64> = counts.into_iter().map(f64::from).take(length as usize).collect();
        let count = counts.iter().sum();
        let positive = Buckets::new(vec![Span { offset: 0, length }], counts);
        FloatHistogram { schema: CUSTOM_BUCKETS_SCHEMA, custom_values, count, positive, ..parse("") }
    })
}

/// Two that can be combined.
fn any_pair() -> impl Strategy<Value = (FloatHistogram, FloatHistogram)> {
    prop_oneof![(any_exponential(), any_exponential()), (any_custom(), any_custom())]
}

fn in_buckets(histogram: &FloatHistogram) -> f64 {
    histogram.zero_count
        + histogram.positive.counts().iter().sum::<f64>()
        + histogram.negative.counts().iter().sum::<f64>()
}

proptest! {
    #[test]
    fn sums_lose_nothing_and_know_no_order((left, right) in any_pair()) {
        let (mut sum, mut other_way) = (left.clone(), right.clone());
        let combined = sum.add(&right).unwrap();
        prop_assert_eq!(other_way.add(&left).unwrap(), combined);
        prop_assert_eq!(in_buckets(&sum), in_buckets(&left) + in_buckets(&right));
        prop_assert_eq!(sum.count, in_buckets(&sum));
        prop_assert_eq!((sum.schema, sum.zero_threshold), (other_way.schema, other_way.zero_threshold));
        sum.compact();
        other_way.compact();
        prop_assert!(sum.is_same(&other_way), "{:?}\n{:?}", sum, other_way);
    }

    #[test]
    fn what_was_added_can_be_subtracted((left, right) in any_pair()) {
        let mut sum = left.clone();
        let _ = sum.add(&right).unwrap();
        let _ = sum.subtract(&right).unwrap();
        // The layout is that of both, so bring the start to it too.
        let mut expected = left.clone();
        let _ = expected.add(&FloatHistogram {
            positive: right.positive.map(|_| 0.0),
            negative: right.negative.map(|_| 0.0),
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            ..right.clone()
        }).unwrap();
        sum.compact();
        expected.compact();
        prop_assert_eq!(sum.count, left.count);
        prop_assert_eq!(in_buckets(&sum), in_buckets(&left));
        if sum.zero_threshold == expected.zero_threshold {
            prop_assert!(sum.is_same(&expected), "{:?}\n{:?}", sum, expected);
        }
    }

    #[test]
    fn a_counter_that_grows_is_not_reset((left, right) in any_pair()) {
        let mut grown = left.clone();
        let _ = grown.add(&right).unwrap();
        prop_assert!(!grown.is_reset_after(&left), "{:?}", grown);
        if right.count > 0.0 && grown.schema == left.schema && grown.zero_threshold == left.zero_threshold {
            prop_assert!(left.is_reset_after(&grown));
        }
    }

    #[test]
    fn running_sums_are_sums((left, right) in any_pair()) {
        let mut sum = left.clone();
        let mut running = left.map(KahanSum::of);
        prop_assert_eq!(sum.add(&right).unwrap(), running.add(&right).unwrap());
        sum.compact();
        running.compact();
        prop_assert!(running.total().is_same(&sum));
        let mut mean = HistogramMean::starting_at(&left);
        let _ = mean.add(&right).unwrap();
        let mut mean = mean.value();
        mean.multiply(2.0);
        mean.compact();
        prop_assert!(mean.is_same(&sum));
    }

    #[test]
    fn coarser_buckets_keep_counts(histogram in any_exponential(), by in 1i32..8) {
        let mut reduced = histogram.clone();
        reduced.reduce_resolution(histogram.schema - by);
        let mut expected = BTreeMap::new();
        for (index, count) in populated(&histogram.positive) {
            *expected.entry((f64::from(index) / f64::from(by).exp2()).ceil() as i32).or_insert(0.0) += count;
        }
        prop_assert_eq!(populated(&reduced.positive), expected);
        prop_assert_eq!(in_buckets(&reduced), in_buckets(&histogram));
    }

    #[test]
    fn compaction_drops_empty_buckets_only(histogram in any_exponential()) {
        let mut compact = histogram.clone();
        compact.compact();
        prop_assert_eq!(populated(&compact.positive), populated(&histogram.positive));
        prop_assert!(compact.positive.counts().iter().all(|count| *count != 0.0));
        let again = FloatHistogram::from(compact.to_native());
        prop_assert!(again.is_same(&compact));
        NativeHistogram { reset_hint: ResetHint::Unknown, ..compact.to_native() }.validate().unwrap();
    }

    #[test]
    fn fractions_are_inverse_to_quantiles(histogram in prop_oneof![any_exponential(), any_custom()], q in 0.01f64..0.99) {
        prop_assume!(histogram.count > 0.0);
        let value = histogram.quantile(q).value;
        let fraction = histogram.fraction(f64::NEG_INFINITY, value).value;
        prop_assert!((0.0..=1.0).contains(&fraction));
        // Nothing is known of buckets without an end, and none of a bucket without width is below anything.
        let is_flat = histogram.zero_threshold == 0.0 && histogram.zero_count > 0.0;
        if !is_flat && !histogram.has_custom_buckets() {
            prop_assert!((fraction - q).abs() < 1e-6, "{} is {}", value, fraction);
        }
    }

    #[test]
    fn trimmed_parts_make_the_whole(histogram in prop_oneof![any_exponential(), any_custom()], at in -50.0f64..50.0) {
        let (mut below, mut above) = (histogram.clone(), histogram.clone());
        below.trim(at, Keep::Below);
        above.trim(at, Keep::Above);
        prop_assert!(below.count <= histogram.count && above.count <= histogram.count);
        if !histogram.has_custom_buckets() {
            prop_assert!((below.count + above.count - histogram.count).abs() < 1e-6);
        }
    }
}
