//! The sidecar with its queue between a real Prometheus and the real service: killed, restarted, without a role for a while;
//! every sample that Prometheus scraped can be queried in the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::installation::{Installation, QUERY_RESOURCE, remora};
use crate::process::{Process, eventually, free_port, pause, peer};
use crate::serve::Service;
use crate::writing::now;

#[test]
fn every_scraped_sample_is_there_after_kills() {
    let up = Installation::start();
    let managed = [
        ("IDENTITY_TYPE", "userAssigned"),
        ("AZURE_CLIENT_ID", up.fact("client_id")),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", up.fact("imds")),
    ];
    let mut sidecar = Durable::start(&up, &up.ingestion_url_tls(), &managed);
    let prometheus = Prometheus::start(&up, &sidecar);
    for kill in 0..5 {
        pause(Duration::from_millis(600 + kill * 170));
        sidecar = sidecar.crash_and_restart(&up.client);
    }
    pause(Duration::from_secs(1));
    let (status, log) = {
        let (stopped, status, log) = sidecar.terminate();
        sidecar = stopped.restart(&up.client);
        (status, log)
    };
    assert!(status.success(), "a sidecar must end well on SIGTERM, not with {status}; its log:\n{log}");
    pause(Duration::from_secs(1));
    let token = up.token(QUERY_RESOURCE);
    let service = (up.fact("query_url").to_owned(), Some(token.as_str()));
    assert_all_there(&up.client, &prometheus, &service);
    let ledger = sidecar.settled_ledger(&up.client);
    assert!(ledger["received"] > 1000.0 && ledger["delivered"] == ledger["received"], "{ledger:?}");
}

#[test]
fn what_waited_for_a_role_is_delivered() {
    let up = Installation::start();
    let service = Service::start(&up, "");
    let arm = service.arm(&up);
    let role = arm.assignment_of(&up.object_id_of_application(), "Monitoring Metrics Publisher");
    arm.delete(role["id"].as_str().unwrap());
    let secret = fs::read_to_string(up.fact("client_secret_file")).unwrap();
    let application = [
        ("IDENTITY_TYPE", "aadApplication"),
        ("AZURE_CLIENT_ID", up.fact("application_id")),
        ("AZURE_TENANT_ID", up.fact("tenant_id")),
        ("AZURE_AUTHORITY_HOST", up.fact("authority_tls")),
        ("AZURE_CLIENT_SECRET", secret.trim()),
    ];
    let sidecar = Durable::start(&up, &service.write_url(), &application);
    let prometheus = Prometheus::start(&up, &sidecar);
    eventually("a 403", Duration::from_secs(30), || {
        sidecar.metrics(&up.client).get("delivery_answers_total{code=\"403\"}").copied()
    });
    pause(Duration::from_secs(2));
    // Given again under the same id, while everything runs.
    arm.put_json(
        role["id"].as_str().unwrap(),
        &serde_json::json!({"properties": {
            "roleDefinitionId": role["properties"]["roleDefinitionId"],
            "principalId": role["properties"]["principalId"],
            "principalType": "ServicePrincipal",
        }}),
    );
    let token = up.token_by_secret("application_id", "client_secret_file", &format!("{QUERY_RESOURCE}/.default"));
    assert_all_there(&up.client, &prometheus, &(service.query_url(), Some(token.as_str())));
    let ledger = sidecar.settled_ledger(&up.client);
    assert!(ledger["delivered"] == ledger["received"], "{ledger:?}");
}

/// A sidecar with a queue, on one port and directory through all its lives.
struct Durable {
    process: Process,
    variables: Vec<(String, String)>,
    directory: PathBuf,
    port: u16,
}

impl Durable {
    fn start(up: &Installation, ingestion_url: &str, identity: &[(&str, &str)]) -> Self {
        let port = free_port();
        let queue = up.directory().join("queue");
        let mut variables: Vec<(String, String)> =
            identity.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for (name, value) in [
            ("INGESTION_URL", ingestion_url.to_owned()),
            ("LISTENING_PORT", port.to_string()),
            ("REMORA_LISTEN_ADDRESS", "127.0.0.1".to_owned()),
            ("REMORA_QUEUE_DIR", queue.display().to_string()),
            ("SSL_CERT_FILE", up.fact("ca_file").to_owned()),
        ] {
            variables.push((name.to_owned(), value));
        }
        let directory = up.directory().to_owned();
        let process = Self::run(&variables, &directory, port, &up.client);
        Self { process, variables, directory, port }
    }

    fn run(variables: &[(String, String)], directory: &std::path::Path, port: u16, client: &Client) -> Process {
        let mut command: Command = remora();
        command.arg("sidecar").envs(variables.iter().cloned());
        let mut process = Process::start("durable-sidecar", directory, &mut command);
        eventually("the sidecar to serve", Duration::from_secs(30), || {
            process.assert_running();
            let answer = client.try_send("GET", &format!("http://127.0.0.1:{port}/health"), &[], "")?;
            (answer.status == 200).then_some(())
        });
        process
    }

