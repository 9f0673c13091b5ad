//! How workspaces of Azure's profile differ (contract §6): what they refuse, and that they do not tell cases apart.

mod any_case;
mod spelling;

use std::collections::HashSet;

use model::{ErrorKind, Kinded, Labels, METRIC_NAME, MatchOp, Matcher, TimestampMs};
use promql::{EvalTime, Value};
use promql_syntax::{Duration, Expr, QueryTimes, VectorSelector};
use storage::TimeRange;

use crate::listing::Listing;
use crate::route::Endpoint;

pub(crate) use any_case::AnyCase;
pub(crate) use spelling::Spelled;

/// What a workspace of this profile does not answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum AzureRule {
    /// More than 32 days.
    #[error("Invalid time range. Timestamps must be valid and time range cannot exceed 32 days.")]
    Range,
    /// Points too close to each other for so long a range.
    #[error("The step must be at least 60 seconds for a time range of 48 hours or more.")]
    Step,
    /// A selector that does not say which metric.
    #[error("Every selector must have exactly one __name__ matcher: {0}")]
    MetricName(String),
    /// `/series` with a pattern.
    #[error("Regular expressions are not supported in match[]: {0}")]
    Pattern(String),
    /// Series that differ in case alone.
    #[error("The result has duplicate series: {0}")]
    Duplicate(String),
    /// Not served in this profile.
    #[error("The endpoint {0} is not supported.")]
    Endpoint(&'static str),
}

impl Kinded for AzureRule {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Duplicate(_) => ErrorKind::Unprocessable,
            Self::Endpoint(_) => ErrorKind::NotFound,
            Self::Range | Self::Step | Self::MetricName(_) | Self::Pattern(_) => ErrorKind::Invalid,
        }
    }
}

/// Refuses endpoints that Azure does not have. Those of administration are ours, for workspaces of any profile.
pub(crate) fn check_endpoint(endpoint: &Endpoint) -> Result<(), AzureRule> {
    match endpoint {
        Endpoint::Query | Endpoint::QueryRange | Endpoint::Series | Endpoint::Labels | Endpoint::LabelValues(_) => {
            Ok(())
        }
        Endpoint::DeleteSeries | Endpoint::CleanTombstones | Endpoint::Snapshot | Endpoint::Unknown => Ok(()),
        other => Err(AzureRule::Endpoint(other.name())),
    }
}

/// Refuses a query that Azure would refuse.
pub(crate) fn check_query(expr: &Expr, time: EvalTime) -> Result<(), AzureRule> {
    let (span_ms, times) = match time {
        EvalTime::Instant(_) => (0, QueryTimes::default()),
        EvalTime::Range { start, end, step_ms } => {
            let range_ms = end.since(start);
            if range_ms >= LONG_RANGE_MS && step_ms < LONG_RANGE_STEP_MS {
                return Err(AzureRule::Step);
            }
            (range_ms, QueryTimes { step_ms, range_ms })
        }
    };
    let mut reach_ms = 0;
    walk(expr, times, 0, &mut |selector, reach| {
        reach_ms = reach_ms.max(reach);
        check_selector(selector)
    })?;
    match span_ms.saturating_add(reach_ms) > RANGE_MS_MAX {
        true => Err(AzureRule::Range),
        false => Ok(()),
    }
}

fn check_selector(selector: &VectorSelector) -> Result<(), AzureRule> {
    match selector.matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME).count() {
        1 => Ok(()),
        _ => Err(AzureRule::MetricName(shown(&selector.matchers))),
    }
}

/// Every selector, with how far its samples reach back before the time of evaluation, offsets aside.
fn walk(
    expr: &Expr,
    times: QueryTimes,
    reach_ms: i64,
    each: &mut dyn FnMut(&VectorSelector, i64) -> Result<(), AzureRule>,
) -> Result<(), AzureRule> {
    // A range that is no duration is the engine's to refuse.
    let ms = |range: &Duration| range.resolve_ms(times, false).unwrap_or(0);
    match expr {
        Expr::Number(_) | Expr::String(_) => Ok(()),
        Expr::Vector(node) => each(node, reach_ms),
        Expr::Matrix(node) => each(&node.selector, reach_ms.saturating_add(ms(&node.range))),
        Expr::Subquery(node) => walk(&node.expr, times, reach_ms.saturating_add(ms(&node.range)), each),
        Expr::Call(node) => node.args.iter().try_for_each(|arg| walk(arg, times, reach_ms, each)),
        Expr::Aggregation(node) => {
            if let Some(param) = &node.param {
                walk(param, times, reach_ms, each)?;
            }
            walk(&node.expr, times, reach_ms, each)
        }
        Expr::Binary(node) => {
            walk(&node.lhs, times, reach_ms, each)?;
            walk(&node.rhs, times, reach_ms, each)
        }
        Expr::Unary(node) => walk(&node.expr, times, reach_ms, each),
        Expr::Paren(node) => walk(&node.expr, times, reach_ms, each),
    }
}

/// Narrows `/series` to what Azure answers: half a day before the end, and no patterns.
pub(crate) fn narrow_series(listing: &mut Listing, now: TimestampMs) -> Result<(), AzureRule> {
    for matchers in &listing.selectors {
        if matchers.iter().any(|matcher| matches!(matcher.op(), MatchOp::Regex | MatchOp::NotRegex)) {
            return Err(AzureRule::Pattern(shown(matchers)));
        }
    }
    let TimeRange { start, end } = listing.range;
    let end = if end == TimestampMs::MAX { now } else { end };
    listing.range = TimeRange { start: start.max(end.plus(-SERIES_RANGE_MS)), end };
    Ok(())
}

/// Refuses a result with series that differ in case alone.
pub(crate) fn refuse_duplicates(value: &Value) -> Result<(), AzureRule> {
    let mut seen = HashSet::new();
    let mut check = |labels: &Labels| match seen.insert(labels.to_string().to_lowercase()) {
        true => Ok(()),
        false => Err(AzureRule::Duplicate(labels.to_string())),
    };
    match value {
        Value::Vector(samples) => samples.iter().try_for_each(|sample| check(&sample.labels)),
        Value::Matrix(series) => series.iter().try_for_each(|series| check(&series.labels)),
        Value::Scalar(_) | Value::String { .. } => Ok(()),
    }
}

fn shown(matchers: &[Matcher]) -> String {
    let texts: Vec<String> = matchers
        .iter()
        .map(|matcher| format!("{}{}{:?}", matcher.name(), matcher.op().as_str(), matcher.value()))
        .collect();
    format!("{{{}}}", texts.join(","))
}

const DAY_MS: i64 = 86_400_000;
/// The longest time that a query may be about, ranges of its selectors included.
const RANGE_MS_MAX: i64 = 32 * DAY_MS;
/// From this length of a range on, steps have a least length.
const LONG_RANGE_MS: i64 = 2 * DAY_MS;
const LONG_RANGE_STEP_MS: i64 = 60_000;
/// The longest time that `/series` looks at.
const SERIES_RANGE_MS: i64 = DAY_MS / 2;

#[cfg(test)]
mod tests;
