//! `remora tsdb verify`

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use tsdb::offline::{Finding, Verified, verify};

use super::bars::Bars;
use super::place::directory;
use super::text::counted;
use super::{World, note};
use crate::cli::tsdb::{Output, Verify};

pub(super) fn run(world: &World, arguments: &Verify, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let directory = directory(&arguments.place)?;
    let verified = verify(&world.disk, &world.clock, &directory, &Bars::default())?;
    match arguments.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &as_json(&verified))?;
            writeln!(out)?;
        }
        Output::Table => tell(&verified, out)?,
    }
    if verified.segments.is_none() {
        note("a program has the database open: its logs were not checked");
    }
    Ok(if verified.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(verified: &Verified, out: &mut dyn Write) -> std::io::Result<()> {
    for Finding { file, offset, what } in &verified.findings {
        match offset {
            Some(offset) => writeln!(out, "{}: byte {offset}: {what}", file.display())?,
            None => writeln!(out, "{}: {what}", file.display())?,
        }
    }
    if verified.more > 0 {
        writeln!(out, "and {} more", verified.more)?;
    }
    let Verified { blocks, series, chunks, samples, segments, findings, more } = verified;
    let segments = segments.map_or_else(|| "no segments".to_owned(), |segments| counted(segments, "segment"));
    let verdict = match findings.len() as u64 + more {
        0 => "all is well".to_owned(),
        damaged => format!("{} damaged", counted(damaged, "place")),
    };
    let [blocks, chunks, samples] =
        [(*blocks, "block"), (*chunks, "chunk"), (*samples, "sample")].map(|(count, what)| counted(count, what));
    writeln!(out, "{blocks} with {series} series, {chunks}, {samples}; {segments} of logs: {verdict}")
}

fn as_json(verified: &Verified) -> serde_json::Value {
    let finding = |finding: &Finding| json!({ "file": finding.file.display().to_string(), "offset": finding.offset, "what": finding.what });
    json!({
        "blocks": verified.blocks,
        "series": verified.series,
        "chunks": verified.chunks,
        "samples": verified.samples,
        "segments": verified.segments,
        "findings": verified.findings.iter().map(finding).collect::<Vec<_>>(),
        "more": verified.more,
    })
}
