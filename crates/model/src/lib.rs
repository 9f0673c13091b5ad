//! The values that everything else speaks of: label sets, matchers, samples, native histograms, exemplars, metadata.
//!
//! Pure values: no I/O, no clock, no runtime. Terms are Prometheus' own.

mod account_id;
mod error_kind;
mod exemplar;
mod go_regex;
mod histogram;
mod host_names;
mod labels;
mod matcher;
mod metadata;
mod resource_id;
mod sample;

pub use account_id::AccountId;
pub use error_kind::{ErrorKind, Kinded};
pub use exemplar::Exemplar;
pub use go_regex::{GoRegex, PATTERN_BYTES_MAX};
pub use histogram::{CUSTOM_BUCKETS_SCHEMA, Counts, HistogramError, NativeHistogram, ResetHint, Span};
pub use host_names::{DomainError, EndpointDomain, OwnHost};
pub use labels::{BuildLabels, Labels, LabelsBuilder, LabelsError, METRIC_NAME};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use metadata::{Metadata, MetricType};
pub use resource_id::{ResourceId, ResourceIdError};
pub use sample::{STALE_NAN_BITS, TimestampMs, is_stale_nan, stale_nan};
