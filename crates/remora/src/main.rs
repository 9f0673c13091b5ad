//! `remora`: the whole of it in one program.
//!
//! This file only chooses what to run. Settings, arguments and the environment are read in this crate and nowhere else.

mod administrator;
mod backup;
mod beside_authority;
mod budgets;
mod certificate_files;
mod cli;
mod client;
mod commands;
mod data_directory;
mod databases;
mod declared;
mod doctor;
mod duration;
mod exposition;
mod installation;
mod local_authority;
mod managed;
mod offline;
mod principals;
mod private_file;
mod propagation;
mod recording;
mod self_scrape;
mod serve;
mod service;
mod settings;
mod shutdown;
mod token;
mod up;
mod up_declared;
mod up_facts;
mod usage_metrics;
mod workspace_metrics;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The allocator asks for huge pages, which keep tens of megabytes resident that hold nothing. A kernel that does not
    // know the request is fine, too.
    let _unsupported = rustix::thread::disable_transparent_huge_pages(true);
    if let Command::Up(_) | Command::Serve(_) = cli.command
        && let Err(error) = host::raise_open_files_max()
    {
        eprintln!("remora: cannot raise the limit of open files, which many workspaces need: {error}");
    }
    let result = match cli.command {
        Command::Sidecar { arguments } => {
            return sidecar::program("remora sidecar", arguments.into_iter().map(Into::into));
        }
        Command::Manage(command) => block_on(async { Ok(commands::run(*command).await) }),
        Command::Doctor(arguments) => block_on(doctor::run(arguments)),
        Command::Tsdb(arguments) => offline::run(arguments),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "remora", &mut io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Up(arguments) => logging(&arguments.log)
            .and_then(|()| block_on(async { up::run(arguments).await.map(|()| ExitCode::SUCCESS) })),
        Command::Serve(arguments) => {
            logging(&arguments.log).and_then(|()| block_on(serve::run(arguments, certificate_authorities())))
        }
        Command::Token(arguments) => block_on(async { token::run(arguments).await.map(|()| ExitCode::SUCCESS) }),
    };
    result.unwrap_or_else(|error| {
        eprintln!("remora: {error:#}");
        ExitCode::FAILURE
    })
}

fn block_on(run: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(run)
}

fn logging(filter: &str) -> anyhow::Result<()> {
    host::logging::init(filter).context("--log")
}

/// Certificate authorities to trust besides the built-in ones.
#[expect(clippy::disallowed_methods, reason = "this is the program; the environment is read here")]
fn certificate_authorities() -> Option<PathBuf> {
    std::env::var("SSL_CERT_FILE").ok().filter(|path| !path.is_empty()).map(PathBuf::from)
}
