//! Instant and range queries: parameters, evaluation in a place of its own, the answer.

use std::sync::Arc;

use promql::{Engine, EngineOptions, EvalError, EvalTime, Value};
use promql_syntax::{Expr, parse_expr};
use storage::Queryable;

use crate::answer::Remarks;
use crate::call::Call;
use crate::error::ApiError;
use crate::large_matrix::{self, LargeMatrix};
use crate::params::{ParamError, Params};
use crate::reply::Reply;
use crate::slots::Job;
use crate::statistics::{Observed, Stats};
use crate::{QueryApi, answer, azure};

/// What is to be done in a place of its own.
type Work = Box<dyn Fn(&Job) -> Result<Reply, ApiError> + Send>;

/// A query that is understood and allowed.
struct Query {
    engine: Engine,
    text: String,
    expr: Expr,
    time: EvalTime,
    /// At most this many series are answered; 0 for all.
    limit: usize,
    /// The parameter `stats`: anything but nothing wants them.
    stats: String,
    azure: bool,
    bytes_max: usize,
}

impl QueryApi {
    /// `/query`: an expression at one time.
    pub(crate) fn query(&self, params: &Params, call: Call) -> Result<Work, ApiError> {
        let limit = params.limit()?;
        let at = params.time("time", self.now())?;
        self.prepared(params, call, EvalTime::Instant(at), limit)
    }

    /// `/query_range`: an expression at every step of a range.
    pub(crate) fn query_range(&self, params: &Params, call: Call) -> Result<Work, ApiError> {
        let limit = params.limit()?;
        let time = range(params, self.engine.steps_max)?;
        self.prepared(params, call, time, limit)
    }

    fn prepared(&self, params: &Params, call: Call, time: EvalTime, limit: usize) -> Result<Work, ApiError> {
        let lookback_delta_ms = params.lookback_ms()?.unwrap_or(self.engine.lookback_delta_ms);
        let (text, expr) = self.parse_query(params)?;
        let view = match call.azure {
            true => {
                azure::check_query(&expr, time)?;
                azure::Spelled::as_in(&expr, call.view)
            }
            false => call.view,
        };
        let query = Query {
            engine: Engine::new(EngineOptions { lookback_delta_ms, ..self.engine }),
            text,
            expr,
            time,
            limit,
            stats: params.get("stats").to_owned(),
            azure: call.azure,
            bytes_max: self.settings.answer_bytes_max,
        };
        Ok(Box::new(move |job| query.run(&view, job)))
    }

    /// The parameter `query` and what it says.
    pub(crate) fn parse_query(&self, params: &Params) -> Result<(String, Expr), ApiError> {
        let text = params.get("query").to_owned();
        match parse_expr(&text, self.settings.syntax) {
            Ok(expr) => Ok((text, expr)),
            Err(source) => Err(ApiError::Parse { parameter: "query", source }),
        }
    }
}

impl Query {
    fn run(&self, view: &Arc<dyn Queryable>, job: &Job) -> Result<Reply, ApiError> {
        let with_stats = !self.stats.is_empty();
        let view = Observed::new(Arc::clone(view), with_stats);
        let began = job.now();
        // Selecting waits for the store now and then, but mostly works through postings: nothing for a serving thread.
        let prepared = job.wait(self.engine.prepare(&view, &self.expr, self.time))?.map_err(|error| match error {
            EvalError::InvalidQuery(reason) => ApiError::Query(reason),
            other => other.into(),
        })?;
        let selected = job.now();
        let mut result = prepared.evaluate_with(job.helpers(), &|| job.interrupt())?;
        let evaluated = job.now();
        if self.azure {
            azure::refuse_duplicates(&result.value)?;
        }
        let truncated = truncate(&mut result.value, self.limit);
        let remarks = Remarks::of(&result.annotations, &self.text)
            .left_out(&view.left_out)
            .truncated(truncated)
            .for_stats(&self.stats);
        let stats = with_stats.then(|| Stats {
            queued: job.queued,
            preparation: selected.since(began),
            evaluation: evaluated.since(selected),
            samples_read: view.samples_read(),
            samples_peak: result.samples_peak,
        });
        match result.value {
            Value::Matrix(series) if large_matrix::is_large(&series) => {
                LargeMatrix::new(series, &remarks, stats.as_ref(), self.bytes_max, job).map(Reply::Matrix)
            }
            value => answer::query_result(&value, &remarks, stats.as_ref(), self.bytes_max).map(Reply::Json),
        }
    }
}

