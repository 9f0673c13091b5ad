//! The database in figures: every row of the table *Ingestion and storage*, ours and the peers' in the same run, as ratios.
//!
//! Each measurement fills the rows that it can: a load gives processor time and memory, one that is killed gives the start
//! and what was lost, one that is left alone until all is compacted gives bytes on the disk.

mod disk;
mod rows;
mod workspaces;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use self::rows::{Promise, Row, Table};
use crate::ingest::load::Load;
use crate::ingest::receivers::{Kind, Programs};
use crate::ingest::{self, Bench, Figures, restart};
use crate::machine;
use crate::statistics::median;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Measurements to take [default: all]
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Measurement>,
    /// Runs of each measurement, in turns; medians count [default: 3, 2 and 1, the fewer the longer one takes]
    #[arg(long)]
    runs: Option<usize>,
    /// Divides all numbers of series, to try the program out
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    divide: u32,
    /// Which receivers
    #[arg(long, value_delimiter = ',', value_enum, default_value = "remora,victoria-metrics,prometheus")]
    peers: Vec<Kind>,
    /// Where receivers keep their data, removed afterwards [default: the system's temporary directory]
    #[arg(long)]
    directory: Option<PathBuf>,
    /// remora [default: beside this program]
    #[arg(long, env = "REMORA")]
    remora: Option<PathBuf>,
    /// Where the peers are
    #[arg(long, env = "PEERS", default_value = "target/peers/usr/bin")]
    programs: PathBuf,
    /// Where the table goes, as tsdb.md and tsdb.json
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Measurement {
    /// 100,000 series × 40 scrapes: CPU and memory
    Fleet,
    /// 6,000 series × 1,440 scrapes: CPU
    Day,
    /// 1,000,000 series × 3 scrapes: CPU and memory
    FirstSight,
    /// Bytes on the disk after compaction
    Disk,
    /// Killed with 9,000,000 samples in the log
    Restart,
    /// 1,000 small workspaces: memory and start; ours alone
    Workspaces,
}

impl Measurement {
    const ALL: [Self; 6] = [Self::Fleet, Self::Day, Self::FirstSight, Self::Disk, Self::Restart, Self::Workspaces];

    /// Runs that are enough, as long as all measurements together should stay below half an hour.
    fn runs(self) -> usize {
        match self {
            Self::Fleet => 3,
            Self::Day | Self::Restart => 2,
            Self::FirstSight | Self::Disk | Self::Workspaces => 1,
        }
    }
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

    /// What `bench ingest` is told for a load.
    fn load(&self, series: usize, scrapes: u64, interval: u64, runs: usize) -> ingest::Arguments {
        ingest::Arguments {
            series: series.div_ceil(self.divide as usize),
            scrapes,
            interval,
            runs: self.runs.unwrap_or(runs),
            peers: self.peers.clone(),
            directory: self.directory.clone(),
            remora: self.remora.clone(),
            programs: self.programs.clone(),
            ..ingest::Arguments::standard()
        }
    }
}

