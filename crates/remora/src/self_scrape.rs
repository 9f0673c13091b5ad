//! Scrapes our own `/metrics` endpoints and writes them through the sidecar, so that the whole path carries data from the
//! first minute and its own figures can be asked for with PromQL.
//!
//! Does for a handful of targets what a Prometheus does: `job` and `instance` labels, the `up` series, staleness markers
//! for series that are gone. Not a scraper for anything else.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use environment::{Clock, HttpClient, Request};
use model::{Labels, METRIC_NAME, Metadata, TimestampMs, stale_nan};
use remote_write::{Encoder, Sample, Version, framing};

use crate::exposition::{self, Line};

/// One endpoint of ours.
pub(crate) struct Target {
    job: &'static str,
    instance: String,
    metrics_url: String,
    /// Series of the scrape before, to end those that are gone.
    previous: HashSet<Labels>,
}

impl Target {
    /// The endpoint `{base}/metrics`; `base` is `http://HOST:PORT`.
    pub(crate) fn new(job: &'static str, base: &str) -> Self {
        let instance = base.split_once("://").map_or(base, |(_, rest)| rest).to_owned();
        Self { job, instance, metrics_url: format!("{base}/metrics"), previous: HashSet::new() }
    }
}

/// Scrapes all of `targets` every [`INTERVAL`], for ever, and posts what it finds to `write_url`. The first rounds come
/// quicker until one was accepted.
pub(crate) async fn run(http: Arc<dyn HttpClient>, clock: Arc<dyn Clock>, write_url: String, mut targets: Vec<Target>) {
    let mut accepted = false;
    loop {
        match round(&*http, &*clock, &write_url, &mut targets).await {
            Ok(()) => accepted = true,
            Err(error) if accepted => tracing::warn!(error = %format!("{error:#}"), "own metrics were not written"),
            // Nothing of the path may be up yet in the first moments; that is no news.
            Err(error) => tracing::debug!(error = %format!("{error:#}"), "own metrics were not written yet"),
        }
        clock.sleep(if accepted { INTERVAL } else { FIRST_INTERVAL }).await;
    }
}

async fn round(
    http: &dyn HttpClient,
    clock: &dyn Clock,
    write_url: &str,
    targets: &mut [Target],
) -> anyhow::Result<()> {
    let mut writes = Writes::default();
    for target in targets.iter_mut() {
        let started = clock.monotonic();
        let at = TimestampMs(clock.now().as_millis());
        let scraped = scrape(http, target).await;
        let seconds = clock.monotonic().since(started).as_secs_f64();
        if let Err(error) = &scraped {
            tracing::warn!(job = target.job, error = %format!("{error:#}"), "own metrics could not be scraped");
        }
        encode(&mut writes, target, scraped.ok(), at, seconds);
    }
    for message in writes.finish() {
        write(http, write_url, &message).await?;
    }
    Ok(())
}

/// Posts one request.
async fn write(http: &dyn HttpClient, write_url: &str, message: &[u8]) -> anyhow::Result<()> {
    let body = framing::encode(message);
    let request = http::Request::post(write_url)
        .header(http::header::CONTENT_TYPE, "application/x-protobuf")
        .header(http::header::CONTENT_ENCODING, "snappy")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .header(http::header::USER_AGENT, concat!("remora/", env!("CARGO_PKG_VERSION")))
        .body(Bytes::from(body))
        .context("cannot build the write request")?;
    let answer = http.send(request, TIMEOUT).await.context("the sidecar cannot be reached")?;
    let status = answer.status();
    ensure!(status.is_success(), "the sidecar answered {status}: {}", String::from_utf8_lossy(answer.body()));
    Ok(())
}

async fn scrape(http: &dyn HttpClient, target: &Target) -> anyhow::Result<Vec<Line>> {
    let request: Request = http::Request::get(&target.metrics_url).body(Bytes::new())?;
    let answer = http.send(request, TIMEOUT).await?;
    ensure!(answer.status().is_success(), "{} answered {}", target.metrics_url, answer.status());
    let text = std::str::from_utf8(answer.body()).context("the metrics are not UTF-8")?;
    exposition::parse(text).context("the metrics are no exposition text")
}

/// The messages of one round, none much longer than [`MESSAGE_BYTES`]: what is scraped grows with the open workspaces, what
/// one request may hold does not.
struct Writes {
    encoder: Encoder,
    full: Vec<Vec<u8>>,
}

impl Default for Writes {
    fn default() -> Self {
        Self { encoder: Encoder::new(Version::V1), full: Vec::new() }
    }
}

impl Writes {
    fn put(&mut self, labels: &Labels, at: TimestampMs, value: f64) {
        self.encoder.series(labels).sample(Sample::new(at, value));
        self.cut();
    }

    fn family(&mut self, name: &str, metadata: &Metadata) {
        self.encoder.family(name, metadata);
        self.cut();
    }

    fn cut(&mut self) {
        if self.encoder.encoded_bytes() >= MESSAGE_BYTES {
            self.full.push(self.encoder.finish());
        }
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        let last = self.encoder.finish();
        if !last.is_empty() {
            self.full.push(last);
        }
        self.full
    }
}

/// Adds one target's scrape (`None`: it failed) to what is written.
fn encode(writes: &mut Writes, target: &mut Target, scraped: Option<Vec<Line>>, at: TimestampMs, seconds: f64) {
    let up = f64::from(u8::from(scraped.is_some()));
    let mut current = HashSet::new();
    let mut families: Vec<(String, Metadata)> = Vec::new();
    for line in scraped.into_iter().flatten() {
        match line {
            Line::Sample(labels, value) => {
                let labels = with_target(&labels, target);
                writes.put(&labels, at, value);
                current.insert(labels);
            }
            Line::Metadata(name, part) => merge_metadata(&mut families, name, part),
        }
    }
    for gone in target.previous.difference(&current) {
        writes.put(gone, at, stale_nan());
    }
    for (name, value) in
        [("up", up), ("scrape_duration_seconds", seconds), ("scrape_samples_scraped", current.len() as f64)]
    {
        let labels = Labels::from_pairs([(METRIC_NAME, name)]).expect("one label is a set");
        writes.put(&with_target(&labels, target), at, value);
    }
    for (name, metadata) in &families {
        writes.family(name, metadata);
    }
    target.previous = current;
}

fn with_target(labels: &Labels, target: &Target) -> Labels {
    let mut builder = labels.to_builder();
    builder.set("job", target.job);
    builder.set("instance", &target.instance);
    builder.build().expect("the names were unique before and `set` keeps them so")
}

/// A family's help, type and unit come on lines of their own; they go out as one.
fn merge_metadata(families: &mut Vec<(String, Metadata)>, name: String, part: Metadata) {
    match families.last_mut().filter(|(last, _)| *last == name) {
        None => families.push((name, part)),
        Some((_, whole)) => {
            if part.metric_type != model::MetricType::Unknown {
                whole.metric_type = part.metric_type;
            }
            whole.help.push_str(&part.help);
            whole.unit.push_str(&part.unit);
        }
    }
}

/// Time between scrapes once the path works.
const INTERVAL: Duration = Duration::from_secs(15);

/// Time between scrapes until then.
const FIRST_INTERVAL: Duration = Duration::from_millis(200);

/// Bound on what one scrape answers, in bytes. An open workspace has about 5 KiB of it.
pub(crate) const SCRAPE_BYTES_MAX: usize = 64 << 20;

/// Size at which a message is full, before compression. A sender's requests are of this order too, and far below what an
/// endpoint takes.
const MESSAGE_BYTES: usize = 512 << 10;

/// Bound on one scrape and on one write.
const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
