//! Rate, byte and active-series budgets of rules and workspaces, as state without I/O.
//!
//! [`Quotas`] holds one [`RuleQuota`] per rule and one [`WorkspaceQuota`] per workspace; they are found without a lock and
//! share nothing, so that one that is over its limits does not slow another. A decision takes the time as an argument, on
//! the monotonic clock: a wall clock that is set changes nothing.
//!
//! Rates are counted in fixed windows of one minute ([`WINDOW`]). A window never admits more than its limit, but for one
//! request that alone is larger: it is let in when the window is unused, and its excess is charged to the windows after
//! it. Across the edge of two windows up to twice the limit may arrive within less than a minute, as in every counter of
//! fixed windows.
//!
//! Invariants: what is refused is not charged; concurrent callers together never get more than the limit; every table is
//! bounded ([`CONTRIBUTORS_KEPT`], [`DENSE_INDEX_MAX`], the limit of active series itself).
//! Not here: answers and statuses (the edges), what exists (`catalog`), history (`platform-metrics`).

mod active_series;
mod contributors;
mod drops;
mod limits;
mod minute;
mod quotas;
mod responses;
mod rule;
mod workspace;

pub use active_series::{ActiveSeries, DENSE_INDEX_MAX, Seen, SeriesHash, Touch};
pub use contributors::{CONTRIBUTORS_KEPT, CONTRIBUTORS_NAMED, Contribution, Contributor};
pub use drops::{Dropped, EventReason, SampleReason};
pub use limits::{LimitName, Limits, OverLimit, RuleLimits, WorkspaceLimits};
pub use minute::WINDOW;
pub use quotas::Quotas;
pub use responses::{OTHER_STATUS, STATUSES};
pub use rule::{RuleQuota, RuleUsage};
pub use workspace::{Use, WorkspaceQuota, WorkspaceUsage};
