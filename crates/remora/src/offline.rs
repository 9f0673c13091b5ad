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
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use environment::{Clock, Disk};
use host::{HostClock, HostDisk};
use tsdb::offline::{Logs, Offline, OfflineError, export};

use crate::cli::tsdb::{Export, Selection, Tsdb, Verb};
use bars::Bars;
use place::directory;
use text::counted;

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
    let from = directory(&arguments.place)?;
    if is_same(&from, &arguments.to) {
        bail!("{} is the database itself: name another directory to export to", arguments.to.display());
    }
    let offline = open(world, &from, &arguments.selection)?;
    let exported = export(&offline, &world.clock, &arguments.to, &matchers, range, &Bars::default())?;
    for block in &exported.blocks {
        writeln!(out, "{}", arguments.to.join(block).display())?;
    }
    out.flush()?;
    let (samples, blocks) = (counted(exported.samples, "sample"), counted(exported.blocks.len() as u64, "block"));
    note(&format!("{samples} of {} series in {blocks}", exported.series));
    if exported.conflicts > 0 {
        let samples = counted(exported.conflicts, "sample");
        note(&format!("{samples} left out: another value was stored for that time before"));
    }
    Ok(tell_damage(&offline))
}

/// Whether both paths lead to one directory; not when one of them is none yet.
fn is_same(left: &Path, right: &Path) -> bool {
    left.canonicalize().is_ok_and(|left| right.canonicalize().is_ok_and(|right| left == right))
}

/// Opens a database for reading.
fn open(world: &World, directory: &Path, selection: &Selection) -> anyhow::Result<Offline> {
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
        // Most reasons name the block themselves.
        let path = path.display().to_string();
        note(&if reason.contains(&path) {
            format!("left out: {reason}")
        } else {
            format!("left out {path}: {reason}")
        });
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
        note(&format!("damaged chunks or series left out: {}; `remora tsdb verify` says where", offline.left_out()));
    }
    let is_whole = offline.unreadable().is_empty() && offline.recovery().damage.is_empty() && offline.left_out() == 0;
    if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn note(text: &str) {
    eprintln!("{text}");
}
