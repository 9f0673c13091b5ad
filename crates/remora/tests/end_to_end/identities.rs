//! A real Prometheus scrapes itself and a node exporter and writes through one sidecar per kind of identity, over TLS; what
//! comes back is what Prometheus itself answers.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::installation::{Installation, QUERY_RESOURCE, Sidecar};
use crate::process::{Process, eventually, free_port, peer};

/// Selectors have `$` where the label that tells the senders apart is added on our side.
const QUERIES: &[&str] = &[
    "up{$}",
    "sum by (job) (up{$})",
    "count({__name__=~\".+\",$}) by (__name__)",
    "node_memory_MemFree_bytes{$} / node_memory_MemTotal_bytes{$} * 100",
    "rate(node_cpu_seconds_total{mode=\"idle\",$}[6s])",
    "sum without (cpu) (increase(node_cpu_seconds_total{$}[8s]))",
    "topk(3, sum by (handler) (prometheus_http_requests_total{$}))",
    "quantile by (job) (0.5, {__name__=~\"process_.+\",$})",
    "prometheus_build_info{$} * on (instance) group_left (job) up{$}",
    "node_uname_info{$} and on (instance) up{job=\"node\",$}",
    "go_goroutines{$} > bool 3",
    "max by (job) (go_goroutines{$} offset 3s)",
    "{job!~\"node|other\",__name__=\"up\",$}",
    "absent(no_such_series{$})",
    "irate(process_cpu_seconds_total{$}[6s])",
];

#[test]
fn real_prometheus_through_every_identity() {
    let up = Installation::start();
    let senders = start_sidecars(&up);
    let (prometheus, mut processes) = start_prometheus(&up, &senders);
    let token = up.token(QUERY_RESOURCE);
    let service = Reader { client: &up.client, base: up.fact("query_url").to_owned(), token: Some(&token) };
    let own = Reader { client: &up.client, base: prometheus, token: None };

    for (identity, sidecar) in &senders {
        let selector = format!("identity=\"{identity}\"");
        let at = settled_time(&service, &selector);
        let through_sidecar = Reader { client: &up.client, base: sidecar.base.clone(), token: None };
        for query in QUERIES {
            let ours = query.replace('$', &selector);
            let theirs = query.replace(",$", "").replace('$', "");
            let expected = own.answers(&theirs, at);
            for reader in [&service, &through_sidecar] {
                assert_same(&format!("{identity}: {query} at {at}"), &reader.answers(&ours, at), &expected);
            }
        }
    }
    every_sidecar_says_what_it_did(&senders);
    processes.iter_mut().for_each(Process::assert_running);
    for (_, sidecar) in senders {
        assert!(sidecar.process.terminate().0.success(), "a sidecar must end well on SIGTERM");
    }
}

fn start_sidecars(up: &Installation) -> Vec<(&'static str, Sidecar)> {
    let application: Vec<(&str, &str)> = vec![
        ("AZURE_CLIENT_ID", up.fact("application_id")),
        ("AZURE_TENANT_ID", up.fact("tenant_id")),
        ("AZURE_AUTHORITY_HOST", up.fact("authority_tls")),
    ];
    let with = |more: &[(&'static str, &'static str)], file: (&'static str, &'static str)| {
        let mut variables = application.clone();
        variables.extend(more.iter().copied());
        variables.push((file.0, up.fact(file.1)));
        variables
    };
    let managed = vec![
        ("IDENTITY_TYPE", "userAssigned"),
        ("AZURE_CLIENT_ID", up.fact("client_id")),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", up.fact("imds")),
    ];
    let header = fs::read_to_string(up.fact("identity_header_file")).unwrap();
    let app_service = vec![
        ("IDENTITY_TYPE", "systemAssigned"),
        ("IDENTITY_ENDPOINT", up.fact("identity_endpoint")),
        ("IDENTITY_HEADER", header.trim()),
    ];
    let application_type: &[(&str, &str)] = &[("IDENTITY_TYPE", "aadApplication")];
    let identities = [
        ("managed-identity", managed),
        ("app-service", app_service),
        ("certificate", with(application_type, ("AZURE_CLIENT_CERTIFICATE_PATH", "certificate_file"))),
        ("certificate-pfx", with(application_type, ("AZURE_CLIENT_CERTIFICATE_PATH", "certificate_pfx_file"))),
        (
            "workload-identity",
            with(&[("IDENTITY_TYPE", "workloadIdentity")], ("AZURE_FEDERATED_TOKEN_FILE", "federated_token_file")),
        ),
    ];
    let secret = fs::read_to_string(up.fact("client_secret_file")).unwrap();
    let mut with_secret = application.clone();
    with_secret.extend([("IDENTITY_TYPE", "aadApplication"), ("AZURE_CLIENT_SECRET", secret.trim())]);
    let mut senders: Vec<_> =
        identities.into_iter().map(|(name, variables)| (name, up.sidecar(name, &variables))).collect();
    senders.push(("secret", up.sidecar("secret", &with_secret)));
    senders
}

