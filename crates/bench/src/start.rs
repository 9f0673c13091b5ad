//! `remora up`: from the start of the process until `query=up` through its sidecar returns a series.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;

use crate::process::{Process, free_address, pause};
use crate::statistics::median;
use crate::{http_client, machine};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Starts on a fresh data directory, each followed by one on the same directory
    #[arg(long, default_value_t = 10)]
    runs: usize,
    /// remora [default: beside this program]
    #[arg(long, env = "REMORA")]
    remora: Option<PathBuf>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { runs: 10, remora: None }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let program = match &arguments.remora {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("remora"),
    };
    anyhow::ensure!(
        program.exists(),
        "{} does not exist: build it with cargo build --release -p remora, or set REMORA",
        program.display()
    );
    println!("\n## start of `remora up` until query=up through the sidecar returns a series\n");
    println!("{} starts each; {}\n", arguments.runs, machine::describe());
    let (mut fresh, mut existing) = (Vec::new(), Vec::new());
    for run in 1..=arguments.runs {
        let directory = tempfile::tempdir()?;
        fresh.push(start(&program, directory.path())?);
        existing.push(start(&program, directory.path())?);
        eprintln!("start {run} of {}", arguments.runs);
    }
    println!("| data directory | median s | worst s |\n|---|---|---|");
    let mut worst_of_all = 0.0;
    for (name, seconds) in [("fresh", &fresh), ("existing", &existing)] {
        let worst = seconds.iter().copied().fold(0.0, f64::max);
        println!("| {name} | {:.3} | {worst:.3} |", median(seconds));
        worst_of_all = f64::max(worst_of_all, worst);
    }
    println!("\n{} less than 2 s at every start", if worst_of_all < 2.0 { "kept:  " } else { "BROKEN:" });
    Ok(())
}

/// Starts it, waits for a series, ends it; the seconds until the series.
fn start(program: &Path, directory: &Path) -> anyhow::Result<f64> {
    let sidecar = free_address()?;
    let log_file = directory.join("log");
    let log = File::create(&log_file)?;
    let mut command = Command::new(program);
    command
        .arg("up")
        .arg("--data-dir")
        .arg(directory.join("data"))
        .args(["--service-address", "127.0.0.1:0", "--authority-address", "127.0.0.1:0"])
        .arg(format!("--sidecar-address={sidecar}"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let started = Instant::now();
    let mut process = Process::start(&mut command)?;
    let log = || std::fs::read_to_string(&log_file).unwrap_or_default();
    // What is not ready refuses, or answers with an error.
    while !http_client::query(sidecar, "/api/v1", "", "up", None).is_ok_and(|result| !result.is_empty()) {
        if let Some(status) = process.ended()? {
            anyhow::bail!("remora up ended: {status}; its log: {}", log());
        }
        anyhow::ensure!(started.elapsed() < PATIENCE, "no series after {PATIENCE:?}; the log: {}", log());
        pause(Duration::from_millis(2));
    }
    let seconds = started.elapsed().as_secs_f64();
    process.stop(PATIENCE).with_context(log)?;
    Ok(seconds)
}

const PATIENCE: Duration = Duration::from_secs(30);
