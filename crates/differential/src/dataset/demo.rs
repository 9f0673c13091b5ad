//! The metrics of the demo service that the compliance list asks about: names and labels are the list's, every value is a
//! function of instance and time.
//!
//! Samples are off the query grid by [`Shape::phase_ms`]: Prometheus before 3.0 counts a sample on the left edge of a range.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use aws_lc_rs::digest::{SHA256, digest};
use model::{Labels, TimestampMs};
use testkit::series_store::StoredValue;

use super::{Dataset, SeriesData, labels};

/// How much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// When it starts, seconds.
    pub start: i64,
    /// How long it lasts, seconds.
    pub seconds: i64,
    /// Distance of samples, seconds.
    pub interval: i64,
    /// How far samples are off the whole seconds.
    pub phase_ms: i64,
    /// Instances of the service.
    pub instances: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { start: 1_795_298_400, seconds: 7200, interval: 5, phase_ms: 1234, instances: 3 }
    }
}

/// All of its samples.
pub fn dataset(shape: Shape) -> Dataset {
    let mut series: BTreeMap<Labels, Vec<(TimestampMs, StoredValue)>> = BTreeMap::new();
    for instance in 0..shape.instances {
        for index in 0..shape.seconds / shape.interval {
            let at = TimestampMs((shape.start + index * shape.interval) * 1000 + shape.phase_ms);
            let scrape = Scrape { instance, time: at.0 as f64 / 1000.0 };
            let target = format!("demo.promlabs.com:{}", 10_000 + instance);
            scrape.samples(|name, with, value| {
                let all = [with, &[("instance", &*target), ("job", "demo")]].concat();
                series.entry(labels(name, &all)).or_default().push((at, StoredValue::Float(value)));
            });
        }
    }
    let series = series.into_iter().map(|(labels, samples)| SeriesData { labels, samples }).collect();
    let start = TimestampMs(shape.start * 1000);
    Dataset::new(series, start, start.plus(shape.seconds * 1000 + shape.phase_ms))
}

/// One instance at one time.
struct Scrape {
    instance: u32,
    time: f64,
}

impl Scrape {
    fn samples(&self, mut put: impl FnMut(&str, &[(&str, &str)], f64)) {
        let (instance, time) = (self.instance, self.time);
        let up = self.uptime();
        put("up", &[], 1.0);
        put("demo_num_cpus", &[], if instance == 1 { 8.0 } else { 4.0 });
        for (mode, rate) in MODES {
            let wave = 3.0 * rate * (1.0 - (2.0 * PI * up / 420.0).cos());
            put("demo_cpu_usage_seconds_total", &[("mode", mode)], rounded(rate * up + wave, 4));
        }
        let angle = 2.0 * PI * (time + 97.0 * f64::from(instance));
        for (index, (kind, size)) in MEMORY.into_iter().enumerate() {
            let wave = 0.25 * (angle / (200.0 + 40.0 * index as f64)).sin();
            let noise = 0.05 * self.noise(&format!("'mem', {instance}, '{kind}', {}", time as i64));
            put("demo_memory_usage_bytes", &[("type", kind)], (size * (1.0 + wave + noise)).trunc());
        }
        put("demo_disk_total_bytes", &[], 2.5e11);
        let disk = self.noise(&format!("'disk', {instance}, {}", time as i64));
        put("demo_disk_usage_bytes", &[], (3e10 + time % 86_400.0 * 1.1e6 + 2e8 * disk).trunc());
        self.durations(up, &mut put);
        let in_progress = self.noise(&format!("'inp', {instance}, {}", time as i64));
        put("demo_api_http_requests_in_progress", &[], (5.0 * in_progress).trunc());
        put("demo_items_shipped_total", &[], (up * 0.7).floor());
        put("demo_is_holiday", &[], 0.0);
        self.batch(&mut put);
        // Comes and goes.
        if (time / 45.0) as i64 % 2 == 0 {
            put("demo_intermittent_metric", &[], 1.0);
        }
    }

    fn durations(&self, up: f64, put: &mut impl FnMut(&str, &[(&str, &str)], f64)) {
        for (method, path, status, rate, mean) in ROUTES {
            let route = [("method", method), ("path", path), ("status", status)];
            let number = (rate * (1.0 + 0.1 * f64::from(self.instance)) * up).floor();
            for bound in BOUNDS {
                let text = bound.to_string();
                let below = (number * (1.0 - (-bound / mean).exp())).floor();
                put("demo_api_request_duration_seconds_bucket", &[&route[..], &[("le", &*text)]].concat(), below);
            }
            put("demo_api_request_duration_seconds_bucket", &[&route[..], &[("le", "+Inf")]].concat(), number);
            put("demo_api_request_duration_seconds_sum", &route, rounded(number * mean, 6));
            put("demo_api_request_duration_seconds_count", &route, number);
        }
    }

    /// A job that runs once a minute and fails now and then.
    fn batch(&self, put: &mut impl FnMut(&str, &[(&str, &str)], f64)) {
        let run = self.time - self.time % 60.0;
        let key = |what: &str| format!("'{what}', {}, {}", self.instance, run as i64);
        let succeeds = self.noise(&key("batch")) > 0.3;
        put("demo_batch_last_run_timestamp_seconds", &[], run);
        put("demo_batch_last_success_timestamp_seconds", &[], if succeeds { run } else { run - 60.0 });
        put("demo_batch_last_run_duration_seconds", &[], rounded(5.0 + 9.0 * self.noise(&key("dur")), 3));
        put("demo_batch_last_run_processed_bytes", &[], (1e6 * self.noise(&key("pb"))).trunc());
    }

    /// Seconds since the instance was started last: now and then it starts anew, so that counters are reset.
    fn uptime(&self) -> f64 {
        let shift = (self.noise(&format!("'restart', {}", self.instance)) * RESTART_EVERY).trunc();
        (self.time - shift) % RESTART_EVERY
    }

    /// A number from 0 to 1 that follows from a key.
    fn noise(&self, key: &str) -> f64 {
        let hash = digest(&SHA256, format!("({key})").as_bytes());
        let bits = hash.as_ref()[..6].iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        bits as f64 / (1u64 << 48) as f64
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    (value * unit).round() / unit
}

const RESTART_EVERY: f64 = 1700.0;
const MODES: [(&str, f64); 3] = [("idle", 2.1), ("system", 0.55), ("user", 1.35)];
const MEMORY: [(&str, f64); 4] = [("free", 3.2e8), ("used", 2.9e8), ("cached", 1.1e9), ("buffers", 5.4e8)];
/// Method, path, status, calls per second, mean duration.
const ROUTES: [(&str, &str, &str, f64, f64); 8] = [
    ("GET", "/api/foo", "200", 9.0, 0.014),
    ("GET", "/api/foo", "500", 0.25, 0.12),
    ("GET", "/api/bar", "200", 4.0, 0.031),
    ("GET", "/api/bar", "500", 0.5, 0.22),
    ("POST", "/api/bar", "200", 1.2, 0.056),
    ("POST", "/api/bar", "500", 0.1, 0.4),
    ("POST", "/api/foo", "200", 2.2, 0.02),
    ("GET", "/api/nonexistent", "404", 0.3, 0.002),
];
const BOUNDS: [f64; 16] = [
    0.0001, 0.00015, 0.000225, 0.0003375, 0.00050625, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];
