//! The other side: a Prometheus of its own, with its data in a directory that goes away with it.

#![expect(clippy::disallowed_methods, reason = "real time passes for real programs")]

mod http;
mod load;

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use promql::EvalTime;
use tempfile::TempDir;

use crate::answer::Answer;
use crate::dataset::Dataset;
use crate::dialect::Dialect;
use http::Connection;

/// A running Prometheus that holds a data set.
pub struct Peer {
    child: Child,
    address: SocketAddr,
    connection: Option<Connection>,
    dialect: Dialect,
    directory: TempDir,
}

/// Where the programs are, below the root of the repository.
pub fn program(dialect: Dialect) -> PathBuf {
    let path = match dialect {
        Dialect::Old => "usr/bin/prometheus",
        Dialect::Stable | Dialect::Experimental => "reference/prometheus",
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers").join(path)
}

impl Peer {
    /// Starts `program` with the switches of `dialect` and gives it `data`.
    ///
    /// # Errors
    /// A program that is not there or does not start; data that it refuses.
    pub fn start(program: &Path, dialect: Dialect, data: &Dataset) -> anyhow::Result<Self> {
        let script = if dialect == Dialect::Old { "scripts/peers" } else { "scripts/reference-prometheus" };
        if !program.exists() {
            bail!("{} does not exist: run {script}", program.display());
        }
        let directory = TempDir::new()?;
        let configuration = directory.path().join("prometheus.yml");
        fs::write(&configuration, "global: {}\n")?;
        let address = free_address()?;
        let log = File::create(directory.path().join("log"))?;
        let child = Command::new(program)
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            // The whole data set stays in the head: what blocks and their merging do to it is not what is compared here.
            .args(["--storage.tsdb.retention.time=100y", "--storage.tsdb.min-block-duration=1d"])
            .args(["--storage.tsdb.max-block-duration=1d", "--web.enable-remote-write-receiver"])
            .args(["--log.level=warn", "--query.timeout=20s"])
            .arg(format!("--enable-feature={}", dialect.features()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let mut peer = Self { child, address, connection: None, dialect, directory };
        peer.wait_until_ready()?;
        for body in load::requests(data, dialect) {
            peer.write(&body)?;
        }
        Ok(peer)
    }

    /// What it answers.
    ///
    /// # Errors
    /// No answer, or one that the query API does not give.
    pub fn ask(&mut self, query: &str, time: EvalTime) -> anyhow::Result<Answer> {
        let query = self.dialect.translate(query);
        let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("query", &query);
        let path = match time {
            EvalTime::Instant(at) => {
                form.append_pair("time", &seconds(at.0));
                "/api/v1/query"
            }
            EvalTime::Range { start, end, step_ms } => {
                form.append_pair("start", &seconds(start.0)).append_pair("end", &seconds(end.0));
                form.append_pair("step", &seconds(step_ms));
                "/api/v1/query_range"
            }
        };
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let response = self.send(path, headers, form.finish().as_bytes())?;
        let body = serde_json::from_slice(&response.body).with_context(|| {
            format!("{path} answered {}: {}", response.status, String::from_utf8_lossy(&response.body))
        })?;
        Ok(Answer::from_json(&body)?)
    }

    fn write(&mut self, body: &[u8]) -> anyhow::Result<()> {
        let response = self.send("/api/v1/write", load::headers(self.dialect), body)?;
        if !(200..300).contains(&response.status) {
            bail!("the peer refuses the data with {}: {}", response.status, String::from_utf8_lossy(&response.body));
        }
        Ok(())
    }

    fn send(&mut self, path: &str, headers: &str, body: &[u8]) -> anyhow::Result<http::Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address)?,
        };
        let response =
            connection.post(path, headers, body).with_context(|| format!("no answer; {}", self.log_tail()))?;
        if response.keep_alive {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + START_WAIT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the peer ended with {status}: {}", self.log_tail());
            }
            let answer = Connection::open(self.address).and_then(|mut connection| connection.get("/-/ready"));
            match answer {
                Ok(response) if response.status == 200 => return Ok(()),
                _ if Instant::now() > until => bail!("the peer is not ready in time: {}", self.log_tail()),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("the end of its log: {}", lines[lines.len().saturating_sub(5)..].join("\n"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that nothing listens on at this moment.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// A machine with other work takes its time.
const START_WAIT: Duration = Duration::from_secs(60);
