//! A line of what a query is expected to answer.

use model::{Labels, TimestampMs};
use promql::Severity;
use promql_syntax::{Expr, parse_number};

use super::eval::Words;
use crate::case::{Spacing, Wanted};
use crate::series::{Position, duration_ms, parse_series};

/// A line below `eval`.
pub(super) enum Line {
    Ordered,
    Failure(Wanted),
    /// `expected_fail_message` or `expected_fail_regexp`: ends the block.
    OldFailure(Wanted),
    /// An annotation that is there; none for that there is no annotation.
    Annotated(Severity, Option<Wanted>),
    Text(String),
    RangeVector(Spacing),
    /// Ends the block.
    Scalar(f64),
    Series(Labels, Vec<Position>),
}

pub(super) fn parse(text: &str, is_old_fail: bool) -> Result<Line, String> {
    if is_old_fail {
        if let Some(message) = text.strip_prefix("expected_fail_message") {
            let message = message.trim();
            let wanted = if message.is_empty() { Wanted::Any } else { Wanted::Exactly(message.to_owned()) };
            return Ok(Line::OldFailure(wanted));
        }
        if let Some(pattern) = text.strip_prefix("expected_fail_regexp") {
            return Wanted::matching(pattern.trim()).map(Line::OldFailure);
        }
    }
    if let Some(words) = text.strip_prefix("expect range vector") {
        return range_vector(words).map(Line::RangeVector);
    }
    if let Some(literal) = text.strip_prefix("expect string") {
        return string(literal).map(Line::Text);
    }
    // A metric of this name is written `expect{}`.
    if let ("expect", rest) = text.split_once(char::is_whitespace).unwrap_or((text, "")) {
        return expectation(rest.trim());
    }
    if let Some(value) = number(text) {
        return Ok(Line::Scalar(value));
    }
    let (labels, values) = parse_series(text)?;
    Ok(Line::Series(labels, values))
}

/// `warn`, `fail msg: text`, `info regex: pattern` and their like.
fn expectation(text: &str) -> Result<Line, String> {
    let (kind, condition) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let condition = condition.trim();
    let wanted = if condition.is_empty() {
        Wanted::Any
    } else if let Some(message) = condition.strip_prefix("msg:") {
        Wanted::Exactly(message.trim().to_owned())
    } else if let Some(pattern) = condition.strip_prefix("regex:") {
        Wanted::matching(pattern.trim())?
    } else {
        return Err(format!("neither `msg:` nor `regex:`: {condition:?}"));
    };
    match kind {
        "ordered" => Ok(Line::Ordered),
        "fail" => Ok(Line::Failure(wanted)),
        "warn" => Ok(Line::Annotated(Severity::Warning, Some(wanted))),
        "no_warn" => Ok(Line::Annotated(Severity::Warning, None)),
        "info" => Ok(Line::Annotated(Severity::Info, Some(wanted))),
        "no_info" => Ok(Line::Annotated(Severity::Info, None)),
        _ => Err(format!("nothing that can be expected: {text:?}")),
    }
}

/// ` from A to B step S`; the start may be left out, and is 0 then.
fn range_vector(text: &str) -> Result<Spacing, String> {
    let mut words = Words(text);
    let start = match words.next() {
        "from" => {
            let start = words.time("the start")?;
            words.expect("to")?;
            start
        }
        "to" => TimestampMs(0),
        other => return Err(format!("{other:?} where \"from\" belongs")),
    };
    let end = words.time("the end")?;
    words.expect("step")?;
    let step_ms = duration_ms(words.next()).map_err(|what| format!("the step: {what}"))?;
    if end < start || step_ms == 0 || !words.next().is_empty() {
        return Err("a range vector is expected `from A to B step S`, A not after B, S not zero".into());
    }
    Ok(Spacing { start, end, step_ms })
}

/// The text of a literal in double quotes, with escapes, or in back quotes.
fn string(literal: &str) -> Result<String, String> {
    let literal = literal.trim();
    match promql_syntax::parse_expr(literal, promql_syntax::Options::default()) {
        Ok(Expr::String(string)) if string.invalid_utf8.is_none() && !literal.starts_with('\'') => Ok(string.value),
        _ => Err(format!("no quoted text: {literal:?}")),
    }
}

/// A lone number: an integer with or without base, or a float.
fn number(text: &str) -> Option<f64> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let begins = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let is_word = ["inf", "infinity", "nan"].iter().any(|word| unsigned.eq_ignore_ascii_case(word));
    match (begins, is_word) {
        (true, _) => parse_number(unsigned).ok().map(|value| sign * value),
        (false, true) => unsigned.parse::<f64>().ok().map(|value| sign * value),
        (false, false) => None,
    }
}
