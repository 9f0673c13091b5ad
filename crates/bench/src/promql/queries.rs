//! What dashboards ask: panels of the usual dashboards for nodes, Kubernetes and services, over the generated fleet.

use super::client::Call;

/// A query of a class, and what it is called in lists.
pub(super) struct Query {
    pub(super) text: String,
    pub(super) call: Call,
}

/// Over which times a class asks.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// The newest sample, milliseconds since 1970.
    pub(super) newest_ms: u64,
    pub(super) range_seconds: u64,
}

impl Times {
    /// As dashboards do, both ends on the step.
    pub(super) fn range(self, query: &str, step: u64) -> Query {
        let end = self.newest_ms / 1000 / step * step;
        let start = end - self.range_seconds;
        let call = Call::new("query_range").with("query", query).with("start", start).with("end", end);
        Query { text: format!("{query} @{step}s"), call: call.with("step", step) }
    }

    pub(super) fn instant(self, query: &str) -> Query {
        Query {
            text: query.to_owned(),
            call: Call::new("query").with("query", query).with("time", self.newest_ms / 1000),
        }
    }

    /// A call that lists labels or series in these times.
    pub(super) fn listing(self, path: &str, matcher: Option<&str>) -> Query {
        let end = self.newest_ms / 1000;
        let mut call = Call::new(path).with("start", end - self.range_seconds).with("end", end);
        if let Some(matcher) = matcher {
            call = call.with("match[]", matcher);
        }
        Query { text: format!("{path} {}", matcher.unwrap_or_default()), call }
    }
}

/// Panels over the last hour.
pub(super) fn dashboards(times: Times) -> Vec<Query> {
    PANELS.iter().map(|(step, query)| times.range(&placed(query), *step)).collect()
}

/// Panels over a day, a point every five minutes.
pub(super) fn days(times: Times) -> Vec<Query> {
    DAY_PANELS.iter().map(|query| times.range(&placed(query), 300)).collect()
}

