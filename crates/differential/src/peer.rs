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
use crate::own::Database;
use http::Connection;

/// A running Prometheus that holds a data set.
pub struct Peer {
    child: Child,
    address: SocketAddr,
    connection: Option<Connection>,
    dialect: Dialect,
    version: Version,
    directory: TempDir,
}

/// A release of Prometheus, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version {
    /// The number before the first point.
    pub major: u32,
    /// The number after it.
    pub minor: u32,
}

impl Version {
    /// Of a text as `3.14.0`, with or without the module's leading zero (`0.314.0`).
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(str::parse);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(match major {
            0 => Self { major: minor / 100, minor: minor % 100 },
            _ => Self { major, minor },
        })
    }
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
        // The whole data set stays in the head: what blocks and their merging do to it is not what is compared here.
        let in_head = ["--storage.tsdb.min-block-duration=1d", "--storage.tsdb.max-block-duration=1d"];
        let mut peer = Self::start_in(TempDir::new()?, program, dialect, &in_head)?;
        for body in load::requests(data, dialect) {
            peer.write(&body)?;
        }
        Ok(peer)
    }

    /// Starts `program` with the switches of `dialect` on a copy of the directory of our `database`.
    ///
    /// # Errors
    /// A program that is not there or does not start, or finds fault with what it is given.
    pub fn start_on(database: &Database, program: &Path, dialect: Dialect) -> anyhow::Result<Self> {
        let directory = TempDir::new()?;
        database.carry_out(&directory.path().join(DATA))?;
        let peer = Self::start_in(directory, program, dialect, &[])?;
        let log = peer.log()?.to_ascii_lowercase();
        match ["level=error", "corrupt", "unknown series"].iter().any(|complaint| log.contains(complaint)) {
            true => bail!("the peer says of our directory: {log}"),
            false => Ok(peer),
        }
    }

    fn start_in(directory: TempDir, program: &Path, dialect: Dialect, more: &[&str]) -> anyhow::Result<Self> {
        let script = if dialect == Dialect::Old { "scripts/peers" } else { "scripts/reference-prometheus" };
        if !program.exists() {
            bail!("{} does not exist: run {script}", program.display());
        }
        let configuration = directory.path().join("prometheus.yml");
        fs::write(&configuration, "global: {}\n")?;
        let address = free_address()?;
        let log = File::create(directory.path().join(LOG))?;
        let child = Command::new(program)
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join(DATA).display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--storage.tsdb.retention.time=100y", "--web.enable-remote-write-receiver"])
            .args(["--log.level=warn", "--query.timeout=20s"])
            .args(more)
            .arg(format!("--enable-feature={}", dialect.features()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let unknown = Version { major: 0, minor: 0 };
        let mut peer = Self { child, address, connection: None, dialect, version: unknown, directory };
        peer.wait_until_ready()?;
        peer.version = peer.read_version()?;
        Ok(peer)
    }

    /// Which release it is.
    pub fn version(&self) -> Version {
        self.version
    }

    fn read_version(&self) -> anyhow::Result<Version> {
        let response = Connection::open(self.address)?.get("/api/v1/status/buildinfo")?;
        let body: serde_json::Value = serde_json::from_slice(&response.body)?;
        let text = body["data"]["version"].as_str().unwrap_or_default();
        Version::parse(text).with_context(|| format!("the peer's version is {text:?}"))
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

    /// Warnings and errors that it has logged.
    fn log(&self) -> std::io::Result<String> {
        fs::read_to_string(self.directory.path().join(LOG))
    }

    fn log_tail(&self) -> String {
        let log = self.log().unwrap_or_default();
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

/// What its directory has.
const DATA: &str = "data";
const LOG: &str = "log";

/// A machine with other work takes its time.
const START_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let version = |major, minor| Some(Version { major, minor });
        assert_eq!(Version::parse("2.42.0+ds"), version(2, 42));
        assert_eq!(Version::parse("0.314.0"), version(3, 14));
        assert_eq!(Version::parse("3.15.0-rc.1"), version(3, 15));
        assert_eq!(Version::parse("?"), None);
        assert!(Version::parse("2.42.0") < Version::parse("3.9.0"));
    }
}
