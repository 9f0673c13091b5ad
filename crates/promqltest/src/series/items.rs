//! Values of a series: items between blanks, many of which stand for several positions.

use std::sync::Arc;

use model::stale_nan;
use promql::histogram::FloatHistogram;
use promql_syntax::parse_number;

use super::histogram::{Described, parse as parse_histogram};
use super::{POSITIONS_MAX, Position, Value, duration_ms};

/// All positions.
pub(super) fn parse(text: &str) -> Result<Vec<Position>, String> {
    let mut positions = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        rest = match rest.starts_with("{{") {
            true => histograms(rest, &mut positions)?,
            false => {
                let (item, rest) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
                floats(item, &mut positions)?;
                rest
            }
        };
        rest = rest.trim_start();
    }
    Ok(positions)
}

/// `_`, `_xN`, `V`, `VxN`, `V+DxN`, `V-DxN`. No hexadecimal numbers: `0x59` is sixty zeros.
fn floats(item: &str, out: &mut Vec<Position>) -> Result<(), String> {
    let (value, times) = match item.split_once('x') {
        Some((value, times)) => (value, Some(count(times)?)),
        None => (item, None),
    };
    if value == "_" {
        return extend(out, std::iter::repeat_n(None, times.unwrap_or(1)));
    }
    if value == "stale" {
        let marker = Some(Value::Float(stale_nan()));
        return extend(out, std::iter::repeat_n(marker, times.map_or(1, |times| times + 1)));
    }
    let end = number_end(value);
    let start = signed_number(&value[..end])?;
    let delta = match (&value[end..], times) {
        ("", _) => {
            return extend(out, std::iter::repeat_n(Some(Value::Float(start)), times.map_or(1, |times| times + 1)));
        }
        (delta, Some(_)) => signed_number(delta)?,
        (_, None) => return Err(format!("{item:?} does not say how often")),
    };
    // Running addition: rounding accumulates.
    let values = std::iter::successors(Some(start), |value| Some(value + delta));
    extend(out, values.take(times.unwrap_or(0) + 1).map(|value| Some(Value::Float(value))))
}

/// `{{…}}`, `{{…}}xN`, `{{…}}+{{…}}xN`, `{{…}}-{{…}}xN`; gives what follows.
fn histograms<'a>(text: &'a str, out: &mut Vec<Position>) -> Result<&'a str, String> {
    let (first, rest) = parse_histogram(text)?;
    let (steps, rest) = match rest.as_bytes() {
        [sign @ (b'+' | b'-'), b'{', b'{', ..] => {
            let (delta, rest) = parse_histogram(&rest[1..])?;
            (Some((*sign == b'-', delta)), rest)
        }
        _ => (None, rest),
    };
    let (repeats, rest) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
    let times = match repeats.strip_prefix('x') {
        Some(times) => count(times)?,
        None if repeats.is_empty() && steps.is_none() => 0,
        None => return Err(format!("{repeats:?} after a histogram; xN says how often")),
    };
    match steps {
        None => extend(out, std::iter::repeat_n(Some(first.into_value()), times + 1))?,
        Some((subtracts, delta)) => grow(first, &delta, subtracts, times, out)?,
    }
    Ok(rest)
}

fn grow(
    first: Described,
    delta: &Described,
    subtracts: bool,
    times: usize,
    out: &mut Vec<Position>,
) -> Result<(), String> {
    let (schema, delta_schema) = (first.histogram.schema, delta.histogram.schema);
    if times > 0 && schema > delta_schema {
        return Err(format!("error combining histograms: cannot merge from schema {delta_schema} to {schema}"));
    }
    let hint_written = delta.hint_written;
    let mut current = FloatHistogram::from(&first.histogram);
    let step = FloatHistogram::from(&delta.histogram);
    extend(out, [Some(Described { hint_written, ..first }.into_value())])?;
    for _ in 0..times {
        let combined = if subtracts { current.subtract(&step) } else { current.add(&step) };
        // What a sum warns of is for queries; a script wants the histogram.
        let _ = combined.map_err(|error| error.to_string())?;
        extend(out, [Some(Value::Histogram { histogram: Arc::new(current.to_native()), hint_written })])?;
    }
    Ok(())
}

fn extend(out: &mut Vec<Position>, added: impl IntoIterator<Item = Position>) -> Result<(), String> {
    out.extend(added.into_iter().take(POSITIONS_MAX + 1 - out.len()));
    if out.len() > POSITIONS_MAX {
        return Err(format!("a series has at most {POSITIONS_MAX} positions"));
    }
    Ok(())
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<usize>().ok()).flatten();
    let count = count.ok_or_else(|| format!("no number of repetitions: {text:?}"))?;
    match count <= POSITIONS_MAX {
        true => Ok(count),
        false => Err(format!("a series has at most {POSITIONS_MAX} positions")),
    }
}

/// The end of the number at the start of `text`, its sign included: there is none, or a sign.
fn number_end(text: &str) -> usize {
    let is_sign = |byte: u8| matches!(byte, b'+' | b'-');
    let bytes = text.as_bytes();
    let is_exponent = |index: usize| {
        index >= 2
            && matches!(bytes[index - 1], b'e' | b'E')
            && (bytes[index - 2].is_ascii_digit() || bytes[index - 2] == b'.')
    };
    (1..bytes.len()).find(|index| is_sign(bytes[*index]) && !is_exponent(*index)).unwrap_or(bytes.len())
}

/// A number or a duration (in seconds), with or without sign.
pub(super) fn signed_number(text: &str) -> Result<f64, String> {
    let (sign, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let value = match unsigned.to_ascii_lowercase().as_str() {
        "inf" => Ok(f64::INFINITY),
        "nan" => Ok(f64::NAN),
        _ if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') || unsigned.contains(['x', 'X']) => {
            Err(())
        }
        _ => parse_number(unsigned).or_else(|_| duration_ms(unsigned).map(|ms| ms as f64 / 1e3)).map_err(|_| ()),
    };
    value.map(|value| sign * value).map_err(|()| format!("no value: {text:?}"))
}
