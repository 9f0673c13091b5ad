//! Text in which metrics are shown → samples.
//!
//! [`OpenMetrics`] reads OpenMetrics 1.0 line by line, as strictly as Prometheus does, so that a file of any size is read in
//! memory for one line. Not here: where the text comes from, and what becomes of the samples.

mod open_metrics;

pub use open_metrics::{LINE_BYTES_MAX, Line, NotOpenMetrics, OpenMetrics};
