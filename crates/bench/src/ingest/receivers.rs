//! The receivers: how each is started, written to and asked.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::Value;

use super::issuer::{Issuer, PRINCIPAL};
use super::load::Connection;
use crate::http_client;
use crate::process::{Process, free_address, pause};

/// Who can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `remora serve`: plain HTTP on loopback, token checked, walSync: interval
    Remora,
    /// A single node
    VictoriaMetrics,
    /// With the remote write receiver
    Prometheus,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Remora => "remora",
            Self::VictoriaMetrics => "victoria-metrics",
            Self::Prometheus => "prometheus",
        }
    }
}

/// Where the programs are.
pub(crate) struct Programs {
    pub(crate) remora: PathBuf,
    pub(crate) peers: PathBuf,
}

impl Programs {
    /// `remora` is beside this program, peers where `scripts/peers` puts them.
    pub(crate) fn find(remora: Option<&Path>, peers: &Path) -> anyhow::Result<Self> {
        let remora = match remora {
            Some(path) => path.to_owned(),
            None => std::env::current_exe()?.with_file_name("remora"),
        };
        Ok(Self { remora, peers: peers.to_owned() })
    }

    /// The program of `kind`, which exists.
    pub(crate) fn program(&self, kind: Kind) -> anyhow::Result<PathBuf> {
        let (path, mend) = match kind {
            Kind::Remora => (self.remora.clone(), "build it with cargo build --release -p remora, or set REMORA"),
            Kind::VictoriaMetrics => (self.peers.join("victoria-metrics"), "run scripts/peers victoria-metrics"),
            Kind::Prometheus => (self.peers.join("prometheus"), "run scripts/peers prometheus"),
        };
        fs::canonicalize(&path).with_context(|| format!("{} does not exist: {mend}", path.display()))
    }
}

/// A receiver that can be started, ended and started again on the same data and address.
pub(crate) struct Receiver {
    pub(crate) kind: Kind,
    program: PathBuf,
    directory: PathBuf,
    address: SocketAddr,
    /// Tokens for the receiver that wants them.
    write_headers: String,
    query_headers: String,
    /// What is added to the command line.
    flags: Vec<&'static str>,
    process: Option<Process>,
}

impl Receiver {
    /// Prepares one with its data under `directory`, which is new.
    pub(crate) fn prepare(kind: Kind, programs: &Programs, issuer: &Issuer, directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut receiver = Self {
            kind,
            program: programs.program(kind)?,
            directory: directory.to_owned(),
            address: free_address()?,
            write_headers: String::new(),
            query_headers: String::new(),
            flags: Vec::new(),
            process: None,
        };
        match kind {
            Kind::Remora => {
                fs::write(directory.join("settings.yaml"), receiver.settings(issuer))?;
                let bearer = |audience| anyhow::Ok(format!("Authorization: Bearer {}\r\n", issuer.token(audience)?));
                receiver.write_headers = bearer("https://monitor.azure.com")?;
                receiver.query_headers = bearer("https://prometheus.monitor.azure.com")?;
            }
            Kind::Prometheus => fs::write(directory.join("prometheus.yml"), "scrape_configs: []\n")?,
            Kind::VictoriaMetrics => {}
        }
        Ok(receiver)
    }

