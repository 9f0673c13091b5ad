use model::{MetricType, ResetHint};

use super::*;
use crate::compose::{bytes, label, sample};
use crate::{Item, LabelLimits, Limits, Request};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

#[test]
fn first_version_to_the_byte() {
    let mut encoder = Encoder::new(Version::V1);
    encoder.series(&labels(&[("job", "x"), ("__name__", "up")])).sample(Sample::new(TimestampMs(5), 1.0));
    encoder.series(&labels(&[("__name__", "up")]));
    let expected = [
        bytes(1, [label("__name__", "up"), label("job", "x"), sample(5, 1.0)].concat()),
        bytes(1, label("__name__", "up")),
    ];
    assert_eq!(encoder.finish(), expected.concat());
    assert_eq!(encoder.finish(), [], "nothing is left of the request before");
}

#[test]
fn second_version_to_the_byte() {
    let mut encoder = Encoder::new(Version::V2);
    for name in ["up", "down"] {
        encoder.series(&labels(&[("job", "up"), ("__name__", name)])).sample(Sample::new(TimestampMs(5), 1.0));
    }
    let expected = [
        ["", "__name__", "up", "job", "down"].map(|symbol| bytes(4, symbol)).concat(),
        bytes(5, [bytes(1, [1, 2, 3, 2]), sample(5, 1.0)].concat()),
        bytes(5, [bytes(1, [1, 4, 3, 2]), sample(5, 1.0)].concat()),
    ];
    assert_eq!(encoder.finish(), expected.concat());
    assert_eq!(encoder.finish(), bytes(4, ""), "nothing is left of the request before");
}

/// What a request says, in an order and form that both versions can say.
#[derive(Debug, PartialEq, Default)]
struct Said {
    samples: Vec<(Labels, i64, u64, Option<i64>)>,
    histograms: Vec<(Labels, i64, Option<i64>, String)>,
    exemplars: Vec<(Labels, String)>,
    metadata: Vec<(String, Metadata)>,
    series: usize,
}

fn said(version: Version, body: &[u8]) -> Said {
    let mut said = Said::default();
    let request = Request::parse(version, body, &Limits::default()).unwrap();
    let mut scratch = Vec::new();
    let mut walk = request.walk(&mut scratch);
    while let Some(item) = walk.next_item().unwrap() {
        match item {
            Item::Series(series) => {
                said.series += 1;
                let labels = series.labels().unwrap();
                for sample in series.samples().map(Result::unwrap) {
                    let start = sample.start_timestamp.map(|start| start.0);
                    said.samples.push((labels.clone(), sample.timestamp.0, sample.value.to_bits(), start));
                }
                for sample in series.histograms().map(Result::unwrap) {
                    let start = sample.start_timestamp.map(|start| start.0);
                    said.histograms.push((
                        labels.clone(),
                        sample.timestamp.0,
                        start,
                        format!("{:?}", sample.histogram),
                    ));
                }
                for exemplar in series.exemplars() {
                    let exemplar = exemplar.unwrap().to_exemplar(&LabelLimits::default()).unwrap();
                    said.exemplars.push((labels.clone(), format!("{exemplar:?}")));
                }
                said.metadata
                    .extend(series.metadata().map(|text| (labels.metric_name().to_owned(), text.to_metadata())));
            }
            Item::Family(family) => said.metadata.push((family.name.to_owned(), family.metadata.to_metadata())),
            Item::Refused(refused) => panic!("{}", refused.error),
        }
    }
    said
}

fn integer_histogram() -> NativeHistogram {
    NativeHistogram {
        schema: -2,
        zero_threshold: 1e-128,
        sum: -1.5,
        reset_hint: ResetHint::Gauge,
        positive_spans: vec![Span { offset: -3, length: 2 }, Span { offset: 200, length: 1 }],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        custom_values: Vec::new(),
        counts: Counts::Integer { count: 9, zero_count: 1, positive: vec![4, -3, 1], negative: vec![1] },
    }
}

fn custom_histogram() -> NativeHistogram {
    NativeHistogram {
        schema: model::CUSTOM_BUCKETS_SCHEMA,
        zero_threshold: 0.0,
        sum: f64::INFINITY,
        reset_hint: ResetHint::NotReset,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        negative_spans: Vec::new(),
        custom_values: vec![0.5, 1.0, 2.5],
        counts: Counts::Float { count: 0.0, zero_count: 0.0, positive: vec![1.5, 0.25], negative: Vec::new() },
    }
}

