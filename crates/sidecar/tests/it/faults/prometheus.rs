//! A real Prometheus in front, restarted and with its sidecar killed again and again: all that it scraped is at the sink.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use model::Labels;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::audit::{Account, assert_balanced, wait_until_empty};
use super::passing_time::{eventually, now, pause, unix_ms};
use super::points::{Kind, Point, series_number};
use super::ports::free_port;
use super::scene::Scene;
use super::wire;

#[test]
fn all_that_it_scraped_arrives() {
    restarts_and_kills(4);
}

/// `rounds` kills of the sidecar before and after a restart of Prometheus.
pub(crate) fn restarts_and_kills(rounds: u64) {
    let mut scene = Scene::start();
    let mut prometheus = Prometheus::start(scene.sidecar.directory(), scene.sidecar.port());
    let arrivals = |scene: &Scene| scene.sink.record().arrivals();
    eventually("samples of Prometheus", Duration::from_secs(30), || (arrivals(&scene) > 500).then_some(()));
    for _ in 0..rounds / 2 {
        kill(&mut scene);
    }
    // Prometheus itself sends nothing that it scraped in the last moments before its end.
    let gap = prometheus.restart();
    for _ in 0..rounds - rounds / 2 {
        kill(&mut scene);
    }
    pause(Duration::from_secs(1));
    let until = unix_ms() - 100;
    let scraped = prometheus.scraped(until);
    assert!(scraped.len() > 1000, "{} samples scraped", scraped.len());
    eventually("the last of them", Duration::from_secs(30), || {
        let record = scene.sink.record();
        let missing = |(point, _): &(&Point, &String)| !record.points.contains_key(point) && !gap.contains(&point.at);
        scraped.iter().find(missing).is_none().then_some(())
    });
    prometheus.stop();
    wait_until_empty(&scene.sidecar, Duration::from_secs(30));
    let metrics = scene.sidecar.metrics();
    assert_balanced(&metrics);
    let account = Account::of_all(&metrics);
    assert_eq!((account.rejected, account.expired), (0.0, 0.0));
    let record = scene.sink.record();
    let missing = scraped.keys().filter(|point| !record.points.contains_key(point)).count();
    eprintln!("{} scraped, {missing} missing around the restart, {} repeats", scraped.len(), record.repeats());
    assert!(record.disorder.is_empty(), "{:?}", record.disorder.first());
    assert!(record.broken.is_empty(), "{:?}", record.broken.first());
    // Two shards, each with one request on its way to the sidecar and at most one on the way to the sink.
    let allowed = rounds * 2 * 2 * SAMPLES_PER_SEND;
    assert!(record.repeats() <= allowed, "{} repeats", record.repeats());
    drop(record);
    assert!(scene.sidecar.terminate().success());
}

fn kill(scene: &mut Scene) {
    pause(Duration::from_millis(700));
    scene.sidecar.kill();
    pause(Duration::from_millis(200));
    scene.sidecar.start();
}

const SAMPLES_PER_SEND: u64 = 500;

struct Prometheus {
    command: Command,
    child: Child,
    port: u16,
}

impl Prometheus {
    /// Scrapes itself four times a second and writes to the sidecar on `sidecar_port`.
    fn start(directory: &Path, sidecar_port: u16) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/bin/prometheus");
        assert!(program.exists(), "{} is missing: run scripts/peers (make test does)", program.display());
        let port = free_port();
        let config = directory.join("prometheus.yml");
        let text = format!(
            concat!(
                "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\n",
                "scrape_configs: [{{job_name: prometheus, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n",
                "remote_write:\n",
                "  - url: http://127.0.0.1:{sidecar}/api/v1/write\n",
                "    queue_config: {{batch_send_deadline: 200ms, min_shards: 2, max_shards: 2, max_samples_per_send: {send}}}\n",
            ),
            port = port,
            sidecar = sidecar_port,
            send = SAMPLES_PER_SEND,
        );
        fs::write(&config, text).unwrap();
        let log = File::create(directory.join("prometheus.log")).unwrap();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = command.spawn().unwrap();
        let prometheus = Self { command, child, port };
        prometheus.wait_until_ready();
        prometheus
    }

    fn wait_until_ready(&self) {
        eventually("readiness of Prometheus", Duration::from_secs(30), || {
            wire::get(self.port, "/-/ready").filter(|answer| answer.status() == 200)
        });
    }

    /// Ends it in order and starts it again. Gives the times whose samples it may never have sent: those it scraped while
    /// it was ending and starting.
    fn restart(&mut self) -> std::ops::Range<i64> {
        let from = unix_ms() - 500;
        self.stop();
        self.child = self.command.spawn().unwrap();
        self.wait_until_ready();
        from..unix_ms() + 500
    }

    fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let started = now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(30), "Prometheus does not end");
            pause(Duration::from_millis(20));
        }
    }

    /// Every sample in its database, with its series for people.
    fn scraped(&self, until_ms: i64) -> HashMap<Point, String> {
        let time = until_ms as f64 / 1000.0;
        let path = format!("/api/v1/query?query=%7Bjob%3D%22prometheus%22%7D%5B5m%5D&time={time}");
        let answer = wire::get_to_end(self.port, &path).unwrap();
        let data: Value = serde_json::from_slice(&answer).unwrap();
        let mut points = HashMap::new();
        for series in data["data"]["result"].as_array().unwrap() {
            let pairs: BTreeMap<&str, &str> = series["metric"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (&**name, value.as_str().unwrap()))
                .collect();
            let labels = Labels::from_pairs(pairs).unwrap();
            let number = series_number(&labels);
            for value in series["values"].as_array().unwrap() {
                let at = (value[0].as_f64().unwrap() * 1000.0).round() as i64;
                let value: f64 = value[1].as_str().unwrap().parse().unwrap();
                if !value.is_nan() {
                    points.insert(
                        Point { series: number, kind: Kind::Float, at, value: value.to_bits() },
                        labels.to_string(),
                    );
                }
            }
        }
        points
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_gone = self.child.wait();
    }
}
