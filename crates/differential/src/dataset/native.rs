//! Native histograms: exponential and custom buckets, counters and gauges, whole and fractional counts.

use std::sync::Arc;

use model::{CUSTOM_BUCKETS_SCHEMA, Counts, NativeHistogram, ResetHint, Span};
use testkit::chance::Chance;
use testkit::series_store::StoredValue;

use super::schedule::{Gaps, Tick, ticks};
use super::{Contents, INSTANCES, JOBS, SeriesData, labels};

/// What kind of histogram a series holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Integer,
    Float,
    Custom,
    Gauge,
}

pub(crate) fn generate(chance: &mut Chance, contents: Contents, out: &mut Vec<SeriesData>) {
    for (name, kind) in [
        ("size_int", Kind::Integer),
        ("size_float", Kind::Float),
        ("size_custom", Kind::Custom),
        ("size_gauge", Kind::Gauge),
    ] {
        for job in JOBS {
            for instance in &INSTANCES[..2] {
                out.push(series(chance, contents, name, &[("job", job), ("instance", instance)], kind));
            }
        }
    }
    out.push(mixed(chance, contents));
}

/// A series that changes between floats and histograms.
fn mixed(chance: &mut Chance, contents: Contents) -> SeriesData {
    let mut made = series(chance, contents, "size_mixed", &[("job", "api"), ("instance", "a:1")], Kind::Integer);
    let mut float = false;
    for (index, (_, value)) in made.samples.iter_mut().enumerate() {
        if chance.one_in(15) {
            float = !float;
        }
        if float && !matches!(value, StoredValue::Histogram(histogram) if histogram.is_stale()) {
            *value = StoredValue::Float(index as f64);
        }
    }
    made
}

fn series(chance: &mut Chance, contents: Contents, name: &str, with: &[(&str, &str)], kind: Kind) -> SeriesData {
    let gaps = if chance.one_in(3) { Gaps::Flapping } else { Gaps::None };
    let mut buckets = Buckets::new(chance, kind);
    let ticks = ticks(chance, contents, gaps);
    let sample = |tick: Tick| match tick {
        Tick::Sample(at) => (at, buckets.next(chance)),
        Tick::End(at) => (at, NativeHistogram::stale()),
    };
    let samples = ticks
        .into_iter()
        .map(sample)
        .map(|(at, histogram)| (at, StoredValue::Histogram(Arc::new(histogram))))
        .collect();
    SeriesData { labels: labels(name, with), samples }
}

/// What has been observed so far.
struct Buckets {
    kind: Kind,
    schema: i32,
    custom_values: Vec<f64>,
    zero_threshold: f64,
    /// Counts by index, from [`LOWEST`] up.
    positive: [u64; INDICES],
    negative: [u64; INDICES],
    zero: u64,
    sum: f64,
}

impl Buckets {
    fn new(chance: &mut Chance, kind: Kind) -> Self {
        let mut buckets = Self {
            kind,
            schema: 0,
            custom_values: Vec::new(),
            zero_threshold: 0.001,
            positive: [0; INDICES],
            negative: [0; INDICES],
            zero: 0,
            sum: 0.0,
        };
        buckets.choose_layout(chance);
        buckets
    }

    fn choose_layout(&mut self, chance: &mut Chance) {
        match self.kind {
            Kind::Custom => {
                self.schema = CUSTOM_BUCKETS_SCHEMA;
                let all = [
                    &[1.0, 2.0, 5.0, 10.0, 50.0][..],
                    &[1.0, 5.0, 10.0],
                    &[0.5, 1.0, 2.0, 5.0, 7.5, 10.0],
                    &[-1.0, 0.0, 1.0],
                ];
                self.custom_values = chance.one_of(&all).to_vec();
                self.zero_threshold = 0.0;
            }
            Kind::Integer | Kind::Float | Kind::Gauge => {
                self.schema = chance.between(-1, 3) as i32;
                let thresholds = [0.001, 0.001, 0.125, 1e-128];
                // No bucket lies inside of the zero bucket: what the sum of such is hangs on the order of adding.
                let lowest = NativeHistogram::exponential_bound(LOWEST - 1, self.schema);
                self.zero_threshold = f64::min(*chance.one_of(&thresholds), lowest);
            }
        }
    }

    fn reset(&mut self) {
        (self.positive, self.negative, self.zero, self.sum) = ([0; INDICES], [0; INDICES], 0, 0.0);
    }

    fn next(&mut self, chance: &mut Chance) -> NativeHistogram {
        if self.kind == Kind::Gauge || chance.one_in(60) {
            self.reset();
        }
        if chance.one_in(80) {
            self.reset();
            self.choose_layout(chance);
        }
        for _ in 0..chance.below(10) {
            self.observe(chance);
        }
        self.histogram()
    }

    fn observe(&mut self, chance: &mut Chance) {
        if self.kind == Kind::Custom {
            let index = chance.index(self.custom_values.len() + 1);
            self.positive[index] += 1;
            self.sum += self.custom_values.get(index).copied().unwrap_or(100.0);
            return;
        }
        let index = chance.index(INDICES);
        match chance.below(10) {
            0 => self.zero += 1,
            1 | 2 => {
                self.negative[index] += 1;
                self.sum -= index as f64 / 4.0;
            }
            _ => {
                self.positive[index] += 1;
                self.sum += index as f64 / 4.0;
            }
        }
    }

    fn histogram(&self) -> NativeHistogram {
        let lowest = if self.kind == Kind::Custom { 0 } else { LOWEST };
        let (positive_spans, positive) = sparse(&self.positive, lowest);
        let (negative_spans, negative) = sparse(&self.negative, lowest);
        let count = self.zero + positive.iter().sum::<u64>() + negative.iter().sum::<u64>();
        let whole = matches!(self.kind, Kind::Integer | Kind::Gauge);
        let counts = match whole {
            true => Counts::Integer {
                count,
                zero_count: self.zero,
                positive: deltas(&positive),
                negative: deltas(&negative),
            },
            false => Counts::Float {
                count: halves(count),
                zero_count: halves(self.zero),
                positive: positive.iter().copied().map(halves).collect(),
                negative: negative.iter().copied().map(halves).collect(),
            },
        };
        NativeHistogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            reset_hint: if self.kind == Kind::Gauge { ResetHint::Gauge } else { ResetHint::Unknown },
            positive_spans,
            negative_spans,
            custom_values: self.custom_values.clone(),
            counts,
        }
    }
}

/// Fractional counts are halves, so that adding them is exact.
fn halves(count: u64) -> f64 {
    count as f64 / 2.0
}

/// Buckets that hold something, as spans.
fn sparse(counts: &[u64], lowest: i32) -> (Vec<Span>, Vec<u64>) {
    let (mut spans, mut found): (Vec<Span>, Vec<u64>) = (Vec::new(), Vec::new());
    let mut end = 0;
    for (index, count) in (lowest..).zip(counts).filter(|(_, count)| **count > 0) {
        match spans.last_mut() {
            Some(span) if end == index => span.length += 1,
            _ => spans.push(Span { offset: index - end, length: 1 }),
        }
        end = index + 1;
        found.push(*count);
    }
    (spans, found)
}

fn deltas(counts: &[u64]) -> Vec<i64> {
    let mut before = 0;
    let delta = |count: &u64| {
        let delta = *count as i64 - before;
        before = *count as i64;
        delta
    };
    counts.iter().map(delta).collect()
}

/// Number of buckets on a side.
const INDICES: usize = 9;
/// Index of the lowest exponential bucket.
const LOWEST: i32 = -4;
