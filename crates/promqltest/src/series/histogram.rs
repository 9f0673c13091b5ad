//! Native histograms as scripts write them: `{{schema:1 count:6 sum:2.5 buckets:[2 3] offset:-1}}`.

use std::sync::Arc;

use model::{Counts, NativeHistogram, ResetHint, Span};

use super::Value;
use super::items::signed_number;

/// A histogram with float counts, and whether its reset hint was written down.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) histogram: NativeHistogram,
    pub(super) hint_written: bool,
}

/// One side of buckets: counts in one run, and the index of the first.
#[derive(Default)]
struct Side {
    counts: Vec<f64>,
    offset: i32,
}

impl Described {
    pub(super) fn into_value(self) -> Value {
        Value::Histogram { histogram: Arc::new(self.histogram), hint_written: self.hint_written }
    }
}

/// The histogram at the start of `text`, which begins with `{{`, and what follows it.
pub(super) fn parse(text: &str) -> Result<(Described, &str), String> {
    let (body, rest) = text[2..].split_once("}}").ok_or_else(|| format!("no end of the histogram: {text:?}"))?;
    let empty = Counts::Float { count: 0.0, zero_count: 0.0, positive: Vec::new(), negative: Vec::new() };
    let mut histogram = NativeHistogram { sum: 0.0, counts: empty, ..NativeHistogram::stale() };
    let (mut count, mut zero_count, mut hint) = (0.0, 0.0, None);
    let (mut positive, mut negative) = (Side::default(), Side::default());
    let mut keys: Vec<String> = Vec::new();
    let mut items = if body.trim().is_empty() { "" } else { body };
    while !items.is_empty() {
        let (key, after) = key(items)?;
        let (value, after) = after.split_at(value_end(after)?);
        match key.as_str() {
            "schema" => histogram.schema = integer(value)?,
            "sum" => histogram.sum = signed_number(value)?,
            "count" => count = signed_number(value)?,
            "z_bucket" => zero_count = signed_number(value)?,
            "z_bucket_w" => histogram.zero_threshold = signed_number(value)?,
            "custom_values" => histogram.custom_values = list(value)?,
            "buckets" => positive.counts = list(value)?,
            "offset" => positive.offset = integer(value)?,
            "n_buckets" => negative.counts = list(value)?,
            "n_offset" => negative.offset = integer(value)?,
            "counter_reset_hint" => hint = Some(reset_hint(value)?),
            _ => return Err(format!("bad histogram descriptor found: {key:?}")),
        }
        if keys.contains(&key) {
            return Err(format!("duplicate key {key:?} in histogram"));
        }
        keys.push(key);
        items = after.trim_start();
    }
    histogram.reset_hint = hint.unwrap_or(ResetHint::Unknown);
    histogram.positive_spans = positive.spans();
    histogram.negative_spans = negative.spans();
    histogram.counts = Counts::Float { count, zero_count, positive: positive.counts, negative: negative.counts };
    Ok((Described { histogram, hint_written: hint.is_some() }, rest))
}

impl Side {
    fn spans(&self) -> Vec<Span> {
        match u32::try_from(self.counts.len()) {
            Ok(length @ 1..) => vec![Span { offset: self.offset, length }],
            _ => Vec::new(),
        }
    }
}

/// The key of an item, in lower case, and what follows the colon behind it.
fn key(items: &str) -> Result<(String, &str), String> {
    let end = items.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(items.len());
    let (key, after) = items.split_at(end);
    if key.is_empty() {
        return Err(format!("histogram description incomplete unexpected: {items:?}"));
    }
    match after.strip_prefix(':') {
        Some(after) if !after.starts_with(char::is_whitespace) => Ok((key.to_lowercase(), after)),
        Some(_) => Err(UNEXPECTED_BLANK.into()),
        None => Err("missing `:` for histogram descriptor".into()),
    }
}

const UNEXPECTED_BLANK: &str = "unexpected \" \" in series values";

fn value_end(text: &str) -> Result<usize, String> {
    match text.starts_with('[') {
        true => text.find(']').map(|end| end + 1).ok_or_else(|| format!("no end of the list: {text:?}")),
        false => Ok(text.find(char::is_whitespace).unwrap_or(text.len())),
    }
}

fn integer(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("no integer: {text:?}"))
}

fn list(text: &str) -> Result<Vec<f64>, String> {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let inside = inside.ok_or_else(|| format!("no list in brackets: {text:?}"))?;
    if inside.starts_with(char::is_whitespace) {
        return Err(UNEXPECTED_BLANK.into());
    }
    inside.split_ascii_whitespace().map(signed_number).collect()
}

fn reset_hint(text: &str) -> Result<ResetHint, String> {
    Ok(match text.to_lowercase().as_str() {
        "unknown" => ResetHint::Unknown,
        "reset" => ResetHint::Reset,
        "not_reset" => ResetHint::NotReset,
        "gauge" => ResetHint::Gauge,
        _ => return Err(format!("bad histogram descriptor found: {text:?}")),
    })
}
