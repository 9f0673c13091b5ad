//! An example observation attached to a series.

use crate::{Labels, TimestampMs};

/// One observation with labels of its own, typically a trace identifier.
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// The exemplar's own labels; may be empty.
    pub labels: Labels,
    /// When it was observed.
    pub timestamp: TimestampMs,
    /// What was observed.
    pub value: f64,
}
