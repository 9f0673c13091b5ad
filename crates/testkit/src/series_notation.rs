//! The series notation of Prometheus' test scripts: `metric{label="value"} 1 2 3+1x5 _ stale`.
//!
//! Floats only; native histograms are refused by name, so that a caller can tell them from mistakes.

use std::fmt;

use model::{Labels, METRIC_NAME, stale_nan};

/// One line: a series and its values, position by position.
#[derive(Clone, PartialEq, Debug)]
pub struct SeriesLine {
    /// The series.
    pub labels: Labels,
    /// A value, or none, for each position.
    pub values: Vec<Option<f64>>,
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotationError {
    /// A native histogram.
    Histogram,
    /// Anything else.
    Malformed(String),
}

impl fmt::Display for NotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Histogram => f.write_str("native histograms are not read"),
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
    if values.contains("{{") {
        return Err(NotationError::Histogram);
    }
    let mut all = Vec::new();
    for item in values.split_ascii_whitespace() {
        expand(item, &mut all)?;
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
fn expand(item: &str, out: &mut Vec<Option<f64>>) -> Result<(), NotationError> {
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
        out.push(Some(stale_nan()));
        return Ok(());
    }
    let hexadecimal = item.trim_start_matches(['+', '-']).starts_with("0x");
    let (series, repeats) = match item.rsplit_once('x') {
        Some((series, count)) if !series.is_empty() && !(hexadecimal && !series.contains('x')) => {
            (series, count.parse::<usize>().map_err(|_| malformed("not a count", item))?)
        }
        _ => (item, 0),
    };
    let (start, delta) = match split_delta(series) {
        Some((start, delta)) => (number(start)?, number(delta)?),
        None => (number(series)?, 0.0),
    };
    let mut value = start;
    out.push(Some(value));
    for _ in 0..repeats {
        // Running addition, as the script language has it: rounding accumulates.
        value += delta;
        out.push(Some(if delta == 0.0 { start } else { value }));
    }
    Ok(())
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
        assert_eq!((parsed.labels.to_string().as_str(), parsed.values.as_slice()), (labels, values), "{line}");
    }

    #[test]
    fn lines() {
        check("up 1 _ 3", "up{}", &[Some(1.0), None, Some(3.0)]);
        check(r#"up{job="a b", le = "+Inf",} 1"#, r#"up{job="a b", le="+Inf"}"#, &[Some(1.0)]);
        check("{} 1+2x2", "{}", &[Some(1.0), Some(3.0), Some(5.0)]);
        check("x 1e3-1e1x1 2x1", "x{}", &[Some(1000.0), Some(990.0), Some(2.0), Some(2.0)]);
        check("x _x2 0x1f -Inf 1m", "x{}", &[None, None, Some(31.0), Some(f64::NEG_INFINITY), Some(60.0)]);
        check(r#"{"a name", l="v"} 1"#, r#"a name{l="v"}"#, &[Some(1.0)]);
        check(r#"x{a="q\"\\"} -1+1x1"#, r#"x{a="q\"\\"}"#, &[Some(-1.0), Some(0.0)]);
        assert!(is_stale_nan(parse_series_line("x stale").unwrap().values[0].unwrap()));
        assert!(parse_series_line("x NaN").unwrap().values[0].unwrap().is_nan());
    }

    #[test]
    fn refusals() {
        assert_eq!(parse_series_line("x {{schema:0}}"), Err(NotationError::Histogram));
        for line in ["x{a} 1", "x{a=\"b} 1", "x 1y2z", "x{a=\"1\", a=\"2\"} 1", "x _y"] {
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
