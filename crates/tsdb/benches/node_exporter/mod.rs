//! Series as node exporters have them: 15 labels.

use model::Labels;

/// Labels of a series: 500 of each host, of the pod with this number.
pub(crate) fn labels(number: usize, pod: usize) -> Labels {
    let (target, metric) = (number / 500, number % 500);
    let labels = Labels::from_pairs([
        ("__name__", format!("node_subsystem_{}_operations_total", metric / 4)),
        ("cluster", "production-west-europe".into()),
        ("container", "node-exporter".into()),
        ("cpu", format!("{}", metric % 4)),
        ("endpoint", "metrics".into()),
        ("environment", "production".into()),
        ("host", format!("host-{target}.example.internal")),
        ("instance", format!("10.1.{}.{}:9100", target / 250, target % 250)),
        ("job", "node-exporter".into()),
        ("mode", ["user", "system", "idle", "iowait"][metric % 4].into()),
        ("namespace", "monitoring".into()),
        ("pod", format!("node-exporter-{:08x}", pod.wrapping_mul(2_654_435_761) as u32)),
        ("region", "westeurope".into()),
        ("service", "node-exporter".into()),
        ("team", "platform".into()),
    ]);
    labels.unwrap()
}
