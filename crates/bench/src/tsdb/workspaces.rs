//! Many small workspaces in one service: memory when all of them have been written to, and how long a start takes.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::http_client;
use crate::ingest::fleet;
use crate::ingest::issuer::{Issuer, PRINCIPAL, since_1970};
use crate::ingest::load::Connection;
use crate::ingest::request::Template;
use crate::process::{Process, free_address, pause};

pub(super) struct Figures {
    /// Of the service, when all have their samples.
    pub(super) rss_mb: f64,
    /// From the start of the process until it is ready, with all workspaces on the disk.
    pub(super) ready_seconds: f64,
    /// Until each has answered a query, one after the other.
    pub(super) answered_seconds: f64,
}

/// Writes to `count` workspaces as many scrapes of a few series, ends the service without warning, starts it again, and asks each
/// for its series.
pub(super) fn measure(remora: &Path, directory: &Path, count: usize) -> anyhow::Result<Figures> {
    let issuer = Issuer::start()?;
    let address = free_address()?;
    let settings = directory.join("settings.yaml");
    fs::write(&settings, text(address, &directory.join("data"), &issuer, count))?;
    let bearer = |audience| anyhow::Ok(format!("Authorization: Bearer {}\r\n", issuer.token(audience)?));
    let (write, query) = (bearer("https://monitor.azure.com")?, bearer("https://prometheus.monitor.azure.com")?);

    let process = start(remora, directory, &settings, address)?;
    let newest_ms = (since_1970().as_secs() - AGE.as_secs()) * 1000;
    send(address, &write, count, newest_ms)?;
    pause(SETTLING);
    let rss_mb = process.rss_mb()?;
    drop(process);

    let started = Instant::now();
    let process = start(remora, directory, &settings, address)?;
    let ready_seconds = started.elapsed().as_secs_f64();
    for number in 0..count {
        let api = format!("/workspaces/w{number}/api/v1");
        let at = newest_ms as f64 / 1e3;
        let result = http_client::query(address, &api, &query, "count({__name__=~\".+\"})", Some(at))
            .with_context(|| format!("workspace {number}"))?;
        let found = result.first().and_then(|sample| sample["value"][1].as_str()).unwrap_or("no");
        ensure!(found == SERIES.to_string(), "workspace {number} has {found} series of {SERIES}");
    }
    let answered_seconds = started.elapsed().as_secs_f64();
    drop(process);
    Ok(Figures { rss_mb, ready_seconds, answered_seconds })
}

fn start(remora: &Path, directory: &Path, settings: &Path, address: SocketAddr) -> anyhow::Result<Process> {
    let log_file = directory.join("log");
    let log = File::options().create(true).append(true).open(&log_file)?;
    let mut command = Command::new(remora);
    command.args(["serve", "--log", "warn", "--config"]).arg(settings);
    let mut process = Process::start(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))?;
    let until = Instant::now() + PATIENCE;
    while !http_client::get(address, "/ready", "").is_ok_and(|answer| answer.status == 200) {
        let ended = process.ended()?;
        if ended.is_some() || Instant::now() > until {
            bail!("the service does not become ready ({ended:?}); its log: {}", fs::read_to_string(&log_file)?);
        }
        pause(Duration::from_millis(2));
    }
    Ok(process)
}

fn send(address: SocketAddr, headers: &str, count: usize, newest_ms: u64) -> anyhow::Result<()> {
    let mut series = fleet::series();
    let mut workspaces = Vec::with_capacity(count);
    for number in 0..count {
        let path = format!(
            "/dataCollectionRules/{}/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24",
            rule(number)
        );
        let mut template = Template::new(number as u64);
        series.by_ref().take(SERIES).for_each(|series| template.add(&series));
        workspaces.push((path, template));
    }
    for scrape in 0..SCRAPES {
        let at = newest_ms - (SCRAPES - 1 - scrape) * INTERVAL_MS;
        for (path, template) in &mut workspaces {
            template.advance(scrape, at);
            Connection::open(address, path, headers)?.post(template.message())?;
        }
    }
    Ok(())
}

fn text(address: SocketAddr, data: &Path, issuer: &Issuer, count: usize) -> String {
    let mut text = format!(
        "listen: '{address}'\ndataDir: {}\nwalSync: interval\nissuers: [{{oidc: {{issuer: '{}', jwksUri: '{}'}}}}]\n",
        data.display(),
        issuer.name(),
        issuer.key_set(),
    );
    let mut add = |line: String| writeln!(text, "{line}").expect("a String takes any text");
    add("workspaces:".to_owned());
    (0..count).for_each(|number| {
        add(format!("- {{name: w{number}, accountId: 14e21a3b-a68e-4626-873e-{number:012x}}}"));
    });
    add("rules:".to_owned());
    (0..count).for_each(|number| {
        add(format!("- {{name: w{number}, immutableId: {}, workspaces: [w{number}]}}", rule(number)));
    });
    add("roleAssignments:".to_owned());
    for role in ["Monitoring Metrics Publisher", "Monitoring Data Reader"] {
        add(format!("- {{principal: {PRINCIPAL}, role: {role}, scope: /}}"));
    }
    text
}

fn rule(number: usize) -> String {
    format!("dcr-{number:032x}")
}

/// Of each workspace.
const SERIES: usize = 20;
const SCRAPES: u64 = 40;
const INTERVAL_MS: u64 = 15_000;
const AGE: Duration = Duration::from_secs(60);
const SETTLING: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(120);
