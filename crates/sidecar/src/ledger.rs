//! `ledger`: what became of every sample, for people and for programs, read from the queue's directory while the sidecar
//! runs or not.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use spool::OpenError;

use crate::settings::LedgerSettings;

mod replay;
mod replayed;
mod summary;
mod tail;
mod words;

/// What of the ledger is asked for.
#[derive(Subcommand)]
pub(crate) enum Ledger {
    /// The account: received = delivered + rejected + expired + queued, by kind and reason
    Summary(Common),
    /// Refused series with the reason and the whole answer, the latest last
    Tail(tail::Tail),
    /// Send refused series again, through the sidecar that runs here, each once
    Replay(replay::Replay),
}

/// Arguments of all.
#[derive(Args)]
pub(crate) struct Common {
    /// The queue's directory [default: REMORA_QUEUE_DIR or queue.directory of the settings file]
    #[arg(long, value_name = "DIR")]
    queue_dir: Option<PathBuf>,
    /// For programs: one JSON document, or one per line
    #[arg(long)]
    json: bool,
}

/// Why nothing can be told. There is no mend but the one named.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    #[error(
        "there is no queue to look at: give --queue-dir, or set REMORA_QUEUE_DIR (a queue in memory ends with its process)"
    )]
    NoDirectory,
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{0}")]
    Argument(String),
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
}

/// Does what was asked. Settings that have nothing to do with the ledger may be wrong.
pub(crate) async fn run(name: &str, asked: Ledger, settings: LedgerSettings) -> ExitCode {
    let outcome = match asked {
        Ledger::Summary(common) => summary::run(&common, &settings),
        Ledger::Tail(tail) => tail::run(&tail, &settings).await,
        Ledger::Replay(replay) => replay::run(&replay, &settings).await,
    };
    match outcome {
        Ok(code) => code,
        // Whoever reads has seen enough.
        Err(LedgerError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Common {
    fn directory(&self, settings: &LedgerSettings) -> Result<PathBuf, LedgerError> {
        self.queue_dir.clone().or_else(|| settings.queue_directory.clone()).ok_or(LedgerError::NoDirectory)
    }
}

fn print(text: &str) -> Result<(), LedgerError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
