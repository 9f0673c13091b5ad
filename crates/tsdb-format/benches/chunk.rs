//! What packing and unpacking a sample costs.
//!
//! `cargo bench -p tsdb-format --bench chunk`. Chunks are of 120 samples; an iteration is a hundred of them.
//! Instructions: `valgrind --tool=callgrind <binary> --test <name>` runs one iteration; of what it counts, a run with a name
//! that does not exist is the start of the program.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{Counts, NativeHistogram, ResetHint, Span, TimestampMs};
use tsdb_format::chunk::{HistogramChunk, HistogramDecoder, XorChunk, XorDecoder};

criterion_group!(benches, floats, histograms);
criterion_main!(benches);

/// Chunks of one iteration.
const CHUNKS: usize = 100;
/// Samples of a chunk, as many as Prometheus aims at.
const SAMPLES: usize = 120;

/// A small generator, so that runs are alike.
struct Lots(u64);

impl Lots {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// What series of a scraped service look like.
fn shapes() -> [(&'static str, Vec<(TimestampMs, f64)>); 4] {
    let mut lots = Lots(7);
    let mut series = |jitter: u64, value: &mut dyn FnMut(usize, &mut Lots) -> f64| {
        let samples = (0..CHUNKS * SAMPLES).map(|index| {
            let late = if jitter == 0 { 0 } else { lots.next() % jitter };
            (TimestampMs(1_700_000_000_000 + index as i64 * 15_000 + late as i64), value(index, &mut lots))
        });
        samples.collect::<Vec<_>>()
    };
    let mut count = 1000.0;
    [
        ("constant", series(0, &mut |_, _| 1.0)),
        (
            "counter",
            series(3, &mut |_, lots| {
                count += (lots.next() % 50) as f64;
                count
            }),
        ),
        ("gauge", series(3, &mut |_, lots| (lots.next() % 10_000) as f64 / 100.0)),
        ("random", series(2000, &mut |_, lots| f64::from_bits(lots.next() >> 2))),
    ]
}

fn floats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("xor");
    group.throughput(Throughput::Elements((CHUNKS * SAMPLES) as u64));
    for (name, samples) in shapes() {
        let pack = |samples: &[(TimestampMs, f64)]| {
            let mut chunk = XorChunk::new(samples[0].0, samples[0].1);
            samples[1..].iter().for_each(|(at, value)| chunk.push(*at, *value));
            chunk
        };
        group.bench_function(format!("append/{name}"), |bench| {
            bench.iter(|| samples.chunks(SAMPLES).for_each(|samples| drop(black_box(pack(samples)))));
        });
        // Different ones: of one chunk read again and again, a processor learns what comes next.
        let chunks: Vec<XorChunk> = samples.chunks(SAMPLES).map(pack).collect();
        let bytes = chunks.iter().map(|chunk| chunk.data().len()).sum::<usize>() / CHUNKS;
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        group.bench_function(format!("decode/{name}_{bytes}_bytes"), |bench| {
            bench.iter(|| {
                for chunk in &chunks {
                    timestamps.clear();
                    values.clear();
                    let mut decoder = XorDecoder::new(black_box(chunk.data())).unwrap();
                    black_box(decoder.read(&mut timestamps, &mut values, usize::MAX).unwrap());
                }
            });
        });
    }
    group.finish();
}

fn histograms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("histogram");
    group.throughput(Throughput::Elements((CHUNKS * SAMPLES) as u64));
    let samples: Vec<(TimestampMs, Arc<NativeHistogram>)> = (0..SAMPLES)
        .map(|index| (TimestampMs(1_700_000_000_000 + index as i64 * 15_000), Arc::new(histogram(index as i64))))
        .collect();
    let pack = || {
        let mut chunk = HistogramChunk::new(samples[0].0, Arc::clone(&samples[0].1), false);
        for (at, histogram) in &samples[1..] {
            chunk.push(*at, Arc::clone(histogram)).unwrap();
        }
        chunk
    };
    group.bench_function("append/20_buckets", |bench| {
        bench.iter(|| (0..CHUNKS).for_each(|_| drop(black_box(pack()))));
    });
    let chunk = pack();
    group.bench_function(format!("decode/20_buckets_{}_bytes", chunk.data().len()), |bench| {
        bench.iter(|| {
            for _ in 0..CHUNKS {
                let decoder = HistogramDecoder::new(chunk.encoding(), black_box(chunk.data()));
                black_box(decoder.filter(Result::is_ok).count());
            }
        });
    });
    group.finish();
}

fn histogram(index: i64) -> NativeHistogram {
    let positive: Vec<i64> =
        (0..20).map(|bucket| if bucket % 2 == 0 { index } else { 3 - index % 2 - index }).collect();
    let mut absolute = 0;
    let count: i64 = positive
        .iter()
        .map(|delta| {
            absolute += delta;
            absolute
        })
        .sum();
    NativeHistogram {
        schema: 2,
        zero_threshold: 0.001,
        sum: index as f64 * 17.25,
        reset_hint: ResetHint::Gauge,
        positive_spans: vec![Span { offset: -3, length: 12 }, Span { offset: 4, length: 8 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Integer { count: count as u64, zero_count: 0, positive, negative: Vec::new() },
    }
}
