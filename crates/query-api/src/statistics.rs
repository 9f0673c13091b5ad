//! What an evaluation took, for the parameter `stats`.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{Matcher, Metadata};
use storage::{
    Batch, BoxFuture, LeftOut, Querier, QueryError, Queryable, SampleIterator, SelectHints, Selecting, Series,
    SeriesExemplars, SeriesSet, TimeRange,
};

/// Times and numbers of one evaluation.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Stats {
    /// Waiting for a place.
    pub(crate) queued: Duration,
    /// Planning and selecting.
    pub(crate) preparation: Duration,
    /// Computing.
    pub(crate) evaluation: Duration,
    /// Samples that were read.
    pub(crate) samples_read: u64,
    /// The most that were held in memory at a time.
    pub(crate) samples_peak: usize,
}

impl Stats {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let [queued, preparation, evaluation] =
            [self.queued, self.preparation, self.evaluation].map(|duration| duration.as_secs_f64());
        let total = preparation + evaluation;
        let _infallible = write!(
            out,
            "{{\"timings\":{{\"evalTotalTime\":{total},\"resultSortTime\":0,\"queryPreparationTime\":{preparation},\
             \"innerEvalTime\":{evaluation},\"execQueueTime\":{queued},\"execTotalTime\":{}}},\
             \"samples\":{{\"totalQueryableSamples\":{samples},\"samplesRead\":{samples},\"peakSamples\":{}}}}}",
            queued + total,
            self.samples_peak,
            samples = self.samples_read
        );
    }
}

/// A view that tells what its queriers leave out and, on demand, how many samples they read.
pub(crate) struct Observed {
    inner: Arc<dyn Queryable>,
    pub(crate) left_out: Arc<LeftOut>,
    /// `None` when nobody wants to know: counting takes a call for each batch of samples.
    pub(crate) samples: Option<Arc<AtomicU64>>,
}

impl Observed {
    pub(crate) fn new(inner: Arc<dyn Queryable>, counts: bool) -> Self {
        Self { inner, left_out: Arc::default(), samples: counts.then(Arc::default) }
    }

    pub(crate) fn samples_read(&self) -> u64 {
        self.samples.as_ref().map_or(0, |samples| samples.load(Ordering::Relaxed))
    }
}

impl Queryable for Observed {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        let inner = self.inner.querier_with(range, Arc::clone(&self.left_out));
        match &self.samples {
            None => inner,
            Some(samples) => Box::new(CountingQuerier { inner, samples: Arc::clone(samples) }),
        }
    }

    fn metadata(&self) -> Vec<(String, Metadata)> {
        self.inner.metadata()
    }

    fn exemplars(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        self.inner.exemplars(selectors, range)
    }
}

struct CountingQuerier {
    inner: Box<dyn Querier>,
    samples: Arc<AtomicU64>,
}

impl Selecting for CountingQuerier {
    fn inner(&self) -> &dyn Querier {
        &*self.inner
    }

    fn select_changed<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        Box::pin(async move {
            let inner = self.inner.select(matchers, hints).await?;
            Ok(Box::new(CountingSet { inner, samples: Arc::clone(&self.samples) }) as Box<dyn SeriesSet>)
        })
    }
}

struct CountingSet {
    inner: Box<dyn SeriesSet>,
    samples: Arc<AtomicU64>,
}

impl SeriesSet for CountingSet {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        let Some(Series { labels, samples: inner }) = self.inner.next()? else { return Ok(None) };
        let samples = Box::new(CountingSamples { inner, samples: Arc::clone(&self.samples) });
        Ok(Some(Series { labels, samples }))
    }

    fn remaining(&self) -> Option<usize> {
        self.inner.remaining()
    }

    fn may_have_label(&self, name: &str) -> bool {
        self.inner.may_have_label(name)
    }
}

struct CountingSamples {
    inner: Box<dyn SampleIterator>,
    samples: Arc<AtomicU64>,
}

impl SampleIterator for CountingSamples {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        let any = self.inner.next_batch(batch)?;
        if any {
            self.samples.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        Ok(any)
    }
}