/// Cuts a vector or matrix; whether anything went.
fn truncate(value: &mut Value, limit: usize) -> bool {
    fn cut<T>(items: &mut Vec<T>, limit: usize) -> bool {
        let longer = items.len() > limit;
        items.truncate(limit);
        longer
    }
    match value {
        _ if limit == 0 => false,
        Value::Vector(samples) => cut(samples, limit),
        Value::Matrix(series) => cut(series, limit),
        Value::Scalar(_) | Value::String { .. } => false,
    }
}

fn range(params: &Params, steps_max: usize) -> Result<EvalTime, ApiError> {
    let start = params.required_time("start")?;
    let end = params.required_time("end")?;
    if end < start {
        return Err(times("end", "end timestamp must not be before start time"));
    }
    let step_ms = match params.duration_ms("step")? {
        Some(step_ms) if step_ms > 0 => step_ms,
        Some(_) => {
            let reason = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(times("step", reason));
        }
        None => return Err(times("step", "cannot parse \"\" to a valid duration")),
    };
    let steps = (i128::from(end.0) - i128::from(start.0)) / i128::from(step_ms);
    if steps > steps_max as i128 {
        return Err(ApiError::TooManySteps { limit: steps_max });
    }
    Ok(EvalTime::Range { start, end, step_ms })
}

pub(crate) fn times(name: &'static str, reason: &str) -> ApiError {
    ParamError::Invalid { name, reason: reason.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use model::{ErrorKind, Kinded as _, Labels, TimestampMs};
    use promql::{FloatPoint, RangeSeries, Sample, SampleValue};

    use super::*;

    #[test]
    fn ranges() {
        let of = |query: &str| range(&Params::parse(Some(query), b"").unwrap(), 11_000);
        for (query, steps) in [("start=0&end=11000&step=1", 11_000), ("start=5&end=5&step=1d", 0)] {
            let Ok(EvalTime::Range { start, end, step_ms }) = of(query) else { panic!("{query}") };
            assert_eq!(end.since(start) / step_ms, steps, "{query}");
        }
        for (query, expected) in [
            ("end=1&step=1", r#"invalid parameter "start": cannot parse "" to a valid timestamp"#),
            ("start=0&step=1", r#"invalid parameter "end": cannot parse "" to a valid timestamp"#),
            ("start=2&end=1&step=1", r#"invalid parameter "end": end timestamp must not be before start time"#),
            ("start=0&end=1", r#"invalid parameter "step": cannot parse "" to a valid duration"#),
            (
                "start=0&end=1&step=NaN",
                r#"invalid parameter "step": cannot parse "NaN" to a valid duration. It overflows int64"#,
            ),
            ("start=NaN&end=1&step=1", r#"invalid parameter "start": cannot parse "NaN" to a valid timestamp"#),
            ("start=0&end=Inf&step=1", r#"invalid parameter "end": cannot parse "Inf" to a valid timestamp"#),
            (
                "start=0&end=1&step=-1",
                "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
            ),
            (
                "start=0&end=1&step=0.0001",
                "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
            ),
            (
                "start=0&end=11001&step=1",
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
            ),
            (
                "start=-292273086-05-16T16:47:06Z&end=292277025-08-18T07:12:54.999999999Z&step=100y",
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
            ),
        ] {
            let error = of(query).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, expected), "{query}");
        }
    }

    #[test]
    fn limits_cut_series_and_nothing_else() {
        let point = FloatPoint { timestamp: TimestampMs(0), value: 1.0 };
        let series = RangeSeries { labels: Labels::empty(), floats: vec![point; 3], histograms: vec![] };
        let sample = Sample { labels: Labels::empty(), timestamp: TimestampMs(0), value: SampleValue::Float(1.0) };
        for (value, limit, cut) in [
            (Value::Scalar(point), 1, false),
            (Value::Vector(vec![sample.clone(); 3]), 0, false),
            (Value::Vector(vec![sample.clone(); 3]), 3, false),
            (Value::Vector(vec![sample; 3]), 2, true),
            (Value::Matrix(vec![series.clone(); 2]), 1, true),
            (Value::Matrix(vec![series]), 1, false),
        ] {
            let mut shorter = value.clone();
            assert_eq!(truncate(&mut shorter, limit), cut, "{value:?}");
            assert_eq!(shorter == value, !cut);
        }
    }
}
