//! Azure's platform metrics of workspaces and rules: recorded every minute, read by time range.
//!
//! They are ordinary series of the *system workspace*, so that their history survives restarts and PromQL sees it:
//!
//! | series | labels |
//! |---|---|
//! | `microsoft_monitor_accounts_…` ([`definitions`]) | `resource_id` (in lower case), `account_id`, `workspace` (the handle), `stamp_color`, for drops `reason` |
//! | `microsoft_insights_datacollectionrules_metric_ingestion_request_count` | `resource_id`, `immutable_id`, `rule` (the name), `input_stream_id`, `response_code` |
//!
//! A sample's time is the beginning of the minute that it speaks of. Counts (drops, samples stored, requests) are those of
//! that minute, so `sum_over_time` gives exact totals.
//!
//! Invariants: a drop is in exactly one sample, also where a write fails or the clock is set ([`Recorder`]); reading finds
//! series by the identity of the resource, so that a workspace never shows what belonged to another of its name.
//! Not here: the HTTP of the metrics API (`arm-api`), who may read (`access`), counting (`quota`).

mod aggregate;
mod books;
mod definitions;
mod filter;
mod interval;
mod read;
mod recorder;
mod resource;

pub use aggregate::Aggregation;
pub use definitions::{Definition, Dimension, STAMP_COLOR, Unit, definition, definitions};
pub use filter::{FILTER_BYTES_MAX, Filter, FilterError};
pub use interval::{Interval, IntervalError};
pub use read::{DataPoint, POINTS_MAX, Query, ReadError, TimeSeries, read};
pub use recorder::{Parts, Recorded, Recorder, until_next_minute};
pub use resource::{Resource, ResourceType};
