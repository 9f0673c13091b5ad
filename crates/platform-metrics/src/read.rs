//! Reading by time range, for the metrics API.

use std::collections::BTreeMap;
use std::time::Duration;

use environment::UnixTime;
use model::{ErrorKind, Kinded, TimestampMs};
use storage::{Batch, QueryError, Queryable, SelectHints, TimeRange};

use crate::aggregate::{Aggregation, Summary};
use crate::definitions::{Definition, Dimension};
use crate::filter::Filter;
use crate::interval::Interval;
use crate::resource::Resource;

/// Data points of one series that are answered at most: a month of minutes.
pub const POINTS_MAX: u64 = 31 * 24 * 60;

/// What is asked of a metric.
#[derive(Clone, Debug)]
pub struct Query {
    /// The metric; it must be one of the resource's kind.
    pub definition: &'static Definition,
    /// The length of intervals.
    pub interval: Interval,
    /// The first interval is the one that this lies in.
    pub start: UnixTime,
    /// Where the last interval ends, at the latest.
    pub end: UnixTime,
    /// Which series, and what to split by.
    pub filter: Filter,
}

/// Values of one combination of dimensions.
#[derive(Clone, PartialEq, Debug)]
pub struct TimeSeries {
    /// The dimensions that the filter names, with their values.
    pub dimensions: Vec<(Dimension, String)>,
    /// One point per interval, also where there is no value.
    pub data: Vec<DataPoint>,
}

/// What is known of one interval.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DataPoint {
    /// When the interval begins.
    pub at: UnixTime,
    summary: Summary,
}

impl DataPoint {
    /// The interval's value; none where nothing was recorded.
    pub fn get(&self, aggregation: Aggregation) -> Option<f64> {
        self.summary.get(aggregation)
    }
}

/// Why metrics cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The timespan ends before it begins.
    #[error("the timespan ends before it begins")]
    EmptyTimespan,
    /// Too many intervals.
    #[error(
        "{points} intervals of {interval} are too many: at most {POINTS_MAX} are answered; ask for a shorter timespan or a longer interval"
    )]
    TooManyPoints {
        /// How many were asked for.
        points: u64,
        /// Of what length.
        interval: Interval,
    },
    /// Reading the storage failed.
    #[error("the system workspace cannot be read: {0}")]
    Storage(#[from] QueryError),
}

impl Kinded for ReadError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::EmptyTimespan | Self::TooManyPoints { .. } => ErrorKind::Invalid,
            Self::Storage(error) => error.kind(),
        }
    }
}

/// The series of a resource's metric, in order of dimensions; none when nothing was recorded. `system` is the system
/// workspace.
///
/// Series that are not split apart are added up minute by minute, as they count different things, and then aggregated.
///
/// # Errors
/// [`ReadError`]
pub async fn read(
    system: &dyn Queryable,
    resource: &Resource<'_>,
    query: &Query,
) -> Result<Vec<TimeSeries>, ReadError> {
    let intervals = Intervals::of(query)?;
    let range = TimeRange { start: intervals.start, end: TimestampMs(intervals.end.0 - 1) };
    let matchers = resource.matchers(query.definition);
    let mut selected = system.querier(range).select(&matchers, SelectHints::samples(range)).await?;
    let split: Vec<Dimension> = query.filter.split().collect();
    let mut groups: BTreeMap<Vec<String>, Minutes> = BTreeMap::new();
    while let Some(mut series) = selected.next()? {
        if !query.filter.admits(|label| series.labels.get(label).unwrap_or("")) {
            continue;
        }
        let values = split.iter().map(|dimension| series.labels.get(dimension.label).unwrap_or("").to_owned());
        let minutes = groups.entry(values.collect()).or_default();
        let mut batch = Batch::default();
        while series.samples.next_batch(&mut batch)? {
            let samples = batch.timestamps.iter().zip(&batch.floats);
            for (at, value) in samples.filter(|(at, value)| range.contains(**at) && !value.is_nan()) {
                *minutes.entry(*at).or_default() += value;
            }
        }
    }
    let series = groups.into_iter().filter(|(_, minutes)| !minutes.is_empty());
    Ok(series
        .map(|(values, minutes)| TimeSeries {
            dimensions: split.iter().copied().zip(values).collect(),
            data: intervals.summarise(&minutes),
        })
        .collect())
}

type Minutes = BTreeMap<TimestampMs, f64>;

/// The intervals of a query, all of one length.
struct Intervals {
    start: TimestampMs,
    end: TimestampMs,
    length_ms: i64,
}

impl Intervals {
    fn of(query: &Query) -> Result<Self, ReadError> {
        let span = query.end.since(query.start);
        if span.is_zero() {
            return Err(ReadError::EmptyTimespan);
        }
        let (start, end) = (query.start.as_millis(), query.end.as_millis());
        let Some(length) = query.interval.length() else {
            let (start, end) = (TimestampMs(start), TimestampMs(end));
            return Ok(Self { start, end, length_ms: (end.0 - start.0).max(1) });
        };
        let points = points(query.start, span, length);
        if points > POINTS_MAX {
            return Err(ReadError::TooManyPoints { points, interval: query.interval });
        }
        let length_ms = i64::try_from(length.as_millis()).expect("grains are at most a day");
        let start = TimestampMs(start - start % length_ms);
        Ok(Self { start, end: TimestampMs(end), length_ms })
    }

    fn summarise(&self, minutes: &Minutes) -> Vec<DataPoint> {
        let count = self.end.0.abs_diff(self.start.0).div_ceil(self.length_ms.unsigned_abs()).cast_signed();
        let at = |index: i64| UnixTime::from_millis((self.start.0 + index * self.length_ms).unsigned_abs());
        let mut data: Vec<DataPoint> =
            (0..count).map(|index| DataPoint { at: at(index), summary: Summary::default() }).collect();
        for (time, value) in minutes {
            data[((time.0 - self.start.0) / self.length_ms) as usize].summary.add(*value);
        }
        data
    }
}

/// How many intervals `span` from `start` on touches.
fn points(start: UnixTime, span: Duration, length: Duration) -> u64 {
    let length = length.as_millis();
    let before = start.since_epoch().as_millis() % length;
    u64::try_from((before + span.as_millis()).div_ceil(length)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
