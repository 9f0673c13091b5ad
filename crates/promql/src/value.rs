//! What a query answers.

use std::sync::Arc;

use model::{Labels, NativeHistogram, TimestampMs};

use crate::Annotations;

/// The answer to a query.
#[derive(Clone, PartialEq, Debug)]
pub struct QueryResult {
    /// The value.
    pub value: Value,
    /// What the user should know about it.
    pub annotations: Annotations,
    /// The most samples that were held in memory at a time.
    pub samples_peak: usize,
}

/// The value of an expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// One number; only from instant queries.
    Scalar(FloatPoint),
    /// A text; only from instant queries.
    String {
        /// When it was evaluated.
        timestamp: TimestampMs,
        /// The text.
        text: String,
    },
    /// One sample per series, from an instant query. The order matters after `sort`, `topk` and the like.
    Vector(Vec<Sample>),
    /// Several samples per series, sorted by labels: from a range query, or an instant query of a range vector.
    Matrix(Vec<RangeSeries>),
}

/// One sample of one series.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// The series.
    pub labels: Labels,
    /// The time of evaluation.
    pub timestamp: TimestampMs,
    /// The value.
    pub value: SampleValue,
}

/// The value of a sample.
#[derive(Clone, PartialEq, Debug)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<NativeHistogram>),
}

/// Samples of one series: at each time either a float or a histogram. Not both lists are empty.
#[derive(Clone, PartialEq, Debug)]
pub struct RangeSeries {
    /// The series.
    pub labels: Labels,
    /// Floats, in order of time.
    pub floats: Vec<FloatPoint>,
    /// Histograms, in order of time.
    pub histograms: Vec<HistogramPoint>,
}

/// A number at a time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FloatPoint {
    /// The time.
    pub timestamp: TimestampMs,
    /// The number.
    pub value: f64,
}

/// A histogram at a time.
#[derive(Clone, PartialEq, Debug)]
pub struct HistogramPoint {
    /// The time.
    pub timestamp: TimestampMs,
    /// The histogram.
    pub histogram: Arc<NativeHistogram>,
}
