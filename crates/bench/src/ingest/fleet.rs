//! The series of a fleet of Kubernetes nodes: each node's exporter, then the pods on it and their states. The same for the same seed.
//!
//! Labels are those that the usual scrape configurations give: 12 to 17 a series, about 400 bytes encoded. Values behave
//! as theirs do: about half of all series hardly ever change, the rest are counters and gauges.

use super::values::Behaviour;

/// One series: labels sorted by name, and how its values go.
pub(crate) struct Series {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) behaviour: Behaviour,
}

impl Series {
    /// The value of the label with this name.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|label| label.0 == name).map_or("", |label| label.1.as_str())
    }
}

/// Series in the order in which a Prometheus that scrapes the fleet would send them. Never ends.
pub(crate) fn series() -> impl Iterator<Item = Series> {
    (0..).flat_map(|node| {
        let node = Node::new(node);
        let pods: Vec<Pod> = (0..PODS_PER_NODE).map(|slot| Pod::new(&node, slot)).collect();
        let of_pods: Vec<Series> = pods.iter().flat_map(|pod| pod.series(&node)).collect();
        node.series().into_iter().chain(of_pods)
    })
}

/// The value of the label `cluster` on the node with this index.
fn cluster(node: usize) -> String {
    format!("aks-{}-{:02}", REGIONS[node / NODES_PER_CLUSTER % REGIONS.len()], node / NODES_PER_CLUSTER)
}

struct Node {
    index: usize,
    name: String,
    address: String,
}

impl Node {
    fn new(index: usize) -> Self {
        let name = format!("aks-workers-{:08}-vmss{:06x}", 31_274_000 + index / NODES_PER_CLUSTER, index);
        Self { index, name, address: format!("10.{}.{}.{}", 224 + index / 62_500, index / 250 % 250, index % 250 + 4) }
    }

    /// Labels that each Prometheus adds to all that it sends.
    fn external_labels(&self) -> Vec<(&'static str, String)> {
        let region = REGIONS[self.index / NODES_PER_CLUSTER % REGIONS.len()];
        vec![
            ("cluster", cluster(self.index)),
            ("environment", "production".to_owned()),
            ("prometheus", "monitoring/kube-prometheus-stack-prometheus".to_owned()),
            ("region", region.to_owned()),
        ]
    }