/// The query with what a dashboard's variables stand for.
fn placed(query: &str) -> String {
    query.replace("$node", r#"job="node-exporter",instance="10.224.0.4:9100""#).replace("$cluster", CLUSTER)
}

/// The first cluster of the fleet.
pub(super) const CLUSTER: &str = r#"cluster="aks-westeurope-00""#;

/// With the step in seconds: 15 as a wide panel asks for an hour, 60 as a small one does.
const PANELS: [(u64, &str); 36] = [
    // A node.
    (15, r#"1 - avg(rate(node_cpu_seconds_total{mode="idle",$node}[2m]))"#),
    (15, "sum by (mode) (rate(node_cpu_seconds_total{$node}[2m]))"),
    (15, r#"sum by (instance) (irate(node_cpu_seconds_total{mode!="idle",$node}[5m]))"#),
    (15, r#"{__name__=~"node_load1|node_load5|node_load15",$node}"#),
    (60, r#"count without (cpu, mode) (node_cpu_seconds_total{mode="idle",$node})"#),
    (
        15,
        "node_memory_MemTotal_bytes{$node} - node_memory_MemFree_bytes{$node} - node_memory_Buffers_bytes{$node} - node_memory_Cached_bytes{$node}",
    ),
    (15, "100 - node_memory_MemAvailable_bytes{$node} / node_memory_MemTotal_bytes{$node} * 100"),
    (15, r#"rate(node_disk_read_bytes_total{$node,device=~"(sd|nvme).+"}[2m])"#),
    (15, r#"irate(node_disk_io_time_seconds_total{$node,device=~"(sd|nvme).+"}[5m])"#),
    (60, r#"1 - node_filesystem_avail_bytes{$node,fstype!=""} / node_filesystem_size_bytes{$node,fstype!=""}"#),
    (15, r#"rate(node_network_receive_bytes_total{$node,device!="lo"}[2m]) * 8"#),
    (15, r#"-rate(node_network_transmit_bytes_total{$node,device!="lo"}[2m]) * 8"#),
    (60, "predict_linear(node_filesystem_free_bytes{$node}[30m], 4 * 3600)"),
    (60, "time() - node_boot_time_seconds{$node}"),
    // All nodes.
    (60, r#"max by (cluster) (node_load1{job="node-exporter"})"#),
    (60, r#"1 - avg by (cluster) (rate(node_cpu_seconds_total{mode="idle"}[5m]))"#),
    (60, r#"topk(5, sum by (instance) (rate(node_network_receive_bytes_total{$cluster}[5m])))"#),
    (60, r#"label_replace(up{job="node-exporter"}, "host", "$1", "instance", "([^:]+):.*")"#),
    (60, r#"absent(up{job="node-exporter",cluster="nowhere"})"#),
    (60, "count by (job) (up == 1)"),
    // Pods and containers.
    (60, "sum by (node) (rate(container_cpu_usage_seconds_total{$cluster}[5m]))"),
    (15, r#"sum by (namespace) (container_memory_working_set_bytes{$cluster,container!=""})"#),
    (60, r#"topk(5, sum by (pod) (rate(container_cpu_usage_seconds_total{$cluster,namespace="shop"}[5m])))"#),
    (
        60,
        "sum by (container) (container_memory_rss{$cluster}) / sum by (container) (container_spec_memory_limit_bytes{$cluster})",
    ),
    (60, "sum by (namespace, phase) (kube_pod_status_phase{$cluster})"),
    (
        60,
        "sum by (owner_name) (container_memory_working_set_bytes{$cluster} * on (namespace, pod) group_left (owner_name) kube_pod_owner{$cluster})",
    ),
    (
        60,
        r#"sum by (namespace) (rate(container_cpu_usage_seconds_total{$cluster}[5m])) / ignoring (resource) group_left sum by (namespace, resource) (kube_pod_container_resource_limits{$cluster,resource="cpu"})"#,
    ),
    (60, "increase(kube_pod_container_status_restarts_total{$cluster}[15m]) > 0"),
    // A service.
    (15, r#"sum by (handler) (rate(http_requests_total{$cluster,job="checkout"}[2m]))"#),
    (
        15,
        r#"sum(rate(http_requests_total{$cluster,job="checkout",code=~"2.."}[2m])) / sum(rate(http_requests_total{$cluster,job="checkout"}[2m]))"#,
    ),
    (
        15,
        r#"histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{$cluster,job="checkout"}[2m])))"#,
    ),
    (
        60,
        r#"histogram_quantile(0.5, sum by (le, handler) (rate(http_request_duration_seconds_bucket{$cluster,job="cart"}[5m])))"#,
    ),
    (15, r#"rate(process_cpu_seconds_total{$cluster,job="checkout"}[2m])"#),
    (15, r#"process_resident_memory_bytes{$cluster,job="checkout"}"#),
    (60, "avg by (job) (go_memstats_heap_inuse_bytes{$cluster})"),
    (60, r#"max by (pod) (process_open_fds{$cluster,job="search"} / process_max_fds{$cluster,job="search"})"#),
];

const DAY_PANELS: [&str; 12] = [
    "sum by (mode) (rate(node_cpu_seconds_total{$node}[5m]))",
    "sum by (instance) (rate(node_network_receive_bytes_total{$cluster}[5m]))",
    "avg_over_time(node_load1{$cluster}[10m])",
    "node_memory_MemAvailable_bytes{$node} / node_memory_MemTotal_bytes{$node}",
    r#"sum by (job) (rate(http_requests_total{$cluster}[5m]))"#,
    r#"histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{$cluster,job="checkout"}[5m])))"#,
    r#"quantile_over_time(0.9, node_load5{$cluster}[30m])"#,
    r#"max_over_time(container_memory_working_set_bytes{$cluster,container="payments"}[10m])"#,
    "sum by (container) (container_memory_rss{$cluster})",
    r#"increase(http_requests_total{$cluster,job="search",handler="/healthz"}[1h])"#,
    r#"topk(3, sum by (pod) (rate(container_cpu_usage_seconds_total{$cluster}[5m])))"#,
    "count by (job) (up)",
];
