//! The values that everything else speaks of: label sets, matchers, samples, native histograms, exemplars, metadata.
//!
//! Pure values: no I/O, no clock, no runtime. Terms are Prometheus' own.

mod error_kind;
mod exemplar;
mod histogram;
mod labels;
mod matcher;
mod metadata;
mod sample;

pub use error_kind::{ErrorKind, Kinded};
pub use exemplar::Exemplar;
pub use histogram::{Counts, CUSTOM_BUCKETS_SCHEMA, HistogramError, NativeHistogram, ResetHint, Span};
pub use labels::{BuildLabels, Labels, LabelsBuilder, LabelsError, METRIC_NAME};
pub use matcher::{Matcher, MatcherError, MatchOp};
pub use metadata::{Metadata, MetricType};
pub use sample::{STALE_NAN_BITS, TimestampMs, is_stale_nan, stale_nan};
