//! The series notation of Prometheus' test scripts: `metric{label="value"} 1 2 3+1x5 _ stale {{schema:0 count:1}}`.
//!
//! Growing native histograms (`{{…}}+{{…}}x3`) are refused by name, so that a caller can tell them from mistakes.

use std::fmt;
use std::sync::Arc;

use model::{Counts, Labels, METRIC_NAME, NativeHistogram, ResetHint, Span, stale_nan};

use crate::series_store::StoredValue;

/// One line: a series and its values, position by position.
#[derive(Clone, PartialEq, Debug)]
pub struct SeriesLine {
    /// The series.
    pub labels: Labels,
    /// A value, or none, for each position.
    pub values: Vec<Option<StoredValue>>,
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotationError {
    /// A native histogram that grows from sample to sample.
    GrowingHistogram,
    /// Anything else.
    Malformed(String),
}

impl fmt::Display for NotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GrowingHistogram => f.write_str("growing native histograms are not read"),
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for NotationError {}

/// Reads one line.
///
/// # Errors
/// [`NotationError`]: histograms, and what is no series.
pub fn parse_series_line(line: &str) -> Result<SeriesLine, NotationError> {
    let (labels, values) = parse_metric(line)?;
    let mut all = Vec::new();
    let mut rest = values.trim_start();
    while !rest.is_empty() {
        let end = match rest.starts_with("{{") {
            true => rest.find("}}").ok_or_else(|| malformed("unclosed histogram", rest))? + 2,
            false => 0,
        };
        let item_end = rest[end..].find(char::is_whitespace).map_or(rest.len(), |blank| end + blank);
        let (item, after) = rest.split_at(item_end);
        match end {
            0 => expand(item, &mut all)?,
            _ => expand_histogram(item, end, &mut all)?,
        }
        rest = after.trim_start();
    }
    Ok(SeriesLine { labels, values: all })
}

/// Reads a duration such as `1h30m` or a bare `0`, in milliseconds.
///
/// # Errors
/// [`NotationError::Malformed`].
pub fn parse_duration_ms(text: &str) -> Result<i64, NotationError> {
    if text == "0" {
        return Ok(0);
    }
    let mut rest = text;
    let mut total = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let units = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at(units);
        let unit_ms = DURATION_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| ms);
        let (Ok(number), Some(unit_ms)) = (number.parse::<i64>(), unit_ms) else {
            return Err(malformed("not a duration", text));
        };
        total += number * unit_ms;
        rest = after;
    }
    Ok(total)
}

/// The labels at the start of the line, and the rest of it.
fn parse_metric(line: &str) -> Result<(Labels, &str), NotationError> {
    let line = line.trim();
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
    let (name, mut rest) = line.split_at(name_end);
    let mut pairs: Vec<(String, String)> = Vec::new();
    if !name.is_empty() {
        pairs.push((METRIC_NAME.to_owned(), name.to_owned()));
    }
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = match rest.starts_with(['"', '\'', '`']) {
                true => quoted(rest)?,
                false => {
                    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                    let (label, after) = rest.split_at(end.ok_or_else(|| malformed("unclosed braces", line))?);
                    (label.to_owned(), after)
                }
            };
            let after = after.trim_start();
            match after.strip_prefix('=') {
                Some(after) => {
                    let (value, after) = quoted(after.trim_start())?;
                    pairs.push((label, value));
                    rest = after;
                }
                // A lone quoted name is the metric's.
                None if rest.starts_with('"') => {
                    pairs.push((METRIC_NAME.to_owned(), label));
                    rest = after;
                }
                None => return Err(malformed("expected `=` after a label", line)),
            }
        }
    }
    let labels = Labels::from_pairs(pairs).map_err(|error| malformed(&error.to_string(), line))?;
    Ok((labels, rest))
}

fn quoted(text: &str) -> Result<(String, &str), NotationError> {
    let mut chars = text.char_indices();
    let Some((_, quote @ ('"' | '\'' | '`'))) = chars.next() else { return Err(malformed("expected a quote", text)) };
    let mut value = String::new();
    while let Some((index, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((value, &text[index + quote.len_utf8()..])),
            '\\' if quote != '`' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, escaped @ ('\\' | '"' | '\''))) => value.push(escaped),
                _ => return Err(malformed("unknown escape", text)),
            },
            c => value.push(c),
        }
    }
    Err(malformed("unclosed quote", text))
}

