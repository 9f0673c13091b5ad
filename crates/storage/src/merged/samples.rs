//! Samples of one series from several sources, merged by time.

use model::TimestampMs;

use crate::{Batch, QueryError, SampleIterator};

/// At one time the first source counts.
pub(super) struct MergedSamples {
    sources: Vec<Source>,
}

/// A source with its current batch.
struct Source {
    samples: Box<dyn SampleIterator>,
    batch: Batch,
    /// The next sample of the batch.
    at: usize,
    ended: bool,
}

impl MergedSamples {
    pub(super) fn new(sources: Vec<Box<dyn SampleIterator>>) -> Self {
        let source = |samples| Source { samples, batch: Batch::default(), at: 0, ended: false };
        Self { sources: sources.into_iter().map(source).collect() }
    }
}

impl SampleIterator for MergedSamples {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        batch.clear();
        while batch.len() < BATCH_SAMPLES {
            for source in &mut self.sources {
                source.fill()?;
            }
            let times = self.sources.iter().enumerate().filter_map(|(index, source)| Some((source.time()?, index)));
            let Some((first, chosen)) = times.min() else { break };
            if !batch.is_empty() && batch.histograms.is_empty() == self.sources[chosen].has_histograms() {
                // The other kind starts the next batch.
                break;
            }
            let mut until = None;
            for (index, source) in self.sources.iter_mut().enumerate().filter(|(index, _)| *index != chosen) {
                debug_assert!(
                    index > chosen || source.time() != Some(first),
                    "the first of those at one time is chosen"
                );
                if source.time() == Some(first) {
                    source.at += 1;
                    source.fill()?;
                }
                until = [until, source.time()].into_iter().flatten().min();
            }
            self.sources[chosen].move_to(batch, until);
        }
        Ok(!batch.is_empty())
    }
}

impl Source {
    /// Sees to it that there is a next sample, unless there are none left.
    fn fill(&mut self) -> Result<(), QueryError> {
        if self.at == self.batch.len() && !self.ended {
            self.at = 0;
            self.ended = !self.samples.next_batch(&mut self.batch)?;
            if self.ended {
                self.batch.clear();
            }
        }
        Ok(())
    }

    fn time(&self) -> Option<TimestampMs> {
        self.batch.timestamps.get(self.at).copied()
    }

    fn has_histograms(&self) -> bool {
        !self.batch.histograms.is_empty()
    }

    /// Moves samples before `until`, at least the next one, as far as there is room.
    fn move_to(&mut self, batch: &mut Batch, until: Option<TimestampMs>) {
        let room = BATCH_SAMPLES - batch.len();
        let rest = &self.batch.timestamps[self.at..];
        let before = until.map_or(rest.len(), |until| rest.partition_point(|at| *at < until));
        let range = self.at..self.at + before.clamp(1, room);
        batch.extend_from(&self.batch, range.clone());
        self.at = range.end;
    }
}

/// Few enough to stay in the processor's caches.
const BATCH_SAMPLES: usize = 256;
