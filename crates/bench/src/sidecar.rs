//! The sidecar with its durable queue: what a request costs, beside nginx in the same run; what it needs in memory; how it
//! catches up.

mod bodies;
mod catch_up;
mod connections;
mod cost;
mod memory;
mod queue;
mod verdict;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::machine;
use crate::peers::Programs;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Which parts [default: all]
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Rounds of the part `cost`; the medians over them count
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Scrapes of the part `memory`, then one while the target is down and two more
    #[arg(long, default_value_t = 4)]
    scrapes: u32,
    /// Seconds between scrapes of the part `memory`
    #[arg(long, default_value_t = 15.0)]
    interval: f64,
    /// Scrapes of 1,000,000 series that the part `catch-up` sends while the target is down
    #[arg(long, default_value_t = 10)]
    backlog_scrapes: usize,
    /// Bytes of backlog, in GiB, with which the part `restart` starts anew
    #[arg(long, default_value_t = 2.1)]
    backlog_gib: f64,
    /// What REMORA_QUEUE is set to: `disk`, or `off` to measure pass-through with the same load
    #[arg(long, default_value = "disk")]
    queue: String,
    /// Where queues are made: a real disk [default: beside this program]
    #[arg(long)]
    directory: Option<PathBuf>,
    /// nginx [default: target/peers/usr/sbin/nginx]
    #[arg(long, env = "NGINX")]
    nginx: Option<PathBuf>,
    /// remora-sidecar [default: beside this program]
    #[arg(long, env = "REMORA_SIDECAR")]
    sidecar: Option<PathBuf>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            rounds: 5,
            scrapes: 4,
            interval: 15.0,
            backlog_scrapes: 10,
            backlog_gib: 2.1,
            queue: "disk".to_owned(),
            directory: None,
            nginx: None,
            sidecar: None,
        }
    }
}

/// What can be measured alone.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Part {
    /// CPU and time of a request, against nginx
    Cost,
    /// Resident memory with 150,000 and 1,000,000 series
    Memory,
    /// Resident memory of idle connections
    Connections,
    /// Samples a second after an outage
    CatchUp,
    /// The first byte after a restart with a large backlog
    Restart,
}

/// What all parts need.
struct Bench<'a> {
    arguments: &'a Arguments,
    programs: Programs,
    /// On a real disk; emptied after each part.
    directory: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let all = [Part::Cost, Part::Memory, Part::Connections, Part::CatchUp, Part::Restart];
    let parts = if arguments.parts.is_empty() { &all[..] } else { &arguments.parts };
    let beside = std::env::current_exe()?.parent().context("a program is in a directory")?.to_owned();
    let directory = tempfile::tempdir_in(arguments.directory.as_deref().unwrap_or(&beside))?;
    println!("\n## sidecar, queue: {}\n\n{}", arguments.queue, machine::describe());
    let mut failed = Vec::new();
    for part in parts {
        let directory = tempfile::tempdir_in(&directory)?;
        let bench = Bench {
            arguments,
            programs: Programs::find(arguments.nginx.as_deref(), arguments.sidecar.as_deref())?,
            directory: directory.path().to_owned(),
        };
        let result = match part {
            Part::Cost => cost::run(&bench),
            Part::Memory => memory::run(&bench),
            Part::Connections => connections::run(&bench),
            Part::CatchUp => catch_up::run(&bench),
            Part::Restart => catch_up::run_restart(&bench),
        };
        if let Err(error) = result {
            eprintln!("bench sidecar, {part:?}: {error:#}");
            failed.push(format!("{part:?}"));
        }
    }
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}