    fn crash_and_restart(self, client: &Client) -> Self {
        let Self { process, variables, directory, port } = self;
        process.kill();
        Stopped { variables, directory, port }.restart(client)
    }

    fn terminate(self) -> (Stopped, std::process::ExitStatus, String) {
        let Self { process, variables, directory, port } = self;
        let (status, log) = process.terminate();
        (Stopped { variables, directory, port }, status, log)
    }

    /// Its metrics, names without the prefix of all.
    fn metrics(&self, client: &Client) -> BTreeMap<String, f64> {
        let text = client.get(&format!("http://127.0.0.1:{}/metrics", self.port)).text();
        text.lines()
            .filter_map(|line| line.strip_prefix("remora_sidecar_")?.rsplit_once(' '))
            .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
            .collect()
    }

    /// The account of floats, once nothing is queued but what Prometheus sent this moment.
    fn settled_ledger(&self, client: &Client) -> BTreeMap<&'static str, f64> {
        eventually("the queue to be empty", Duration::from_secs(30), || {
            let metrics = self.metrics(client);
            let sum = |family: &str| {
                let of_family = metrics.iter().filter(|(series, _)| {
                    series.starts_with(&format!("{family}{{")) && series.contains("kind=\"float\"")
                });
                of_family.map(|(_, value)| value).sum::<f64>()
            };
            let parts = ["received", "delivered", "rejected", "expired"];
            let mut ledger: BTreeMap<_, _> =
                parts.into_iter().map(|part| (part, sum(&format!("{part}_samples_total")))).collect();
            ledger.insert("queued", sum("queued_samples"));
            let balance = ledger["delivered"] + ledger["rejected"] + ledger["expired"] + ledger["queued"];
            assert_eq!(ledger["received"], balance, "{ledger:?}");
            (ledger["queued"] == 0.0).then_some(ledger)
        })
    }
}

struct Stopped {
    variables: Vec<(String, String)>,
    directory: PathBuf,
    port: u16,
}

impl Stopped {
    fn restart(self, client: &Client) -> Durable {
        let Self { variables, directory, port } = self;
        let process = Durable::run(&variables, &directory, port, client);
        Durable { process, variables, directory, port }
    }
}

/// A Prometheus that scrapes itself four times a second.
struct Prometheus {
    process: Process,
    base: String,
}

impl Prometheus {
    fn start(up: &Installation, sidecar: &Durable) -> Self {
        let port = free_port();
        let config = up.directory().join("durable-prometheus.yml");
        let text = format!(
            concat!(
                "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\n",
                "scrape_configs: [{{job_name: prometheus, static_configs: [{{targets: ['127.0.0.1:{}']}}]}}]\n",
                "remote_write: [{{url: 'http://127.0.0.1:{}/api/v1/write', queue_config: {{batch_send_deadline: 200ms}}}}]\n",
            ),
            port, sidecar.port,
        );
        fs::write(&config, text).unwrap();
        let mut command = peer("usr/bin/prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", up.directory().join("durable-prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        Self {
            process: Process::start("durable-prometheus", up.directory(), &mut command),
            base: format!("http://127.0.0.1:{port}"),
        }
    }
}

/// Everything that Prometheus scraped up to now comes to stand in the service, value by value, and nothing else.
fn assert_all_there(client: &Client, prometheus: &Prometheus, service: &(String, Option<&str>)) {
    let until = now().0 as f64 / 1000.0 - 0.1;
    let selectors =
        ["up|scrape_.+|process_.+", "go_.+", "prometheus_(h|r|s).+", "prometheus_t.+", "net_.+|prometheus_[^hrst].+"];
    let mut compared = 0;
    for selector in selectors {
        let query = format!("{{job=\"prometheus\",__name__=~\"{selector}\"}}[10m]");
        let read = |base: &str, token| samples(&client.query(base, token, &query, Some(until))?);
        let scraped = eventually("Prometheus to answer", Duration::from_secs(20), || read(&prometheus.base, None));
        compared += scraped.values().map(BTreeMap::len).sum::<usize>();
        eventually(&format!("all of {selector}"), Duration::from_secs(30), || {
            let stored = read(&service.0, service.1)?;
            (stored == scraped).then_some(())
        });
    }
    assert!(compared > 2000, "{compared} samples compared");
    let running = &prometheus.process;
    assert!(!running.log().contains("non-recoverable"), "Prometheus dropped samples: {}", running.log());
}

/// Values by series and time; NaN stands as text, so that it equals itself.
fn samples(data: &Value) -> Option<BTreeMap<String, BTreeMap<i64, String>>> {
    let mut series = BTreeMap::new();
    for one in data["result"].as_array()? {
        let values = one["values"].as_array()?.iter().map(|value| {
            let at = (value[0].as_f64().unwrap() * 1000.0).round() as i64;
            (at, value[1].as_str().unwrap().to_owned())
        });
        series.insert(one["metric"].to_string(), values.collect());
    }
    Some(series)
}
