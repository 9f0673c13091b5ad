//! `remora tsdb list`

use std::io::Write;
use std::process::ExitCode;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::json;
use tsdb::offline::{FoundBlock, ListedBlock, list};

use super::place::directory;
use super::text::{bytes, date, span};
use super::{World, note};
use crate::cli::tsdb::{List, Output};

pub(super) fn run(world: &World, arguments: &List, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let found = list(&*world.disk, &directory(&arguments.place)?)?;
    match arguments.output {
        Output::Json => {
            let blocks: Vec<_> = found.iter().filter_map(|found| found.block.as_ref().ok()).map(as_json).collect();
            serde_json::to_writer_pretty(&mut *out, &blocks)?;
            writeln!(out)?;
        }
        Output::Table => writeln!(out, "{}", table(&found, arguments.human_readable))?,
    }
    let mut code = ExitCode::SUCCESS;
    for FoundBlock { path, block } in &found {
        if let Err(reason) = block {
            note(&format!("{}: {reason}", path.display()));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn as_json(block: &ListedBlock) -> serde_json::Value {
    let mut value = serde_json::to_value(&block.meta).expect("a description is plain data");
    value["sizeBytes"] = json!(block.bytes);
    value
}

fn table(found: &[FoundBlock], human_readable: bool) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(COLUMNS);
    for block in found.iter().filter_map(|found| found.block.as_ref().ok()) {
        let (meta, stats) = (&block.meta, &block.meta.stats);
        let time = |ms: i64| if human_readable { date(ms) } else { ms.to_string() };
        let size = if human_readable { bytes(block.bytes) } else { block.bytes.to_string() };
        table.add_row([
            meta.ulid.clone(),
            time(meta.min_time),
            time(meta.max_time),
            span(meta.max_time - meta.min_time),
            stats.num_samples.to_string(),
            stats.num_chunks.to_string(),
            stats.num_series.to_string(),
            size,
            meta.compaction.level.to_string(),
            stats.num_tombstones.to_string(),
            meta.compaction.hints.join(","),
        ]);
    }
    table
}

/// Those of promtool, and what is of interest beside.
const COLUMNS: [&str; 11] = [
    "BLOCK ULID",
    "MIN TIME",
    "MAX TIME",
    "DURATION",
    "NUM SAMPLES",
    "NUM CHUNKS",
    "NUM SERIES",
    "SIZE",
    "LEVEL",
    "TOMBSTONES",
    "HINTS",
];
