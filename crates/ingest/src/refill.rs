//! The active series of a workspace that is being opened: found again in what it stores, so that a restart makes no series
//! new.

use std::collections::HashSet;
use std::time::Duration;

use environment::Monotonic;
use model::TimestampMs;
use quota::{ActiveSeries, SeriesHash};
use storage::{Batch, Querier, QueryError, Queryable, SampleIterator, SelectHints, TimeRange};

/// Makes those series active again that have samples of the 12 hours before `now`, each with the age of its newest one.
/// Call it before the workspace takes samples, each time its storage is opened: the engine's numbering of series begins
/// anew.
///
/// Most series are as new as the newest of all, which is seen without their samples; only those of others are read.
///
/// Returns how many are active.
///
/// # Errors
/// Data that cannot be read; some series are then not active and count as new when they come.
pub async fn refill_active_series(
    storage: &dyn Queryable,
    active: &ActiveSeries,
    now: TimestampMs,
    monotonic: Monotonic,
) -> Result<u64, QueryError> {
    active.refill(std::iter::empty(), monotonic);
    let querier = storage.querier(TimeRange { start: now.plus(-ACTIVE_MS), end: TimestampMs::MAX });
    let mut newest = HashSet::new();
    let mut span = 0;
    while newest.is_empty() && span < SPANS {
        let end = if span == 0 { TimestampMs::MAX } else { now.plus(-span * SPAN_MS - 1) };
        let range = TimeRange { start: now.plus(-(span + 1) * SPAN_MS), end };
        newest = series_in(&*querier, active, range).await?;
        active.refill(newest.iter().map(|hash| (*hash, age(span * SPAN_MS))), monotonic);
        span += 1;
    }
    let older = TimeRange { start: now.plus(-ACTIVE_MS), end: now.plus(-span * SPAN_MS - 1) };
    let mut series = querier.select(&[], SelectHints::samples(older)).await?;
    while let Some(mut one) = series.next()? {
        let hash = active.hash(&one.labels);
        if !newest.contains(&hash)
            && let Some(at) = newest_of(&mut *one.samples)?
        {
            active.refill([(hash, age(now.since(at)))], monotonic);
        }
    }
    Ok(active.active(monotonic))
}

async fn series_in(
    querier: &dyn Querier,
    active: &ActiveSeries,
    range: TimeRange,
) -> Result<HashSet<SeriesHash>, QueryError> {
    let mut series = querier.select(&[], SelectHints::series_only(range)).await?;
    let mut found = HashSet::new();
    while let Some(one) = series.next()? {
        found.insert(active.hash(&one.labels));
    }
    Ok(found)
}

fn newest_of(samples: &mut dyn SampleIterator) -> Result<Option<TimestampMs>, QueryError> {
    let (mut batch, mut newest) = (Batch::default(), None);
    while samples.next_batch(&mut batch)? {
        newest = batch.timestamps.last().copied();
    }
    Ok(newest)
}

fn age(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// For how long a series is active after its last sample.
const ACTIVE_MS: i64 = 12 * 3600 * 1000;
/// Series within so much of the newest are taken to be as new.
const SPAN_MS: i64 = 15 * 60 * 1000;
const SPANS: i64 = ACTIVE_MS / SPAN_MS;

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use quota::Quotas;
    use testkit::series_store::{SeriesStore, StoredValue, labels};

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("a store in memory does not wait"),
        }
    }

    /// How many series are active some minutes after a workspace is opened whose series have samples so many minutes ago.
    #[track_caller]
    fn check(minutes_ago: &[&[i64]], after: &[(u64, u64)]) {
        let (store, quotas, wall) = (SeriesStore::new(), Quotas::default(), TimestampMs(1_700_000_000_000));
        for (index, minutes) in minutes_ago.iter().enumerate() {
            for ago in *minutes {
                let labels = labels(&[("__name__", "m"), ("i", &index.to_string())]);
                store.insert(&labels, wall.plus(-ago * 60_000), StoredValue::Float(1.0));
            }
        }
        let quota = quotas.workspace("00000000-0000-0000-0000-000000000001".parse().unwrap());
        let active = quota.active_series();
        let at = |minutes: u64| Monotonic::from_duration(Duration::from_secs(minutes * 60));
        let refilled = now(refill_active_series(&store, active, wall, at(1))).unwrap();
        assert_eq!(refilled, after[0].1);
        for (minutes, expected) in after {
            assert_eq!(active.active(at(1 + minutes)), *expected, "after {minutes} minutes");
        }
    }

    #[test]
    fn series_come_back_with_their_ages() {
        check(&[], &[(0, 0)]);
        // Two of now, one that ended three hours ago, one before its time, one from a clock ahead of ours.
        let series: &[&[i64]] = &[&[0, 1, 300], &[10], &[400, 180], &[721], &[-5]];
        check(series, &[(0, 4), (8 * 60, 4), (10 * 60, 3), (13 * 60, 0)]);
        // Nothing came for five hours.
        check(&[&[300, 301], &[310], &[600, 602]], &[(0, 3), (3 * 60, 2), (8 * 60, 0)]);
    }
}
