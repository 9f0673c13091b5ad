//! After an outage: how fast the backlog goes out over a long round trip, and how soon the first byte after a restart.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::bodies::Scrape;
use super::{Bench, queue, verdict};
use crate::load::{Pace, Senders, Until};
use crate::process::pause;
use crate::sink::Endpoint;

/// The backlog of an outage, delivered to a target at a distance.
pub(crate) fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    let scrape = Scrape::of(LIVE_SERIES)?;
    let endpoint = Endpoint::start(ROUND_TRIP, true)?;
    let ours = queue::start(bench, "catch-up", endpoint.address)?;
    println!("\n### catching up, target at {ROUND_TRIP:?}: {}\n", scrape.describe());
    let scrapes = bench.arguments.backlog_scrapes;
    Senders::connect(ours.address, CONNECTIONS)?.run(&scrape.requests, Pace::FullSpeed, Until::Sent(scrapes))?;
    let backlog = queue::waiting(ours.address)?;
    let requests = (scrapes * scrape.requests.len()) as u64;
    ensure!(backlog == requests, "{backlog} requests wait of {requests} that were sent");

    let cpu_before = ours.process.cpu_seconds()?;
    let up = Instant::now();
    endpoint.set_down(false);
    let until = up + PATIENCE;
    while endpoint.taken() < requests {
        ensure!(Instant::now() < until, "{} of {requests} requests are delivered after {PATIENCE:?}", endpoint.taken());
        pause(Duration::from_millis(5));
    }
    let end = Instant::now();
    let first = endpoint.first_taken().context("no request came")?;
    let cpu_ms = (ours.process.cpu_seconds()? - cpu_before) * 1e3 / requests as f64;
    let samples = (scrapes * scrape.series) as f64;
    let per_second = samples / (end - first).as_secs_f64();
    println!(
        "{requests} requests, {} MB; the first {:.2} s after the target was back, the last {:.2} s later; {} repeated; CPU {cpu_ms:.3} ms a \
         request; RSS at most {:.1} MB",
        scrapes * scrape.sent_bytes() / 1_000_000,
        (first - up).as_secs_f64(),
        (end - first).as_secs_f64(),
        endpoint.taken() - requests,
        ours.process.rss_max_mb()?
    );
    let live = LIVE_SERIES as f64 / SCRAPE_SECONDS;
    verdict::at_least("samples a second, in those of 1,000,000 series at 15 s", per_second / live, 5.0, "times");
    Ok(())
}

/// A restart after `kill -9` with a large backlog.
pub(crate) fn run_restart(bench: &Bench<'_>) -> anyhow::Result<()> {
    let scrape = Scrape::of(LIVE_SERIES)?;
    let endpoint = Endpoint::start(ROUND_TRIP, true)?;
    let ours = queue::start(bench, "restart", endpoint.address)?;
    let scrapes = (bench.arguments.backlog_gib * f64::from(1 << 30) / scrape.sent_bytes() as f64).ceil() as usize;
    println!("\n### restart with a backlog: {scrapes} scrapes, {}\n", scrape.describe());
    Senders::connect(ours.address, CONNECTIONS)?.run(&scrape.requests, Pace::FullSpeed, Until::Sent(scrapes))?;
    let bytes = queue::bytes(ours.address)?;
    let requests = queue::waiting(ours.address)?;
    let filled_mb = ours.process.rss_max_mb()?;
    ensure!(bytes as f64 >= bench.arguments.backlog_gib * f64::from(1 << 30) * 0.95, "only {bytes} bytes are queued");
    // Killed, as a process is that runs out of memory.
    drop(ours);
    endpoint.set_down(false);
    let started = Instant::now();
    let again = queue::start(bench, "restart", endpoint.address)?;
    let ready = started.elapsed();
    let until = started + PATIENCE;
    let first = loop {
        if let Some(first) = endpoint.first_taken() {
            break first;
        }
        ensure!(Instant::now() < until, "nothing was sent in {PATIENCE:?}");
        pause(Duration::from_millis(1));
    };
    println!(
        "{requests} requests, {:.2} GiB; RSS at most {filled_mb:.1} MB while it grew; ready after {:.3} s, RSS {:.1} MB then; {} requests wait",
        bytes as f64 / f64::from(1 << 30),
        ready.as_secs_f64(),
        again.process.rss_max_mb()?,
        queue::waiting(again.address)?
    );
    let first = first.saturating_duration_since(started).as_secs_f64();
    verdict::at_most("first request at the target after the start of the process", first, 1.0, "s");
    Ok(())
}

const LIVE_SERIES: usize = 1_000_000;
const SCRAPE_SECONDS: f64 = 15.0;
const CONNECTIONS: u32 = 4;
const ROUND_TRIP: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(300);
