//! What it costs to take a request apart. Throughput is of the decompressed message.
//!
//! `cargo bench -p remote-write --bench decode`. The two shapes are those of a scrape (`2000_series_x_1`: 15 labels each, about
//! 1 MB) and of a sender that catches up (`500_series_x_10`).

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::{Labels, TimestampMs};
use remote_write::{
    BlockLabels, Encoder, Item, LabelLimits, Limits, Request, Sample, SeriesIndex, SurveyScratch, Version, framing,
    labels_of_block, survey, transcode_to_v1,
};

const SHAPES: [(&str, usize, usize); 2] = [("2000_series_x_1", 2000, 1), ("500_series_x_10", 500, 10)];

/// Labels as a Kubernetes scrape has them, 15 a series.
fn labels(series: usize) -> Labels {
    let (pod, node, code) = (series % 97, series % 13, ["200", "204", "404", "500"][series % 4]);
    let pairs = [
        ("__name__", format!("http_request_duration_seconds_{}", ["bucket", "count", "sum"][series % 3])),
        ("cluster", "production-westeurope-1".to_owned()),
        ("code", code.to_owned()),
        ("container", "checkout-service".to_owned()),
        ("endpoint", "http-metrics".to_owned()),
        ("handler", format!("/api/v1/orders/{}", series % 311)),
        ("instance", format!("10.244.{node}.{pod}:8080")),
        ("job", "checkout/checkout-service".to_owned()),
        ("le", format!("{}", series as f64 * 0.25)),
        ("method", "POST".to_owned()),
        ("namespace", "checkout".to_owned()),
        ("node", format!("aks-nodepool1-31415926-vmss{node:06}")),
        ("pod", format!("checkout-service-6f7d8c9b5d-{pod:05}")),
        ("prometheus", "monitoring/k8s".to_owned()),
        ("service", "checkout-service-metrics-endpoint".to_owned()),
    ];
    Labels::from_pairs(pairs).expect("names are unique")
}

fn message(version: Version, series: usize, samples: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(version);
    for index in 0..series {
        let mut encoded = encoder.series(&labels(index));
        for sample in 0..samples {
            let timestamp = TimestampMs(1_795_000_000_000 + 15_000 * sample as i64);
            encoded.sample(Sample::new(timestamp, index as f64 * 1.37 + sample as f64));
        }
    }
    encoder.finish()
}

/// Walks as ingestion does when it knows every series: the block as a whole, and the samples.
fn walk_blocks(version: Version, message: &[u8], limits: &Limits, scratch: &mut Vec<u8>) -> (usize, f64) {
    let request = Request::parse(version, message, limits).expect("encoded right");
    let mut walk = request.walk(scratch);
    let (mut bytes, mut sum) = (0, 0.0);
    while let Some(item) = walk.next_item().expect("encoded right") {
        let Item::Series(series) = item else { continue };
        bytes += series.label_block().len();
        for sample in series.samples() {
            let sample = sample.expect("encoded right");
            sum += sample.value + sample.timestamp.0 as f64;
        }
    }
    (bytes, sum)
}

/// Walks over every single label, too.
fn walk_labels(message: &[u8], limits: &Limits) -> (usize, f64) {
    let request = Request::parse(Version::V1, message, limits).expect("encoded right");
    let mut scratch = Vec::new();
    let mut walk = request.walk(&mut scratch);
    let (mut bytes, mut sum) = (0, 0.0);
    while let Some(item) = walk.next_item().expect("encoded right") {
        let Item::Series(series) = item else { continue };
        for label in BlockLabels::new(series.label_block()) {
            let (name, value) = label.expect("encoded right");
            bytes += name.len() + value.len();
        }
        sum += series.samples().map(|sample| sample.expect("encoded right").value).sum::<f64>();
    }
    (bytes, sum)
}

