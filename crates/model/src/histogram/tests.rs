use proptest::prelude::*;

use super::*;

fn spans(spans: &[(i32, u32)]) -> Vec<Span> {
    spans.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect()
}

/// An integer histogram of 27 observations, all parts there.
fn integer() -> NativeHistogram {
    NativeHistogram {
        schema: 0,
        zero_threshold: 1e-128,
        sum: 1.0,
        reset_hint: ResetHint::Unknown,
        positive_spans: spans(&[(0, 3), (2, 2)]),
        negative_spans: spans(&[(-2, 2)]),
        custom_values: Vec::new(),
        counts: Counts::Integer { count: 27, zero_count: 1, positive: vec![1, 2, 1, 3, 1], negative: vec![1, 1] },
    }
}

fn float() -> NativeHistogram {
    let counts = Counts::Float {
        count: 1.0,
        zero_count: 0.5,
        positive: vec![1.5, 0.0, 3.0, 4.0, 5.0],
        negative: vec![1.0, 2.0],
    };
    NativeHistogram { counts, ..integer() }
}

/// An integer histogram of 30 observations with listed bounds.
fn custom() -> NativeHistogram {
    NativeHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        zero_threshold: 0.0,
        positive_spans: spans(&[(0, 6)]),
        negative_spans: Vec::new(),
        custom_values: vec![0.1, 0.5, 1.0, 2.5, 5.0, 10.0],
        counts: Counts::Integer { count: 30, zero_count: 0, positive: vec![2, 1, 2, 3, -1, -2], negative: Vec::new() },
        ..integer()
    }
}

fn with(mut histogram: NativeHistogram, change: impl FnOnce(&mut NativeHistogram)) -> NativeHistogram {
    change(&mut histogram);
    histogram
}

fn set_count(histogram: &mut NativeHistogram, to: u64) {
    if let Counts::Integer { count, .. } = &mut histogram.counts {
        *count = to;
    }
}

#[test]
fn valid_ones() {
    let stale_rubbish = with(integer(), |histogram| {
        histogram.sum = crate::stale_nan();
        histogram.schema = 1000;
        histogram.positive_spans.clear();
    });
    let empty = NativeHistogram { sum: 0.0, ..NativeHistogram::stale() };
    let cases = [
        ("integer", integer()),
        ("float", float()),
        ("custom", custom()),
        ("coarsest", with(integer(), |histogram| histogram.schema = -4)),
        ("finest", with(integer(), |histogram| histogram.schema = 8)),
        ("custom with its last bucket", with(custom(), |histogram| histogram.positive_spans = spans(&[(1, 6)]))),
        ("stale", NativeHistogram::stale()),
        ("stale with rubbish", stale_rubbish),
        ("empty", empty),
        (
            "observations of NaN",
            with(integer(), |histogram| {
                histogram.sum = f64::NAN;
                set_count(histogram, 30);
            }),
        ),
        (
            "float whose count does not fit",
            with(float(), |histogram| {
                if let Counts::Float { count, .. } = &mut histogram.counts {
                    *count = 99.0;
                }
            }),
        ),
    ];
    for (name, histogram) in cases {
        assert_eq!(histogram.validate(), Ok(()), "{name}");
    }
}