    fn series(&self) -> Vec<Series> {
        let exporter = format!("kube-prometheus-stack-prometheus-node-exporter-{}", suffix(self.index as u64));
        let mut target = self.external_labels();
        target.extend([
            ("container", "node-exporter".to_owned()),
            ("endpoint", "http-metrics".to_owned()),
            ("instance", format!("{}:9100", self.address)),
            ("job", "node-exporter".to_owned()),
            ("namespace", "monitoring".to_owned()),
            ("node", self.name.clone()),
            ("pod", exporter),
            ("service", "kube-prometheus-stack-prometheus-node-exporter".to_owned()),
        ]);
        let mut all = vec![make(&target, "up", Behaviour::Constant(1), &[])];
        let mut add =
            |name: &str, behaviour, own: &[(&'static str, &str)]| all.push(make(&target, name, behaviour, own));
        for cpu in CPUS {
            for (mode, behaviour) in CPU_MODES {
                add("node_cpu_seconds_total", behaviour, &[("cpu", cpu), ("mode", mode)]);
            }
        }
        for (name, behaviour) in NODE_WHOLE {
            add(name, behaviour, &[]);
        }
        for device in NETWORK_DEVICES {
            for (name, behaviour) in NETWORK {
                add(name, behaviour, &[("device", device)]);
            }
        }
        for device in DISKS {
            for (name, behaviour) in DISK {
                add(name, behaviour, &[("device", device)]);
            }
        }
        for (device, mount) in FILE_SYSTEMS {
            for (name, behaviour) in FILE_SYSTEM {
                add(name, behaviour, &[("device", device), ("fstype", "ext4"), ("mountpoint", mount)]);
            }
        }
        all
    }
}

struct Pod {
    workload: &'static str,
    name: String,
    address: String,
}

impl Pod {
    fn new(node: &Node, slot: usize) -> Self {
        let workload = WORKLOADS[(node.index + slot) % WORKLOADS.len()];
        let id = (node.index * PODS_PER_NODE + slot) as u64;
        let name = format!("{workload}-{:09x}-{}", (node.index % 7) as u64 * 0x0b3d_9f21 + 0x5_d6f9_0000, suffix(id));
        Self { workload, name, address: format!("10.{}.{}.{}:8080", id / 62_500 % 200, id / 250 % 250, id % 250 + 4) }
    }

    fn series(&self, node: &Node) -> Vec<Series> {
        let mut container = node.external_labels();
        container.extend([
            ("container", self.workload.to_owned()),
            ("image", format!("registry.example.com/shop/{}:v1.{}.2", self.workload, node.index % 7)),
            ("instance", format!("{}:10250", node.address)),
            ("job", "kubelet".to_owned()),
            ("metrics_path", "/metrics/cadvisor".to_owned()),
            ("namespace", "shop".to_owned()),
            ("node", node.name.clone()),
            ("pod", self.name.clone()),
        ]);
        let mut service = node.external_labels();
        service.extend([
            ("container", self.workload.to_owned()),
            ("endpoint", "http".to_owned()),
            ("instance", self.address.clone()),
            ("job", self.workload.to_owned()),
            ("namespace", "shop".to_owned()),
            ("node", node.name.clone()),
            ("pod", self.name.clone()),
            ("service", self.workload.to_owned()),
        ]);
        let mut all = self.states(node);
        all.push(make(&service, "up", Behaviour::Constant(1), &[]));
        for (name, behaviour) in CONTAINER {
            all.push(make(&container, name, behaviour, &[]));
        }
        for (name, behaviour) in PROCESS {
            all.push(make(&service, name, behaviour, &[]));
        }
        for (handler, method, code) in HANDLERS {
            let own = [("handler", handler), ("method", method), ("code", code)];
            all.push(make(&service, "http_requests_total", Behaviour::Events(12), &own));
            for le in BUCKETS {
                let own = [("handler", handler), ("method", method), ("code", code), ("le", le)];
                all.push(make(&service, "http_request_duration_seconds_bucket", Behaviour::Events(6), &own));
            }
        }
        all
    }

    /// What kube-state-metrics says of the pod.
    fn states(&self, node: &Node) -> Vec<Series> {
        let mut target = node.external_labels();
        target.extend([
            ("endpoint", "http".to_owned()),
            ("instance", "10.225.0.9:8080".to_owned()),
            ("job", "kube-state-metrics".to_owned()),
            ("namespace", "shop".to_owned()),
            ("pod", self.name.clone()),
            ("service", "kube-prometheus-stack-kube-state-metrics".to_owned()),
            ("uid", format!("{}-7d1c-4a53-9f0e-{}", suffix(node.index as u64), self.name.len())),
        ]);
        let container = ("container", self.workload);
        let mut all = Vec::new();
        let mut add =
            |name: &str, value: u64, own: &[_]| all.push(make(&target, name, Behaviour::Constant(value), own));
        add("kube_pod_owner", 1, &[("owner_kind", "ReplicaSet"), ("owner_name", self.workload)]);
        for (phase, value) in [("Failed", 0), ("Pending", 0), ("Running", 1), ("Succeeded", 0), ("Unknown", 0)] {
            add("kube_pod_status_phase", value, &[("phase", phase)]);
        }
        add("kube_pod_container_status_restarts_total", 2, &[container]);
        for name in ["kube_pod_container_resource_requests", "kube_pod_container_resource_limits"] {
            add(name, 2, &[container, ("resource", "cpu"), ("unit", "core")]);
            add(name, 536_870_912, &[container, ("resource", "memory"), ("unit", "byte")]);
        }
        all
    }
}

/// A series of a target.
fn make(target: &[(&'static str, String)], name: &str, behaviour: Behaviour, own: &[(&'static str, &str)]) -> Series {
    let mut labels = target.to_vec();
    labels.push(("__name__", name.to_owned()));
    labels.extend(own.iter().map(|&(name, value)| (name, value.to_owned())));
    labels.sort_unstable_by_key(|&(name, _)| name);
    Series { labels, behaviour }
}

/// Five letters and digits, as Kubernetes appends them.
fn suffix(of: u64) -> String {
    let mut bits = super::values::scatter(of ^ 0x706f_6473);
    let letters = b"bcdfghjklmnpqrstvwxz2456789";
    let mut text = String::new();
    for _ in 0..5 {
        text.push(char::from(letters[(bits % 27) as usize]));
        bits /= 27;
    }
    text
}

/// About 20,000 series, so that a query over a cluster stays below every receiver's limits.
const NODES_PER_CLUSTER: usize = 16;
const PODS_PER_NODE: usize = 20;
const REGIONS: [&str; 4] = ["westeurope", "northeurope", "eastus2", "southeastasia"];
const WORKLOADS: [&str; 11] = [
    "checkout",
    "cart",
    "catalogue",
    "payments",
    "search",
    "frontend",
    "recommendations",
    "inventory",
    "shipping",
    "accounts",
    "notifications",
];

const CPUS: [&str; 16] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];
const CPU_MODES: [(&str, Behaviour); 8] = [
    ("idle", Behaviour::Seconds(1200)),
    ("iowait", Behaviour::Seconds(3)),
    ("irq", Behaviour::Constant(0)),
    ("nice", Behaviour::Constant(0)),
    ("softirq", Behaviour::Seconds(9)),
    ("steal", Behaviour::Constant(0)),
    ("system", Behaviour::Seconds(70)),
    ("user", Behaviour::Seconds(220)),
];
const NODE_WHOLE: [(&str, Behaviour); 40] = [
    ("node_boot_time_seconds", Behaviour::Constant(1_790_000_000)),
    ("node_context_switches_total", Behaviour::Events(400_000)),
    ("node_entropy_available_bits", Behaviour::Constant(256)),
    ("node_filefd_allocated", Behaviour::Level(32)),
    ("node_filefd_maximum", Behaviour::Constant(1_048_576)),
    ("node_forks_total", Behaviour::Events(160)),
    ("node_intr_total", Behaviour::Events(300_000)),
    ("node_load1", Behaviour::Load),
    ("node_load15", Behaviour::Load),
    ("node_load5", Behaviour::Load),
    ("node_memory_Active_bytes", Behaviour::Bytes),
    ("node_memory_AnonPages_bytes", Behaviour::Bytes),
    ("node_memory_Buffers_bytes", Behaviour::Bytes),
    ("node_memory_Cached_bytes", Behaviour::Bytes),
    ("node_memory_CommitLimit_bytes", Behaviour::Constant(33_700_000_000)),
    ("node_memory_Committed_AS_bytes", Behaviour::Bytes),
    ("node_memory_Dirty_bytes", Behaviour::Bytes),
    ("node_memory_HardwareCorrupted_bytes", Behaviour::Constant(0)),
    ("node_memory_HugePages_Total", Behaviour::Constant(0)),
    ("node_memory_Inactive_bytes", Behaviour::Bytes),
    ("node_memory_KernelStack_bytes", Behaviour::Bytes),
    ("node_memory_Mapped_bytes", Behaviour::Bytes),
    ("node_memory_MemAvailable_bytes", Behaviour::Bytes),
    ("node_memory_MemFree_bytes", Behaviour::Bytes),
    ("node_memory_MemTotal_bytes", Behaviour::Constant(67_400_000_000)),
    ("node_memory_PageTables_bytes", Behaviour::Bytes),
    ("node_memory_SReclaimable_bytes", Behaviour::Bytes),
    ("node_memory_SUnreclaim_bytes", Behaviour::Bytes),
    ("node_memory_Shmem_bytes", Behaviour::Constant(4_100_096)),
    ("node_memory_Slab_bytes", Behaviour::Bytes),
    ("node_memory_SwapTotal_bytes", Behaviour::Constant(0)),
    ("node_memory_VmallocTotal_bytes", Behaviour::Constant(35_184_372_087_808)),
    ("node_netstat_Tcp_CurrEstab", Behaviour::Level(12)),
    ("node_netstat_Tcp_InSegs", Behaviour::Events(50_000)),
    ("node_netstat_Tcp_OutSegs", Behaviour::Events(60_000)),
    ("node_procs_blocked", Behaviour::Constant(0)),
    ("node_procs_running", Behaviour::Level(3)),
    ("node_sockstat_TCP_inuse", Behaviour::Level(10)),
    ("node_time_seconds", Behaviour::Seconds(1500)),
    ("node_vmstat_pgfault", Behaviour::Events(90_000)),
];
const NETWORK_DEVICES: [&str; 8] =
    ["eth0", "eth1", "lo", "azv1f8a8bb2a0c", "azv3c91d0e77b2", "azv5d0be6a1f44", "azv83f2c9d8e10", "azva4470bd9c35"];
const NETWORK: [(&str, Behaviour); 11] = [
    ("node_network_carrier", Behaviour::Constant(1)),
    ("node_network_mtu_bytes", Behaviour::Constant(1500)),
    ("node_network_receive_bytes_total", Behaviour::Events(9_000_000)),
    ("node_network_receive_drop_total", Behaviour::Constant(0)),
    ("node_network_receive_errs_total", Behaviour::Constant(0)),
    ("node_network_receive_packets_total", Behaviour::Events(12_000)),
    ("node_network_transmit_bytes_total", Behaviour::Events(7_000_000)),
    ("node_network_transmit_drop_total", Behaviour::Constant(0)),
    ("node_network_transmit_errs_total", Behaviour::Constant(0)),
    ("node_network_transmit_packets_total", Behaviour::Events(11_000)),
    ("node_network_up", Behaviour::Constant(1)),
];
const DISKS: [&str; 3] = ["sda", "sdb", "nvme0n1"];
const DISK: [(&str, Behaviour); 9] = [
    ("node_disk_discards_completed_total", Behaviour::Constant(0)),
    ("node_disk_io_now", Behaviour::Constant(0)),
    ("node_disk_io_time_seconds_total", Behaviour::Seconds(30)),
    ("node_disk_read_bytes_total", Behaviour::Events(800_000)),
    ("node_disk_read_time_seconds_total", Behaviour::Seconds(4)),
    ("node_disk_reads_completed_total", Behaviour::Events(40)),
    ("node_disk_write_time_seconds_total", Behaviour::Seconds(20)),
    ("node_disk_writes_completed_total", Behaviour::Events(900)),
    ("node_disk_written_bytes_total", Behaviour::Events(12_000_000)),
];
const FILE_SYSTEMS: [(&str, &str); 3] = [("/dev/root", "/"), ("/dev/sda15", "/boot/efi"), ("/dev/sdb1", "/mnt")];
const FILE_SYSTEM: [(&str, Behaviour); 7] = [
    ("node_filesystem_avail_bytes", Behaviour::Bytes),
    ("node_filesystem_device_error", Behaviour::Constant(0)),
    ("node_filesystem_files", Behaviour::Constant(16_515_072)),
    ("node_filesystem_files_free", Behaviour::Level(5)),
    ("node_filesystem_free_bytes", Behaviour::Bytes),
    ("node_filesystem_readonly", Behaviour::Constant(0)),
    ("node_filesystem_size_bytes", Behaviour::Constant(133_000_000_000)),
];
const CONTAINER: [(&str, Behaviour); 14] = [
    ("container_cpu_cfs_periods_total", Behaviour::Events(100)),
    ("container_cpu_cfs_throttled_periods_total", Behaviour::Constant(4)),
    ("container_cpu_usage_seconds_total", Behaviour::Seconds(240)),
    ("container_fs_reads_total", Behaviour::Constant(20_480)),
    ("container_fs_writes_total", Behaviour::Constant(4096)),
    ("container_memory_cache", Behaviour::Bytes),
    ("container_memory_failcnt", Behaviour::Constant(0)),
    ("container_memory_rss", Behaviour::Bytes),
    ("container_memory_swap", Behaviour::Constant(0)),
    ("container_memory_working_set_bytes", Behaviour::Bytes),
    ("container_processes", Behaviour::Constant(3)),
    ("container_spec_cpu_quota", Behaviour::Constant(200_000)),
    ("container_spec_memory_limit_bytes", Behaviour::Constant(536_870_912)),
    ("container_start_time_seconds", Behaviour::Constant(1_792_000_000)),
];
const PROCESS: [(&str, Behaviour); 10] = [
    ("go_gc_duration_seconds_count", Behaviour::Events(2)),
    ("go_goroutines", Behaviour::Level(20)),
    ("go_memstats_alloc_bytes", Behaviour::Bytes),
    ("go_memstats_heap_inuse_bytes", Behaviour::Bytes),
    ("go_memstats_mallocs_total", Behaviour::Events(80_000)),
    ("process_cpu_seconds_total", Behaviour::Seconds(230)),
    ("process_max_fds", Behaviour::Constant(1_048_576)),
    ("process_open_fds", Behaviour::Level(4)),
    ("process_resident_memory_bytes", Behaviour::Bytes),
    ("process_start_time_seconds", Behaviour::Constant(1_792_000_000)),
];
const HANDLERS: [(&str, &str, &str); 3] =
    [("/api/v1/orders", "GET", "200"), ("/api/v1/orders", "POST", "201"), ("/healthz", "GET", "200")];
const BUCKETS: [&str; 10] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn series_are_distinct_and_of_the_size_that_is_promised() {
        let fleet: Vec<Series> = series().take(30_000).collect();
        let mut seen = HashSet::new();
        for one in &fleet {
            assert!((12..=17).contains(&one.labels.len()), "{:?}", one.labels);
            assert!(one.labels.is_sorted_by(|a, b| a.0 < b.0), "{:?}", one.labels);
            assert!(seen.insert(one.labels.clone()), "{:?} stands there twice", one.labels);
        }
        let clusters: HashSet<&str> = fleet.iter().map(|one| one.label("cluster")).collect();
        assert_eq!(clusters.len(), 2);
    }
}
