//! What may be used, and what is said to those who use more.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::{ErrorKind, Kinded};

use crate::contributors::Contributor;

/// What an installation grants by default (contract §4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// To every rule.
    pub rule: RuleLimits,
    /// To every workspace that has no limits of its own.
    pub workspace: WorkspaceLimits,
}

/// What one rule may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleLimits {
    /// Requests.
    pub requests_per_minute: u64,
    /// Bytes of bodies as they are sent.
    pub bytes_per_minute: u64,
}

impl Default for RuleLimits {
    fn default() -> Self {
        Self { requests_per_minute: 15_000, bytes_per_minute: 50_000_000_000 }
    }
}

/// What one workspace may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkspaceLimits {
    /// Samples, histograms and exemplars.
    pub events_per_minute: u64,
    /// Series written within 12 hours.
    pub active_series: u64,
}

impl Default for WorkspaceLimits {
    fn default() -> Self {
        Self { events_per_minute: 1_000_000, active_series: 1_000_000 }
    }
}

/// Which limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LimitName {
    /// Requests a minute of a rule.
    RuleRequests,
    /// Bytes a minute of a rule.
    RuleBytes,
    /// Events a minute of a workspace.
    WorkspaceEvents,
    /// Active series of a workspace.
    WorkspaceActiveSeries,
}

impl LimitName {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::RuleRequests, Self::RuleBytes, Self::WorkspaceEvents, Self::WorkspaceActiveSeries];

    /// Its stable name: in settings, metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RuleRequests => "ruleRequestsPerMinute",
            Self::RuleBytes => "ruleBytesPerMinute",
            Self::WorkspaceEvents => "workspaceEventsPerMinute",
            Self::WorkspaceActiveSeries => "workspaceActiveSeries",
        }
    }

    /// What it counts, in words.
    pub const fn counts(self) -> &'static str {
        match self {
            Self::RuleRequests => "requests per minute of rule",
            Self::RuleBytes => "bytes per minute of rule",
            Self::WorkspaceEvents => "events per minute of workspace",
            Self::WorkspaceActiveSeries => "active time series of workspace",
        }
    }
}

/// A limit that is used up.
///
/// Displays, within its first 200 bytes, the limit, its value, the use and when to come back; then the metrics that
/// contribute most.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OverLimit {
    /// Which limit.
    pub limit: LimitName,
    /// Whose: the rule's immutable id or the workspace's `accountId`.
    pub of: Arc<str>,
    /// The limit's value.
    pub value: u64,
    /// What is used of it. Above the value after a request that alone was larger, or when the limit was lowered.
    pub used: u64,
    /// After which time the same request may be admitted: whole seconds, at least one. `None` for what does not pass by
    /// waiting a minute (the limit of active series).
    pub retry_after: Option<Duration>,
    /// The metrics that contribute most events, the largest first. Empty for rules until the caller adds those of the
    /// workspaces that it writes to.
    pub contributors: Vec<Contributor>,
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, of, value, used, .. } = self;
        write!(f, "limit of {value} {} {of} is reached: {used} used, ", limit.counts())?;
        match self.retry_after {
            Some(wait) => write!(f, "come back in {} s", wait.as_secs())?,
            None => f.write_str("new ones are refused until others are silent for 12 h")?,
        }
        for (index, Contributor { metric, events }) in self.contributors.iter().enumerate() {
            f.write_str(if index == 0 { "; most events by metric: " } else { ", " })?;
            write!(f, "{metric} {events}")?;
        }
        Ok(())
    }
}

impl std::error::Error for OverLimit {}

impl Kinded for OverLimit {
    fn kind(&self) -> ErrorKind {
        match self.retry_after {
            Some(_) => ErrorKind::Throttled,
            None => ErrorKind::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_200_bytes_say_all_but_the_contributors() {
        let contributors = vec![Contributor { metric: "a_metric_total".into(), events: 7 }; 5];
        for limit in LimitName::ALL {
            let of = "dcr-00000000000000000000000000000000".into();
            let wait = Duration::from_secs(86_400);
            let retry_after = (limit != LimitName::WorkspaceActiveSeries).then_some(wait);
            let contributors = contributors.clone();
            let over = OverLimit { limit, of, value: u64::MAX, used: u64::MAX, retry_after, contributors };
            let text = over.to_string();
            let (head, tail) = text.split_once("; most events").expect("contributors are named");
            assert!(head.len() <= 200, "{} bytes: {head}", head.len());
            assert!(tail.ends_with("a_metric_total 7, a_metric_total 7"), "{tail}");
        }
    }

    #[test]
    fn says_when_to_come_back() {
        let over = OverLimit {
            limit: LimitName::WorkspaceEvents,
            of: "00000000-0000-0000-0000-000000000001".into(),
            value: 10,
            used: 12,
            retry_after: Some(Duration::from_secs(61)),
            contributors: Vec::new(),
        };
        let expected = "limit of 10 events per minute of workspace 00000000-0000-0000-0000-000000000001 is reached: \
                        12 used, come back in 61 s";
        assert_eq!(over.to_string(), expected);
        assert_eq!(over.kind(), ErrorKind::Throttled);
        assert_eq!(OverLimit { retry_after: None, ..over }.kind(), ErrorKind::Invalid);
    }
}