/// Starts node exporter and Prometheus; gives Prometheus' base URL.
fn start_prometheus(up: &Installation, senders: &[(&'static str, Sidecar)]) -> (String, Vec<Process>) {
    let (node_port, prometheus_port) = (free_port(), free_port());
    let mut exporter = peer("usr/bin/prometheus-node-exporter");
    exporter.arg(format!("--web.listen-address=127.0.0.1:{node_port}"));
    let exporter = Process::start("node-exporter", up.directory(), &mut exporter);

    let mut config = format!(
        concat!(
            "global: {{scrape_interval: 1s}}\n",
            "scrape_configs:\n",
            "  - {{job_name: prometheus, static_configs: [{{targets: ['127.0.0.1:{}']}}]}}\n",
            "  - {{job_name: node, static_configs: [{{targets: ['127.0.0.1:{}']}}]}}\n",
            "remote_write:\n",
        ),
        prometheus_port, node_port
    );
    for (identity, sidecar) in senders {
        config.push_str(&format!(
            concat!(
                "  - url: {}\n",
                "    queue_config: {{batch_send_deadline: 500ms, retry_on_http_429: true}}\n",
                "    write_relabel_configs: [{{target_label: identity, replacement: {}}}]\n",
            ),
            sidecar.write_url(),
            identity
        ));
    }
    let config_file = up.directory().join("prometheus.yml");
    fs::write(&config_file, config).unwrap();
    let mut prometheus = peer("usr/bin/prometheus");
    prometheus
        .arg(format!("--config.file={}", config_file.display()))
        .arg(format!("--storage.tsdb.path={}", up.directory().join("prometheus").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{prometheus_port}"));
    let prometheus = Process::start("prometheus", up.directory(), &mut prometheus);
    (format!("http://127.0.0.1:{prometheus_port}"), vec![prometheus, exporter])
}

/// A time that lies between scrapes (2.42 and 3.x differ in whether a range takes in a sample at its very start), with
/// enough data before it and everything up to it arrived.
fn settled_time(service: &Reader<'_>, selector: &str) -> f64 {
    let offsets = eventually(&format!("both jobs with {selector}"), Duration::from_secs(60), || {
        let seconds = service.values(&format!("timestamp(up{{{selector}}})"), None)?;
        let enough = service.values(&format!("min(count_over_time(up{{{selector}}}[1m]))"), None)?;
        (seconds.len() == 2 && enough.first() >= Some(&15.0)).then_some(seconds)
    });
    let latest = offsets.iter().copied().fold(0.0, f64::max);
    let distance = |at: f64| {
        let from_scrape = |scrape: &f64| (at - scrape).rem_euclid(1.0).min((scrape - at).rem_euclid(1.0));
        offsets.iter().map(from_scrape).fold(1.0, f64::min)
    };
    let candidates = (0..20).map(|step| (latest * 20.0).floor() / 20.0 + f64::from(step) / 20.0 + 0.007);
    let at = candidates.max_by(|left, right| distance(*left).total_cmp(&distance(*right))).unwrap();
    eventually("samples after the chosen time", Duration::from_secs(30), || {
        let seconds = service.values(&format!("min(timestamp(up{{{selector}}}))"), None)?;
        (seconds.first() > Some(&(at + 1.5))).then_some(at)
    })
}

/// The one-minute log line, with figures.
fn every_sidecar_says_what_it_did(senders: &[(&'static str, Sidecar)]) {
    for (identity, sidecar) in senders {
        let line = eventually(&format!("the minute's line of {identity}"), Duration::from_secs(90), || {
            let log = sidecar.process.log();
            log.lines().find(|line| line.contains("Metric packets published in last 1 minute")).map(str::to_owned)
        });
        let fields: BTreeMap<&str, &str> = line.split(' ').filter_map(|field| field.split_once('=')).collect();
        let number = |key: &str| fields[key].parse::<f64>().unwrap();
        assert!(line.starts_with("time=\"20") && line.contains("Z\" level=info msg=\"Metric packets"), "{line}");
        assert!(number("avgBytesPerRequest") > 0.0 && number("avgRequestDurationInSec") > 0.0, "{line}");
        assert!(number("successfullyPublished") > 0.0, "{line}");
        assert_eq!(number("failedPublishing"), 0.0, "{line}");
    }
}

/// One side's query API.
struct Reader<'a> {
    client: &'a Client,
    base: String,
    token: Option<&'a str>,
}

impl Reader<'_> {
    /// Values of an instant vector; `None` when there is no answer (yet).
    fn values(&self, query: &str, time: Option<f64>) -> Option<Vec<f64>> {
        let data = self.client.query(&self.base, self.token, query, time)?;
        let value = |sample: &Value| sample["value"][1].as_str()?.parse().ok();
        data["result"].as_array()?.iter().map(value).collect()
    }

    /// An instant answer and a range answer.
    #[track_caller]
    fn answers(&self, query: &str, at: f64) -> [Answer; 2] {
        let instant = self.client.query(&self.base, self.token, query, Some(at));
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("start", &(at - 4.0).to_string())
            .append_pair("end", &at.to_string())
            .append_pair("step", "1")
            .finish();
        let range = self.client.api(&self.base, self.token, "query_range", &form);
        [instant, range].map(|data| simplify(&data.unwrap_or_else(|| panic!("no answer from {}: {query}", self.base))))
    }
}

/// Points by label set, without the label that only our side has.
type Answer = BTreeMap<String, Vec<(f64, f64)>>;

fn simplify(data: &Value) -> Answer {
    let mut answer = Answer::new();
    for series in data["result"].as_array().unwrap() {
        let mut labels = series["metric"].as_object().unwrap().clone();
        labels.remove("identity");
        let points = match series.get("values") {
            Some(values) => values.as_array().unwrap().clone(),
            None => vec![series["value"].clone()],
        };
        let point = |point: &Value| (point[0].as_f64().unwrap(), point[1].as_str().unwrap().parse().unwrap());
        let doubled = answer.insert(Value::Object(labels).to_string(), points.iter().map(point).collect());
        assert!(doubled.is_none(), "a label set stands twice in {data}");
    }
    answer
}

#[track_caller]
fn assert_same(what: &str, ours: &[Answer; 2], theirs: &[Answer; 2]) {
    for (kind, ours, theirs) in [("instant", &ours[0], &theirs[0]), ("range", &ours[1], &theirs[1])] {
        assert!(!theirs.is_empty() || kind == "range", "{what}: the reference has nothing to compare");
        let keys = |answer: &Answer| answer.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(ours), keys(theirs), "{what} ({kind}): series");
        for (labels, points) in theirs {
            let own = &ours[labels];
            let same = own.len() == points.len()
                && own.iter().zip(points).all(|(own, their)| own.0 == their.0 && same_value(own.1, their.1));
            assert!(same, "{what} ({kind}) {labels}: {own:?} instead of {points:?}");
        }
    }
}

fn same_value(left: f64, right: f64) -> bool {
    left == right || (left.is_nan() && right.is_nan()) || (left - right).abs() <= 1e-9 * left.abs().max(right.abs())
}
