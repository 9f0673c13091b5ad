//! An answer to a query, in the form in which the two sides are compared: what the query API of Prometheus says of it.

mod json;
mod own;

use std::collections::BTreeMap;

pub use json::AnswerError;

/// What a side said.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// A value, with what was remarked on it.
    Value {
        /// The value.
        value: Value,
        /// Texts of warnings, sorted.
        warnings: Vec<String>,
        /// Texts of infos, sorted.
        infos: Vec<String>,
    },
    /// No value.
    Error {
        /// The API's name of the kind: `bad_data`, `execution`, …
        kind: String,
        /// Why.
        text: String,
    },
}

/// The value of a query.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A number.
    Scalar(Point),
    /// A text, and when it was evaluated.
    Text(i64, String),
    /// One point per series. The order may matter.
    Vector(Vec<Series>),
    /// Any number of points per series.
    Matrix(Vec<Series>),
}

/// A series of an answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its points, in order of time.
    pub points: Vec<Point>,
}

/// A value at a time.
#[derive(Clone, PartialEq, Debug)]
pub struct Point {
    /// Milliseconds since 1970.
    pub at: i64,
    /// The value.
    pub value: PointValue,
}

/// The value of a point.
#[derive(Clone, PartialEq, Debug)]
pub enum PointValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Histogram),
}

/// A native histogram as the API shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Histogram {
    /// Number of observations.
    pub count: f64,
    /// Sum of observations.
    pub sum: f64,
    /// Buckets that are not empty, from low to high.
    pub buckets: Vec<Bucket>,
}

/// A bucket as the API shows it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    /// Which bounds belong to it: 0 the upper, 1 the lower, 2 none, 3 both.
    pub bounds: u8,
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Observations in it.
    pub count: f64,
}

impl Answer {
    /// Series with points, of a vector or a matrix.
    pub fn series(&self) -> &[Series] {
        match self {
            Self::Value { value: Value::Vector(series) | Value::Matrix(series), .. } => series,
            _ => &[],
        }
    }

    /// Whether it is a value without anything in it, which proves little.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Value { value: Value::Vector(series) | Value::Matrix(series), .. } if series.is_empty())
    }
}
