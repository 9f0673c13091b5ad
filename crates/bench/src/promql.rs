//! Queries in figures: the table *Queries*, ours and the peers' in the same run, as ratios.
//!
//! Each data set is loaded into all servers, which then stand side by side; queries go round, so that whatever else the
//! machine does falls on all alike. Ours is asked whole: the service over plain HTTP, with a token. Caches are as they are by
//! default, but VictoriaMetrics does not answer from the results of the round before (`-search.disableCache`, `nocache=1`).
//! Answers of the three are compared by their numbers of series before anything is measured.

mod client;
mod memory;
mod queries;
mod rounds;
mod shape;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};

use self::queries::{CLUSTER, Query, Times};
use self::rounds::{Figures, Server};
use self::table::{Promise, Table};
use crate::ingest::issuer::Issuer;
use crate::ingest::load::{Load, Shape};
use crate::ingest::receivers::{Kind, Programs, Receiver};
use crate::ingest::{self, YOUNG};
use crate::machine;
use crate::process::pause;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Data sets to ask [default: all]
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Set>,
    /// Only classes whose name, or queries whose text, contains this
    #[arg(long)]
    matching: Option<String>,
    /// Rounds; medians count
    #[arg(long, default_value_t = 15)]
    runs: usize,
    /// Divides all numbers of series, to try the program out
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    divide: u32,
    /// Which servers
    #[arg(long, value_delimiter = ',', value_enum, default_value = "remora,victoria-metrics,prometheus")]
    peers: Vec<Kind>,
    /// Where servers keep their data, removed afterwards [default: the system's temporary directory]
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Keep the data here, and use those that a run before has left
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Shows every query
    #[arg(long)]
    verbose: bool,
    /// remora [default: beside this program]
    #[arg(long, env = "REMORA")]
    remora: Option<PathBuf>,
    /// Where the peers are
    #[arg(long, env = "PEERS", default_value = "target/peers/usr/bin")]
    programs: PathBuf,
    /// Where the table goes, as promql.md and promql.json
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
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
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Set {
    /// 60,000 series, 75 minutes, a sample every 30 s
    Wide,
    /// 6,000 series, 24 hours, a sample every 60 s
    Long,
    /// 10,000 series, 24 hours, a sample every 60 s: for what queries take of memory
    Memory,
}

impl Set {
    const ALL: [Self; 3] = [Self::Wide, Self::Long, Self::Memory];

    fn shape(self, divide: u32) -> Shape {
        let (series, scrapes, seconds) = match self {
            Self::Wide => (60_000, 75 * 2 + 1, 30),
            Self::Long => (6000, 24 * 60 + 1, 60),
            Self::Memory => return memory::shape(divide as usize),
        };
        let (series, interval) = (series / divide as usize, Duration::from_secs(seconds));
        Shape { series, scrapes, interval, age: YOUNG, seed: 1 }
    }

