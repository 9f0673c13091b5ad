//! Ingestion of remote write against other receivers: processor time, memory and disk per sample; readiness after a crash.
//!
//! Each run starts a receiver on an empty directory, sends it the load, measures its process through `/proc`, asks for the
//! samples again and ends it. Runs take turns, so that whatever else the machine does falls on all alike. The sender's
//! processor time is not counted.

pub(crate) mod check;
pub(crate) mod fleet;
pub(crate) mod issuer;
pub(crate) mod load;
pub(crate) mod receivers;
pub(crate) mod request;
pub(crate) mod restart;
pub(crate) mod values;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::machine;
use crate::process::pause;
use crate::statistics::median;
use issuer::Issuer;
use load::{CONNECTIONS, Connection, Load, Shape};
use receivers::{Kind, Programs, Receiver};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Series, all of them active
    #[arg(long, default_value_t = 100_000)]
    pub(crate) series: usize,
    /// Scrapes, one sample of each series in each
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) scrapes: u64,
    /// Seconds between the timestamps of scrapes; they are sent as fast as they are taken
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) interval: u64,
    /// Runs of each receiver, in turns; medians count
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// Which receivers, the first against the others
    #[arg(long, value_delimiter = ',', value_enum, default_value = "remora,victoria-metrics,prometheus")]
    pub(crate) peers: Vec<Kind>,
    /// Kill the receiver when everything is sent, and measure how long it takes to have it again
    #[arg(long)]
    pub(crate) restart: bool,
    /// Another seed gives other values
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Where receivers keep their data, removed afterwards [default: the system's temporary directory]
    #[arg(long)]
    pub(crate) directory: Option<PathBuf>,
    /// remora [default: beside this program]
    #[arg(long, env = "REMORA")]
    pub(crate) remora: Option<PathBuf>,
    /// Where the peers are
    #[arg(long, env = "PEERS", default_value = "target/peers/usr/bin")]
    pub(crate) programs: PathBuf,
}

impl Arguments {
    /// As on the command line without anything, for `bench all`.
    pub(crate) fn standard() -> Self {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            arguments: Arguments,
        }
        <Alone as clap::Parser>::parse_from(["bench"]).arguments
    }

    pub(crate) fn shape(&self) -> Shape {
        let interval = Duration::from_secs(self.interval);
        Shape { series: self.series, scrapes: self.scrapes, interval, age: YOUNG, seed: self.seed }
    }
}

/// What all runs share.
pub(crate) struct Bench<'a> {
    arguments: &'a Arguments,
    programs: Programs,
    issuer: Issuer,
    directory: tempfile::TempDir,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(arguments: &'a Arguments) -> anyhow::Result<Self> {
        anyhow::ensure!(arguments.series > 0 && arguments.runs > 0, "at least one series and one run are needed");
        let directory = match &arguments.directory {
            Some(directory) => tempfile::tempdir_in(directory)?,
            None => tempfile::tempdir()?,
        };
        let programs = Programs::find(arguments.remora.as_deref(), &arguments.programs)?;
        for &kind in &arguments.peers {
            programs.program(kind)?;
        }
        Ok(Self { arguments, programs, issuer: Issuer::start()?, directory })
    }

    /// Calls `measure` for each run of each receiver, in turns, with a receiver that is ready; what it gives, by receiver.
    pub(crate) fn runs<T>(
        &self,
        measure: impl Fn(&mut Receiver) -> anyhow::Result<T>,
    ) -> anyhow::Result<Vec<(Kind, Vec<T>)>> {
        let mut all: Vec<(Kind, Vec<T>)> = self.arguments.peers.iter().map(|&kind| (kind, Vec::new())).collect();
        for run in 1..=self.arguments.runs {
            for (kind, figures) in &mut all {
                let started = Instant::now();
                let directory = self.directory.path().join(format!("{}-{run}", kind.name()));
                let mut receiver = Receiver::prepare(*kind, &self.programs, &self.issuer, &directory)?;
                receiver.start()?;
                receiver.wait_until_ready()?;
                figures.push(measure(&mut receiver)?);
                drop(receiver);
                std::fs::remove_dir_all(&directory)?;
                let of = self.arguments.runs;
                eprintln!("run {run} of {of}: {}, {:.1} s", kind.name(), started.elapsed().as_secs_f64());
            }
        }
        Ok(all)
    }
}

/// Runs what the arguments say and prints a table.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let bench = Bench::new(arguments)?;
    let machine = machine::describe();
    let title = if arguments.restart { "ready after kill -9" } else { "ingestion" };
    let (shape, load) = (arguments.shape(), Load::new(arguments.shape()));
    println!("\n## {title}: {} series × {} scrapes, {CONNECTIONS} connections\n", shape.series, shape.scrapes);
    println!(
        "Remote write 1.0; {} requests a scrape; medians of {} runs; {machine}\n",
        load.requests(),
        arguments.runs
    );
    drop(load);
    if arguments.restart {
        return restart::run(&bench);
    }
    let figures = bench.runs(|receiver| measure(receiver, Load::new(shape)))?;
    print(shape, &figures);
    Ok(())
}

/// One run of one receiver.
pub(crate) struct Figures {
    /// CPU seconds of the first scrape, and of those after it.
    pub(crate) cpu_first: f64,
    pub(crate) cpu_steady: f64,
    wall_seconds: f64,
    pub(crate) rss_mb: f64,
    rss_max_mb: f64,
    disk_bytes: u64,
    /// Of a request, on average.
    compressed_bytes: usize,
    decoded_bytes: usize,
}