#[test]
fn invalid_ones() {
    type Change = fn(&mut NativeHistogram);
    let cases: [(NativeHistogram, Change, &str); 26] = [
        (integer(), |h| h.schema = 9, "histogram schema 9 is not one of -4..=8 or -53"),
        (integer(), |h| h.schema = -5, "histogram schema -5 is not one of -4..=8 or -53"),
        (integer(), |h| set_count(h, 26), "27 observations found in buckets, but the count is 26"),
        (integer(), |h| set_count(h, 28), "27 observations found in buckets, but the count is 28"),
        (
            integer(),
            |h| {
                h.sum = f64::NAN;
                set_count(h, 26);
            },
            "27 observations found in buckets, but the count is 26",
        ),
        (integer(), |h| h.positive_spans.truncate(1), "spans of the positive side need 3 buckets, have 5 buckets"),
        (integer(), |h| h.negative_spans[0].length = 3, "spans of the negative side need 3 buckets, have 2 buckets"),
        (integer(), |h| h.positive_spans[1].offset = -1, "span 1 of the positive side has the negative offset -1"),
        (
            integer(),
            |h| h.positive_spans[1].offset = i32::MAX,
            "span 1 of the positive side leaves the range of bucket indexes",
        ),
        (
            integer(),
            |h| h.positive_spans = spans(&[(1, u32::MAX), (0, u32::MAX)]),
            "span 0 of the positive side leaves the range of bucket indexes",
        ),
        (
            integer(),
            |h| {
                h.counts =
                    Counts::Integer { count: 27, zero_count: 0, positive: vec![1, -2, 1, 3, 1], negative: vec![1, 1] }
            },
            "bucket 1 of the positive side has a count that is negative or too large",
        ),
        (
            integer(),
            |h| {
                let negative = vec![i64::MAX, 1];
                h.counts = Counts::Integer { count: 27, zero_count: 0, positive: vec![1, 2, 1, 3, 1], negative };
            },
            "bucket 1 of the negative side has a count that is negative or too large",
        ),
        (
            integer(),
            |h| {
                let positive = vec![i64::MAX, 0, 0, 0, 0];
                h.counts = Counts::Integer { count: 27, zero_count: u64::MAX, positive, negative: vec![1, 1] };
            },
            "18446744073709551615 observations found in buckets, but the count is 27",
        ),
        (integer(), |h| h.custom_values.push(1.0), "exponential buckets must have no custom bounds"),
        (
            float(),
            |h| {
                h.counts =
                    Counts::Float { count: -1.0, zero_count: 0.0, positive: vec![0.0; 5], negative: vec![0.0; 2] }
            },
            "the count is negative",
        ),
        (
            float(),
            |h| {
                h.counts =
                    Counts::Float { count: 1.0, zero_count: -0.5, positive: vec![0.0; 5], negative: vec![0.0; 2] };
            },
            "the zero count is negative",
        ),
        (
            float(),
            |h| {
                h.counts =
                    Counts::Float { count: 1.0, zero_count: 0.0, positive: vec![0.0; 5], negative: vec![0.0, -0.5] }
            },
            "bucket 1 of the negative side has a count that is negative or too large",
        ),
        (
            float(),
            |h| {
                h.counts = Counts::Float { count: 1.0, zero_count: 0.0, positive: vec![0.0; 4], negative: vec![0.0; 2] }
            },
            "spans of the positive side need 5 buckets, have 4 buckets",
        ),
        (
            custom(),
            |h| h.custom_values.swap(0, 1),
            "custom bucket bound 1 is not greater than the one before, or not finite",
        ),
        (
            custom(),
            |h| h.custom_values[3] = 1.0,
            "custom bucket bound 3 is not greater than the one before, or not finite",
        ),
        (
            custom(),
            |h| h.custom_values[5] = f64::INFINITY,
            "custom bucket bound 5 is not greater than the one before, or not finite",
        ),
        (custom(), |h| h.custom_values.truncate(4), "custom buckets must not reach beyond their bounds"),
        (custom(), |h| h.zero_threshold = 0.1, "custom buckets must have no zero bucket"),
        (custom(), |h| h.negative_spans = spans(&[(0, 0)]), "custom buckets must have no negative buckets"),
        (custom(), |h| h.positive_spans[0].offset = -1, "span 0 of the positive side has the negative offset -1"),
        (custom(), |h| set_count(h, 99), "30 observations found in buckets, but the count is 99"),
    ];
    for (histogram, change, text) in cases {
        let histogram = with(histogram, change);
        assert_eq!(histogram.validate().map_err(|error| error.to_string()), Err(text.to_owned()));
    }
}

