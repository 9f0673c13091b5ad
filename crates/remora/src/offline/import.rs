//! `remora tsdb import`

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use exposition::{LINE_BYTES_MAX, Line, OpenMetrics};
use tsdb::Settings;
use tsdb::offline::{Importer, Progress, import_directory};

use super::bars::Bars;
use super::place::directory;
use super::text::counted;
use super::{World, note};
use crate::cli::tsdb::Import;

pub(super) fn run(world: &World, arguments: &Import) -> anyhow::Result<ExitCode> {
    let to = directory(&arguments.place)?;
    let memory = usize::try_from(arguments.memory << 20).unwrap_or(usize::MAX);
    let mut importer = Importer::new(&world.disk, &world.clock, &to, &Settings::default(), memory)?;
    let bars = Bars::default();
    let mut code = ExitCode::SUCCESS;
    if let Some(from) = &arguments.prometheus {
        let imported = import_directory(&mut importer, &world.clock, from, &bars)?;
        note(&format!(
            "{} copied, with {}; {} here before",
            counted(imported.copied.len() as u64, "block"),
            counted(imported.samples, "sample"),
            imported.known
        ));
        for finding in &imported.damaged {
            note(&format!("left out, damaged: {}: {}", finding.file.display(), finding.what));
            code = ExitCode::FAILURE;
        }
    }
    if let Some(from) = &arguments.openmetrics {
        read_text(&mut importer, from, &bars)?;
    }
    let report = importer.finish()?;
    drop(bars);
    note(&format!(
        "{} read: {} written into {}, {} imported before, {} twice the same, {} of a time that came before with another value",
        counted(report.samples, "sample"),
        report.written,
        counted(report.blocks.len() as u64, "block"),
        report.known,
        report.duplicates,
        report.conflicts
    ));
    if report.expired > 0 {
        note(&format!(
            "{} samples are older than the default retention: set a longer one, or they will be removed",
            report.expired
        ));
    }
    Ok(code)
}

fn read_text(importer: &mut Importer, from: &Path, bars: &Bars) -> anyhow::Result<()> {
    if from == Path::new("-") {
        bars.begin("bytes", 0);
        return read_lines(importer, io::stdin().lock(), bars).context("standard input");
    }
    let file = File::open(from).with_context(|| format!("cannot open {}", from.display()))?;
    bars.begin("reading", file.metadata().map_or(0, |metadata| metadata.len()));
    read_lines(importer, BufReader::with_capacity(READ_BYTES, file), bars).with_context(|| from.display().to_string())
}

fn read_lines(importer: &mut Importer, mut from: impl BufRead, bars: &Bars) -> anyhow::Result<()> {
    let (mut text, mut line) = (OpenMetrics::default(), Vec::new());
    let mut unshown = 0;
    loop {
        line.clear();
        // One byte more than the longest line with its end, so that a longer one is seen to be.
        let read = from.by_ref().take(LINE_BYTES_MAX as u64 + 2).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        unshown += read as u64;
        if unshown >= SHOWN_BYTES {
            bars.advance(std::mem::take(&mut unshown));
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        match text.parse(&line)? {
            Line::Sample { labels, at: Some(at), value } => importer.push_float(&labels, at, value)?,
            Line::Sample { .. } => bail!("line {}: the sample has no time", text.lines()),
            Line::Metadata | Line::End => {}
        }
    }
    Ok(text.finish()?)
}

const READ_BYTES: usize = 1 << 20;
const SHOWN_BYTES: u64 = 1 << 20;
