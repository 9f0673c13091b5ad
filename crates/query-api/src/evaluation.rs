//! Instant and range queries: parameters, a slot to run in, evaluation away from the threads that serve connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use environment::{Clock, Monotonic};
use model::TimestampMs;
use promql::{Engine, EvalError, EvalTime, QueryResult, Stop};
use promql_syntax::{Expr, Options, ParseError, parse_expr};
use storage::Queryable;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::error::ApiError;
use crate::params::Params;
use crate::{QueryApi, answer};

impl QueryApi {
    /// `/query`: an expression at one time.
    pub(crate) async fn query(&self, params: &Params, view: Arc<dyn Queryable>) -> Result<Vec<u8>, ApiError> {
        let at = params.time("time", self.now())?;
        let timeout = params.timeout(self.settings.timeout)?;
        let (text, expr) = parse_query(params)?;
        let result = self.evaluate(expr, EvalTime::Instant(at), timeout, view).await?;
        Ok(answer::query_result(&result, &text))
    }

    /// `/query_range`: an expression at every step of a range.
    pub(crate) async fn query_range(&self, params: &Params, view: Arc<dyn Queryable>) -> Result<Vec<u8>, ApiError> {
        let time = range(params, self.engine.options().steps_max)?;
        let timeout = params.timeout(self.settings.timeout)?;
        let (text, expr) = parse_query(params)?;
        let result = self.evaluate(expr, time, timeout, view).await?;
        Ok(answer::query_result(&result, &text))
    }

    /// Waits for a slot, then evaluates on a thread that may be busy for a while. Dropping the future (the client went
    /// away) stops the evaluation; so does the time that `timeout` allows, waiting included.
    async fn evaluate(
        &self,
        expr: Expr,
        time: EvalTime,
        timeout: Duration,
        view: Arc<dyn Queryable>,
    ) -> Result<QueryResult, ApiError> {
        let deadline = self.parts.clock.monotonic().plus(timeout);
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| ApiError::Busy)?;
        let slot = tokio::select! {
            slot = Arc::clone(&self.slots).acquire_owned() => slot.map_err(|_| ApiError::Busy)?,
            () = self.parts.clock.sleep(timeout) => return Err(EvalError::TimedOut.into()),
        };
        let stop = StopOnDrop::default();
        let interrupt = stop.interrupt(Arc::clone(&self.parts.clock), deadline);
        let (engine, runtime, running) = (Arc::clone(&self.engine), Handle::current(), self.metrics.running.clone());
        let evaluation = spawn_blocking(move || {
            // The permits go with the evaluation, not with the request: one that is being stopped still takes a thread.
            let _permits = (admitted, slot);
            running.inc();
            let result = run(&engine, &runtime, &expr, time, &*view, &interrupt);
            running.dec();
            result
        });
        Ok(evaluation.await.map_err(|_| ApiError::Internal("the evaluation panicked; its log line says where"))??)
    }
}

fn run(
    engine: &Engine,
    runtime: &Handle,
    expr: &Expr,
    time: EvalTime,
    view: &dyn Queryable,
    interrupt: &dyn Fn() -> Option<Stop>,
) -> Result<QueryResult, EvalError> {
    // Selecting waits for the store now and then, but mostly works through postings: nothing for a serving thread either.
    let prepared = runtime.block_on(engine.prepare(view, expr, time))?;
    prepared.evaluate(interrupt)
}

/// Tells an evaluation on another thread that nobody waits for it any more.
#[derive(Default)]
struct StopOnDrop {
    dropped: Arc<AtomicBool>,
}

