//! `eval instant at T QUERY` and `eval range from A to B step S QUERY`, in today's style and the old one, whose command word
//! says what is expected.

use model::TimestampMs;
use promql::{EvalTime, Severity};

use super::expectation::{self, Line};
use super::{Lines, ScriptError};
use crate::case::{Case, Expected, ExpectedSeries};
use crate::series::duration_ms;

pub(super) fn parse(text: &str, line: usize, lines: &mut Lines<'_>) -> Result<Case, ScriptError> {
    let error = |line, what| ScriptError { line, what };
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let (query, time) = parse_query(rest).map_err(|what| error(line, what))?;
    let mut case = Case { query, time, expected: Expected::default() };
    let is_range = matches!(time, EvalTime::Range { .. });
    let expected = &mut case.expected;
    match word {
        "eval" => {}
        "eval_fail" => expected.failure = Some(Vec::new()),
        "eval_warn" => expected.warnings.some = true,
        "eval_info" => expected.infos.some = true,
        "eval_ordered" if !is_range => expected.ordered = true,
        _ => return Err(error(line, format!("no command: {word:?}; eval[_fail|_warn|_info|_ordered] instant|range"))),
    }
    let is_old_fail = word == "eval_fail";
    while let Some((line, text)) = lines.take_of_block() {
        let parsed = expectation::parse(text, is_old_fail).map_err(|what| error(line, what))?;
        let ends = matches!(parsed, Line::OldFailure(_) | Line::Scalar(_));
        apply(&mut case, parsed).map_err(|what| error(line, what))?;
        if ends {
            break;
        }
    }
    Ok(case)
}

fn apply(case: &mut Case, line: Line) -> Result<(), String> {
    let is_range = matches!(case.time, EvalTime::Range { .. });
    let expected = &mut case.expected;
    match line {
        Line::Ordered => expected.ordered = true,
        Line::Failure(_) if expected.failure.as_ref().is_some_and(|wanted| !wanted.is_empty()) => {
            return Err("several `expect fail` lines".into());
        }
        Line::Failure(wanted) | Line::OldFailure(wanted) => expected.failure.get_or_insert_default().push(wanted),
        Line::Annotated(severity, wanted) => {
            let annotated = expected.annotated_mut(severity);
            match wanted {
                Some(wanted) => annotated.wanted.push(wanted),
                None => annotated.none = true,
            }
            if annotated.none && !annotated.wanted.is_empty() {
                let name = match severity {
                    Severity::Warning => "warn",
                    Severity::Info => "info",
                };
                return Err(format!("`expect {name}` and `expect no_{name}` together"));
            }
        }
        Line::Text(_) | Line::RangeVector(_) if is_range => {
            return Err("strings and range vectors are answers to instant queries".into());
        }
        Line::Text(text) => expected.text = Some(text),
        Line::RangeVector(spacing) => {
            expected.range_vector = Some(spacing);
            case.time = EvalTime::Instant(spacing.end);
        }
        Line::Scalar(value) => {
            expected.scalar = Some(value);
            expected.series.clear();
        }
        Line::Series(labels, values) => {
            if !is_range && expected.range_vector.is_none() && values.len() != 1 {
                return Err(format!("an instant query gives one value, {} are expected", values.len()));
            }
            // The last line of a series wins.
            expected.series.retain(|series| series.labels != labels);
            expected.series.push(ExpectedSeries { labels, values });
        }
    }
    Ok(())
}

/// The query and its time.
fn parse_query(text: &str) -> Result<(String, EvalTime), String> {
    let mut words = Words(text);
    let time = match words.next() {
        "instant" => {
            words.expect("at")?;
            EvalTime::Instant(words.time("the time")?)
        }
        "range" => {
            words.expect("from")?;
            let start = words.time("the start")?;
            words.expect("to")?;
            let end = words.time("the end")?;
            words.expect("step")?;
            let step_ms = duration_ms(words.next()).map_err(|what| format!("the step: {what}"))?;
            if end < start {
                return Err(format!("the end, {end}, is before the start, {start}"));
            }
            EvalTime::Range { start, end, step_ms }
        }
        other => return Err(format!("neither instant nor range: {other:?}")),
    };
    match words.0.trim() {
        "" => Err("no query".into()),
        query => Ok((query.to_owned(), time)),
    }
}

/// Words between blanks.
pub(super) struct Words<'a>(pub(super) &'a str);

impl<'a> Words<'a> {
    /// The next word; empty at the end.
    pub(super) fn next(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        word
    }

    pub(super) fn expect(&mut self, wanted: &str) -> Result<(), String> {
        match self.next() {
            word if word == wanted => Ok(()),
            word => Err(format!("{word:?} where {wanted:?} belongs")),
        }
    }

    pub(super) fn time(&mut self, what: &str) -> Result<TimestampMs, String> {
        duration_ms(self.next()).map(TimestampMs).map_err(|error| format!("{what}: {error}"))
    }
}
