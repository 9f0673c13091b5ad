//! The promises of docs/SPECIFICATION.md, measured against the peers in the same run.
//!
//! `bench all` runs everything; each benchmark is a subcommand of its own. Development only.
#![allow(clippy::print_stdout, reason = "tables for people are what this program makes")]
#![allow(clippy::disallowed_methods, reason = "real time is what is measured")]

mod catalog;
mod comparison;
mod http_client;
mod ingest;
mod load;
mod machine;
mod peers;
mod process;
mod promql;
mod proxy;
mod sidecar;
mod sink;
mod start;
mod statistics;
mod tsdb;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures the promises against the peers")]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// Everything
    All,
    /// The sidecar's pass-through against nginx
    Proxy(proxy::Arguments),
    /// Ingestion against VictoriaMetrics and Prometheus
    Ingest(ingest::Arguments),
    /// The database: every row of *Ingestion and storage*, against VictoriaMetrics and Prometheus
    Tsdb(tsdb::Arguments),
    /// Queries: the table of dashboards and single queries, against VictoriaMetrics and Prometheus
    Promql(promql::Arguments),
    /// The sidecar with its durable queue: cost, memory, catching up
    Sidecar(sidecar::Arguments),
    /// A large catalogue: decisions on writes, start, pages of lists, active series
    Catalog(catalog::Arguments),
    /// The start of `remora up`
    Start(start::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().benchmark {
        Benchmark::All => all(),
        Benchmark::Proxy(arguments) => proxy::run(&arguments),
        Benchmark::Ingest(arguments) => ingest::run(&arguments),
        Benchmark::Tsdb(arguments) => tsdb::run(&arguments),
        Benchmark::Promql(arguments) => promql::run(&arguments),
        Benchmark::Sidecar(arguments) => sidecar::run(&arguments),
        Benchmark::Catalog(arguments) => catalog::run(&arguments),
        Benchmark::Start(arguments) => start::run(&arguments),
    }
}

/// Runs each, also after one that failed.
fn all() -> anyhow::Result<()> {
    let results = [
        ("proxy", proxy::run(&proxy::Arguments::default())),
        ("sidecar", sidecar::run(&sidecar::Arguments::default())),
        ("tsdb", tsdb::run(&tsdb::Arguments::standard())),
        ("promql", promql::run(&promql::Arguments::standard())),
        ("catalog", catalog::run(&catalog::Arguments::standard())),
        ("start", start::run(&start::Arguments::default())),
    ];
    let mut failed = Vec::new();
    for (name, result) in results {
        if let Err(error) = result {
            eprintln!("bench {name}: {error:#}");
            failed.push(name);
        }
    }
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}