impl StopOnDrop {
    fn interrupt(&self, clock: Arc<dyn Clock>, deadline: Monotonic) -> impl Fn() -> Option<Stop> + Send + use<> {
        let dropped = Arc::clone(&self.dropped);
        move || {
            if dropped.load(Ordering::Relaxed) {
                return Some(Stop::Canceled);
            }
            (clock.monotonic() >= deadline).then_some(Stop::TimedOut)
        }
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

fn parse_query(params: &Params) -> Result<(String, Expr), ApiError> {
    let text = params.get("query").to_owned();
    match parse_expr(&text, Options::default()) {
        Ok(expr) => Ok((text, expr)),
        // The parser's own words name a switch of Prometheus, which does not exist here.
        Err(ParseError { experimental: Some(part), .. }) => {
            Err(EvalError::NotYetSupported(format!("{part} (experimental in Prometheus)")).into())
        }
        Err(source) => Err(ApiError::Parse { parameter: "query", source }),
    }
}

fn range(params: &Params, steps_max: usize) -> Result<EvalTime, ApiError> {
    let start = required_time(params, "start")?;
    let end = required_time(params, "end")?;
    if end < start {
        let reason = "end timestamp must not be before start time";
        return Err(ApiError::Times { parameter: "end", reason });
    }
    let step_ms = match params.duration_ms("step")? {
        Some(step_ms) if step_ms > 0 => step_ms,
        Some(_) => {
            let reason = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(ApiError::Times { parameter: "step", reason });
        }
        None => return Err(ApiError::Times { parameter: "step", reason: "cannot parse \"\" to a valid duration" }),
    };
    if usize::try_from(end.since(start) / step_ms).unwrap_or(usize::MAX) > steps_max {
        return Err(EvalError::TooManySteps { limit: steps_max }.into());
    }
    Ok(EvalTime::Range { start, end, step_ms })
}

fn required_time(params: &Params, name: &'static str) -> Result<TimestampMs, ApiError> {
    match params.get(name) {
        "" => Err(ApiError::Times { parameter: name, reason: "cannot parse \"\" to a valid timestamp" }),
        _ => Ok(params.time(name, TimestampMs(0))?),
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use model::{ErrorKind, Kinded};
    use promql::EngineOptions;
    use promql_syntax::{ValueType, functions};
    use testkit::series_store::SeriesStore;

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("a store in memory does not wait"),
        }
    }

    fn evaluate(query: &str) -> Result<QueryResult, ApiError> {
        let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let (_, expr) = parse_query(&Params::parse(Some(&format!("query={encoded}")), b""))?;
        let store = SeriesStore::new();
        store.load(10_000, "up{job=\"a\"} 1+1x60").unwrap();
        let engine = Engine::new(EngineOptions::default());
        let prepared = now(engine.prepare(&store, &expr, EvalTime::Instant(TimestampMs(300_000))))?;
        Ok(prepared.evaluate(&|| None)?)
    }

    #[track_caller]
    fn check_not_yet_supported(query: &str, what: &str) {
        let error = evaluate(query).expect_err(query);
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Unprocessable, "{query}: {text}");
        assert!(text.starts_with(&format!("not yet supported: {what}")), "{query}: {text}");
        assert!(!text.contains("enable"), "no switch exists here: {query}: {text}");
    }

    #[test]
    fn experimental_functions_answer_that_they_are_not_yet_supported() {
        let experimental: Vec<_> = functions().iter().filter(|function| function.experimental).collect();
        assert!(experimental.len() > 10);
        for function in experimental {
            let arguments: Vec<&str> = function
                .arg_types
                .iter()
                .map(|argument| match argument {
                    ValueType::Vector => "up",
                    ValueType::Matrix => "up[1m]",
                    ValueType::Scalar => "0.5",
                    ValueType::String => "\"job\"",
                })
                .collect();
            let query = format!("{}({})", function.name, arguments.join(", "));
            check_not_yet_supported(&query, function.name);
            if function.return_type == ValueType::Vector {
                check_not_yet_supported(&format!("sum(abs({query})) + 1"), function.name);
            }
        }
    }

    #[test]
    fn experimental_syntax_answers_that_it_is_not_yet_supported() {
        for (query, what) in [
            ("limitk(1, up)", "limitk"),
            ("limit_ratio by (job) (0.5, up)", "limit_ratio"),
            ("rate(up[1m + 1m])", "duration expressions"),
            ("rate(up[step()])", "duration expressions"),
            ("up[max_of(1m, 2m)]", "duration expressions"),
            ("up offset (1m * 2)", "duration expressions"),
            ("up[5m:30s * 2]", "duration expressions"),
            ("up anchored", "anchored"),
            ("rate(up[1m] anchored)", "anchored"),
            ("rate(up[1m] smoothed)", "smoothed"),
            ("up + fill(0) up", "fill modifiers"),
            ("up + on (job) fill_left(0) up", "fill modifiers"),
            ("up + fill_right(0) up", "fill modifiers"),
            ("up </ 1", "operator </"),
            ("up >/ 1", "operator >/"),
            ("up </ up", "operator </"),
        ] {
            check_not_yet_supported(query, what);
        }
    }

    #[test]
    fn stable_queries_and_mistakes_stay_as_they_are() {
        // Upstream takes parentheses after a sign without a switch, too.
        let stable =
            ["sum(rate(up[5m] offset 1m))", "up @ end()", "topk(1, up)", "step", "fill + anchored", "up offset -(1m)"];
        for query in stable {
            evaluate(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        }
        for query in ["limitk(1, up", "nothing(up)", "up[1m]:", "rate(up)"] {
            let error = evaluate(query).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{query}: {error}");
        }
    }
}