    /// The classes of queries over it, each with what it promises.
    fn classes(self, newest_ms: u64) -> Vec<(&'static str, Promise, Vec<Query>)> {
        let promise = |must, victoria_metrics, prometheus| Promise { must, victoria_metrics, prometheus };
        let hour = Times { newest_ms, range_seconds: 3600 };
        let day = Times { newest_ms, range_seconds: 24 * 3600 };
        match self {
            Self::Wide => vec![
                ("36 dashboard queries, wide, geometric mean", promise(2.5, 5.1, 9.8), queries::dashboards(hour)),
                (
                    "`histogram_quantile` over `sum by (le)` of all buckets, 1 h at 60 s",
                    promise(100.0, 239.0, 679.0),
                    vec![hour.range(
                        "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
                        60,
                    )],
                ),
                (
                    "`sum by (job) (rate(x_bucket[1m]))`, all series of a histogram, 1 h at 60 s",
                    promise(90.0, 191.0, 763.0),
                    vec![hour.range("sum by (job) (rate(http_request_duration_seconds_bucket[1m]))", 60)],
                ),
                (
                    "`count by (__name__) ({__name__=~\".+\"})`, instant",
                    promise(60.0, 548.0, 737.0),
                    vec![hour.instant("count by (__name__) ({__name__=~\".+\"})")],
                ),
                (
                    "`sum by (mode) (rate(node_cpu_seconds_total[5m]))`, a cluster, 1 h at 15 s",
                    promise(18.0, 39.0, 93.0),
                    vec![hour.range(&format!("sum by (mode) (rate(node_cpu_seconds_total{{{CLUSTER}}}[5m]))"), 15)],
                ),
                ("label names", promise(0.3, 0.6, 0.4), vec![hour.listing("labels", None)]),
                ("label values", promise(0.2, 0.5, 0.2), vec![hour.listing("label/job/values", None)]),
                (
                    "series of a metric",
                    promise(5.0, 11.0, 44.0),
                    vec![hour.listing("series", Some("node_cpu_seconds_total"))],
                ),
            ],
            Self::Long => {
                vec![("12 day-long queries, long, geometric mean", promise(1.7, 3.3, 11.9), queries::days(day))]
            }
            Self::Memory => Vec::new(),
        }
    }
}

/// Takes the measurements asked for and prints one table.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(arguments.runs > 0 && !arguments.peers.is_empty(), "at least one round and one server are needed");
    let sets = if arguments.only.is_empty() { Set::ALL.to_vec() } else { arguments.only.clone() };
    let machine = machine::describe();
    let mut table = Table::default();
    for set in sets {
        measure(set, arguments, &mut table).with_context(|| format!("{set:?}"))?;
    }
    let text = format!("## queries\n\n{machine}; medians of {} rounds\n\n{table}", arguments.runs);
    println!("\n{text}");
    fs::create_dir_all(&arguments.output)?;
    for (name, content) in [("promql.md", text), ("promql.json", table.json().to_string())] {
        let path = arguments.output.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn measure(set: Set, arguments: &Arguments, table: &mut Table) -> anyhow::Result<()> {
    let programs = Programs::find(arguments.remora.as_deref(), &arguments.programs)?;
    let issuer = Issuer::start()?;
    let temporary = match &arguments.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let directory = arguments.keep.as_deref().unwrap_or_else(|| temporary.path()).join(format!("{set:?}"));
    let shape = set.shape(arguments.divide);
    let newest_ms = newest(&directory, shape)?;
    if set == Set::Memory {
        let wanted = |query: &str| arguments.matching.as_ref().is_none_or(|part| query.contains(part));
        let figures = memory::measure(&programs, &issuer, &directory, shape, newest_ms, wanted)?;
        figures.iter().for_each(|figure| table.add_memory(figure.to_string()));
        return Ok(());
    }
    let mut receivers = Vec::new();
    for &kind in &arguments.peers {
        receivers.push(loaded(kind, &programs, &issuer, &directory, shape, newest_ms)?);
    }
    wait_until_quiet(&mut receivers)?;
    let mut servers = receivers.into_iter().map(Server::connect).collect::<anyhow::Result<Vec<_>>>()?;
    for (name, promise, queries) in set.classes(newest_ms) {
        let wanted = |query: &Query| {
            arguments.matching.as_ref().is_none_or(|part| query.text.contains(part) || name.contains(part))
        };
        let queries: Vec<Query> = queries.into_iter().filter(wanted).collect();
        if queries.is_empty() {
            continue;
        }
        let figures = rounds::measure(&mut servers, &queries, arguments.runs)?;
        compare(&arguments.peers, &figures)?;
        if arguments.verbose {
            show(&figures);
        }
        table.push(name, promise, &arguments.peers, &figures);
    }
    for server in &mut servers {
        let (name, process) = (server.receiver.kind.name(), server.receiver.running()?);
        let (now, most) = (process.rss_mb()?, process.rss_max_mb()?);
        table.add_memory(format!("{set:?}: RSS of {name} {now:.0} MB after the queries, {most:.0} MB at most"));
    }
    Ok(())
}

/// The time of the newest sample: that of a run before, if it has left its data.
fn newest(directory: &Path, shape: Shape) -> anyhow::Result<u64> {
    fs::create_dir_all(directory)?;
    let file = directory.join("newest");
    match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().context("the time of the newest sample"),
        Err(_) => {
            let newest = Load::new(shape).newest_ms();
            fs::write(&file, newest.to_string())?;
            Ok(newest)
        }
    }
}

