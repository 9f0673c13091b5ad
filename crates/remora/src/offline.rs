//! `remora tsdb …`: commands over the data directory of one database.
//!
//! Here is what people type and read; what is done is `tsdb::offline`'s. Results go to standard output, everything else to
//! standard error.

mod analyze;
mod bars;
mod dump;
mod import;
mod list;
mod place;
mod selection;
mod text;
mod verify;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use environment::{Clock, Disk};
use host::{HostClock, HostDisk};
use tsdb::offline::{Logs, Offline, OfflineError, export};

use crate::cli::tsdb::{Export, Selection, Tsdb, Verb};
use bars::Bars;
use place::directory;

/// The world that commands work in.
struct World {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
}

/// Does what is asked.
///
/// # Errors
/// When it cannot be done.
pub(crate) fn run(arguments: Tsdb) -> anyhow::Result<ExitCode> {
    let world = World { disk: Arc::new(HostDisk), clock: Arc::new(HostClock::new()) };
    let mut out = BufWriter::new(io::stdout().lock());
    let outcome = match arguments.verb {
        Verb::List(arguments) => list::run(&world, &arguments, &mut out),
        Verb::Verify(arguments) => verify::run(&world, &arguments, &mut out),
        Verb::Dump(arguments) => dump::run(&world, &arguments, &mut out),
        Verb::Analyze(arguments) => analyze::run(&world, &arguments, &mut out),
        Verb::Import(arguments) => import::run(&world, &arguments),
        Verb::Export(arguments) => run_export(&world, &arguments, &mut out),
    };
    match outcome.and_then(|code| out.flush().map(|()| code).map_err(Into::into)) {
        // Whoever reads it has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        outcome => outcome,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run_export(world: &World, arguments: &Export, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (matchers, range) = selection::resolve(&arguments.selection)?;
    let offline = open(world, &directory(&arguments.place)?, &arguments.selection)?;
    let exported = export(&offline, &world.clock, &arguments.to, &matchers, range, &Bars::default())?;
    for block in &exported.blocks {
        writeln!(out, "{}", arguments.to.join(block).display())?;
    }
    out.flush()?;
    let blocks = exported.blocks.len();
    note(&format!("{} samples of {} series in {blocks} blocks", exported.samples, exported.series));
    if exported.conflicts > 0 {
        note(&format!("{} samples left out: another value was stored for their time before", exported.conflicts));
    }
    Ok(tell_damage(&offline))
}

/// Opens a database for reading.
fn open(world: &World, directory: &std::path::Path, selection: &Selection) -> anyhow::Result<Offline> {
    let logs = if selection.blocks_only { Logs::Leave } else { Logs::Read };
    match Offline::open(&world.disk, &world.clock, directory, logs) {
        Err(error @ OfflineError::InUse(_)) => {
            Err(error).context("samples that are in no block yet are being written; --blocks-only leaves them out")
        }
        opened => Ok(opened?),
    }
}

/// Says what was left out of a result because it is damaged; that makes it a failure.
fn tell_damage(offline: &Offline) -> ExitCode {
    for (path, reason) in offline.unreadable() {
        note(&format!("left out {}: {reason}", path.display()));
    }
    for damage in &offline.recovery().damage {
        note(&format!(
            "left out {} bytes at {} of {}: {}",
            damage.bytes,
            damage.offset,
            damage.file.display(),
            damage.what
        ));
    }
    if offline.left_out() > 0 {
        note(&format!("left out {} damaged chunks or series; `remora tsdb verify` says where", offline.left_out()));
    }
    let is_whole = offline.unreadable().is_empty() && offline.recovery().damage.is_empty() && offline.left_out() == 0;
    if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn note(text: &str) {
    eprintln!("{text}");
}
