//! A proxy with a real queue in a directory of its own, and requests that are remote write.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use delivery::Policy;
use environment::{Clock, Disk};
use host::{HostClock, HostDisk, HostRng};
use model::{Labels, TimestampMs};
use proxy::{Limits, Medium, QueueParts, QueueSettings, RemoteWrite2};
use remote_write::{Encoder, Sample, Version, framing};
use spool::Spool;
use tempfile::TempDir;

use crate::support::{Answer, Issuer, PATIENCE, Running, Setup, Step, Upstream, ask, get};

/// How to set a proxy with a queue up.
pub struct Kept {
    pub disk: Arc<dyn Disk>,
    pub directory: PathBuf,
    pub spool: spool::Settings,
    pub settings: QueueSettings,
    pub issuer: Issuer,
    pub limits: Limits,
    pub clock: Arc<dyn Clock>,
    /// Removes the directory at the end.
    #[expect(dead_code, reason = "it is held, not read")]
    pub temporary: Option<TempDir>,
}

/// A proxy with a queue at work.
pub struct Keeping {
    pub proxy: Running,
    pub spool: Spool,
}

impl Kept {
    /// On the real disk.
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("queue");
        Self { temporary: Some(temporary), ..Self::on(Arc::new(HostDisk), &directory) }
    }

    pub fn on(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        let backoff = (Duration::from_millis(10), Duration::from_millis(100));
        Self {
            disk,
            directory: directory.to_owned(),
            spool: spool::Settings::default(),
            settings: QueueSettings {
                policy: Policy { backoff, probe: backoff, ..Policy::default() },
                remote_write_2: RemoteWrite2::Probe,
                ready_strict: false,
            },
            issuer: Issuer::Renews,
            limits: Limits { answer_timeout: Duration::from_millis(1500), ..Limits::default() },
            clock: Arc::new(HostClock::new()),
            temporary: None,
        }
    }

    /// May be started again once what it started has ended.
    pub async fn start(&self, upstream: &Upstream) -> Keeping {
        let (disk, clock) = (Arc::clone(&self.disk), Arc::clone(&self.clock));
        let (spool, _) = Spool::open(disk, clock, &self.directory, self.spool.clone()).unwrap();
        let queue = QueueParts {
            spool: spool.clone(),
            medium: Medium::Disk,
            rng: Arc::new(HostRng),
            settings: self.settings.clone(),
        };
        let setup = Setup {
            issuer: self.issuer,
            limits: self.limits.clone(),
            clock: Arc::clone(&self.clock),
            queue: Some(queue),
            ..Setup::default()
        };
        Keeping { proxy: setup.start(upstream.address).await, spool }
    }
}

impl Keeping {
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        ask(self.proxy.address, request).await
    }

    pub async fn metrics(&self) -> Metrics {
        Metrics(get(self.proxy.address, "/metrics").await.body)
    }

    pub async fn status(&self) -> serde_json::Value {
        serde_json::from_str(&get(self.proxy.address, "/status").await.body).unwrap()
    }

    /// Waits until nothing is queued any more.
    pub async fn settled(&self) {
        let settled = soon(async || self.spool.stats().entries == 0).await;
        assert!(settled, "not settled: {:#}", self.status().await);
    }

    /// Ends it as a shutdown does.
    pub async fn stop(self) {
        self.proxy.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.proxy.served).await.unwrap().unwrap();
        tokio::task::spawn_blocking(move || self.spool.close()).await.unwrap().unwrap();
    }
}

/// A scrape.
pub struct Metrics(pub String);

impl Metrics {
    /// The value of a series as it is written, if it is there.
    pub fn find(&self, series: &str) -> Option<f64> {
        let line = self.0.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    pub fn value(&self, series: &str) -> f64 {
        self.find(&format!("remora_sidecar_{series}")).unwrap_or_else(|| panic!("no {series} in\n{}", self.0))
    }

    /// Of all series of a family whose labels hold `label`.
    pub fn sum(&self, family: &str, label: &str) -> f64 {
        let prefix = format!("remora_sidecar_{family}{{");
        let lines = self.0.lines().filter(|line| line.starts_with(&prefix) && line.contains(label));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }

    /// received = delivered + rejected + expired + queued, of each kind.
    #[track_caller]
    pub fn assert_balanced(&self) {
        for kind in ["float", "histogram", "exemplar"] {
            let label = format!("kind=\"{kind}\"");
            let received = self.sum("received_samples_total", &label);
            let settled: f64 = ["delivered_samples_total", "rejected_samples_total", "expired_samples_total"]
                .into_iter()
                .map(|family| self.sum(family, &label))
                .sum();
            assert_eq!(received, settled + self.sum("queued_samples", &label), "{kind}:\n{}", self.0);
        }
    }
}

/// A compressed message of `count` series named `first`, `first + 1`, … with a sample each at `at`.
pub fn message(version: Version, first: usize, count: usize, at: i64) -> Vec<u8> {
    let mut encoder = Encoder::new(version);
    for number in first..first + count {
        let number = number.to_string();
        let labels = Labels::from_pairs([("__name__", "m"), ("n", number.as_str())]).unwrap();
        let sample = Sample { timestamp: TimestampMs(at), value: 1.5, start_timestamp: None };
        encoder.series(&labels).sample(sample);
    }
    framing::encode(&encoder.finish())
}

/// A write request with this body.
pub fn post(version: Version, body: &[u8]) -> Vec<u8> {
    post_as(version.content_type(), body)
}

pub fn post_as(content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: snappy\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A request of version 1.0 with series of its own.
pub fn write_series(first: usize, count: usize) -> Vec<u8> {
    post(Version::V1, &message(Version::V1, first, count, 1_700_000_000_000))
}

/// How a target answers that takes version 2.0 and wrote so many samples, histograms and exemplars.
pub fn written(counts: [u64; 3]) -> Step {
    let [samples, histograms, exemplars] = counts;
    Step::Answer(format!(
        "HTTP/1.1 200 OK\r\nX-Prometheus-Remote-Write-Samples-Written: {samples}\r\n\
         X-Prometheus-Remote-Write-Histograms-Written: {histograms}\r\n\
         X-Prometheus-Remote-Write-Exemplars-Written: {exemplars}\r\nContent-Length: 0\r\n\r\n"
    ))
}

/// Waits for what comes soon, or fails.
pub async fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) {
    assert!(soon(holds).await, "{what}: not within {PATIENCE:?}");
}

/// Waits for what comes soon, and answers whether it did.
pub async fn soon(mut holds: impl AsyncFnMut() -> bool) -> bool {
    let looks = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looks).await.is_ok()
}
