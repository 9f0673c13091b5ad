//! Building an index, opening it, and finding series in it.
//!
//! `cargo bench -p tsdb-format --bench index`. 100,000 series of 15 labels, as many services scrape.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use model::{Labels, LabelsBuilder, TimestampMs};
use tsdb_format::block::ChunkMeta;
use tsdb_format::block::index::{Index, IndexWriter, SeriesReader};
use tsdb_format::block::segment::ChunkRef;

criterion_group!(benches, build, find, postings);
criterion_main!(benches);

const SERIES: usize = 100_000;

/// Series of 15 labels: metrics of pods, each with paths.
fn series() -> Vec<Labels> {
    let mut builder = LabelsBuilder::default();
    let mut all: Vec<Labels> = (0..SERIES)
        .map(|index| {
            builder.clear();
            builder.push("__name__", &format!("service_metric_{:03}_total", index % 200));
            builder.push("instance", &format!("10.0.{}.{}:9100", index / 200 / 250, index / 200 % 250));
            builder.push("pod", &format!("checkout-7d9f8b6c5-{:05}", index / 200));
            builder.push("path", &format!("/api/v1/resource/{}", index % 50));
            builder.push("code", ["200", "404", "500", "503"][index % 4]);
            for constant in 0..10 {
                builder.push(
                    &format!("label_{constant}"),
                    &format!("value_of_the_label_{constant}_{}", index % (constant + 1)),
                );
            }
            builder.build().unwrap()
        })
        .collect();
    all.sort_unstable();
    all
}

fn write(series: &[Labels], texts: &BTreeSet<String>) -> Vec<u8> {
    let mut writer = IndexWriter::new(texts.iter().map(String::as_str));
    for (place, labels) in series.iter().enumerate() {
        let chunk = |number: i64| ChunkMeta {
            min_time: TimestampMs(number * 1_800_000),
            max_time: TimestampMs(number * 1_800_000 + 1_785_000),
            reference: ChunkRef::new(0, (place * 4 + number as usize) as u32 * 150 + 8),
        };
        writer.push(labels, &[chunk(0), chunk(1), chunk(2), chunk(3)]);
    }
    writer.finish()
}

fn texts(series: &[Labels]) -> BTreeSet<String> {
    series
        .iter()
        .flat_map(|labels| labels.iter().flat_map(|(name, value)| [name.to_owned(), value.to_owned()]))
        .collect()
}

fn build(criterion: &mut Criterion) {
    let series = series();
    let texts = texts(&series);
    let mut group = criterion.benchmark_group("index");
    group.sample_size(10).throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("build/100k_series", |bench| {
        bench.iter_batched(|| (), |()| write(&series, &texts), BatchSize::PerIteration);
    });
    let file = write(&series, &texts);
    group.bench_function("open/100k_series", |bench| bench.iter(|| Index::open(file.as_slice()).unwrap()));
    let index = Index::open(file.as_slice()).unwrap();
    println!("index of {} series: {} bytes, {} bytes of memory when open", SERIES, file.len(), index.memory_bytes());
    group.finish();
}

fn find(criterion: &mut Criterion) {
    let series = series();
    let file = write(&series, &texts(&series));
    let index = Index::open(file.as_slice()).unwrap();
    let all: Vec<_> = index.all_postings().unwrap().iter().collect();
    let mut group = criterion.benchmark_group("series");
    group.throughput(Throughput::Elements(1000));
    let some = &all[30_000..31_000];
    let mut reader = SeriesReader::default();
    group.bench_function("chunks_only/1000", |bench| {
        bench.iter(|| {
            some.iter()
                .map(|series| reader.read(&index, *series, TimestampMs::MIN, TimestampMs::MAX).unwrap().len())
                .sum::<usize>()
        });
    });
    group.bench_function("labels_and_chunks/1000", |bench| {
        bench.iter(|| {
            for series in some {
                reader.read(&index, *series, TimestampMs::MIN, TimestampMs::MAX).unwrap();
                black_box(reader.labels(&index).unwrap());
            }
        });
    });
    group.finish();
}

fn postings(criterion: &mut Criterion) {
    let series = series();
    let file = write(&series, &texts(&series));
    let index = Index::open(file.as_slice()).unwrap();
    let list = |name, value| index.postings(name, value).unwrap().unwrap();
    let mut group = criterion.benchmark_group("postings");
    group.bench_function("find_list/one_of_500", |bench| {
        bench.iter(|| list(black_box("pod"), "checkout-7d9f8b6c5-00321").len());
    });
    let (metric, code, half) =
        (list("__name__", "service_metric_017_total"), list("code", "404"), list("label_1", "value_of_the_label_1_0"));
    for (name, left, right) in [("500_and_25k", metric, code), ("25k_and_50k", code, half)] {
        group.bench_function(format!("intersect/{name}"), |bench| bench.iter(|| left.intersection(black_box(right))));
    }
    let all: Vec<_> = index.all_postings().unwrap().iter().collect();
    group.bench_function("retain/100k_by_25k", |bench| {
        bench.iter_batched_ref(|| all.clone(), |series| code.filter(series, true), BatchSize::LargeInput);
    });
    group.finish();
}
