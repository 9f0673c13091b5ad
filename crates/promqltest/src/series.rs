//! The notation of series: `metric{label="value"} 1 2 3+1x5 _ stale {{schema:0 count:1}}`.

mod histogram;
mod items;
mod start_offsets;

use std::sync::Arc;

use model::{Labels, LabelsBuilder, MatchOp, NativeHistogram};

pub(crate) use start_offsets::parse_start_offsets;

/// The most positions of one series, so that a short text does not ask for all memory.
pub const POSITIONS_MAX: usize = 1_000_000;

/// What stands at one position of a series; `None` for nothing.
pub(crate) type Position = Option<Value>;

/// A value of a series.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Float(f64),
    Histogram {
        histogram: Arc<NativeHistogram>,
        /// Its reset hint was written down, and is to be compared.
        hint_written: bool,
    },
}

/// A line of the notation: labels and values.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_series(line: &str) -> Result<(Labels, Vec<Position>), String> {
    let line = line.trim();
    let (metric, values) = line.split_at(metric_end(line));
    Ok((labels(metric)?, items::parse(values)?))
}

/// A duration such as `1h30m`, or `0`, in milliseconds.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn duration_ms(text: &str) -> Result<i64, String> {
    match text {
        "0" => Ok(0),
        "" => Err("empty duration string".into()),
        _ => promql_syntax::parse_duration_ms(text),
    }
}

/// Where the metric ends: at the first blank that is neither in braces nor in quotes.
fn metric_end(line: &str) -> usize {
    let (mut quote, mut in_braces, mut escaped) = (None, false, false);
    for (index, character) in line.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(character),
            (None, '{') => in_braces = true,
            (None, '}') => in_braces = false,
            (None, blank) if blank.is_whitespace() && !in_braces => return index,
            _ => {}
        }
    }
    line.len()
}

/// A metric is a selector that names every label's value.
fn labels(metric: &str) -> Result<Labels, String> {
    let matchers = promql_syntax::parse_metric_selector(metric).map_err(|error| format!("{metric}: {error}"))?;
    let mut builder = LabelsBuilder::default();
    for matcher in &matchers {
        if matcher.op() != MatchOp::Equal {
            return Err(format!("{metric}: a series has values of labels, not patterns: {matcher}"));
        }
        builder.push(matcher.name(), matcher.value());
    }
    builder.build().map_err(|error| format!("{metric}: {error}"))
}

#[cfg(test)]
mod tests;