#[test]
fn both_versions_say_the_same() {
    let up = labels(&[("__name__", "up"), ("job", "ü")]);
    let latency = labels(&[("__name__", "latency"), ("job", "a")]);
    let metadata =
        Metadata { metric_type: MetricType::Gauge, help: "whether \"it\" is\nup".to_owned(), unit: String::new() };
    let exemplar = |pairs: &[(&str, &str)]| Exemplar { labels: labels(pairs), timestamp: TimestampMs(-4), value: 0.0 };
    let mut results = Vec::new();
    for version in [Version::V1, Version::V2] {
        let mut encoder = Encoder::new(version);
        let mut series = encoder.series(&up);
        series.metadata(&metadata);
        for (index, value) in [0.0, -0.0, 1.5, f64::NAN, f64::NEG_INFINITY, model::stale_nan()].into_iter().enumerate()
        {
            series.sample(Sample::new(TimestampMs(index as i64 - 2), value));
        }
        series.exemplar(&exemplar(&[("trace_id", "abc")])).exemplar(&exemplar(&[]));
        encoder
            .series(&latency)
            .histogram(TimestampMs(i64::MAX), None, &integer_histogram())
            .histogram(TimestampMs(i64::MIN), None, &custom_histogram())
            .histogram(TimestampMs(0), None, &NativeHistogram::stale());
        results.push(said(version, &encoder.finish()));
    }
    let [v1, v2] = &results[..] else { unreachable!() };
    assert_eq!(v1, v2);
    assert_eq!((v1.samples.len(), v1.histograms.len(), v1.exemplars.len()), (6, 3, 2));
    assert_eq!(v1.samples[5].2, model::STALE_NAN_BITS);
    assert_eq!(v1.histograms[0].3, format!("{:?}", integer_histogram()));
    assert_eq!(v1.histograms[1].3, format!("{:?}", custom_histogram()));
    assert_eq!(v1.metadata, [("up".to_owned(), metadata)]);
}

#[test]
fn start_timestamps_are_for_the_second_version() {
    let up = labels(&[("__name__", "up")]);
    let start = |ms| Some(TimestampMs(ms));
    for (version, expected) in [(Version::V1, [None, None, None]), (Version::V2, [Some(-7), Some(1), Some(9)])] {
        let mut encoder = Encoder::new(version);
        let sample = Sample::new(TimestampMs(1), 1.0);
        encoder
            .series(&up)
            .sample(Sample { start_timestamp: start(-7), ..sample })
            .sample(Sample { start_timestamp: start(0), ..sample });
        encoder.series(&up).histogram(TimestampMs(1), start(9), &integer_histogram());
        let said = said(version, &encoder.finish());
        assert_eq!([said.samples[0].3, said.samples[1].3, said.histograms[0].2], expected);
    }
}

#[test]
fn second_version_never_mixes_samples_and_histograms() {
    let up = labels(&[("__name__", "up")]);
    for (version, series) in [(Version::V1, 1), (Version::V2, 2)] {
        let mut encoder = Encoder::new(version);
        let exemplar = Exemplar { labels: Labels::empty(), timestamp: TimestampMs(3), value: 1.0 };
        encoder
            .series(&up)
            .histogram(TimestampMs(1), None, &integer_histogram())
            .sample(Sample::new(TimestampMs(1), 1.0))
            .exemplar(&exemplar);
        let said = said(version, &encoder.finish());
        assert_eq!((said.series, said.samples.len(), said.histograms.len(), said.exemplars.len()), (series, 1, 1, 1));
    }
}

#[test]
fn first_version_says_metadata_once_a_family() {
    let mut encoder = Encoder::new(Version::V1);
    let metadata =
        |help: &str| Metadata { metric_type: MetricType::Counter, help: help.to_owned(), unit: "s".to_owned() };
    for instance in ["a", "b"] {
        let labels = labels(&[("__name__", "up"), ("instance", instance)]);
        encoder.series(&labels).sample(Sample::new(TimestampMs(1), 1.0)).metadata(&metadata("first"));
    }
    encoder.family("other", &metadata("second"));
    let said = said(Version::V1, &encoder.finish());
    assert_eq!(said.metadata, [("up".to_owned(), metadata("first")), ("other".to_owned(), metadata("second"))]);
    assert_eq!(said.samples.len(), 2);
}

#[test]
fn series_of_a_block() {
    let block = [label("z", "1"), label("__name__", "up")].concat();
    for version in [Version::V1, Version::V2] {
        let mut encoder = Encoder::new(version);
        encoder.series(&labels(&[("__name__", "first")])).sample(Sample::new(TimestampMs(1), 1.0));
        assert!(encoder.series_of_block(&[0x0a, 9]).is_err());
        encoder.series_of_block(&block).unwrap().sample(Sample::new(TimestampMs(2), 2.0));
        let body = encoder.finish();
        let said = said(version, &body);
        assert_eq!(said.series, 2);
        assert_eq!(said.samples[1].0, labels(&[("__name__", "up"), ("z", "1")]));
    }
}
