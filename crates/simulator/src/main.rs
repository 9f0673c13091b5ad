//! Runs simulations: one seed, or new ones for as long as one likes.
#![allow(clippy::print_stdout, reason = "what a run says is for people")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use simulator::chance::Chance;
use simulator::kills;
use simulator::run::{Length, Report, run, run_every_change};

#[derive(Parser)]
#[command(about = "Runs whole databases on a disk and a clock that do their worst")]
struct Arguments {
    /// Runs this seed alone
    #[arg(long)]
    seed: Option<u64>,
    /// Runs new seeds for this many seconds
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Kills a real process so many times instead
    #[arg(long)]
    kills: Option<u64>,
    /// Writes to a database in this directory until it is killed
    #[arg(long, hide = true)]
    victim: Option<PathBuf>,
    /// The numbers of a victim's first batches
    #[arg(long, hide = true, value_delimiter = ',')]
    from: Vec<u64>,
    /// Runs at a time [default: one for each processor]
    #[arg(long)]
    jobs: Option<usize>,
    /// Starts of the machine in a run
    #[arg(long, default_value_t = Length::default().starts)]
    starts: u64,
    /// Steps between two starts, at most
    #[arg(long, default_value_t = Length::default().steps)]
    steps: u64,
    /// Tries a crash at every change of the disk, instead of faults and crashes at drawn ones
    #[arg(long)]
    every_change: bool,
    /// Looks at everything after each step
    #[arg(long)]
    closely: bool,
    /// Says every step
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.verbose {
        // Simulated time is in the steps; the lines need none.
        let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().with_target(false);
        subscriber.with_ansi(false).with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG).init();
    }
    let sound = match (&arguments.victim, arguments.kills, arguments.seed) {
        (Some(directory), ..) => said(kills::be_victim(directory, &arguments.from)),
        (None, Some(rounds), seed) => said(kill(rounds, seed.unwrap_or(1))),
        (None, None, Some(seed)) => one(seed, &arguments).inspect(|report| println!("{report:#?}")).is_some(),
        (None, None, None) => many(&arguments),
    };
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints what went wrong; whether nothing did.
fn said(outcome: Result<(), String>) -> bool {
    if let Err(error) = &outcome {
        eprintln!("{error}");
    }
    outcome.is_ok()
}

fn kill(rounds: u64, seed: u64) -> Result<(), String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let report = kills::kill_again_and_again(&program, &directory.path().join("data"), rounds, seed)?;
    println!("{report:#?}");
    Ok(())
}

/// Runs one seed; what happened, if it went well.
fn one(seed: u64, arguments: &Arguments) -> Option<Report> {
    let Arguments { starts, steps, every_change, closely, verbose, .. } = *arguments;
    let length = Length { starts, steps, closely };
    let outcome = if every_change { run_every_change(seed, steps, verbose) } else { run(seed, length, verbose) };
    match outcome {
        Ok(report) => Some(report),
        Err(failure) => {
            println!("{}{}", failure.text(seed, length), if every_change { " --every-change" } else { "" });
            None
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program: how long it runs is real time, and so are new seeds")]
fn many(arguments: &Arguments) -> bool {
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    let first = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let (runs, failed, sum) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Report::default()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while Instant::now() < until && !failed.load(Ordering::Relaxed) {
                    let number = runs.fetch_add(1, Ordering::Relaxed);
                    match one(Chance::new(first ^ number).bits() >> 16, arguments) {
                        Some(report) => *sum.lock().expect("adding does not panic") += &report,
                        None => failed.store(true, Ordering::Relaxed),
                    }
                }
            });
        }
    });
    println!("{:#?}", sum.into_inner().expect("adding does not panic"));
    println!("{} runs in {} s", runs.into_inner(), arguments.seconds);
    !failed.into_inner()
}
