//! Resident memory that idle connections take: those that never sent, and those that sent one request each.

use std::net::TcpStream;
use std::time::Duration;

use super::bodies::{SERIES_PER_REQUEST, Scrape};
use super::{Bench, queue, verdict};
use crate::load::{Pace, Senders, Until};
use crate::process::pause;
use crate::sink::Endpoint;

pub(crate) fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    println!("\n### {CONNECTIONS} idle connections\n");
    let scrape = Scrape::of(SERIES_PER_REQUEST * CONNECTIONS as usize)?;
    let endpoint = Endpoint::start(Duration::ZERO, false)?;
    let ours = queue::start(bench, "connections", endpoint.address)?;

    // Against the process as it started: what the first requests need at all counts with the rest.
    let before_mb = ours.process.rss_mb()?;
    let silent = (0..CONNECTIONS).map(|_| TcpStream::connect(ours.address)).collect::<Result<Vec<_>, _>>()?;
    pause(SETTLE);
    let silent_mb = ours.process.rss_mb()? - before_mb;
    drop(silent);
    pause(SETTLE);

    let mut senders = Senders::connect(ours.address, CONNECTIONS)?;
    // Each its own, at a thousand a second, as many scrapers that are restarted do.
    senders.run(&scrape.requests, Pace::PerSecond(1000.0), Until::Sent(1))?;
    queue::wait_until_empty(ours.address, PATIENCE)?;
    pause(SETTLE);
    let sent_mb = ours.process.rss_mb()? - before_mb;
    println!("RSS {before_mb:.1} MB without them");
    verdict::at_most("growth of RSS by connections that never sent", silent_mb, 5.0, "MB");
    verdict::at_most("growth of RSS by connections after a request each", sent_mb, 25.0, "MB");
    Ok(())
}

const CONNECTIONS: u32 = 1000;
const SETTLE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);
