use model::{CUSTOM_BUCKETS_SCHEMA, Span, stale_nan};
use proptest::prelude::*;

use super::super::layout::indices;
use super::*;

fn integer(spans: &[(i32, u32)], buckets: &[i64], sum: f64) -> NativeHistogram {
    let absolute = absolute(buckets);
    NativeHistogram {
        schema: 3,
        zero_threshold: 2f64.powi(-128),
        sum,
        positive_spans: spans.iter().map(|&(offset, length)| Span { offset, length }).collect(),
        counts: Counts::Integer {
            count: absolute.iter().sum::<i64>() as u64 + 2,
            zero_count: 2,
            positive: buckets.to_vec(),
            negative: Vec::new(),
        },
        ..NativeHistogram::stale()
    }
}

fn decode(chunk: &HistogramChunk) -> Vec<(i64, NativeHistogram)> {
    HistogramDecoder::new(chunk.encoding(), chunk.data())
        .map(|sample| sample.map(|(at, histogram)| (at.0, (*histogram).clone())).unwrap())
        .collect()
}

/// What a histogram means, without how its empty buckets are laid out.
fn meaning(histogram: &NativeHistogram) -> String {
    let buckets = |spans: &[Span], counts: &[f64]| -> Vec<(i64, f64)> {
        indices(spans).zip(counts.iter().copied()).filter(|(_, count)| *count != 0.0).collect()
    };
    let floats = |deltas: &[i64]| -> Vec<f64> { absolute(deltas).iter().map(|count| *count as f64).collect() };
    let (positive, negative) = (&histogram.positive_spans, &histogram.negative_spans);
    let counts = match &histogram.counts {
        Counts::Integer { count, zero_count, positive: up, negative: down } => {
            format!(
                "int {count} {zero_count} {:?} {:?}",
                buckets(positive, &floats(up)),
                buckets(negative, &floats(down))
            )
        }
        Counts::Float { count, zero_count, positive: up, negative: down } => {
            format!("float {count} {zero_count} {:?} {:?}", buckets(positive, up), buckets(negative, down))
        }
    };
    if histogram.is_stale() {
        return format!("stale float={}", histogram.is_float());
    }
    let bounds: Vec<u64> = histogram.custom_values.iter().map(|bound| bound.to_bits()).collect();
    let gauge = histogram.reset_hint == ResetHint::Gauge;
    format!(
        "{} {} {:x} {gauge} {bounds:?} {counts}",
        histogram.schema,
        histogram.zero_threshold,
        histogram.sum.to_bits()
    )
}

#[test]
fn hints_follow_the_chunk() {
    let first = Arc::new(integer(&[(0, 2)], &[1, 1], 3.0));
    let mut chunk = HistogramChunk::new(TimestampMs(1000), first.clone(), true);
    chunk.push(TimestampMs(2000), first.clone()).unwrap();
    let hints: Vec<_> = decode(&chunk).iter().map(|(_, histogram)| histogram.reset_hint).collect();
    assert_eq!(hints, [ResetHint::Unknown, ResetHint::NotReset], "the chunk before this one may be gone");
    assert!(begins_with_reset(chunk.data()));
    let gauge = Arc::new(NativeHistogram { reset_hint: ResetHint::Gauge, ..(*first).clone() });
    assert_eq!(chunk.push(TimestampMs(3000), gauge.clone()), Err(Misfit::Kind));
    let chunk = HistogramChunk::new(TimestampMs(1000), gauge, false);
    assert_eq!(decode(&chunk)[0].1.reset_hint, ResetHint::Gauge);
}

#[test]
fn what_needs_a_new_chunk() {
    let start = || HistogramChunk::new(TimestampMs(0), Arc::new(integer(&[(0, 2), (1, 1)], &[3, 0, 1], 3.0)), false);
    let table: &[(&str, NativeHistogram, Result<(), Misfit>)] = &[
        ("same", integer(&[(0, 2), (1, 1)], &[3, 0, 1], 3.0), Ok(())),
        ("more buckets", integer(&[(-1, 5)], &[1, 2, 0, 0, 5], 3.0), Ok(())),
        ("a bucket falls", integer(&[(0, 2), (1, 1)], &[3, -1, 6], 3.0), Err(Misfit::Reset)),
        ("a bucket goes", integer(&[(0, 2)], &[9, 0], 3.0), Err(Misfit::Reset)),
        (
            "another schema",
            NativeHistogram { schema: 2, ..integer(&[(0, 2), (1, 1)], &[3, 0, 1], 3.0) },
            Err(Misfit::Kind),
        ),
        ("a marker", NativeHistogram::stale(), Ok(())),
        (
            "said to be reset",
            NativeHistogram { reset_hint: ResetHint::Reset, ..integer(&[(0, 2), (1, 1)], &[3, 0, 1], 3.0) },
            Err(Misfit::Reset),
        ),
    ];
    for (what, histogram, expected) in table {
        let mut chunk = start();
        let before = chunk.data().to_vec();
        assert_eq!(chunk.push(TimestampMs(1), Arc::new(histogram.clone())), *expected, "{what}");
        if expected.is_err() {
            assert_eq!(chunk.data(), before, "{what} changed the chunk");
        } else {
            assert_eq!(meaning(&decode(&chunk)[1].1), meaning(histogram), "{what}");
        }
    }
    let mut chunk = start();
    chunk.push(TimestampMs(1), Arc::new(NativeHistogram::stale())).unwrap();
    let after = Arc::new(integer(&[(0, 2), (1, 1)], &[3, 0, 1], 3.0));
    assert_eq!(chunk.push(TimestampMs(2), after), Err(Misfit::Kind), "a value after a marker");
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    prop::collection::vec((0i32..4, 0u32..4), 0..5).prop_flat_map(|spans| {
        (Just(spans), -10i32..10).prop_map(|(spans, start)| {
            let spans = spans.into_iter().enumerate();
            spans
                .map(|(index, (offset, length))| Span { offset: offset + if index == 0 { start } else { 0 }, length })
                .collect()
        })
    })
}

