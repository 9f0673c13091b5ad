//! A crash right after the last answer: how long until the receiver is ready, and what is gone.

use std::time::{Duration, Instant};

use super::load::Load;
use super::receivers::{Kind, Receiver};
use super::{Bench, check, connect};
use crate::statistics::median;

pub(crate) struct Figures {
    pub(crate) ready_seconds: f64,
    /// Until the newest samples can be queried; `None` when they are gone.
    pub(crate) newest_seconds: Option<f64>,
    pub(crate) gone: u64,
    /// The most memory after the start, with that before the end as 1.
    pub(crate) memory_ratio: f64,
}

pub(super) fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    let shape = bench.arguments.shape();
    let figures = bench.runs(|receiver| measure(receiver, Load::new(shape)))?;
    println!("| | ready s | newest samples there s | acknowledged samples gone, worst run |\n|---|---|---|---|");
    for (kind, runs) in &figures {
        let ready = median(&runs.iter().map(|f| f.ready_seconds).collect::<Vec<_>>());
        let newest: Option<Vec<f64>> = runs.iter().map(|f| f.newest_seconds).collect();
        let newest = newest.map_or_else(|| "never".to_owned(), |all| format!("{:.2}", median(&all)));
        println!("| {} | {ready:.2} | {newest} | {} |", kind.name(), gone(runs));
    }
    let lost = figures.iter().find(|(kind, runs)| *kind == Kind::Remora && gone(runs) > 0);
    anyhow::ensure!(lost.is_none(), "acknowledged samples are gone");
    Ok(())
}

pub(crate) fn gone(runs: &[Figures]) -> u64 {
    runs.iter().map(|figures| figures.gone).max().unwrap_or(0)
}

pub(crate) fn measure(receiver: &mut Receiver, mut load: Load) -> anyhow::Result<Figures> {
    let mut connections = connect(receiver)?;
    for scrape in 0..load.shape().scrapes {
        load.send(scrape, &mut connections)?;
    }
    let rss_mb = receiver.running()?.rss_mb()?;
    receiver.kill();
    let started = Instant::now();
    receiver.start()?;
    receiver.wait_until_ready()?;
    let ready_seconds = started.elapsed().as_secs_f64();
    let newest = check::probes_until(receiver, &load, PATIENCE);
    let newest_seconds = newest.is_ok().then(|| started.elapsed().as_secs_f64());
    let memory_ratio = receiver.running()?.rss_max_mb()? / rss_mb;
    let gone = load.shape().samples() - check::samples_found(receiver, &load)?;
    receiver.stop()?;
    Ok(Figures { ready_seconds, newest_seconds, gone, memory_ratio })
}

/// Longer than any receiver needs to show what it has.
const PATIENCE: Duration = Duration::from_secs(5);
