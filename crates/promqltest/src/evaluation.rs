//! Runs a case in all its forms.

use model::{Labels, TimestampMs};
use promql::{Engine, EvalTime, FloatPoint, QueryResult, Sample, SampleValue, Stop, Value};
use promql_syntax::{Expr, parse_expr};

use crate::case::Case;
use crate::comparison::{annotations, failure, is_sorted, value};
use crate::database::Database;
use crate::run::{QUERY_TIME_MAX, Settings};
use crate::variations::{at_other_times, depends_on_the_query};

/// What a case is checked with.
struct Check<'a> {
    case: &'a Case,
    engine: &'a Engine,
    database: &'a Database,
    settings: &'a Settings<'a>,
}

/// Whether the case comes out as expected, in all its forms.
///
/// # Errors
/// What differs, in the first form that differs.
pub(crate) fn check(case: &Case, engine: &Engine, database: &Database, settings: &Settings<'_>) -> Result<(), String> {
    let check = Check { case, engine, database, settings };
    let EvalTime::Instant(at) = case.time else {
        return check.as_written(&case.query, case.time).map(drop);
    };
    check.instant(&case.query, at)?;
    let Ok(expr) = parse_expr(&case.query, settings.grammar) else { return Ok(()) };
    for (query, at) in at_other_times(expr, at) {
        check.instant(&query, at).map_err(|what| format!("{query} at {at}: {what}"))?;
    }
    Ok(())
}

impl Check<'_> {
    /// As an instant query, and as the middle step of a range query.
    fn instant(&self, query: &str, at: TimestampMs) -> Result<(), String> {
        let Some(result) = self.as_written(query, EvalTime::Instant(at))? else { return Ok(()) };
        let expected = &self.case.expected;
        if expected.text.is_some() || expected.range_vector.is_some() || depends_on_the_query(query) {
            return Ok(());
        }
        let is_scalar = matches!(result.value, Value::Scalar(_));
        self.as_range(query, at, is_scalar).map_err(|what| format!("as a range query: {what}"))
    }

    /// The result, if none of the expectations is against it; none when the query fails as expected.
    fn as_written(&self, query: &str, time: EvalTime) -> Result<Option<QueryResult>, String> {
        let expected = &self.case.expected;
        match (self.evaluate(query, time), &expected.failure) {
            (Err(error), Some(wanted)) => failure(wanted, &error).map(|()| None),
            (Err(error), None) => Err(error),
            (Ok(result), Some(_)) => Err(format!("no failure, but {:?}", result.value)),
            (Ok(result), None) => {
                annotations(expected, query, &result.annotations)?;
                value(expected, time, &result.value)?;
                Ok(Some(result))
            }
        }
    }

    fn as_range(&self, query: &str, at: TimestampMs, is_scalar: bool) -> Result<(), String> {
        let around = EvalTime::Range { start: at.plus(-STEP_MS), end: at.plus(STEP_MS), step_ms: STEP_MS };
        let Value::Matrix(series) = self.evaluate(query, around)?.value else {
            return Err("a range query answers a matrix".into());
        };
        if self.case.expected.ordered {
            return Ok(());
        }
        is_sorted(&series)?;
        let mut middle = Vec::new();
        for one in series {
            let float = one.floats.iter().find(|point| point.timestamp == at);
            let histogram = one.histograms.iter().find(|point| point.timestamp == at);
            let float = float.map(|point| SampleValue::Float(point.value));
            let histogram = histogram.map(|point| SampleValue::Histogram(point.histogram.clone()));
            let values = float.into_iter().chain(histogram);
            middle.extend(values.map(|value| Sample { labels: one.labels.clone(), timestamp: at, value }));
        }
        let middle = match (is_scalar, &middle[..]) {
            (false, _) => Value::Vector(middle),
            (true, [Sample { labels, value: SampleValue::Float(value), .. }]) if *labels == Labels::empty() => {
                Value::Scalar(FloatPoint { timestamp: at, value: *value })
            }
            (true, other) => return Err(format!("no scalar, but {other:?}")),
        };
        value(&self.case.expected, EvalTime::Instant(at), &middle)
    }

    fn evaluate(&self, query: &str, time: EvalTime) -> Result<QueryResult, String> {
        let expr: Expr = parse_expr(query, self.settings.grammar).map_err(|error| error.to_string())?;
        let clock = self.settings.clock.map(|clock| (clock, clock.monotonic()));
        let interrupt = || {
            let (clock, start) = clock?;
            (clock.monotonic().since(start) > QUERY_TIME_MAX).then_some(Stop::TimedOut)
        };
        let prepared = self.database.wait(self.engine.prepare(self.database, &expr, time));
        let result = prepared.and_then(|prepared| prepared.evaluate(&interrupt));
        result.map_err(|error| error.to_string())
    }
}

/// Distance of the steps of a range query around an instant.
const STEP_MS: i64 = 60_000;
