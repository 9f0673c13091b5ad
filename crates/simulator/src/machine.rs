//! A machine between its start and its end: a database on a disk, with a clock that somebody else moves.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use environment::Clock as _;
use model::{Labels, Matcher, TimestampMs};
use storage::{
    Batch, CommitError, Committed, QueryError, Queryable as _, SelectHints, SeriesSet, Storage as _, TimeRange,
};
use testkit::ManualClock;
use tsdb::{Db, Engine, Settings};

use crate::disk::SimulatedDisk;
use crate::ledger::{Found, Ledger, Sample};
use crate::value::Value;

/// The directory of the database.
pub const DIRECTORY: &str = "data/workspace";

/// See the module's text. Everything happens on the caller's thread, when it asks for it.
pub struct Machine {
    /// Its disk.
    pub disk: SimulatedDisk,
    engine: Arc<Engine>,
    db: Arc<Db>,
}

/// What became of a request.
pub enum Answer<T> {
    /// It was answered.
    Some(T),
    /// The machine went off before.
    Off,
}

impl Machine {
    /// Starts one and waits until its database has read its log.
    ///
    /// # Errors
    /// Why the database cannot be opened.
    pub fn start(disk: &SimulatedDisk, clock: &ManualClock, settings: Settings) -> Result<Self, String> {
        Self::start_in(disk, clock, settings, DIRECTORY)
    }

    /// The same with the database in another directory.
    ///
    /// # Errors
    /// Why the database cannot be opened.
    pub fn start_in(
        disk: &SimulatedDisk,
        clock: &ManualClock,
        settings: Settings,
        directory: &str,
    ) -> Result<Self, String> {
        let engine = Engine::manual(Arc::new(disk.clone()), Arc::new(clock.clone()));
        let db = Db::open(&engine, Path::new(directory), settings).map_err(|error| in_full(&error))?;
        let machine = Self { disk: disk.clone(), engine, db };
        machine.db.wait_ready().map_err(|error| in_full(&*error))?;
        Ok(machine)
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Does what is due.
    ///
    /// # Errors
    /// When there is no end to it.
    pub fn settle(&self) -> Result<(), String> {
        let done = (0..PIECES_MAX).any(|_| !self.engine.run_pending());
        if done { Ok(()) } else { Err(format!("after {PIECES_MAX} pieces of work there still is more due")) }
    }

    /// Sends a batch and waits for the answer.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn commit(
        &self,
        ledger: &Ledger,
        batch: &[Sample],
        now: TimestampMs,
    ) -> Result<Answer<Result<Committed, CommitError>>, String> {
        let mut appender = self.db.appender(now);
        for (number, at, value) in batch {
            let labels = &ledger.series()[*number].labels;
            let key = labels.as_packed();
            let series = match appender.resolve(key) {
                Some(series) => series,
                None => appender.series(Some(key), labels).map_err(|error| format!("{labels}: {error}"))?,
            };
            let at = TimestampMs(*at);
            let appended = match value {
                Value::Float(bits) => appender.append(series, at, f64::from_bits(*bits)),
                Value::Histogram(histogram) => appender.append_histogram(series, at, Arc::clone(histogram)),
            };
            appended.map_err(|error| format!("{labels} at {at}: {error}"))?;
        }
        let answer = self.drive(appender.commit())?;
        // An answer that nobody gets any more is none.
        Ok(if self.disk.is_off() { Answer::Off } else { Answer::Some(answer) })
    }

    /// Begins a query.
    ///
    /// # Errors
    /// As the database says; the outer one when it does not answer.
    pub fn query(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Result<Box<dyn SeriesSet>, QueryError>, String> {
        let querier = self.db.querier(range);
        self.drive(querier.select(matchers, SelectHints::samples(range)))
    }

    /// All samples of a query.
    ///
    /// # Errors
    /// As the database says, in the inner result; the outer one for what no database may answer.
    pub fn select(
        &self,
        ledger: &Ledger,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Result<Found, QueryError>, String> {
        match self.query(matchers, range)? {
            Ok(set) => walk(set, ledger, range),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Does what is due until the future is ready.
    fn drive<T>(&self, future: impl Future<Output = T>) -> Result<T, String> {
        let mut future = pin!(future);
        for _ in 0..PIECES_MAX {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Ok(value);
            }
            if !self.engine.run_pending() {
                return Err("nothing is due any more, and an answer is still waited for".to_owned());
            }
        }
        Err(format!("no answer after {PIECES_MAX} pieces of work"))
    }
}

/// Walks a set to its end.
///
/// # Errors
/// As [`Machine::select`].
pub fn walk(
    mut set: Box<dyn SeriesSet>,
    ledger: &Ledger,
    range: TimeRange,
) -> Result<Result<Found, QueryError>, String> {
    let mut found = Found::new();
    let mut before: Option<Labels> = None;
    let mut batch = Batch::default();
    loop {
        let mut series = match set.next() {
            Ok(Some(series)) => series,
            Ok(None) => return Ok(Ok(found)),
            Err(error) => return Ok(Err(error)),
        };
        if before.as_ref().is_some_and(|before| *before >= series.labels) {
            return Err(format!("{} comes behind {:?}", series.labels, before));
        }
        let Some(number) = ledger.number_of(&series.labels) else {
            return Err(format!("{} was never written", series.labels));
        };
        let mut samples: BTreeMap<i64, Value> = BTreeMap::new();
        loop {
            match series.samples.next_batch(&mut batch) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Ok(Err(error)),
            }
            let floats = batch.floats.iter().map(|value| Value::Float(value.to_bits()));
            let histograms = batch.histograms.iter().map(|histogram| Value::Histogram(Arc::clone(histogram)));
            for (at, value) in batch.timestamps.iter().zip(floats.chain(histograms)) {
                if samples.last_key_value().is_some_and(|(last, _)| *last >= at.0) {
                    return Err(format!("{} goes back to {at}", series.labels));
                }
                samples.insert(at.0, value);
            }
        }
        samples.retain(|at, _| range.contains(TimestampMs(*at)));
        if !samples.is_empty() {
            found.insert(number, samples);
        }
        before = Some(series.labels);
    }
}

/// Wall-clock time as samples count it.
pub fn now(clock: &ManualClock) -> TimestampMs {
    TimestampMs(clock.now().as_millis())
}

fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// More than any step of a simulation can ask for.
const PIECES_MAX: usize = 100_000;
