//! Our query engine beside a Prometheus: the same data, the same queries, the same answers.
//!