/// One item of a line: `_`, `_xN`, `V`, `VxN`, `V+DxN`, `V-DxN`.
fn expand(item: &str, out: &mut Vec<Option<StoredValue>>) -> Result<(), NotationError> {
    if let Some(times) = item.strip_prefix('_') {
        let count = match times.strip_prefix('x') {
            Some(count) => count.parse().map_err(|_| malformed("not a count", item))?,
            None if times.is_empty() => 1,
            None => return Err(malformed("not a value", item)),
        };
        out.extend(std::iter::repeat_n(None, count));
        return Ok(());
    }
    if item == "stale" {
        out.push(Some(StoredValue::Float(stale_nan())));
        return Ok(());
    }
    // No hexadecimal numbers here: `0x59` is sixty zeros.
    let (series, repeats) = match item.rsplit_once('x') {
        Some((series, count)) => (series, count.parse::<usize>().map_err(|_| malformed("not a count", item))?),
        None => (item, 0),
    };
    let (start, delta) = match split_delta(series) {
        Some((start, delta)) => (number(start)?, number(delta)?),
        None => (number(series)?, 0.0),
    };
    let mut value = start;
    out.push(Some(StoredValue::Float(value)));
    for _ in 0..repeats {
        // Running addition, as the script language has it: rounding accumulates.
        value += delta;
        out.push(Some(StoredValue::Float(if delta == 0.0 { start } else { value })));
    }
    Ok(())
}

/// `{{…}}` or `{{…}}xN`.
fn expand_histogram(item: &str, end: usize, out: &mut Vec<Option<StoredValue>>) -> Result<(), NotationError> {
    let (body, times) = item.split_at(end);
    let repeats = match times.strip_prefix('x') {
        Some(count) => count.parse::<usize>().map_err(|_| malformed("not a count", item))?,
        None if times.is_empty() => 0,
        None => return Err(NotationError::GrowingHistogram),
    };
    let histogram = Arc::new(histogram(&body[2..body.len() - 2])?);
    out.extend(std::iter::repeat_n(Some(StoredValue::Histogram(histogram)), repeats + 1));
    Ok(())
}

/// The inside of `{{…}}`: `key:value` items, values possibly lists in brackets.
fn histogram(body: &str) -> Result<NativeHistogram, NotationError> {
    let mut histogram = NativeHistogram { sum: 0.0, ..NativeHistogram::stale() };
    let (mut count, mut zero_count) = (0.0, 0.0);
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    let (mut offset, mut negative_offset) = (0, 0);
    let mut rest = body.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':').ok_or_else(|| malformed("expected key:value", rest))?;
        let end = match after.starts_with('[') {
            true => after.find(']').ok_or_else(|| malformed("unclosed list", after))? + 1,
            false => after.find(char::is_whitespace).unwrap_or(after.len()),
        };
        let (value, next) = after.split_at(end);
        match key.to_lowercase().as_str() {
            "schema" => histogram.schema = integer(value)?,
            "sum" => histogram.sum = number(value)?,
            "count" => count = number(value)?,
            "z_bucket" => zero_count = number(value)?,
            "z_bucket_w" => histogram.zero_threshold = number(value)?,
            "buckets" => positive = list(value)?,
            "n_buckets" => negative = list(value)?,
            "offset" => offset = integer(value)?,
            "n_offset" => negative_offset = integer(value)?,
            "custom_values" => histogram.custom_values = list(value)?,
            "counter_reset_hint" => histogram.reset_hint = reset_hint(value)?,
            _ => return Err(malformed("unknown key", key)),
        }
        rest = next.trim_start();
    }
    let span = |offset: i32, buckets: &[f64]| match buckets.len() as u32 {
        0 => Vec::new(),
        length => vec![Span { offset, length }],
    };
    histogram.positive_spans = span(offset, &positive);
    histogram.negative_spans = span(negative_offset, &negative);
    histogram.counts = Counts::Float { count, zero_count, positive, negative };
    Ok(histogram)
}

fn integer(text: &str) -> Result<i32, NotationError> {
    text.parse().map_err(|_| malformed("not an integer", text))
}

fn list(text: &str) -> Result<Vec<f64>, NotationError> {
    text.trim_matches(['[', ']']).split_ascii_whitespace().map(number).collect()
}

fn reset_hint(text: &str) -> Result<ResetHint, NotationError> {
    Ok(match text {
        "unknown" => ResetHint::Unknown,
        "reset" => ResetHint::Reset,
        "not_reset" => ResetHint::NotReset,
        "gauge" => ResetHint::Gauge,
        _ => return Err(malformed("unknown reset hint", text)),
    })
}

