//! What both sides are given: series with their samples, made from a seed.
//!
//! Invariant: series stand in the order of their labels, samples of one in the order of time, and all lie inside of
//! [`Dataset::range`]. Most values are dyadic, so that sums do not depend on the order of adding.

mod classic;
pub mod demo;
mod floats;
mod native;
mod schedule;

use model::{Labels, LabelsBuilder, TimestampMs};
use testkit::chance::Chance;
use testkit::series_store::{SeriesStore, StoredValue};

/// One series.
#[derive(Clone, Debug)]
pub struct SeriesData {
    /// Its labels.
    pub labels: Labels,
    /// Its samples, in order of time.
    pub samples: Vec<(TimestampMs, StoredValue)>,
}

/// Series for both sides.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// All of them, in the order of their labels.
    pub series: Vec<SeriesData>,
    /// No sample is before it.
    pub start: TimestampMs,
    /// No sample is after it.
    pub end: TimestampMs,
}

/// What is put into a [`Dataset`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contents {
    /// Native histograms too.
    pub histograms: bool,
    /// Samples at whole seconds, which meet the edges of ranges, too. Prometheus before 3.0 treats those otherwise.
    pub on_grid: bool,
    /// Only what old versions compute with alike: counters far from zero, no floats at the edge of what there is.
    pub tame: bool,
}

impl Dataset {
    /// The one that follows from `seed`.
    pub fn generate(seed: u64, contents: Contents) -> Self {
        let mut chance = Chance::new(seed);
        let mut series = Vec::new();
        floats::generate(&mut chance, contents, &mut series);
        classic::generate(&mut chance, contents, &mut series);
        if contents.histograms {
            native::generate(&mut chance, contents, &mut series);
        }
        Self::new(series, START, START.plus(SPAN_MS))
    }

    /// The given series, put in order.
    pub(crate) fn new(mut series: Vec<SeriesData>, start: TimestampMs, end: TimestampMs) -> Self {
        series.retain(|series| !series.samples.is_empty());
        series.sort_by(|left, right| left.labels.cmp(&right.labels));
        Self { series, start, end }
    }

    /// All of it in memory, for an engine in this process.
    pub fn store(&self) -> SeriesStore {
        let store = SeriesStore::new();
        for series in &self.series {
            for (at, value) in &series.samples {
                store.insert(&series.labels, *at, value.clone());
            }
        }
        store
    }

    /// The same with all floats changed in the thirteenth digit, each series by a part of its own.
    #[must_use]
    pub fn nudged(&self) -> Self {
        let mut nudged = self.clone();
        for (index, series) in nudged.series.iter_mut().enumerate() {
            let factor = 1.0 + NUDGE * (1 + index % 7) as f64 * if index % 2 == 0 { 1.0 } else { -1.0 };
            for (_, value) in &mut series.samples {
                match value {
                    StoredValue::Float(float) if float.is_finite() => *float *= factor,
                    StoredValue::Float(_) | StoredValue::Histogram(_) => {}
                }
            }
        }
        nudged
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.series.iter().map(|series| series.samples.len()).sum()
    }
}

/// A label set of literal names and values.
pub(crate) fn labels(name: &str, pairs: &[(&str, &str)]) -> Labels {
    let mut builder = LabelsBuilder::default();
    builder.push(model::METRIC_NAME, name);
    for (name, value) in pairs {
        builder.push(name, value);
    }
    builder.build().expect("names of generated labels differ")
}

/// When data sets start: half an hour before the leap day of 2024, so that functions of dates have something to tell.
pub const START: TimestampMs = TimestampMs(1_709_163_000_000);

/// How long they last.
pub const SPAN_MS: i64 = 80 * 60 * 1000;

/// Large beside the error of one operation, small beside what is compared.
const NUDGE: f64 = 1e-13;

/// Values of the label `job`.
pub(crate) const JOBS: [&str; 2] = ["api", "db"];
/// Values of the label `instance`.
pub(crate) const INSTANCES: [&str; 3] = ["a:1", "b:1", "c:1"];

#[cfg(test)]
mod tests;
