//! What was acknowledged is asked for again: a receiver that drops samples must not look fast.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::load::{Load, Probe};
use super::receivers::Receiver;
use crate::process::pause;

/// Waits until every probe has all its samples and the right newest value.
///
/// # Errors
/// What is still wrong after `patience`.
pub(crate) fn probes_until(receiver: &Receiver, load: &Load, patience: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + patience;
    loop {
        let found = load.probes().iter().try_for_each(|probe| check(receiver, load, probe));
        if found.is_ok() || Instant::now() > until {
            return found;
        }
        pause(Duration::from_millis(10));
    }
}

/// All samples of the probe are there, and the newest is as sent.
fn check(receiver: &Receiver, load: &Load, probe: &Probe) -> anyhow::Result<()> {
    let matchers: Vec<String> = probe.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let query = format!("{{{}}}[{}]", matchers.join(","), range(load));
    let result = receiver.query(&query, load.newest_ms())?;
    let [series] = &result[..] else { anyhow::bail!("{} series instead of 1 for {query}", result.len()) };
    let samples = series["values"].as_array().context("a series without values")?;
    anyhow::ensure!(
        samples.len() as u64 == load.shape().scrapes,
        "{} samples instead of {} for {query}",
        samples.len(),
        load.shape().scrapes
    );
    let newest = samples.last().and_then(|sample| number(&sample[1])).context("a sample without a value")?;
    let sent = load.newest_value(probe);
    // VictoriaMetrics keeps decimal digits, not bits.
    anyhow::ensure!((newest - sent).abs() <= sent.abs() * 1e-9, "{newest} instead of {sent} for {query}");
    Ok(())
}

/// How many samples of all are there.
pub(crate) fn samples_found(receiver: &Receiver, load: &Load) -> anyhow::Result<u64> {
    let mut found = 0.0;
    // By metric, as a range function drops names and would make series of several the same.
    for [cluster, metric] in load.families() {
        let query = format!("sum(count_over_time({metric}{{cluster=\"{cluster}\"}}[{}]))", range(load));
        let result = receiver.query(&query, load.newest_ms())?;
        found += result.first().and_then(|sample| number(&sample["value"][1])).unwrap_or(0.0);
    }
    Ok(found as u64)
}

/// A range that holds every scrape when it ends at the newest.
fn range(load: &Load) -> String {
    let shape = load.shape();
    format!("{}ms", shape.interval.as_millis() as u64 * shape.scrapes)
}

fn number(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}