/// Splits `1+2` and `1e3-2` at the sign between the numbers; the sign stays with the second.
fn split_delta(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let is_sign = |index: &usize| {
        matches!(bytes[*index], b'+' | b'-')
            && !(matches!(bytes[index - 1], b'e' | b'E')
                && bytes.get(index.wrapping_sub(2)).is_some_and(u8::is_ascii_digit))
    };
    (1..bytes.len()).find(is_sign).map(|index| text.split_at(index))
}

/// Reads a number as Prometheus writes them; a duration counts as seconds.
///
/// # Errors
/// [`NotationError::Malformed`].
pub fn parse_number(text: &str) -> Result<f64, NotationError> {
    number(text)
}

fn number(text: &str) -> Result<f64, NotationError> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (-1.0, unsigned),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some(digits) = unsigned.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16)
            .map(|value| sign * value as f64)
            .map_err(|_| malformed("not a number", text));
    }
    if let Ok(value) = unsigned.parse::<f64>() {
        return Ok(sign * value);
    }
    parse_duration_ms(unsigned).map(|ms| sign * ms as f64 / 1000.0).map_err(|_| malformed("not a number", text))
}

fn malformed(what: &str, text: &str) -> NotationError {
    NotationError::Malformed(format!("{what}: {text}"))
}

const DURATION_UNITS: &[(&str, i64)] = &[
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
    ("y", 31_536_000_000),
];

#[cfg(test)]
mod tests {
    use model::is_stale_nan;

    use super::*;

    #[track_caller]
    fn check(line: &str, labels: &str, values: &[Option<f64>]) {
        let parsed = parse_series_line(line).unwrap();
        let values: Vec<_> = values.iter().map(|value| value.map(StoredValue::Float)).collect();
        assert_eq!((parsed.labels.to_string().as_str(), parsed.values), (labels, values), "{line}");
    }

    #[test]
    fn lines() {
        check("up 1 _ 3", "up", &[Some(1.0), None, Some(3.0)]);
        check(r#"up{job="a b", le = "+Inf",} 1"#, r#"up{job="a b", le="+Inf"}"#, &[Some(1.0)]);
        check("{} 1+2x2", "{}", &[Some(1.0), Some(3.0), Some(5.0)]);
        check("x 1e3-1e1x1 2x1", "x", &[Some(1000.0), Some(990.0), Some(2.0), Some(2.0)]);
        check("x _x2 0x1 -Inf 1m", "x", &[None, None, Some(0.0), Some(0.0), Some(f64::NEG_INFINITY), Some(60.0)]);
        check(r#"{"a name", l="v"} 1"#, r#"a name{l="v"}"#, &[Some(1.0)]);
        check(r#"x{a="q\"\\"} -1+1x1"#, r#"x{a="q\"\\"}"#, &[Some(-1.0), Some(0.0)]);
        let is_nan = |line: &str, is: fn(f64) -> bool| match parse_series_line(line).unwrap().values[..] {
            [Some(StoredValue::Float(value))] => is(value),
            _ => false,
        };
        assert!(is_nan("x stale", is_stale_nan) && is_nan("x NaN", |value| value.is_nan() && !is_stale_nan(value)));
    }

    #[test]
    fn histograms() {
        let line =
            "x 1 {{schema:1 sum:-2.5 count:6 z_bucket:1 buckets:[2 3] offset:-1 counter_reset_hint:gauge}}x1 {{}}";
        let values = parse_series_line(line).unwrap().values;
        assert_eq!(values.len(), 4);
        let Some(StoredValue::Histogram(histogram)) = &values[2] else { panic!("{values:?}") };
        assert_eq!((histogram.schema, histogram.sum, histogram.reset_hint), (1, -2.5, ResetHint::Gauge));
        assert_eq!(histogram.positive_spans, [Span { offset: -1, length: 2 }]);
        let counts = Counts::Float { count: 6.0, zero_count: 1.0, positive: vec![2.0, 3.0], negative: vec![] };
        assert_eq!(histogram.counts, counts);
    }

    #[test]
    fn refusals() {
        assert_eq!(parse_series_line("x {{count:1}}+{{count:1}}x2"), Err(NotationError::GrowingHistogram));
        for line in ["x{a} 1", "x{a=\"b} 1", "x 1y2z", "x{a=\"1\", a=\"2\"} 1", "x _y", "x 0x1f", "x {{count}}"] {
            assert!(matches!(parse_series_line(line), Err(NotationError::Malformed(_))), "{line}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [("0", 0), ("1h30m", 5_400_000), ("1500ms", 1500), ("1d", 86_400_000)] {
            assert_eq!(parse_duration_ms(text), Ok(ms));
        }
        parse_duration_ms("5").unwrap_err();
        parse_duration_ms("5x").unwrap_err();
    }
}