fn sum() -> impl Strategy<Value = f64> {
    prop_oneof![8 => any::<f64>(), 1 => Just(stale_nan()), 1 => Just(f64::NAN)]
}

prop_compose! {
    fn any_histogram()(float in any::<bool>(), gauge in any::<bool>(), custom in any::<bool>(), sum in sum(),
        zero_threshold in prop_oneof![Just(0.0), Just(2f64.powi(-128)), 0.0..1.0f64], bounds in prop::collection::vec(0.0..100f64, 0..4),
        positive_spans in spans(), negative_spans in spans(), counts in prop::collection::vec(0i64..1000, 40)) -> NativeHistogram {
        let buckets = |spans: &[Span]| super::super::layout::bucket_count(spans) as usize;
        let (up, down) = (&counts[..buckets(&positive_spans)], &counts[20..20 + buckets(&negative_spans)]);
        let count = up.iter().chain(down).sum::<i64>() + 7;
        let floats = |counts: &[i64]| counts.iter().map(|count| *count as f64 / 3.0).collect();
        NativeHistogram {
            schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { 3 },
            zero_threshold,
            sum,
            reset_hint: if gauge { ResetHint::Gauge } else { ResetHint::Unknown },
            counts: if float {
                Counts::Float { count: count as f64, zero_count: 7.0, positive: floats(up), negative: floats(down) }
            } else {
                let deltas = super::super::layout::deltas;
                Counts::Integer { count: count as u64, zero_count: 7, positive: deltas(up), negative: deltas(down) }
            },
            custom_values: if custom { bounds } else { Vec::new() },
            positive_spans,
            negative_spans,
        }
    }
}

proptest! {
    /// A run of histograms, cut into chunks where they do not fit, comes back with the same meaning.
    #[test]
    fn histograms_come_back(
        base in any_histogram(),
        others in prop::collection::vec((any_histogram(), 0u8..4), 0..20),
        start in any::<i64>(),
        step in 1i64..100_000,
    ) {
        let mut chunks: Vec<HistogramChunk> = Vec::new();
        let mut expected = Vec::new();
        let mut at = TimestampMs(start);
        // Mostly variations of one histogram, so that chunks grow and are widened.
        let run = others.into_iter().map(|(other, change)| match change {
            0 => base.clone(),
            1 => NativeHistogram { sum: other.sum, ..base.clone() },
            2 => NativeHistogram { reset_hint: ResetHint::Gauge, ..other },
            _ => other,
        });
        for histogram in std::iter::once(base.clone()).chain(run) {
            let histogram = Arc::new(histogram);
            let misfit = chunks.last_mut().map(|chunk| chunk.push(at, histogram.clone()));
            match misfit {
                Some(Ok(())) => {}
                None | Some(Err(Misfit::Kind)) => chunks.push(HistogramChunk::new(at, histogram.clone(), false)),
                Some(Err(Misfit::Reset)) => chunks.push(HistogramChunk::new(at, histogram.clone(), true)),
            }
            let newest = chunks.last().unwrap().newest();
            prop_assert_eq!(newest.0, at);
            let stale_in = histogram.is_stale().then(|| format!("stale float={}", chunks.last().unwrap().encoding() == ChunkEncoding::FloatHistogram));
            expected.push((at.0, stale_in.unwrap_or_else(|| meaning(&histogram))));
            at = TimestampMs(at.0.wrapping_add(step));
        }
        let decoded: Vec<_> = chunks.iter().flat_map(decode).map(|(at, histogram)| (at, meaning(&histogram))).collect();
        prop_assert_eq!(decoded, expected);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), float in any::<bool>()) {
        let encoding = if float { ChunkEncoding::FloatHistogram } else { ChunkEncoding::Histogram };
        for (_, histogram) in HistogramDecoder::new(encoding, &bytes).flatten() {
            prop_assert!(histogram.positive_spans.len() <= bytes.len() * 8);
        }
    }
}
