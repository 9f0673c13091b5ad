//! What a catalogue of the promised size costs: decisions on writes, the start, pages of lists, active series.
//!
//! The catalogue is made through the store, each change as durable as in service. Then `remora serve` runs on it: the
//! processor time of whole requests is its own, as `/proc` counts it. A decision is timed in this process, on the same
//! catalogue and through the same calls in the same order as ingestion makes them; so its share is of one run on one machine.

mod active_series;
mod decisions;
mod fleet;
mod pages;
mod service;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use catalog::Fleet;
use clap::Args;

use crate::ingest::issuer::Issuer;
use crate::machine;
use crate::statistics::median;
use service::Service;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Data collection rules
    #[arg(long, default_value_t = 10_000)]
    rules: u32,
    /// Workspaces that the rules route to, in turns
    #[arg(long, default_value_t = 1_000)]
    workspaces: u32,
    /// Role assignments, in turns on the rules
    #[arg(long, default_value_t = 100_000)]
    assignments: u32,
    /// Runs of what is timed; medians count
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Where data are kept, removed afterwards [default: the system's temporary directory]
    #[arg(long)]
    directory: Option<PathBuf>,
    /// remora [default: beside this program]
    #[arg(long, env = "REMORA")]
    remora: Option<PathBuf>,
}

impl Arguments {
    /// As on the command line without anything, for `bench all`.
    pub(crate) fn standard() -> Self {
        Self { rules: 10_000, workspaces: 1_000, assignments: 100_000, runs: 5, directory: None, remora: None }
    }

    fn fleet(&self) -> Fleet {
        Fleet {
            subscription: fleet::SUBSCRIPTION,
            workspaces: self.workspaces,
            rules: self.rules,
            assignments: self.assignments,
        }
    }
}

