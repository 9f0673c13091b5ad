//! Resident memory while a fleet is scraped, its target goes away for one scrape, and the sidecar catches up.

use std::time::Duration;

use super::bodies::Scrape;
use super::{Bench, queue, verdict};
use crate::load::{Pace, Senders, Until};
use crate::sink::Endpoint;

pub(crate) fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    println!("\n### memory, target at {ROUND_TRIP:?}\n");
    for (series, must_mb) in [(150_000, 30.0), (1_000_000, 100.0)] {
        let scrape = Scrape::of(series)?;
        let endpoint = Endpoint::start(ROUND_TRIP, false)?;
        let ours = queue::start(bench, &format!("memory-{series}"), endpoint.address)?;
        let start_mb = ours.process.rss_max_mb()?;
        let mut senders = Senders::connect(ours.address, SHARDS)?;
        let rate = scrape.requests.len() as f64 / bench.arguments.interval;
        let mut scrapes = |count: u32| -> anyhow::Result<f64> {
            let span = Duration::from_secs_f64(bench.arguments.interval * f64::from(count));
            senders.run(&scrape.requests, Pace::PerSecond(rate), Until::Passed(span))?;
            ours.process.rss_max_mb()
        };
        let steady_mb = scrapes(bench.arguments.scrapes)?;
        endpoint.set_down(true);
        scrapes(1)?;
        let backlog = queue::waiting(ours.address)?;
        endpoint.set_down(false);
        let outage_mb = scrapes(2)?;
        queue::wait_until_empty(ours.address, PATIENCE)?;
        println!(
            "{}, every {} s over {SHARDS} connections: RSS {start_mb:.1} MB at the start, at most {steady_mb:.1} MB in \
             {} scrapes, {outage_mb:.1} MB with an outage of one scrape ({backlog} requests), {:.1} MB in the end",
            scrape.describe(),
            bench.arguments.interval,
            bench.arguments.scrapes,
            ours.process.rss_mb()?
        );
        verdict::at_most(&format!("RSS with {series} series"), steady_mb, must_mb, "MB");
        verdict::at_most(&format!("RSS with {series} series, after an outage"), outage_mb, must_mb, "MB");
    }
    Ok(())
}

/// Connections, as many as shards of a Prometheus of that size.
const SHARDS: u32 = 8;
const ROUND_TRIP: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(300);
