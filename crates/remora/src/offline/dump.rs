//! `remora tsdb dump`

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use model::{Labels, METRIC_NAME, NativeHistogram, TimestampMs};
use storage::Batch;
use tsdb::offline::Progress as _;

use super::bars::Bars;
use super::place::directory;
use super::text::{go_float, write_labels, write_quoted};
use super::{World, note, open, selection, tell_damage};
use crate::cli::tsdb::{Dump, DumpFormat};

pub(super) fn run(world: &World, arguments: &Dump, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (matchers, range) = selection::resolve(&arguments.selection)?;
    let offline = open(world, &directory(&arguments.place)?, &arguments.selection)?;
    let mut series = offline.select(&matchers, range)?;
    let (mut batch, mut line, mut name) = (Batch::default(), String::new(), String::new());
    // Samples on a terminal show by themselves how far it is.
    let bars = (!io::stdout().is_terminal()).then(Bars::default);
    if let Some(bars) = &bars {
        bars.begin("series", series.remaining().map_or(0, |left| left as u64));
    }
    let mut left_out = 0;
    while let Some(mut one) = series.next()? {
        name.clear();
        match arguments.format {
            DumpFormat::Prometheus => write_labels(&one.labels, &mut name),
            DumpFormat::Openmetrics => write_series(&one.labels, &mut name),
        }
        while one.samples.next_batch(&mut batch)? {
            line.clear();
            for (at, value) in batch.timestamps.iter().zip(&batch.floats) {
                match arguments.format {
                    DumpFormat::Prometheus => writeln!(line, "{name} {} {at}", go_float(*value), at = at.0)?,
                    // A staleness marker cannot be told from any other NaN in text, and would become one.
                    DumpFormat::Openmetrics if model::is_stale_nan(*value) => left_out += 1,
                    DumpFormat::Openmetrics => writeln!(line, "{name} {} {}", go_float(*value), seconds(*at))?,
                }
            }
            for (at, histogram) in batch.timestamps.iter().zip(&batch.histograms) {
                match arguments.format {
                    DumpFormat::Prometheus => writeln!(line, "{name} {} {}", describe(histogram), at.0)?,
                    // OpenMetrics 1.0 has no native histograms.
                    DumpFormat::Openmetrics => left_out += 1,
                }
            }
            out.write_all(line.as_bytes())?;
        }
        if let Some(bars) = &bars {
            bars.advance(1);
        }
    }
    drop(bars);
    if arguments.format == DumpFormat::Openmetrics {
        writeln!(out, "# EOF")?;
    }
    if left_out > 0 {
        note(&format!("left out {left_out} native histograms and staleness markers, which OpenMetrics does not have"));
    }
    Ok(tell_damage(&offline))
}

/// `name{label="value",…}`
fn write_series(labels: &Labels, out: &mut String) {
    let metric = labels.metric_name();
    let is_plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_plain_metric = !metric.is_empty() && is_plain(&metric.replace(':', "_"));
    let mut first = true;
    if is_plain_metric {
        out.push_str(metric);
    }
    out.push('{');
    if !is_plain_metric {
        write_escaped(metric, out);
        first = false;
    }
    for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        if is_plain(name) {
            out.push_str(name);
        } else {
            write_escaped(name, out);
        }
        out.push('=');
        write_escaped(value, out);
    }
    out.push('}');
}

/// OpenMetrics knows three escapes.
fn write_escaped(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out.push('"');
}

fn seconds(at: TimestampMs) -> String {
    let (sign, ms) = (if at.0 < 0 { "-" } else { "" }, at.0.unsigned_abs());
    format!("{sign}{}.{:03}", ms / 1000, ms % 1000)
}

/// A native histogram for people: what it counts, not how it is stored.
fn describe(histogram: &NativeHistogram) -> String {
    let mut text = String::new();
    write_quoted(&format!("{histogram:?}"), &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_in_openmetrics() {
        for (pairs, text) in [
            (&[("__name__", "a:b"), ("c", "d\"\\\n"), ("e", "f")][..], r#"a:b{c="d\"\\\n",e="f"}"#),
            (&[("__name__", "up")], "up{}"),
            (&[("__name__", "a.b"), ("c.d", "e")], r#"{"a.b","c.d"="e"}"#),
        ] {
            let mut out = String::new();
            let labels = Labels::from_pairs(pairs.iter().copied()).unwrap();
            write_series(&labels, &mut out);
            assert_eq!(out, text);
            let line = format!("{out} 1 {}", seconds(TimestampMs(-1500)));
            let parsed = exposition::OpenMetrics::default().parse(line.as_bytes()).unwrap();
            assert_eq!(parsed, exposition::Line::Sample { labels, at: Some(TimestampMs(-1500)), value: 1.0 });
        }
    }
}