/// Runs what the arguments say and prints tables.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let size = arguments.fleet();
    anyhow::ensure!(
        size.rules > 0 && size.workspaces > 0 && arguments.runs > 0 && size.assignments > 0,
        "at least one of each is needed"
    );
    let directory = match &arguments.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let program = match &arguments.remora {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("remora"),
    };
    let program = std::fs::canonicalize(&program).with_context(|| {
        format!("{} does not exist: build it with cargo build --release -p remora, or set REMORA", program.display())
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!(
        "\n## catalogue: {} rules, {} workspaces, {} role assignments\n\n{}\n",
        size.rules,
        size.workspaces,
        size.assignments,
        machine::describe()
    );
    let mut verdicts = vec![series()];
    let issuer = Issuer::start()?;
    let (large, small) = (directory.path().join("large"), directory.path().join("small"));

    let changes = runtime.block_on(fleet::make(&large.join("data"), &size))?;
    println!("One change more, durable: {:.2} ms (median of {}).\n", median(&changes), changes.len());

    verdicts.push(start(&runtime, &program, &issuer, [&large, &small], arguments.runs)?);
    verdicts.push(decision_share(&runtime, &program, &issuer, [&large, &small], arguments)?);
    verdicts.push(lists(&program, &issuer, &large, &size)?);
    for (kept, promise) in verdicts {
        println!("{} {promise}", if kept { "kept:  " } else { "BROKEN:" });
    }
    Ok(())
}

type Verdict = (bool, &'static str);

/// From opening the file until the snapshot is there, and from the start of the process until it is ready.
fn start(
    runtime: &tokio::runtime::Runtime,
    program: &std::path::Path,
    issuer: &Issuer,
    [large, small]: [&PathBuf; 2],
    runs: usize,
) -> anyhow::Result<Verdict> {
    let mut opening = Vec::new();
    for _ in 0..runs {
        let started = Instant::now();
        let store = runtime.block_on(fleet::open(&large.join("data")))?;
        opening.push(started.elapsed().as_secs_f64());
        runtime.block_on(store.close());
    }
    // The first start of each makes what its settings declare.
    let mut ready = [Vec::new(), Vec::new()];
    for run in 0..=runs {
        for (seconds, directory) in ready.iter_mut().zip([large, small]) {
            let started = Instant::now();
            let mut service = Service::start(program, directory, issuer)?;
            if run > 0 {
                seconds.push(started.elapsed().as_secs_f64());
            }
            service.stop()?;
        }
    }
    let worst = |seconds: &[f64]| seconds.iter().copied().fold(0.0, f64::max);
    println!("| start | median s | worst s |\n|---|---|---|");
    let rows = [
        ("the catalogue", &opening),
        ("`remora serve` until ready", &ready[0]),
        ("`remora serve` with an empty one", &ready[1]),
    ];
    for (name, seconds) in rows {
        println!("| {name} | {:.3} | {:.3} |", median(seconds), worst(seconds));
    }
    println!();
    Ok((worst(&ready[0]) < 1.0 && worst(&opening) < 1.0, "the service starts in less than 1 s"))
}

/// A decision against the processor time of a whole request.
fn decision_share(
    runtime: &tokio::runtime::Runtime,
    program: &std::path::Path,
    issuer: &Issuer,
    [large, small]: [&PathBuf; 2],
    arguments: &Arguments,
) -> anyhow::Result<Verdict> {
    let mut whole = [Vec::new(), Vec::new()];
    for run in 0..arguments.runs.min(service::RUNS_MAX) {
        for (micros, directory) in whole.iter_mut().zip([large, small]) {
            let mut service = Service::start(program, directory, issuer)?;
            micros.push(service.cpu_micros_per_request(run)?);
            service.stop()?;
        }
        eprintln!("ingestion, run {}", run + 1);
    }
    let store = runtime.block_on(fleet::open(&large.join("data")))?;
    let parts = decisions::measure(&store.catalog(), issuer, &arguments.fleet(), arguments.runs)?;
    runtime.block_on(store.close());
    let request = median(&whole[0]);
    println!(
        "A whole request of {} samples takes {request:.0} µs of the service's processor time, {:.0} µs with an empty catalogue.\n",
        service::SAMPLES_PER_REQUEST,
        median(&whole[1])
    );
    println!("| of one write | µs | % of a request |\n|---|---|---|");
    for (name, micros) in &parts {
        println!("| {name} | {micros:.2} | {:.2} |", micros / request * 100.0);
    }
    println!();
    let all = parts.last().map_or(f64::INFINITY, |part| part.1);
    Ok((all / request <= 0.02, "a decision takes at most 2 % of ingestion's processor time"))
}

/// Every page of every list, over HTTP.
fn lists(
    program: &std::path::Path,
    issuer: &Issuer,
    directory: &std::path::Path,
    fleet: &Fleet,
) -> anyhow::Result<Verdict> {
    let mut service = Service::start(program, directory, issuer)?;
    println!("| list | items | pages | median ms | worst ms |\n|---|---|---|---|---|");
    let mut worst_of_all = 0.0f64;
    for (name, path, least) in pages::lists(fleet) {
        let pages = pages::walk(service.address(), &service.management_headers, &path)?;
        anyhow::ensure!(pages.items >= least as usize, "{name}: {} items of {least}", pages.items);
        let worst = pages.millis.iter().copied().fold(0.0, f64::max);
        println!("| {name} | {} | {} | {:.1} | {worst:.1} |", pages.items, pages.millis.len(), median(&pages.millis));
        worst_of_all = worst_of_all.max(worst);
    }
    println!();
    service.stop()?;
    Ok((worst_of_all < 50.0, "a page of a list takes less than 50 ms"))
}

/// Bytes of memory for each active series. To be called before anything else takes memory and gives it back.
fn series() -> Verdict {
    println!("| active series | bytes each, held | bytes each, of the process |\n|---|---|---|");
    let mut most = 0.0f64;
    for count in [1_000_000, 2_000_000, 100_000] {
        let bytes = active_series::bytes_each(count);
        // Later ones live in what the first gave back.
        let first = count == 1_000_000;
        let resident = if first { format!("{:.1}", bytes.resident) } else { "–".to_owned() };
        println!("| {count} | {:.1} | {resident} |", bytes.held);
        most = most.max(bytes.held).max(if first { bytes.resident } else { 0.0 });
    }
    println!();
    (most <= 40.0, "an active series takes at most 40 bytes")
}
