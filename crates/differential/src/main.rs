//! Random queries against a Prometheus, and the public compliance list: see the library.

#![allow(clippy::print_stdout, reason = "a program that prints what it finds")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use differential::campaign::{Report, Round, Sides};
use differential::{Dialect, compliance, peer};
use model::TimestampMs;
use promql::EvalTime;

/// Asks our engine and a Prometheus the same queries over the same data.
#[derive(Parser)]
struct Arguments {
    /// What the peer is: `old` (2.42), `stable` or `experimental` (the version that ours follows, without or with its switches).
    #[arg(long, default_value = "experimental")]
    peer: Dialect,
    /// The peer's program, when it is not where the scripts put it.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where to start; without it, where nobody has been.
    #[arg(long)]
    seed: Option<u64>,
    /// Queries of a round; each round has a seed of its own.
    #[arg(long, default_value_t = 2000)]
    queries: usize,
    /// Rounds are begun as long as this; without it there is one.
    #[arg(long)]
    seconds: Option<u64>,
    /// Data and queries without native histograms.
    #[arg(long)]
    floats: bool,
    /// The peer is started on a copy of our directory, of blocks and a log, instead of being sent the data.
    #[arg(long)]
    carried: bool,
    /// The compliance list instead of random queries.
    #[arg(long)]
    compliance: bool,
    /// This query alone, over the data of the seed.
    #[arg(long, requires = "time")]
    query: Option<String>,
    /// When it is evaluated, milliseconds.
    #[arg(long)]
    time: Option<i64>,
    /// The end of a range query.
    #[arg(long, requires = "step")]
    end: Option<i64>,
    /// The step of a range query.
    #[arg(long)]
    step: Option<i64>,
}

impl Arguments {
    fn round(&self, seed: u64) -> Round {
        let Self { peer: dialect, queries, floats, carried, .. } = *self;
        Round { seed, dialect, queries, floats, carried }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let program = arguments.program.clone().unwrap_or_else(|| peer::program(arguments.peer));
    let agrees = match (arguments.compliance, &arguments.query) {
        (true, _) => run_compliance(&arguments, &program)?,
        (false, Some(query)) => run_query(&arguments, &program, query)?,
        (false, None) => run_rounds(&arguments, &program)?,
    };
    Ok(if agrees { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_compliance(arguments: &Arguments, program: &std::path::Path) -> anyhow::Result<bool> {
    let outcome = compliance::run(program, arguments.peer)?;
    for (query, difference) in &outcome.failed {
        println!("FAILED  {query}\n        {difference}");
    }
    for (query, reason) in &outcome.not_comparable {
        println!("not comparable: {query}: {reason}");
    }
    println!("{} of {} comparable cases passed, {} of them empty", outcome.passed, outcome.cases, outcome.empty);
    Ok(outcome.failed.is_empty())
}

fn run_query(arguments: &Arguments, program: &std::path::Path, query: &str) -> anyhow::Result<bool> {
    let start = TimestampMs(arguments.time.unwrap_or_default());
    let time = match (arguments.end, arguments.step) {
        (Some(end), Some(step_ms)) => EvalTime::Range { start, end: TimestampMs(end), step_ms },
        _ => EvalTime::Instant(start),
    };
    let mut sides = Sides::start(program, arguments.round(arguments.seed.unwrap_or_default()))?;
    let (theirs, ours) = sides.ask(query, time)?;
    println!("peer: {theirs:#?}\nours: {ours:#?}");
    let difference = sides.difference(query, &theirs, &ours);
    match &difference {
        Some(difference) => println!("differs: {}", difference.what),
        None => println!("the same"),
    }
    Ok(difference.is_none())
}

#[expect(clippy::disallowed_methods, reason = "how long it runs is told in real time, and chance starts somewhere")]
fn run_rounds(arguments: &Arguments, program: &std::path::Path) -> anyhow::Result<bool> {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let first = arguments.seed.unwrap_or(since_1970.as_secs());
    let until = Instant::now() + Duration::from_secs(arguments.seconds.unwrap_or(0));
    let mut report = Report::default();
    for seed in first.. {
        let round = arguments.round(seed).run(program)?;
        println!("seed {seed}: {round}");
        report.add(round);
        if Instant::now() >= until {
            break;
        }
    }
    println!("{} queries, {} differences", report.queries, report.found.len() + report.more);
    Ok(report.agrees())
}