/// A receiver that holds the data.
fn loaded(
    kind: Kind,
    programs: &Programs,
    issuer: &Issuer,
    directory: &Path,
    shape: Shape,
    newest_ms: u64,
) -> anyhow::Result<Receiver> {
    let directory = directory.join(kind.name());
    let is_there = directory.join("complete").exists();
    if !is_there && directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    let started = Instant::now();
    let mut receiver = Receiver::prepare(kind, programs, issuer, &directory)?;
    if kind == Kind::VictoriaMetrics {
        receiver.add_flag("-search.disableCache");
    }
    receiver.start()?;
    receiver.wait_until_ready()?;
    if !is_there {
        let mut load = Load::ending_at(shape, newest_ms);
        let mut connections = ingest::connect(&receiver)?;
        for scrape in 0..shape.scrapes {
            load.send(scrape, &mut connections)?;
        }
        drop(connections);
        ingest::check::probes_until(&receiver, &load, Duration::from_secs(10))?;
        fs::write(directory.join("complete"), "")?;
    }
    eprintln!("{} holds {} samples, {:.1} s", kind.name(), shape.samples(), started.elapsed().as_secs_f64());
    Ok(receiver)
}

/// Waits for what servers do with new data behind their answers.
fn wait_until_quiet(receivers: &mut [Receiver]) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    let mut last = f64::MIN;
    loop {
        let mut cpu = 0.0;
        for receiver in &mut *receivers {
            cpu += receiver.running()?.cpu_seconds_of_stat()?;
        }
        if cpu - last < QUIET_CPU_SECONDS || Instant::now() > until {
            return Ok(());
        }
        last = cpu;
        pause(LOOK_AGAIN);
    }
}

/// Ours must answer as many series as Prometheus; where VictoriaMetrics has another language, that is told.
fn compare(kinds: &[Kind], figures: &Figures) -> anyhow::Result<()> {
    for query in &figures.queries {
        let Some(reference) = kinds.iter().position(|kind| *kind == Kind::Prometheus) else { continue };
        let expected = query.shapes[reference];
        // Which of equal elements are on top is up to the server: then only their number is.
        let agrees = |shape: &shape::Shape| match query.text.starts_with("topk") {
            true => shape.points == expected.points,
            false => shape.series == expected.series,
        };
        for (kind, shape) in kinds.iter().zip(&query.shapes).filter(|(_, shape)| !agrees(shape)) {
            let text = format!("{} answers {shape:?} and Prometheus {expected:?}: {}", kind.name(), query.text);
            ensure!(*kind != Kind::Remora, "{text}");
            eprintln!("{text}");
        }
    }
    Ok(())
}

fn show(figures: &Figures) {
    for query in &figures.queries {
        let latencies: Vec<String> = query.latency_ms.iter().map(|ms| format!("{ms:8.2}")).collect();
        let (shape, bytes) = (query.shapes[0], query.bytes[0]);
        println!(
            "{} {:6} series {:7} points {bytes:8} bytes  {}",
            latencies.join(" "),
            shape.series,
            shape.points,
            query.text
        );
    }
}

/// Of all servers together, from one look to the next.
const QUIET_CPU_SECONDS: f64 = 0.1;
const LOOK_AGAIN: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);
