//! Start timestamps beside a database that keeps none: a table, and a view that puts them into what is read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::{Labels, Matcher, TimestampMs};
use storage::{Batch, BoxFuture, Querier, QueryError, SampleIterator, SelectHints, Selecting, Series, SeriesSet};

/// Since when the samples of a series count, by their times.
type OfSeries = BTreeMap<TimestampMs, TimestampMs>;

/// Since when samples count, for those of which it is known.
#[derive(Clone, Default)]
pub(crate) struct StartTimestamps {
    by_labels: Arc<HashMap<Labels, Arc<OfSeries>>>,
}

impl StartTimestamps {
    /// Adds what is known of a series.
    pub(crate) fn extend(&mut self, labels: &Labels, starts: impl IntoIterator<Item = (TimestampMs, TimestampMs)>) {
        let of_series = Arc::make_mut(&mut self.by_labels).entry(labels.clone()).or_default();
        Arc::make_mut(of_series).extend(starts);
    }

    /// A view of what `querier` shows, with start timestamps.
    pub(crate) fn view(&self, querier: Box<dyn Querier>) -> Box<dyn Querier> {
        match self.by_labels.is_empty() {
            true => querier,
            false => Box::new(View { querier, starts: self.clone() }),
        }
    }
}

struct View {
    querier: Box<dyn Querier>,
    starts: StartTimestamps,
}

impl Selecting for View {
    fn inner(&self) -> &dyn Querier {
        &*self.querier
    }

    fn select_changed<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        let starts = self.starts.clone();
        Box::pin(async move {
            let set = self.querier.select(matchers, hints).await?;
            Ok(Box::new(StartedSet { set, starts }) as Box<dyn SeriesSet>)
        })
    }
}

struct StartedSet {
    set: Box<dyn SeriesSet>,
    starts: StartTimestamps,
}

impl SeriesSet for StartedSet {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        let Some(series) = self.set.next()? else { return Ok(None) };
        Ok(Some(match self.starts.by_labels.get(&series.labels) {
            None => series,
            Some(starts) => {
                let samples = Box::new(StartedSamples { samples: series.samples, starts: Arc::clone(starts) });
                Series { labels: series.labels, samples }
            }
        }))
    }
}

struct StartedSamples {
    samples: Box<dyn SampleIterator>,
    starts: Arc<OfSeries>,
}

impl SampleIterator for StartedSamples {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        let more = self.samples.next_batch(batch)?;
        let start = |at: &TimestampMs| self.starts.get(at).copied().unwrap_or(Batch::START_UNKNOWN);
        batch.start_timestamps.clear();
        batch.start_timestamps.extend(batch.timestamps.iter().map(start));
        Ok(more)
    }
}