#[test]
fn storable_ones_are_reduced_or_stripped() {
    let mut fine = with(integer(), |histogram| histogram.schema = 9);
    fine.make_storable().unwrap();
    // Positive buckets 0, 1, 2, 5, 6 with 1, 3, 4, 7, 8 observations; the coarser bucket i takes 2i-1 and 2i.
    let expected = NativeHistogram {
        schema: 8,
        positive_spans: spans(&[(0, 2), (1, 1)]),
        negative_spans: spans(&[(-1, 2)]),
        counts: Counts::Integer { count: 27, zero_count: 1, positive: vec![1, 6, 8], negative: vec![1, 1] },
        ..integer()
    };
    assert_eq!(fine, expected);

    let mut finest = with(float(), |histogram| histogram.schema = 52);
    finest.make_storable().unwrap();
    assert_eq!(finest.schema, 8);
    assert_eq!(finest.positive_spans, spans(&[(0, 2)]));
    assert_eq!(finest.negative_spans, spans(&[(0, 1)]));
    assert!(
        matches!(&finest.counts, Counts::Float { positive, negative, .. } if *positive == [1.5, 12.0] && *negative == [3.0])
    );

    for (histogram, is_float) in [(integer(), false), (float(), true)] {
        let mut stale = with(histogram, |histogram| histogram.sum = crate::stale_nan());
        stale.make_storable().unwrap();
        assert!(stale.is_stale() && stale.positive_spans.is_empty() && stale.negative_spans.is_empty());
        assert_eq!(stale.is_float(), is_float);
    }

    for schema in [53, -5, 100, i32::MIN, i32::MAX] {
        let mut histogram = with(integer(), |histogram| histogram.schema = schema);
        assert_eq!(histogram.make_storable(), Err(HistogramError::Schema(schema)));
    }
    let mut hidden = with(integer(), |histogram| {
        histogram.schema = 9;
        histogram.counts =
            Counts::Integer { count: 27, zero_count: 0, positive: vec![1, 4, -6, 5, 1], negative: vec![1, 1] };
    });
    assert_eq!(hidden.make_storable(), Err(HistogramError::BucketCount { side: "positive", index: 2 }));
}

/// Buckets with their indexes, the plain way.
fn buckets(spans: &[Span], counts: &[f64]) -> std::collections::BTreeMap<i64, f64> {
    let mut next = 0;
    let indexes = spans.iter().flat_map(|span| {
        let start = next + i64::from(span.offset);
        next = start + i64::from(span.length);
        start..next
    });
    indexes.zip(counts.iter().copied()).collect()
}

fn absolute(deltas: &[i64]) -> Vec<f64> {
    deltas
        .iter()
        .scan(0, |sum, delta| {
            *sum += delta;
            Some(*sum as f64)
        })
        .collect()
}

proptest! {
    #[test]
    fn reduction_adds_up_neighbours(
        first in any::<i32>().prop_map(|first| first / 2),
        runs in prop::collection::vec((0i32..50, 0u32..6), 0..8),
        counts in prop::collection::vec(0u32..1000, 48),
        from in -4i32..=52,
        by in 1u32..20,
        is_float in any::<bool>(),
    ) {
        let mut positive_spans = spans(&runs);
        if let Some(span) = positive_spans.first_mut() {
            span.offset = first;
        }
        let number = positive_spans.iter().map(|span| span.length as usize).sum();
        let counts: Vec<f64> = counts.into_iter().map(f64::from).take(number).collect();
        let before = buckets(&positive_spans, &counts);
        let mut previous = 0;
        let deltas = counts.iter().map(|count| {
            let delta = *count as i64 - previous;
            previous = *count as i64;
            delta
        }).collect();
        let counts = if is_float {
            Counts::Float { count: 0.0, zero_count: 0.0, positive: counts, negative: Vec::new() }
        } else {
            Counts::Integer { count: 0, zero_count: 0, positive: deltas, negative: Vec::new() }
        };
        let mut histogram =
            NativeHistogram { schema: from, sum: 0.0, positive_spans, negative_spans: Vec::new(), counts, ..integer() };
        histogram.reduce_resolution(from - by as i32).unwrap();

        let mut expected = std::collections::BTreeMap::new();
        for (index, count) in before {
            *expected.entry((index as f64 / f64::from(by).exp2()).ceil() as i64).or_insert(0.0) += count;
        }
        let after = match &histogram.counts {
            Counts::Float { positive, .. } => buckets(&histogram.positive_spans, positive),
            Counts::Integer { positive, .. } => buckets(&histogram.positive_spans, &absolute(positive)),
        };
        prop_assert_eq!(after, expected);
        prop_assert!(histogram.validate_layout().is_ok());
        prop_assert_eq!(histogram.schema, from - by as i32);
    }
}
