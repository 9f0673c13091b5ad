//! `remora tsdb analyze`

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use tsdb::offline::{Analysis, AnalysisOptions, LabelUse, PairUse, analyze};

use super::bars::Bars;
use super::place::directory;
use super::text::{date, span};
use super::{World, open, selection, tell_damage};
use crate::cli::tsdb::{Analyze, Output};

pub(super) fn run(world: &World, arguments: &Analyze, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (matchers, range) = selection::resolve(&arguments.selection)?;
    let offline = open(world, &directory(&arguments.place)?, &arguments.selection)?;
    let options = AnalysisOptions { limit: arguments.limit, chunks: arguments.extended };
    let found = analyze(&offline, &matchers, range, options, &Bars::default())?;
    match arguments.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &as_json(&found))?;
            writeln!(out)?;
        }
        Output::Table => tell(&found, out)?,
    }
    Ok(tell_damage(&offline))
}

fn tell(found: &Analysis, out: &mut dyn Write) -> io::Result<()> {
    if let Some(range) = found.range {
        let length = span(range.end.since(range.start));
        writeln!(out, "Times: {} to {} ({length})", date(range.start.0), date(range.end.0))?;
    }
    for (name, count) in [
        ("Series", found.series),
        ("Label names", found.label_names),
        ("Labels with their values", found.label_pairs),
        ("Labels of all series", found.labels),
        ("Chunks", found.chunks),
    ] {
        writeln!(out, "{name}: {count}")?;
    }
    if let (Some(samples), Some(bytes)) = (found.samples, found.chunk_bytes) {
        let each = if samples == 0 { 0.0 } else { bytes as f64 / samples as f64 };
        writeln!(out, "Samples: {samples}, of {each:.2} bytes each in their chunks")?;
    }
    names(out, "Highest cardinality metric names", &found.metrics)?;
    names(out, "Highest cardinality labels", &found.values)?;
    names(out, "Label names with highest cumulative label value length", &found.value_bytes)?;
    pairs(out, "Most common label pairs", &found.pairs, 0)?;
    pairs(out, "Label pairs most involved in churning", &found.churn_pairs, 1)?;
    pairs(out, "Label names most involved in churning", &found.churn_names, 1)?;
    if let Some(fill) = found.chunk_fill {
        writeln!(out, "\nChunks by number of samples:")?;
        for (index, count) in fill.iter().enumerate().filter(|(_, count)| **count > 0) {
            match index {
                12 => writeln!(out, "{count} of more than 120")?,
                _ => writeln!(out, "{count} of {} to {}", index * 10 + 1, index * 10 + 10)?,
            }
        }
    }
    Ok(())
}

fn names(out: &mut dyn Write, title: &str, list: &[LabelUse]) -> io::Result<()> {
    writeln!(out, "\n{title}:")?;
    list.iter().try_for_each(|one| writeln!(out, "{} {}", one.count, one.name))
}

fn pairs(out: &mut dyn Write, title: &str, list: &[PairUse], digits: usize) -> io::Result<()> {
    writeln!(out, "\n{title}:")?;
    list.iter().try_for_each(|one| {
        let separator = if one.value.is_empty() { "" } else { "=" };
        writeln!(out, "{:.digits$} {}{separator}{}", one.count, one.name, one.value)
    })
}

fn as_json(found: &Analysis) -> Value {
    let names = |list: &[LabelUse]| -> Vec<Value> {
        list.iter().map(|one| json!({ "name": one.name, "count": one.count })).collect()
    };
    let pairs = |list: &[PairUse]| -> Vec<Value> {
        list.iter().map(|one| json!({ "name": one.name, "value": one.value, "count": one.count })).collect()
    };
    json!({
        "minTime": found.range.map(|range| range.start.0),
        "maxTime": found.range.map(|range| range.end.0),
        "series": found.series,
        "labelNames": found.label_names,
        "labelPairs": found.label_pairs,
        "labels": found.labels,
        "chunks": found.chunks,
        "samples": found.samples,
        "chunkBytes": found.chunk_bytes,
        "chunkFill": found.chunk_fill,
        "seriesByMetric": names(&found.metrics),
        "valuesByLabel": names(&found.values),
        "valueBytesByLabel": names(&found.value_bytes),
        "seriesByLabelPair": pairs(&found.pairs),
        "churnByLabelPair": pairs(&found.churn_pairs),
        "churnByLabel": pairs(&found.churn_names),
    })
}