/// Takes the measurements asked for and prints one table; also when one of them fails, which is told in the end.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let chosen = if arguments.only.is_empty() { Measurement::ALL.to_vec() } else { arguments.only.clone() };
    let machine = machine::describe();
    let mut table = Table::default();
    let mut failed = Vec::new();
    for measurement in chosen {
        eprintln!("## {measurement:?}");
        if let Err(error) = measure(measurement, arguments, &mut table) {
            eprintln!("{measurement:?}: {error:#}");
            failed.push(format!("{measurement:?}"));
        }
    }
    let text = format!("## database\n\n{machine}\n\n{table}");
    println!("\n{text}");
    fs::create_dir_all(&arguments.output)?;
    for (name, content) in [("tsdb.md", text), ("tsdb.json", table.json().to_string())] {
        let path = arguments.output.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn measure(measurement: Measurement, arguments: &Arguments, table: &mut Table) -> anyhow::Result<()> {
    let runs = measurement.runs();
    match measurement {
        Measurement::Fleet => {
            let load = arguments.load(100_000, 40, 15, runs);
            let figures = take(&load)?;
            table.push(Row::new(
                "CPU s per million samples, 100,000 series × 40 scrapes, steady",
                Promise { must: 0.8, aim: 0.4, victoria_metrics: Some(2.7), prometheus: Some(13.3) },
                medians(&figures, |f| cpu_steady(f, &load)),
            ));
            table.push(Row::new(
                "RSS kB per active series, 100,000",
                Promise { must: 1.0, aim: 0.6, victoria_metrics: Some(1.8), prometheus: Some(5.4) },
                medians(&figures, |f| rss(f, &load)),
            ));
        }
        Measurement::Day => {
            let load = arguments.load(6000, 1440, 60, runs);
            let figures = take(&load)?;
            table.push(Row::new(
                "CPU s per million samples, 6,000 series × 1,440 scrapes, steady",
                Promise { must: 0.6, aim: 0.3, victoria_metrics: Some(1.9), prometheus: Some(10.0) },
                medians(&figures, |f| cpu_steady(f, &load)),
            ));
        }
        Measurement::FirstSight => {
            let load = arguments.load(1_000_000, 3, 15, runs);
            let figures = take(&load)?;
            table.push(Row::new(
                "CPU s per million samples, first sight of 1,000,000 series, 3 scrapes",
                Promise { must: 8.0, aim: 4.0, victoria_metrics: Some(24.0), prometheus: Some(27.0) },
                medians(&figures, |f| (f.cpu_first + f.cpu_steady) / load.shape().samples() as f64 * 1e6),
            ));
            table.push(Row::new(
                "RSS kB per active series, 1,000,000",
                Promise { must: 0.8, aim: 0.5, victoria_metrics: Some(0.64), prometheus: Some(5.0) },
                medians(&figures, |f| rss(f, &load)),
            ));
        }
        Measurement::Disk => {
            for (name, load) in [
                ("60,000 series × 150 scrapes", arguments.load(60_000, 150, 30, runs)),
                ("6,000 series × 1,440 scrapes", arguments.load(6000, 1440, 60, runs)),
            ] {
                let bench = Bench::new(&load)?;
                let figures = bench.runs(|receiver| disk::measure(receiver, load.shape()))?;
                table.push(Row::new(
                    format!("disk bytes per sample after compaction, {name}"),
                    // No more than Prometheus in the same run; the aim is VictoriaMetrics.
                    Promise::of_prometheus(),
                    medians(&figures, |f| f.bytes as f64 / f.samples as f64),
                ));
            }
        }
        Measurement::Restart => {
            // Too few samples of each series to fill a chunk, so that none of them is saved from being read again.
            let load = arguments.load(100_000, 90, 15, runs);
            let bench = Bench::new(&load)?;
            let figures = bench.runs(|receiver| restart::measure(receiver, Load::new(load.shape())))?;
            table.push(Row::new(
                "s until ready after kill -9, 9,000,000 samples in the log",
                Promise { must: 1.0, aim: 0.3, victoria_metrics: None, prometheus: Some(5.5) },
                medians(&figures, |f| f.ready_seconds),
            ));
            table.push(Row::new(
                "s until a query over the newest samples answers right, the same",
                Promise { must: 1.0, aim: 0.3, victoria_metrics: None, prometheus: Some(5.5) },
                medians(&figures, |f| f.newest_seconds.unwrap_or(f64::INFINITY)),
            ));
            table.push(Row::new(
                "most memory after kill -9, where that before it is 1",
                Promise { must: 1.2, aim: 1.0, victoria_metrics: None, prometheus: None },
                medians(&figures, |f| f.memory_ratio),
            ));
            table.push(Row::new(
                "acknowledged samples gone after kill -9, worst run",
                Promise { must: 0.0, aim: 0.0, victoria_metrics: None, prometheus: None },
                figures.iter().map(|(kind, runs)| (*kind, restart::gone(runs) as f64)).collect(),
            ));
        }
        Measurement::Workspaces => {
            let load = arguments.load(WORKSPACES, 1, 15, runs);
            let programs = Programs::find(load.remora.as_deref(), &load.programs)?;
            let remora = programs.program(Kind::Remora)?;
            let mut figures = Vec::new();
            for _ in 0..load.runs {
                let directory = match &load.directory {
                    Some(directory) => tempfile::tempdir_in(directory)?,
                    None => tempfile::tempdir()?,
                };
                figures.push(workspaces::measure(&remora, directory.path(), load.series)?);
            }
            for workspaces::Figures { answered_seconds, .. } in &figures {
                eprintln!("  each has answered a query {answered_seconds:.1} s after the start");
            }
            let figures = [(Kind::Remora, figures)];
            table.push(Row::new(
                "RSS MB, 1,000 workspaces of 20 series, 40 scrapes",
                Promise { must: 1000.0, aim: 250.0, victoria_metrics: None, prometheus: None },
                medians(&figures, |f| f.rss_mb),
            ));
            table.push(Row::new(
                "s until ready after kill -9, the same",
                Promise { must: 2.0, aim: 1.0, victoria_metrics: None, prometheus: None },
                medians(&figures, |f| f.ready_seconds),
            ));
        }
    }
    Ok(())
}

/// As many as one machine is to hold.
const WORKSPACES: usize = 1000;

fn take(load: &ingest::Arguments) -> anyhow::Result<Vec<(Kind, Vec<Figures>)>> {
    let shape = load.shape();
    Bench::new(load)?.runs(|receiver| ingest::measure(receiver, Load::new(shape)))
}

fn cpu_steady(figures: &Figures, load: &ingest::Arguments) -> f64 {
    figures.cpu_steady / (load.series as f64 * (load.scrapes - 1) as f64) * 1e6
}

fn rss(figures: &Figures, load: &ingest::Arguments) -> f64 {
    figures.rss_mb * 1e3 / load.series as f64
}

fn medians<T>(figures: &[(Kind, Vec<T>)], of: impl Fn(&T) -> f64) -> Vec<(Kind, f64)> {
    figures.iter().map(|(kind, runs)| (*kind, median(&runs.iter().map(&of).collect::<Vec<_>>()))).collect()
}
