//! Items of `@st` lines: for each sample, how far from its time it started; `-1m`, `-1m-30sx3`, `_`, `_x2`.

use super::{POSITIONS_MAX, duration_ms};

/// Offsets in milliseconds; `None` where no start is known.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn parse_start_offsets(text: &str) -> Result<Vec<Option<i64>>, String> {
    let mut offsets: Vec<Option<i64>> = Vec::new();
    for item in text.split_ascii_whitespace() {
        let (first, step, positions) = parse_item(item)?;
        if positions > POSITIONS_MAX - offsets.len() {
            return Err(format!("a series has at most {POSITIONS_MAX} positions"));
        }
        let values = std::iter::successors(first, |offset| offset.checked_add(step)).map(Some);
        let before = offsets.len();
        match first {
            None => offsets.extend(std::iter::repeat_n(None, positions)),
            Some(_) => offsets.extend(values.take(positions)),
        }
        if offsets.len() - before != positions {
            return Err(format!("{item:?} leaves the range of times"));
        }
    }
    Ok(offsets)
}

/// First value, step and number of positions of an item.
fn parse_item(item: &str) -> Result<(Option<i64>, i64, usize), String> {
    let count = |text: &str| text.parse::<usize>().map_err(|_| format!("no number of repetitions: {text:?}"));
    if let Some(times) = item.strip_prefix('_') {
        return match times.strip_prefix('x').map(count) {
            None if times.is_empty() => Ok((None, 0, 1)),
            Some(Ok(positions @ 1..)) => Ok((None, 0, positions)),
            _ => Err(format!("no start of a sample: {item:?}")),
        };
    }
    let (values, positions) = match item.split_once('x') {
        Some((values, times)) => (values, Some(count(times)?.saturating_add(1))),
        None => (item, None),
    };
    let step_at = values.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map(|(index, _)| index);
    match (step_at, positions) {
        (None, _) => Ok((Some(signed_duration_ms(values)?), 0, positions.unwrap_or(1))),
        (Some(at), Some(positions)) => {
            Ok((Some(signed_duration_ms(&values[..at])?), signed_duration_ms(&values[at..])?, positions))
        }
        (Some(_), None) => Err(format!("{item:?} does not say how often")),
    }
}

fn signed_duration_ms(text: &str) -> Result<i64, String> {
    match text.strip_prefix('-') {
        Some(unsigned) => duration_ms(unsigned).map(|ms| -ms),
        None => duration_ms(text.strip_prefix('+').unwrap_or(text)),
    }
}
