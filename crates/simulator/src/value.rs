//! Values of samples: each tells which sample it belongs to, so that one that turns up elsewhere is noticed.

use std::fmt;
use std::sync::Arc;

use model::{Counts, NativeHistogram, Span, stale_nan};

use crate::chance::Chance;

/// A sample's value.
#[derive(Clone)]
pub enum Value {
    /// The bits of a float, so that NaNs compare.
    Float(u64),
    /// A native histogram.
    Histogram(Arc<NativeHistogram>),
}

/// What a series measures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A number that is another for each sample.
    Distinct,
    /// The same number most of the time.
    Constant,
    /// Bits of all sorts.
    Wild,
    /// Histograms with integer counts.
    Histogram,
    /// Histograms with float counts.
    FloatHistogram,
    /// Floats and histograms in turns.
    Mixed,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Distinct, Self::Constant, Self::Wild, Self::Histogram, Self::FloatHistogram, Self::Mixed];

    /// A value of the series with this number at `at`. Another `version` is another value.
    pub fn value(self, series: usize, at: i64, version: u32, chance: &mut Chance) -> Value {
        let tell = series as f64 * 1e10 + (at.rem_euclid(10_000_000_000) as f64) + f64::from(version) * 0.125;
        let float = |value: f64| Value::Float(value.to_bits());
        match self {
            Self::Distinct => float(tell),
            Self::Constant => float(f64::from(version)),
            Self::Wild => match chance.below(8) {
                0 => float(stale_nan()),
                1 => float(-0.0),
                2 => float(f64::INFINITY),
                _ => Value::Float(chance.bits()),
            },
            Self::Histogram => Value::Histogram(Arc::new(histogram(tell, false, chance))),
            Self::FloatHistogram => Value::Histogram(Arc::new(histogram(tell, true, chance))),
            Self::Mixed if chance.one_in(2) => float(tell),
            Self::Mixed => Value::Histogram(Arc::new(histogram(tell, chance.one_in(2), chance))),
        }
    }
}

fn histogram(tell: f64, float: bool, chance: &mut Chance) -> NativeHistogram {
    if chance.one_in(12) {
        return NativeHistogram::stale();
    }
    let counts: Vec<u64> = (0..chance.below(4) + 1).map(|_| chance.below(1000)).collect();
    let total: u64 = counts.iter().sum();
    let deltas = counts.iter().scan(0, |last, count| {
        let delta = *count as i64 - *last;
        *last = *count as i64;
        Some(delta)
    });
    NativeHistogram {
        schema: 3,
        zero_threshold: 0.001,
        sum: tell,
        positive_spans: vec![Span { offset: chance.between(-3, 3) as i32, length: counts.len() as u32 }],
        counts: if float {
            Counts::Float {
                count: total as f64,
                zero_count: 0.0,
                positive: counts.iter().map(|count| *count as f64).collect(),
                negative: vec![],
            }
        } else {
            Counts::Integer { count: total, zero_count: 0, positive: deltas.collect(), negative: vec![] }
        },
        ..NativeHistogram::stale()
    }
}

/// As the database tells samples apart: floats by bits, histograms by observations.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(left), Self::Float(right)) => left == right,
            (Self::Histogram(left), Self::Histogram(right)) => tsdb_format::chunk::same_observations(left, right),
            _ => false,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(bits) => write!(f, "{}({bits:x})", f64::from_bits(*bits)),
            Self::Histogram(histogram) => write!(f, "histogram of sum {} {:?}", histogram.sum, histogram.counts),
        }
    }
}
