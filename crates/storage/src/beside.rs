//! What a storage tells beside samples: exemplars, how much it holds, and what a reading had to leave out.

use std::sync::atomic::{AtomicU64, Ordering};

use model::{Exemplar, Labels};

use crate::TimeRange;

/// Exemplars of one series.
#[derive(Clone, Debug)]
pub struct SeriesExemplars {
    /// The series.
    pub labels: Labels,
    /// Its exemplars, oldest first.
    pub exemplars: Vec<Exemplar>,
}

/// How much a storage holds of recent data, and of what it holds most: where cardinality comes from.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Statistics {
    /// Series.
    pub series: u64,
    /// Pairs of a label name and a value.
    pub label_pairs: u64,
    /// Chunks of samples.
    pub chunks: u64,
    /// From the oldest sample to the newest; `None` while there is none.
    pub range: Option<TimeRange>,
    /// Metric names with the most series.
    pub series_by_metric_name: Vec<Count>,
    /// Label names with the most values.
    pub values_by_label_name: Vec<Count>,
    /// Label names whose values would take the most bytes, were they written out with every series.
    pub bytes_by_label_name: Vec<Count>,
    /// Pairs `name=value` with the most series.
    pub series_by_label_pair: Vec<Count>,
}

/// How many there are of something, the largest first where they stand in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Count {
    /// Of what.
    pub name: String,
    /// How many, or how large.
    pub count: u64,
}

/// What a reading had to leave out. Whoever reads hands it to [`crate::Queryable::querier_with`], and asks it at the end.
#[derive(Debug, Default)]
pub struct LeftOut {
    chunks: AtomicU64,
}

impl LeftOut {
    /// A chunk is damaged and its samples are missing from the answer.
    pub fn damaged_chunk(&self) {
        self.chunks.fetch_add(1, Ordering::Relaxed);
    }

    /// Damaged chunks so far; one that was met twice counts twice.
    pub fn damaged_chunks(&self) -> u64 {
        self.chunks.load(Ordering::Relaxed)
    }
}
