//! The promises of docs/SPECIFICATION.md, measured against the peers in the same run.
//!
//! `bench all` runs everything; each benchmark is a subcommand of its own. Development only.
#![allow(clippy::print_stdout, reason = "tables for people are what this program makes")]

mod load;
mod process;
mod proxy;
mod sink;
mod statistics;

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
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().benchmark {
        Benchmark::All => proxy::run(&proxy::Arguments::default()),
        Benchmark::Proxy(arguments) => proxy::run(&arguments),
    }
}
