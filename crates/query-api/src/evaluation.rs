//! Instant and range queries: parameters, a slot to run in, evaluation away from the threads that serve connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use environment::{Clock, Monotonic};
use model::TimestampMs;
use promql::{Engine, EvalError, EvalTime, QueryResult, Stop};
use promql_syntax::{Expr, Options, parse_expr};
use storage::Storage;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::error::ApiError;
use crate::params::Params;
use crate::{QueryApi, answer};

impl QueryApi {
    /// `/query`: an expression at one time.
    pub(crate) async fn query(&self, params: &Params, storage: Arc<dyn Storage>) -> Result<Vec<u8>, ApiError> {
        let at = params.time("time", self.now())?;
        let timeout = params.timeout(self.settings.timeout)?;
        let (text, expr) = parse_query(params)?;
        let result = self.evaluate(expr, EvalTime::Instant(at), timeout, storage).await?;
        Ok(answer::query_result(&result, &text))
    }

    /// `/query_range`: an expression at every step of a range.
    pub(crate) async fn query_range(&self, params: &Params, storage: Arc<dyn Storage>) -> Result<Vec<u8>, ApiError> {
        let time = range(params, self.engine.options().steps_max)?;
        let timeout = params.timeout(self.settings.timeout)?;
        let (text, expr) = parse_query(params)?;
        let result = self.evaluate(expr, time, timeout, storage).await?;
        Ok(answer::query_result(&result, &text))
    }

    /// Waits for a slot, then evaluates on a thread that may be busy for a while. Dropping the future (the client went
    /// away) stops the evaluation; so does the time that `timeout` allows, waiting included.
    async fn evaluate(
        &self,
        expr: Expr,
        time: EvalTime,
        timeout: Duration,
        storage: Arc<dyn Storage>,
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
            let result = run(&engine, &runtime, &expr, time, &*storage, &interrupt);
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
    storage: &dyn Storage,
    interrupt: &dyn Fn() -> Option<Stop>,
) -> Result<QueryResult, EvalError> {
    // Selecting waits for the store now and then, but mostly works through postings: nothing for a serving thread either.
    let prepared = runtime.block_on(engine.prepare(storage, expr, time))?;
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
