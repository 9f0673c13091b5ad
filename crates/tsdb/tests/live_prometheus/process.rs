//! A Prometheus of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::Dump;

pub(crate) struct Prometheus {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Prometheus {
    /// One with its data in `directory/data`, which scrapes itself and the target if there is one.
    #[expect(clippy::disallowed_methods, reason = "Prometheus starts in the system's time")]
    pub(crate) fn start(directory: &Path, target: Option<u16>) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/bin/prometheus");
        assert!(program.exists(), "{} is missing: run scripts/peers (make test does)", program.display());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let job = |interval, port| {
            let targets = format!("[{{targets: ['127.0.0.1:{port}']}}]");
            let (name, interval) = (format!("job_name: every-{interval}"), format!("scrape_interval: {interval}"));
            format!("{{{name}, {interval}, scrape_timeout: 20ms, static_configs: {targets}}}")
        };
        let jobs = target.map(|target| [job("20ms", target), job("500ms", port)].join(", ")).unwrap_or_default();
        let config = directory.join("prometheus.yml");
        let text = format!("storage: {{tsdb: {{out_of_order_time_window: 10d}}}}\nscrape_configs: [{jobs}]\n");
        fs::write(&config, text).unwrap();
        let log = directory.join("prometheus.log");
        let output = File::create(&log).unwrap();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .args(["--storage.tsdb.retention.time=10y", "--enable-feature=native-histograms,exemplar-storage"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let child = command.spawn().unwrap();
        let prometheus = Self { child, port, log };
        for _ in 0..300 {
            if prometheus.try_get("/-/ready").is_some_and(|answer| answer.starts_with("HTTP/1.0 200")) {
                return prometheus;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("Prometheus is not ready: {}", prometheus.log());
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it in order.
    pub(crate) fn end(&mut self) {
        let status = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The body of an answer.
    pub(crate) fn get(&self, path: &str) -> String {
        let answer = self.try_get(path).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200"), "{path}: {answer}");
        body.to_owned()
    }

    /// All samples it has.
    pub(crate) fn dump(&self) -> Dump {
        let until = (now_ms() / 1000) + 7200;
        let body = self.get(&format!("/api/v1/query?query=%7B__name__%3D~%22.%2B%22%7D%5B10d%5D&time={until}"));
        let answer: Value = serde_json::from_str(&body).unwrap();
        let mut dump = Dump::new();
        for series in answer["data"]["result"].as_array().unwrap() {
            let pairs = series["metric"].as_object().unwrap().iter();
            let pairs = pairs.map(|(name, value)| format!("{name}={}", value.as_str().unwrap())).collect();
            let mut samples = BTreeMap::new();
            let of = |kind: &str| series[kind].as_array().cloned().unwrap_or_default();
            for sample in of("values") {
                let value: f64 = sample[1].as_str().unwrap().parse().unwrap();
                samples.insert(milliseconds(&sample[0]), Some(bits_of(value)));
            }
            for sample in of("histograms") {
                samples.insert(milliseconds(&sample[0]), None);
            }
            dump.insert(name_of(pairs), samples);
        }
        dump
    }

    fn try_get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A float's bits. Its text does not tell one NaN from another.
pub(crate) fn bits_of(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

/// One text for a label set.
pub(crate) fn name_of(mut pairs: Vec<String>) -> String {
    pairs.sort_unstable();
    pairs.join(",")
}

fn milliseconds(seconds: &Value) -> i64 {
    (seconds.as_f64().unwrap() * 1000.0).round() as i64
}

#[expect(clippy::disallowed_methods, reason = "Prometheus has the system's clock")]
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}
