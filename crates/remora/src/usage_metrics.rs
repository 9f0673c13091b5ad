//! What workspaces and rules use of their limits, and the state of the catalogue, gathered when `/metrics` is asked.

use std::fmt;
use std::sync::Arc;

use catalog::{Catalog, Snapshot};
use environment::{Clock, Monotonic};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use quota::{Quotas, RuleUsage, WorkspaceUsage};

/// Gathers use and limits of everything that was used since the start, and sizes of the catalogue.
pub(crate) struct UsageMetrics {
    catalog: Arc<Catalog>,
    quotas: Arc<Quotas>,
    clock: Arc<dyn Clock>,
}

impl UsageMetrics {
    pub(crate) fn new(catalog: Arc<Catalog>, quotas: Arc<Quotas>, clock: Arc<dyn Clock>) -> Self {
        Self { catalog, quotas, clock }
    }

    fn workspaces(&self, snapshot: &Snapshot, now: Monotonic) -> Vec<(String, WorkspaceUsage)> {
        let used = snapshot.workspaces().values().filter_map(|workspace| {
            let quota = self.quotas.workspace_used(workspace.account_id)?;
            Some((workspace.account_id.to_string(), quota.usage(now)))
        });
        used.collect()
    }

    fn rules(&self, snapshot: &Snapshot, now: Monotonic) -> Vec<(String, RuleUsage)> {
        let used = snapshot.rules().values().filter_map(|rule| {
            let quota = self.quotas.rule_used(&rule.immutable_id)?;
            Some((rule.immutable_id.clone(), quota.usage(now)))
        });
        used.collect()
    }
}

impl fmt::Debug for UsageMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UsageMetrics")
    }
}

impl Collector for UsageMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (snapshot, now) = (self.catalog.snapshot(), self.clock.monotonic());
        for (name, help, value) in CATALOGUE {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value(&snapshot)).encode(metric)?;
        }
        let workspaces = self.workspaces(&snapshot, now);
        for (name, help, value) in WORKSPACE {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (account, usage) in &workspaces {
                ConstGauge::new(value(usage)).encode(metric.encode_family(&[("workspace", account.as_str())])?)?;
            }
        }
        let rules = self.rules(&snapshot, now);
        for (name, help, value) in RULE {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (id, usage) in &rules {
                ConstGauge::new(value(usage)).encode(metric.encode_family(&[("rule", id.as_str())])?)?;
            }
        }
        Ok(())
    }
}

type Figures<T> = &'static [(&'static str, &'static str, fn(&T) -> i64)];

const CATALOGUE: Figures<Snapshot> = &[
    ("catalogue_revision", "Changes of the catalogue", |snapshot| gauge(snapshot.revision())),
    ("catalogue_workspaces", "Workspaces", |snapshot| gauge(snapshot.workspaces().len() as u64)),
    ("catalogue_deleted_workspaces", "Workspaces that can be restored", |snapshot| {
        gauge(snapshot.deleted_workspaces().len() as u64)
    }),
    ("catalogue_endpoints", "Data collection endpoints", |snapshot| gauge(snapshot.endpoints().len() as u64)),
    ("catalogue_rules", "Data collection rules", |snapshot| gauge(snapshot.rules().len() as u64)),
    ("catalogue_role_assignments", "Role assignments", |snapshot| gauge(snapshot.assignments().len() as u64)),
];

const WORKSPACE: Figures<WorkspaceUsage> = &[
    ("workspace_active_series", "Series written within 12 hours", |usage| gauge(usage.active_series)),
    ("workspace_active_series_limit", "How many there may be", |usage| gauge(usage.active_series_limit)),
    ("workspace_events_this_minute", "Events admitted in the current window of a minute", |usage| {
        gauge(usage.events.used)
    }),
    ("workspace_events_per_minute", "Events admitted in the last whole window", |usage| {
        gauge(usage.events.used_before)
    }),
    ("workspace_events_per_minute_limit", "How many there may be", |usage| gauge(usage.events.limit)),
];

const RULE: Figures<RuleUsage> = &[
    ("rule_requests_per_minute", "Requests admitted in the last whole window", |usage| {
        gauge(usage.requests.used_before)
    }),
    ("rule_requests_per_minute_limit", "How many there may be", |usage| gauge(usage.requests.limit)),
    ("rule_bytes_per_minute", "Bytes of requests admitted in the last whole window", |usage| {
        gauge(usage.bytes.used_before)
    }),
    ("rule_bytes_per_minute_limit", "How many there may be", |usage| gauge(usage.bytes.limit)),
];

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
