//! Tells a result from what a script expects.

mod float;
mod histogram;
mod matrix;

use model::Labels;
use promql::{Annotations, EvalTime, RangeSeries, Sample, SampleValue, Severity, Value};

use self::float::close;
use self::matrix::matrix;
use crate::case::{Annotated, Expected, ExpectedSeries, Spacing, Wanted};
use crate::series;

/// Whether the text of an error is wanted.
pub(crate) fn failure(wanted: &[Wanted], error: &str) -> Result<(), String> {
    match wanted.iter().find(|wanted| !wanted.is_met_by(error)) {
        None => Ok(()),
        Some(wanted) => Err(format!("the failure {error:?} where {wanted} is expected")),
    }
}

/// Whether the annotations are those expected.
pub(crate) fn annotations(expected: &Expected, query: &str, found: &Annotations) -> Result<(), String> {
    for (severity, name) in [(Severity::Warning, "warning"), (Severity::Info, "info")] {
        let Annotated { some, none, wanted } = expected.annotated(severity);
        let texts = found.texts(severity, query);
        if *none && !texts.is_empty() {
            return Err(format!("no {name} is expected, found {texts:?}"));
        }
        if *some && texts.is_empty() {
            return Err(format!("no {name}"));
        }
        let unmet = wanted.iter().find(|wanted| !texts.iter().any(|text| wanted.is_met_by(text)));
        if let Some(unmet) = unmet {
            return Err(format!("no {name} is {unmet}, found {texts:?}"));
        }
        let is_unwanted = |text: &&String| !wanted.iter().any(|wanted| wanted.is_met_by(text));
        if let Some(text) = texts.iter().find(|text| !wanted.is_empty() && is_unwanted(text)) {
            return Err(format!("an unexpected {name}: {text:?}"));
        }
    }
    Ok(())
}

/// Whether the value is the one expected.
pub(crate) fn value(expected: &Expected, time: EvalTime, found: &Value) -> Result<(), String> {
    match (found, &expected.text, expected.scalar) {
        (Value::String { text, .. }, Some(wanted), _) if wanted == text => Ok(()),
        (Value::String { text, .. }, Some(wanted), _) => Err(format!("the text {text:?} where {wanted:?} is expected")),
        (Value::String { text, .. }, None, _) => Err(format!("an unexpected text: {text:?}")),
        (_, Some(wanted), _) => Err(format!("no text, {wanted:?} is expected; found {found:?}")),
        (Value::Scalar(point), _, Some(wanted)) if close(wanted, point.value) => Ok(()),
        (Value::Scalar(point), _, Some(wanted)) => Err(format!("{} where {wanted} is expected", point.value)),
        (Value::Scalar(point), _, None) => Err(format!("an unexpected scalar: {}", point.value)),
        (_, _, Some(wanted)) => Err(format!("no scalar, {wanted} is expected; found {found:?}")),
        (Value::Vector(samples), ..) => vector(expected, samples),
        (Value::Matrix(_), ..) if expected.ordered => Err("an ordered result is expected, found a matrix".into()),
        (Value::Matrix(series), ..) if series.is_empty() && expected.series.is_empty() => Ok(()),
        (Value::Matrix(series), ..) => matrix(&expected.series, spacing(expected, time)?, series),
    }
}

/// Whether series are in order of their labels.
pub(crate) fn is_sorted(series: &[RangeSeries]) -> Result<(), String> {
    match series.windows(2).find(|pair| pair[0].labels > pair[1].labels) {
        None => Ok(()),
        Some(pair) => Err(format!("series are not sorted: {} before {}", pair[0].labels, pair[1].labels)),
    }
}

/// Times of the positions of expected series.
fn spacing(expected: &Expected, time: EvalTime) -> Result<Spacing, String> {
    match (time, expected.range_vector) {
        (EvalTime::Range { start, end, step_ms }, _) => Ok(Spacing { start, end, step_ms }),
        (EvalTime::Instant(_), Some(spacing)) => Ok(spacing),
        (EvalTime::Instant(_), None) => Err("a range vector, and the script does not say when".into()),
    }
}

fn vector(expected: &Expected, found: &[Sample]) -> Result<(), String> {
    for (position, sample) in found.iter().enumerate() {
        let place = place_of(&expected.series, &sample.labels)
            .ok_or_else(|| format!("an unexpected element: {} {:?}", sample.labels, sample.value))?;
        if expected.ordered && place != position {
            return Err(format!("{} at position {position} where {place} is expected", sample.labels));
        }
        let wanted = expected.series[place].values.first().and_then(Option::as_ref);
        if !wanted.is_some_and(|wanted| same(wanted, &sample.value)) {
            return Err(format!("{} {:?} where {wanted:?} is expected", sample.labels, sample.value));
        }
        if found[..position].iter().any(|before| before.labels == sample.labels) {
            return Err(format!("{} stands twice in the result", sample.labels));
        }
    }
    all_found(&expected.series, |labels| found.iter().any(|sample| sample.labels == *labels))
}

fn place_of(series: &[ExpectedSeries], labels: &Labels) -> Option<usize> {
    series.iter().position(|series| series.labels == *labels)
}

fn all_found(wanted: &[ExpectedSeries], is_found: impl Fn(&Labels) -> bool) -> Result<(), String> {
    match wanted.iter().find(|series| !is_found(&series.labels)) {
        None => Ok(()),
        Some(missing) => Err(format!("no {} {:?}", missing.labels, missing.values)),
    }
}

fn same(wanted: &series::Value, found: &SampleValue) -> bool {
    match (wanted, found) {
        (series::Value::Float(wanted), SampleValue::Float(found)) => close(*wanted, *found),
        (series::Value::Histogram { histogram, hint_written }, SampleValue::Histogram(found)) => {
            histogram::same(histogram, found, *hint_written)
        }
        _ => false,
    }
}