pub(crate) fn measure(receiver: &mut Receiver, mut load: Load) -> anyhow::Result<Figures> {
    let mut connections = connect(receiver)?;
    let at_start = receiver.running()?.cpu_seconds_of_stat()?;
    let started = Instant::now();
    load.send(0, &mut connections)?;
    let first_wall = started.elapsed();
    pause(SETTLING);
    let after_first = receiver.running()?.cpu_seconds_of_stat()?;
    let resumed = Instant::now();
    for scrape in 1..load.shape().scrapes {
        load.send(scrape, &mut connections)?;
    }
    let wall_seconds = (first_wall + resumed.elapsed()).as_secs_f64();
    // Work put off until after the answer counts, too.
    pause(SETTLING);
    let process = receiver.running()?;
    let (at_end, rss_mb, rss_max_mb) = (process.cpu_seconds_of_stat()?, process.rss_mb()?, process.rss_max_mb()?);
    check::probes_until(receiver, &load, Duration::from_secs(10))?;
    let (found, sent) = (check::samples_found(receiver, &load)?, load.shape().samples());
    anyhow::ensure!(found == sent, "{} has {found} samples of {sent} that it acknowledged", receiver.kind.name());
    drop(connections);
    receiver.stop()?;
    Ok(Figures {
        cpu_first: after_first - at_start,
        cpu_steady: at_end - after_first,
        wall_seconds,
        rss_mb,
        rss_max_mb,
        disk_bytes: receiver.disk_bytes()?,
        compressed_bytes: load.compressed_bytes / load.requests(),
        decoded_bytes: load.decoded_bytes() / load.requests(),
    })
}

pub(crate) fn connect(receiver: &Receiver) -> anyhow::Result<Vec<Connection>> {
    (0..CONNECTIONS).map(|_| receiver.connect()).collect()
}

type Column = (&'static str, fn(&Figures, Shape) -> f64);

fn print(shape: Shape, figures: &[(Kind, Vec<Figures>)]) {
    if let Some(one) = figures.first().and_then(|(_, runs)| runs.first()) {
        let (compressed, decoded) = (one.compressed_bytes as f64 / 1e3, one.decoded_bytes as f64 / 1e3);
        println!("A request: {compressed:.0} kB compressed, {decoded:.0} kB decoded. CPU s are per million samples.\n");
    }
    let columns: [Column; 8] = [
        ("CPU s, steady", |f, shape| f.cpu_steady / (shape.series as f64 * (shape.scrapes - 1) as f64) * 1e6),
        ("CPU s, first sight", |f, shape| f.cpu_first / shape.series as f64 * 1e6),
        ("CPU s, all", |f, shape| (f.cpu_first + f.cpu_steady) / shape.samples() as f64 * 1e6),
        ("samples/s", |f, shape| shape.samples() as f64 / f.wall_seconds),
        ("wall s", |f, _| f.wall_seconds),
        ("RSS kB/series", |f, shape| f.rss_mb * 1e3 / shape.series as f64),
        ("RSS max kB/series", |f, shape| f.rss_max_mb * 1e3 / shape.series as f64),
        ("disk B/sample", |f, shape| f.disk_bytes as f64 / shape.samples() as f64),
    ];
    let names: Vec<&str> = columns.iter().map(|column| column.0).collect();
    println!("| | {} |\n|---{}|", names.join(" | "), "|---".repeat(names.len()));
    let middle =
        |runs: &[Figures], column: Column| median(&runs.iter().map(|f| column.1(f, shape)).collect::<Vec<_>>());
    for (kind, runs) in figures {
        let cells: Vec<String> = columns.iter().map(|&column| digits(middle(runs, column))).collect();
        println!("| {} | {} |", kind.name(), cells.join(" | "));
    }
    let Some(((first, ours), others)) = figures.split_first() else { return };
    for (kind, theirs) in others {
        let ratios: Vec<String> =
            columns.iter().map(|&column| format!("{:.3}", middle(ours, column) / middle(theirs, column))).collect();
        println!("| {} : {} | {} |", first.name(), kind.name(), ratios.join(" | "));
    }
    println!("\nCPU s, steady, of each run:");
    for (kind, runs) in figures {
        let steady: Vec<String> = runs.iter().map(|f| digits(columns[0].1(f, shape))).collect();
        println!("- {}: {}", kind.name(), steady.join(", "));
    }
    println!();
    // The figures promised are of this shape.
    let promised_shape = shape.series == 100_000 && shape.scrapes == 40;
    for (kind, theirs) in others.iter().filter(|_| *first == Kind::Remora && promised_shape) {
        let Some((cpu_most, rss_most)) = promised(*kind) else { continue };
        for (what, column, most) in [("CPU, steady,", columns[0], cpu_most), ("RSS", columns[5], rss_most)] {
            let kept = middle(ours, column) / middle(theirs, column) <= most;
            println!("{} {what} at most {most} of that of {}", if kept { "kept:  " } else { "BROKEN:" }, kind.name());
        }
    }
}

/// The most of a peer's processor time in steady state and of its memory that is promised for 100,000 series and 40
/// scrapes: 0.8 s and 1.0 kB where VictoriaMetrics 1.79 needs 2.7 s and 1.8 kB, Prometheus 2.42 13.3 s and 5.4 kB.
fn promised(peer: Kind) -> Option<(f64, f64)> {
    match peer {
        Kind::Remora => None,
        Kind::VictoriaMetrics => Some((0.30, 0.56)),
        Kind::Prometheus => Some((0.06, 0.19)),
    }
}

/// Three digits or so.
pub(crate) fn digits(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// How old the newest sample of a load is: some receivers hide what is newer from queries.
pub(crate) const YOUNG: Duration = Duration::from_secs(60);

/// What a receiver does behind its answers gets this long to be done.
const SETTLING: Duration = Duration::from_secs(2);
