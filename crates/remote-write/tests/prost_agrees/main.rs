//! Holds the walkers against prost: whatever order and form a message is written in, both read the same; and what one of
//! them takes for broken, the other does too.

mod messages;
mod parts;
mod said;
mod scramble;

use proptest::prelude::*;
use prost::Message;
use remote_write::{Encoder, Version, WireFault};

use messages::*;
use said::{Said, ours, prost_v1, prost_v2};
use scramble::{Choices, REQUEST, REQUEST_V2, scramble};

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-z_]{0,12}".prop_map(String::into_bytes),
        2 => Just(b"__name__".to_vec()),
        2 => any::<String>().prop_map(String::into_bytes),
        1 => "[a-z]{120,300}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<f64>(),
        1 => Just(0.0),
        1 => Just(f64::NAN),
        1 => Just(f64::from_bits(model::STALE_NAN_BITS)),
    ]
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![2 => any::<i64>(), 2 => 0i64..300, 4 => 1_700_000_000_000i64..1_900_000_000_000, 1 => -5i64..0]
}

fn doubles() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(double(), 0..5)
}

fn deltas() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(prop_oneof![-200i64..200, any::<i64>()], 0..5)
}

fn spans() -> impl Strategy<Value = Vec<BucketSpan>> {
    prop::collection::vec((any::<i32>(), any::<u32>()).prop_map(|(offset, length)| BucketSpan { offset, length }), 0..4)
}

prop_compose! {
    fn histogram()(
        count in prop::option::of(prop_oneof![any::<u64>().prop_map(Count::Integer), double().prop_map(Count::Float)]),
        zero_count in
            prop::option::of(prop_oneof![any::<u64>().prop_map(ZeroCount::Integer), double().prop_map(ZeroCount::Float)]),
        (sum, zero_threshold) in (double(), double()),
        schema in any::<i32>(),
        (negative_spans, positive_spans) in (spans(), spans()),
        (negative_deltas, positive_deltas) in (deltas(), deltas()),
        (negative_counts, positive_counts, custom_values) in (doubles(), doubles(), doubles()),
        reset_hint in -1i32..6,
        (timestamp, start_timestamp) in (integer(), integer()),
    ) -> Histogram {
        Histogram {
            count, sum, schema, zero_threshold, zero_count, negative_spans, negative_deltas, negative_counts, positive_spans,
            positive_deltas, positive_counts, reset_hint, timestamp, custom_values, start_timestamp,
        }
    }
}

fn labels() -> impl Strategy<Value = Vec<Label>> {
    prop::collection::vec((text(), text()).prop_map(|(name, value)| Label { name, value }), 0..5)
}

prop_compose! {
    fn series()(
        labels in labels(),
        samples in prop::collection::vec((double(), integer()), 0..4),
        exemplars in prop::collection::vec((labels(), double(), integer()), 0..2),
        histograms in prop::collection::vec(histogram(), 0..2),
    ) -> TimeSeries {
        let samples = samples.into_iter().map(|(value, timestamp)| Sample { value, timestamp }).collect();
        let exemplars =
            exemplars.into_iter().map(|(labels, value, timestamp)| Exemplar { labels, value, timestamp }).collect();
        TimeSeries { labels, samples, exemplars, histograms }
    }
}

prop_compose! {
    fn request()(
        timeseries in prop::collection::vec(series(), 0..4),
        metadata in prop::collection::vec((-1i32..10, text(), text(), text()), 0..3),
    ) -> WriteRequest {
        let metadata = metadata.into_iter().map(|(metric_type, metric_family_name, help, unit)| {
            MetricMetadata { metric_type, metric_family_name, help, unit }
        });
        WriteRequest { timeseries, metadata: metadata.collect() }
    }
}

/// References, mostly into a table of ten.
fn references() -> impl Strategy<Value = Vec<u32>> {
    let reference = || prop_oneof![40 => 0u32..10, 1 => any::<u32>()];
    prop_oneof![
        10 => prop::collection::vec((reference(), reference()), 0..4)
            .prop_map(|pairs| pairs.into_iter().flat_map(|(name, value)| [name, value]).collect()),
        1 => prop::collection::vec(reference(), 0..4),
    ]
}

prop_compose! {
    fn series_v2()(
        labels_refs in references(),
        samples in prop::collection::vec((double(), integer(), integer()), 0..3),
        histograms in prop::collection::vec(histogram(), 0..2),
        exemplars in prop::collection::vec((references(), double(), integer()), 0..2),
        metadata in prop::option::of((-1i32..10, 0u32..11, 0u32..11)),
    ) -> TimeSeriesV2 {
        let samples = samples.into_iter().map(|(value, timestamp, start_timestamp)| {
            SampleV2 { value, timestamp, start_timestamp }
        });
        let exemplars = exemplars.into_iter().map(|(labels_refs, value, timestamp)| {
            ExemplarV2 { labels_refs, value, timestamp }
        });
        let metadata = metadata.map(|(metric_type, help_ref, unit_ref)| MetadataV2 { metric_type, help_ref, unit_ref });
        TimeSeriesV2 { labels_refs, samples: samples.collect(), histograms, exemplars: exemplars.collect(), metadata }
    }
}

prop_compose! {
    fn request_v2()(
        symbols in prop::collection::vec(text(), 8..11),
        timeseries in prop::collection::vec(series_v2(), 0..4),
    ) -> RequestV2 {
        let mut symbols = symbols;
        symbols[0].clear();
        RequestV2 { symbols, timeseries }
    }
}

