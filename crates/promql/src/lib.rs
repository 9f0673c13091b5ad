//! Evaluates PromQL expressions against a storage.
//!
//! The way of a query: [`Engine::prepare`] checks the times, turns the syntax tree into a plan and selects all series it
//! needs (the only waiting); [`Prepared::evaluate`] then computes on the calling thread. An instant query is a range
//! query of one step.
//!
//! Evaluation streams: every operator hands one series at a time, over all steps at once, to the one above it. So a rate
//! under a sum holds one series' window and one row per group, whatever the number of series. What has to be held (one
//! side of a match, groups, results) counts against [`EngineOptions::samples_max`]. Parts that do not depend on the step
//! are computed once. Where threads are lent, series are read and computed by several of them, and handed on in order: answers do
//! not depend on how many there are.
//!
//! Semantics are those of Prometheus 3.x: ranges and the lookback window are open on the left, closed on the right.
//! Not here: parsing, deadlines (the caller's interrupt), JSON.

mod aggregate;
mod annotation;
mod binary;
mod budget;
mod calendar;
mod classic_histogram;
mod column;
mod element;
mod engine;
mod error;
mod evaluate;
mod extended_histograms;
mod extended_range;
mod float_text;
mod float_windows;
mod function;
mod grid;
pub mod histogram;
mod histogram_estimate;
mod histogram_operator;
mod histogram_reader;
mod histogram_sum;
mod histogram_windows;
mod info;
mod label_set;
mod limit;
mod matching;
mod monotonicity;
mod narrowing;
mod natural_order;
mod notes;
mod over_range;
mod plan;
mod planner;
mod range_function;
mod ranking;
mod rate;
mod rate_shapes;
mod relabel;
mod row;
mod selected_rows;
mod selector;
mod series_batches;
mod set_operator;
mod smoothed;
mod sort;
mod start_timestamp;
mod statistics;
mod transitions;
mod value;
mod window;
mod workers;

pub use annotation::{Annotation, Annotations, Severity};
pub use engine::{Engine, EngineOptions, EvalTime, Prepared, Stop};
pub use error::EvalError;
pub use value::{FloatPoint, HistogramPoint, QueryResult, RangeSeries, Sample, SampleValue, Value};
pub use workers::{NoWorkers, Workers};
