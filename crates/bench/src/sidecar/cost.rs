//! What a request costs on its way through queue and ledger, and how long its sender waits, beside nginx.
//!
//! Both stand before the same sink and take turns. A turn of ours ends when the queue is empty again, so that all of it is in: receiving,
//! counting, writing, sending on, settling.

use std::time::Duration;

use super::bodies::Scrape;
use super::{Bench, queue, verdict};
use crate::comparison::{Column, Comparison, Spans};
use crate::{peers, sink};

pub(crate) fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    let scrape = Scrape::of(SERIES)?;
    let upstream = sink::serve(sink::NO_CONTENT, None)?;
    let nginx = peers::nginx(&bench.programs, &bench.directory, upstream, false)?;
    let ours = queue::start(bench, "cost", upstream)?;
    let address = ours.address;
    println!("\n### cost of a request: {}; {} rounds\n", scrape.describe(), bench.arguments.rounds);
    let spans = Spans { rounds: bench.arguments.rounds, full_speed_seconds: 2.0, paced_seconds: 6.0 };
    let peers = [nginx, ours];
    let settle = || queue::wait_until_empty(address, PATIENCE);
    let comparison = Comparison::measure(&spans, &peers, &scrape.requests, settle)?;
    comparison.print(&peers);
    println!();
    for (promise, column, must_ms, nginx_ms) in [
        ("CPU at full speed", Column::CpuFullSpeed, 0.4, 0.084),
        ("CPU at 100 requests/s", Column::CpuPaced, 0.6, 0.22),
        ("p50 at 100 requests/s", Column::P50, 1.0, 0.70),
        ("p99 at 100 requests/s", Column::P99, 3.0, 1.56),
    ] {
        verdict::at_most(promise, comparison.of(1, column), must_ms, "ms");
        // The promise was made where nginx took this long.
        verdict::at_most(&format!("{promise}, as a ratio"), comparison.ratio(column), must_ms / nginx_ms, "× nginx");
    }
    Ok(())
}

/// As many as there are distinct bodies for: the queue has series in flight that differ.
const SERIES: usize = 100_000;
const PATIENCE: Duration = Duration::from_secs(120);