    fn settings(&self, issuer: &Issuer) -> String {
        format!(
            "listen: '{}'\n\
             dataDir: {}\n\
             walSync: interval\n\
             limits: {{ruleRequestsPerMinute: {UNLIMITED}, ruleBytesPerMinute: {UNLIMITED}, \
             workspaceEventsPerMinute: {UNLIMITED}, workspaceActiveSeries: {UNLIMITED}}}\n\
             issuers: [{{oidc: {{issuer: '{}', jwksUri: '{}'}}}}]\n\
             workspaces: [{{name: bench, accountId: 14e21a3b-a68e-4626-873e-6539bd54fc63}}]\n\
             rules: [{{name: bench, immutableId: {RULE}, workspaces: [bench]}}]\n\
             roleAssignments:\n\
             - {{principal: {PRINCIPAL}, role: Monitoring Metrics Publisher, scope: rule/bench}}\n\
             - {{principal: {PRINCIPAL}, role: Monitoring Data Reader, scope: workspace/bench}}\n",
            self.address,
            self.data().display(),
            issuer.name(),
            issuer.key_set(),
        )
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Starts the process; it may not answer yet.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let (data, address) = (self.data(), self.address);
        let mut command = Command::new(&self.program);
        match self.kind {
            Kind::Remora => command.args(["serve", "--config"]).arg(self.directory.join("settings.yaml")),
            Kind::VictoriaMetrics => command
                .arg(format!("-storageDataPath={}", data.display()))
                .arg(format!("-httpListenAddr={address}"))
                .args(["-retentionPeriod=12", "-search.latencyOffset=0s", "-loggerLevel=WARN"]),
            Kind::Prometheus => command
                .arg(format!("--config.file={}", self.directory.join("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", data.display()))
                .arg(format!("--web.listen-address={address}"))
                .args(["--web.enable-remote-write-receiver", "--log.level=warn"]),
        };
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        command.args(&self.flags).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(Process::start(&mut command)?);
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub(crate) fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let path = match self.kind {
            Kind::Remora => "/ready",
            Kind::VictoriaMetrics => "/health",
            Kind::Prometheus => "/-/ready",
        };
        let until = Instant::now() + READY_TIMEOUT;
        loop {
            // Refused connections and answers cut short only mean that it is not ready yet.
            if http_client::get(self.address, path, "").is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if let Some(status) = self.running()?.ended()? {
                bail!("{} ended: {status}; its log: {}", self.kind.name(), self.log_text());
            }
            if Instant::now() > until {
                bail!("{} did not become ready; its log: {}", self.kind.name(), self.log_text());
            }
            pause(Duration::from_millis(2));
        }
    }

    fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Its process.
    pub(crate) fn running(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().context("the receiver does not run")
    }

    /// A connection to write over.
    pub(crate) fn connect(&self) -> anyhow::Result<Connection> {
        let path = match self.kind {
            Kind::Remora => {
                format!(
                    "/dataCollectionRules/{RULE}/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24"
                )
            }
            Kind::VictoriaMetrics | Kind::Prometheus => "/api/v1/write".to_owned(),
        };
        Connection::open(self.address, &path, &self.write_headers)
    }

    /// Adds something to the command line that it is started with.
    pub(crate) fn add_flag(&mut self, flag: &'static str) {
        self.flags.push(flag);
    }

    /// Where queries go: address, path of the API, and whole lines of headers.
    pub(crate) fn query_api(&self) -> (SocketAddr, &'static str, &str) {
        let api = match self.kind {
            Kind::Remora => "/workspaces/bench/api/v1",
            Kind::VictoriaMetrics | Kind::Prometheus => "/api/v1",
        };
        (self.address, api, &self.query_headers)
    }

    /// The result of an instant query.
    pub(crate) fn query(&self, query: &str, time_ms: u64) -> anyhow::Result<Vec<Value>> {
        let (address, api, headers) = self.query_api();
        http_client::query(address, api, headers, query, Some(time_ms as f64 / 1e3))
            .with_context(|| format!("{} was asked {query}", self.kind.name()))
    }

    /// Ends it without warning.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it to end and waits for that.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the receiver does not run")?;
        process.stop(STOP_TIMEOUT).with_context(|| format!("{}; its log: {}", self.kind.name(), self.log_text()))
    }

    /// Sends a GET to it, outside the query API; the body of the answer, which must be a success.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<String> {
        let answer = http_client::get(self.address, path, "")?;
        anyhow::ensure!((200..300).contains(&answer.status), "{path} was answered {}: {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// Where its data are.
    pub(crate) fn data_directory(&self) -> PathBuf {
        self.data()
    }

    /// Bytes that its data take on the disk.
    pub(crate) fn disk_bytes(&self) -> anyhow::Result<u64> {
        allocated_bytes(&self.data())
    }
}

/// Bytes that a directory and all in it take on the disk.
pub(crate) fn allocated_bytes(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { allocated_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// More than any measurement sends: what is counted is the same, and nothing is refused.
const UNLIMITED: u64 = 1_000_000_000_000;
const RULE: &str = "dcr-00000000000000000000000000000001";
const READY_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