/// Changes a few bytes, or cuts the message.
fn damage(message: &mut Vec<u8>, choices: &mut Choices) {
    for _ in 0..1 + choices.below(3) {
        if message.is_empty() {
            return;
        }
        let at = choices.below(message.len());
        match choices.below(4) {
            0 => message[at] ^= 1 << choices.below(8),
            1 => message[at] = choices.below(256) as u8,
            2 => drop(message.remove(at)),
            _ => message.truncate(at),
        }
    }
}

/// Both take the message or both refuse it, but where the crate is strict by intent.
fn verdicts_agree<T>(ours: &Result<T, remote_write::DecodeError>, theirs: Result<(), prost::DecodeError>) {
    match (ours, theirs) {
        (Err(error), Ok(())) => assert!(
            matches!(error.fault, WireFault::Group { .. } | WireFault::IntegerRange),
            "refused for no reason: {error}"
        ),
        (Ok(_), Err(error)) => panic!("taken although {error}"),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn first_version_is_read_as_prost_reads_it(request in request(), seed in any::<u64>()) {
        let body = scramble(&request.encode_to_vec(), &REQUEST, &mut Choices(seed));
        let theirs = WriteRequest::decode(&body[..]).unwrap();
        prop_assert_eq!(ours(Version::V1, &body).unwrap(), prost_v1(&theirs));
        prop_assert_eq!(theirs.timeseries.len(), request.timeseries.len(), "nothing is lost by scrambling");
    }

    #[test]
    fn second_version_is_read_as_prost_reads_it(request in request_v2(), seed in any::<u64>()) {
        let body = scramble(&request.encode_to_vec(), &REQUEST_V2, &mut Choices(seed));
        let theirs = RequestV2::decode(&body[..]).unwrap();
        prop_assert_eq!(ours(Version::V2, &body).unwrap(), prost_v2(&theirs));
        prop_assert_eq!(theirs.timeseries.len(), request.timeseries.len(), "nothing is lost by scrambling");
    }

    #[test]
    fn damage_is_seen_as_prost_sees_it(request in request(), seed in any::<u64>()) {
        let mut body = request.encode_to_vec();
        damage(&mut body, &mut Choices(seed));
        let theirs = WriteRequest::decode(&body[..]);
        let ours = ours(Version::V1, &body);
        if let (Ok(ours), Ok(theirs)) = (&ours, &theirs) {
            // A label without text stops the crate before it sees whether the next one is whole.
            if ours.series.iter().all(|series| series.labels.is_some()) {
                prop_assert_eq!(ours, &prost_v1(theirs));
            }
        }
        let labels_broken = matches!(&ours, Ok(said) if said.series.iter().any(|series| {
            series.labels.is_none() || series.exemplars.iter().any(|exemplar| exemplar.0.is_none())
        }));
        if !labels_broken {
            verdicts_agree(&ours, theirs.map(drop));
        }
    }

    #[test]
    fn damage_of_the_second_version_is_seen_as_prost_sees_it(request in request_v2(), seed in any::<u64>()) {
        let mut body = request.encode_to_vec();
        damage(&mut body, &mut Choices(seed));
        let ours = ours(Version::V2, &body);
        let refused = matches!(&ours, Ok(said) if !said.refused.is_empty() || said.series.iter().any(|series| {
            series.exemplars.iter().any(|exemplar| exemplar.0.is_none())
        }));
        if !refused {
            verdicts_agree(&ours, RequestV2::decode(&body[..]).map(drop));
        }
    }

    #[test]
    fn what_the_encoder_writes_prost_reads(sets in prop::collection::vec(
        (prop::collection::btree_map("[a-z]{1,5}", "[^\u{0}]{0,5}", 0..5), prop::collection::vec((double(), integer()), 0..4)),
        0..5,
    )) {
        let sets: Vec<(model::Labels, Vec<(f64, i64)>)> = sets
            .into_iter()
            .map(|(labels, samples)| (model::Labels::from_pairs(labels).unwrap(), samples))
            .collect();
        let encode = |version| {
            let mut encoder = Encoder::new(version);
            for (labels, samples) in &sets {
                let mut series = encoder.series(labels);
                for (value, timestamp) in samples {
                    series.sample(remote_write::Sample::new(model::TimestampMs(*timestamp), *value));
                }
            }
            encoder.finish()
        };
        let expected: Vec<_> = sets
            .iter()
            .map(|(labels, samples)| {
                let labels: Vec<_> = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                (Some(labels), samples.iter().map(|(value, at)| (*at, value.to_bits(), 0)).collect::<Vec<_>>())
            })
            .collect();
        let said = |said: Said| said.series.into_iter().map(|series| (series.labels, series.samples)).collect::<Vec<_>>();
        let v1 = encode(Version::V1);
        prop_assert_eq!(&said(prost_v1(&WriteRequest::decode(&v1[..]).unwrap())), &expected);
        prop_assert_eq!(&said(ours(Version::V1, &v1).unwrap()), &expected);
        // To the byte: both write fields in the order of their numbers and leave zeros out. (prost takes -0 for one.)
        if !sets.iter().flat_map(|(_, samples)| samples).any(|(value, _)| value.to_bits() == (-0.0f64).to_bits()) {
            prop_assert_eq!(&WriteRequest::decode(&v1[..]).unwrap().encode_to_vec(), &v1);
        }
        let v2 = encode(Version::V2);
        let expected: Vec<_> = expected.into_iter().filter(|(_, samples)| !samples.is_empty()).collect();
        prop_assert_eq!(&said(prost_v2(&RequestV2::decode(&v2[..]).unwrap())), &expected);
        prop_assert_eq!(&said(ours(Version::V2, &v2).unwrap()), &expected);
    }
}