fn decode(criterion: &mut Criterion) {
    let limits = Limits::default();
    for (shape, series, samples) in SHAPES {
        let message_v1 = message(Version::V1, series, samples);
        let message_v2 = message(Version::V2, series, samples);
        let body_v1 = framing::encode(&message_v1);
        let blocks: Vec<Vec<u8>> = {
            let request = Request::parse(Version::V1, &message_v1, &limits).expect("encoded right");
            let mut scratch = Vec::new();
            let mut walk = request.walk(&mut scratch);
            let mut blocks = Vec::new();
            while let Some(Item::Series(series)) = walk.next_item().expect("encoded right") {
                blocks.push(series.label_block().to_vec());
            }
            blocks
        };
        let (mut scratch, mut decoded) = (Vec::new(), Vec::new());

        let mut group = criterion.benchmark_group("v1");
        group.throughput(Throughput::BytesDecimal(message_v1.len() as u64));
        group.bench_function(BenchmarkId::new("walk_label_blocks", shape), |bench| {
            bench.iter(|| walk_blocks(Version::V1, black_box(&message_v1), &limits, &mut scratch));
        });
        group.bench_function(BenchmarkId::new("walk_every_label", shape), |bench| {
            bench.iter(|| walk_labels(black_box(&message_v1), &limits));
        });
        group.bench_function(BenchmarkId::new("snappy", shape), |bench| {
            bench.iter(|| framing::decode(black_box(&body_v1), usize::MAX, &mut decoded));
        });
        group.bench_function(BenchmarkId::new("snappy_and_walk_label_blocks", shape), |bench| {
            bench.iter(|| {
                framing::decode(black_box(&body_v1), usize::MAX, &mut decoded).expect("encoded right");
                walk_blocks(Version::V1, &decoded, &limits, &mut scratch)
            });
        });
        let mut survey_scratch = SurveyScratch::default();
        group.bench_function(BenchmarkId::new("survey", shape), |bench| {
            bench.iter(|| {
                survey(Version::V1, black_box(&message_v1), &limits, &mut survey_scratch).map(|all| all.series)
            });
        });
        group.bench_function(BenchmarkId::new("snappy_and_survey", shape), |bench| {
            bench.iter(|| {
                framing::decode(black_box(&body_v1), usize::MAX, &mut decoded).expect("encoded right");
                survey(Version::V1, &decoded, &limits, &mut survey_scratch).map(|all| all.series)
            });
        });
        group.bench_function(BenchmarkId::new("index_and_cut_half", shape), |bench| {
            let mut out = Vec::new();
            bench.iter(|| {
                let index = SeriesIndex::of(Version::V1, black_box(&message_v1), &limits).expect("encoded right");
                index.cut(0..index.len() / 2, true, &mut out);
            });
        });
        group.bench_function(BenchmarkId::new("labels_of_blocks", shape), |bench| {
            bench.iter(|| {
                let sets = blocks.iter().map(|block| labels_of_block(block, &LabelLimits::default()));
                sets.filter(Result::is_ok).count()
            });
        });
        group.bench_function(BenchmarkId::new("encode", shape), |bench| {
            let sets: Vec<Labels> = (0..series).map(labels).collect();
            let mut encoder = Encoder::new(Version::V1);
            bench.iter(|| {
                for set in &sets {
                    let mut encoded = encoder.series(set);
                    for sample in 0..samples {
                        encoded.sample(Sample::new(TimestampMs(1_795_000_000_000 + sample as i64), 1.5));
                    }
                }
                encoder.finish()
            });
        });
        group.finish();

        let mut group = criterion.benchmark_group("v2");
        group.throughput(Throughput::BytesDecimal(message_v2.len() as u64));
        group.bench_function(BenchmarkId::new("walk_label_blocks", shape), |bench| {
            bench.iter(|| walk_blocks(Version::V2, black_box(&message_v2), &limits, &mut scratch));
        });
        group.bench_function(BenchmarkId::new("survey", shape), |bench| {
            bench.iter(|| {
                survey(Version::V2, black_box(&message_v2), &limits, &mut survey_scratch).map(|all| all.series)
            });
        });
        group.bench_function(BenchmarkId::new("index_and_cut_half", shape), |bench| {
            let mut out = Vec::new();
            bench.iter(|| {
                let index = SeriesIndex::of(Version::V2, black_box(&message_v2), &limits).expect("encoded right");
                index.cut(0..index.len() / 2, true, &mut out);
            });
        });
        group.bench_function(BenchmarkId::new("transcode_to_v1", shape), |bench| {
            bench.iter(|| transcode_to_v1(black_box(&message_v2), &limits).map(|transcoded| transcoded.message.len()));
        });
        group.finish();
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
