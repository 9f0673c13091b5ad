//! Reads the text that `/metrics` endpoints answer: the Prometheus text format and OpenMetrics.
//!
//! Takes what our own endpoints write and what both formats share: samples, labels, `HELP`, `TYPE`, `UNIT`. Timestamps and
//! exemplars are recognised and left aside: a scrape stamps its samples itself.

use std::borrow::Cow;

use model::{Labels, LabelsBuilder, METRIC_NAME, Metadata, MetricType};

/// One line of a scrape.
#[derive(Debug, PartialEq)]
pub(crate) enum Line {
    /// A sample of a series.
    Sample(Labels, f64),
    /// Something about the metric family of that name; fields not spoken of are empty.
    Metadata(String, Metadata),
}

/// Text that is no exposition.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(crate) struct ExpositionError {
    line: usize,
    reason: String,
}

/// The lines of `text` in order; comments and blank lines are left out.
///
/// # Errors
/// The first line that does not parse, counted from 1.
pub(crate) fn parse(text: &str) -> Result<Vec<Line>, ExpositionError> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let parsed = match line.trim() {
            "" | "# EOF" => Ok(None),
            comment if comment.starts_with('#') => Ok(parse_comment(comment)),
            sample => parse_sample(sample).map(Some),
        };
        lines.extend(parsed.map_err(|reason| ExpositionError { line: index + 1, reason })?);
    }
    Ok(lines)
}

fn parse_comment(comment: &str) -> Option<Line> {
    let mut words = comment.splitn(4, ' ').skip(1);
    let (keyword, name, rest) = (words.next()?, words.next()?, words.next().unwrap_or(""));
    let mut metadata = Metadata::default();
    match keyword {
        "HELP" => metadata.help = unescape(rest).into_owned(),
        "UNIT" => metadata.unit = rest.to_owned(),
        "TYPE" => metadata.metric_type = metric_type(rest),
        _ => return None,
    }
    Some(Line::Metadata(name.to_owned(), metadata))
}

fn metric_type(word: &str) -> MetricType {
    (1..=7).map(MetricType::from_wire).find(|known| known.as_str() == word).unwrap_or_default()
}

fn parse_sample(line: &str) -> Result<Line, String> {
    let mut labels = LabelsBuilder::default();
    let name_end = line.find(['{', ' ', '\t']).ok_or("a value must follow the name")?;
    let (name, mut rest) = line.split_at(name_end);
    if name.is_empty() {
        return Err("the metric's name is missing".to_owned());
    }
    labels.push(METRIC_NAME, name);
    if let Some(inside) = rest.strip_prefix('{') {
        rest = parse_labels(inside, &mut labels)?;
    }
    let value = rest.split_ascii_whitespace().next().ok_or("the value is missing")?;
    let value = value.parse().map_err(|_| format!("{value:?} is not a number"))?;
    let labels = labels.build().map_err(|error| error.to_string())?;
    Ok(Line::Sample(labels, value))
}

/// Reads `name="value",…}` and gives what follows the brace.
fn parse_labels<'a>(mut rest: &'a str, labels: &mut LabelsBuilder) -> Result<&'a str, String> {
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok(after);
        }
        let (name, after) = rest.split_once('=').ok_or("a label has no value")?;
        let quoted = after.strip_prefix('"').ok_or_else(|| format!("the value of label {name:?} is not quoted"))?;
        let end = closing_quote(quoted).ok_or_else(|| format!("the value of label {name:?} has no end"))?;
        labels.push(name.trim(), &unescape(&quoted[..end]));
        rest = &quoted[end + 1..];
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index),
            _ => {}
        }
    }
    None
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => out.push('\n'),
                Some(other @ ('"' | '\\')) => out.push(other),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
