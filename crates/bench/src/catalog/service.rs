//! `remora serve` on a catalogue, written to and asked.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::http_client;
use crate::ingest::YOUNG;
use crate::ingest::issuer::{Issuer, PRINCIPAL};
use crate::ingest::load::{CONNECTIONS, Connection, Load, Shape};
use crate::process::{Process, free_address, pause};

/// A running service, ready.
pub(crate) struct Service {
    address: SocketAddr,
    process: Process,
    log: PathBuf,
    write_headers: String,
    /// Whole lines, for management.
    pub(crate) management_headers: String,
}

impl Service {
    /// Starts it with its data below `directory`, and waits until it is ready.
    pub(crate) fn start(program: &Path, directory: &Path, issuer: &Issuer) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)?;
        let address = free_address()?;
        let settings = directory.join("settings.yaml");
        fs::write(&settings, text(address, &directory.join("data"), issuer))?;
        let bearer = |audience| anyhow::Ok(format!("Authorization: Bearer {}\r\n", issuer.token(audience)?));
        let log_file = directory.join("log");
        let log = File::options().create(true).append(true).open(&log_file)?;
        let mut command = Command::new(program);
        command.args(["serve", "--log", "warn", "--config"]).arg(&settings);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let (write_headers, management_headers) =
            (bearer("https://monitor.azure.com")?, bearer("https://management.azure.com")?);
        let process = Process::start(&mut command)?;
        let mut service = Self { address, process, log: log_file, write_headers, management_headers };
        service.wait_until_ready()?;
        Ok(service)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !http_client::get(self.address, "/ready", "").is_ok_and(|answer| answer.status == 200) {
            let ended = self.process.ended()?;
            if ended.is_some() || Instant::now() > until {
                bail!("the service does not become ready ({ended:?}); its log: {}", self.log());
            }
            pause(Duration::from_millis(2));
        }
        Ok(())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Processor time for each request in steady state: every series is known, every request is one scrape's share.
    /// `run` says which of the workspaces for that, each good for one run: its series begin anew there.
    pub(crate) fn cpu_micros_per_request(&mut self, run: usize) -> anyhow::Result<f64> {
        let shape = Shape { series: SERIES, scrapes: SCRAPES, interval: Duration::from_secs(15), age: YOUNG, seed: 1 };
        let mut load = Load::new(shape);
        let rule = rule(run);
        let path = format!(
            "/dataCollectionRules/{rule}/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24"
        );
        let mut connections = (0..CONNECTIONS)
            .map(|_| Connection::open(self.address, &path, &self.write_headers))
            .collect::<anyhow::Result<Vec<_>>>()?;
        load.send(0, &mut connections)?;
        pause(SETTLING);
        let before = self.process.cpu_seconds_of_stat()?;
        for scrape in 1..SCRAPES {
            load.send(scrape, &mut connections)?;
        }
        pause(SETTLING);
        let spent = self.process.cpu_seconds_of_stat()? - before;
        Ok(spent * 1e6 / (load.requests() as u64 * (SCRAPES - 1)) as f64)
    }

    /// Ends it as an operator does.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.process.stop(PATIENCE)
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn text(address: SocketAddr, data: &Path, issuer: &Issuer) -> String {
    let mut text = format!(
        "listen: '{address}'\n\
         dataDir: {}\n\
         walSync: interval\n\
         issuers: [{{oidc: {{issuer: '{}', jwksUri: '{}'}}}}]\n\
         limits: {{workspaceEventsPerMinute: 1000000000}}\n",
        data.display(),
        issuer.name(),
        issuer.key_set(),
    );
    let (mut workspaces, mut rules, mut roles) = (String::new(), String::new(), String::new());
    for run in 0..RUNS_MAX {
        workspaces += &format!("- {{name: bench-{run}, accountId: 14e21a3b-a68e-4626-873e-00000000000{run}}}\n");
        rules += &format!("- {{name: bench-{run}, immutableId: {}, workspaces: [bench-{run}]}}\n", rule(run));
        roles +=
            &format!("- {{principal: {PRINCIPAL}, role: Monitoring Metrics Publisher, scope: rule/bench-{run}}}\n");
    }
    text += &format!("workspaces:\n{workspaces}rules:\n{rules}roleAssignments:\n{roles}");
    text += &format!("- {{principal: {PRINCIPAL}, role: Owner, scope: /}}\n");
    text
}

fn rule(run: usize) -> String {
    format!("dcr-0123456789abcdef0123456789abcde{run}")
}

/// How often ingestion can be measured.
pub(crate) const RUNS_MAX: usize = 3;
/// Of each request that is sent.
pub(crate) const SAMPLES_PER_REQUEST: usize = 2_000;
const SERIES: usize = 40_000;
const SCRAPES: u64 = 41;
const SETTLING: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);
