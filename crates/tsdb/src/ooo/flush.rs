//! The flushing half → blocks, one for each range.
//!
//! The order: the active half becomes the flushing one and `wbl` goes on in a new segment, while the writer is held; blocks
//! are written and shown one by one; the half is let go of; segments of before are removed. A crash between any two leaves
//! samples in blocks and in the log, never in neither. What fails is tried again with the same half, from the first block on
//! that is not there yet.

use std::sync::Arc;

use model::{LabelsBuilder, Matcher};
use storage::{QueryError, TimeRange};

use super::Half;
use crate::compaction::{BlockRanges, CompactionError, Extent, Origin};
use crate::db::OpenError;
use crate::head::Generation;
use crate::log::{Listing, WriteError};
use crate::part::{Part, PartSeries, SeriesSource, Want};
use crate::shared::Shared;

/// When late samples are written out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FlushWhen {
    /// When it is time: they are many, or at rest, or the head was written out.
    Due,
    /// Now.
    Now,
}

/// Why late samples are not in blocks. They are in memory and in their log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlushError {
    #[error("cannot begin a segment of the log of late samples")]
    Log(#[from] WriteError),
    #[error(transparent)]
    Block(#[from] CompactionError),
}

impl Shared {
    /// Writes late samples to blocks; returns whether there were some. The lock of maintenance is held.
    ///
    /// # Errors
    /// [`FlushError`]; it is to be tried again.
    pub(crate) fn flush_late(self: &Arc<Self>, when: FlushWhen) -> Result<bool, FlushError> {
        let is_due = self.ooo.is_due(self.head.frozen_before(), self.clock.monotonic());
        if when == FlushWhen::Due && !is_due && self.ooo.flushing().is_none() {
            return Ok(false);
        }
        let Some(half) = self.begin_flush()? else { return Ok(false) };
        self.write_half(&half).inspect_err(|_| self.counters.out_of_order_flush_failures.add(1))?;
        self.ooo.flushed();
        self.counters.out_of_order_flushes.add(1);
        if let Err(error) = self.remove_late_segments() {
            tracing::warn!(%error, "segments of late samples that are in blocks cannot be removed yet");
        }
        Ok(true)
    }

    /// The half to be written out.
    fn begin_flush(&self) -> Result<Option<Arc<Half>>, WriteError> {
        if let Some(unfinished) = self.ooo.flushing() {
            return Ok(Some(unfinished));
        }
        self.with_writer(|writer| {
            if self.ooo.is_empty() {
                return Ok(None);
            }
            // First: if it fails, nothing has happened.
            let number = writer.late_log.cut(&self.counters).inspect_err(|error| {
                self.not_written(error);
            })?;
            Ok(Some(self.ooo.rotate(number, self.head.frozen_before())))
        })
    }

    fn write_half(self: &Arc<Self>, half: &Arc<Half>) -> Result<(), CompactionError> {
        // Slots stay those of their series meanwhile.
        let generation = self.head.generation();
        let mut slots = half.slots();
        self.head.index.read().sort_by_labels(&mut slots);
        let ranges = self.ooo.ranges_of(half);
        slots.iter().for_each(|slot| half.settle(*slot, &ranges));
        let part =
            LatePart { shared: Arc::clone(self), half: Arc::clone(half), slots: slots.into(), _generation: generation };
        let parts: [Arc<dyn Part>; 1] = [Arc::new(part)];
        let block_ranges = BlockRanges::new(&self.settings);
        let mut made = Vec::new();
        for range in ranges.as_slice().iter().filter(|range| !half.is_written(range)) {
            let (origin, extent) = (Origin::out_of_order(), Extent::Touched(&block_ranges));
            let block = self.write_block(&parts, range.clone(), origin, extent, &self.counters.compaction_conflicts)?;
            made.extend(block.as_ref().map(|block| block.ulid()));
            self.blocks.publish(block.into_iter().collect(), &[]);
            half.set_written(range.clone());
        }
        tracing::info!(directory = %self.directory.display(), ?made, "wrote late samples to blocks");
        Ok(())
    }

    /// Removes segments that blocks stand for. Those that cannot be removed go with the next flush; until then a start reads
    /// samples that are in blocks, too. The lock of maintenance is held.
    ///
    /// # Errors
    /// A start may still read them.
    pub(crate) fn remove_late_segments(&self) -> Result<(), OpenError> {
        let before = self.ooo.log_begins_with();
        let directory = self.directory.join("wbl");
        for segment in Listing::of(&*self.disk, &directory)?.segments {
            if segment.number < before {
                self.disk.remove_file(&segment.path).map_err(OpenError::at("remove", &segment.path))?;
            }
        }
        self.disk.sync_directory(&directory).map_err(OpenError::at("sync", &directory))?;
        self.with_writer(|writer| writer.late_log.forget_closed(before.saturating_sub(1)));
        Ok(())
    }
}

/// A half that is being written out, settled, as a part by itself.
struct LatePart {
    shared: Arc<Shared>,
    half: Arc<Half>,
    /// In order of labels.
    slots: Arc<[u32]>,
    _generation: Arc<Generation>,
}

impl LatePart {
    fn series(&self, matchers: &[Matcher], range: TimeRange, want: Want) -> LateSeries {
        LateSeries {
            shared: Arc::clone(&self.shared),
            half: Arc::clone(&self.half),
            slots: Arc::clone(&self.slots),
            next: 0,
            matchers: matchers.to_vec(),
            range,
            want,
            builder: LabelsBuilder::default(),
        }
    }

    /// Texts of the labels of its series, sorted, each once.
    fn texts(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        mut of: impl FnMut(&PartSeries, &mut Vec<String>),
    ) -> Result<Vec<String>, QueryError> {
        let (mut series, mut texts) = (self.series(matchers, range, Want::Labels), Vec::new());
        while let Some(series) = series.next()? {
            of(&series, &mut texts);
        }
        texts.sort_unstable();
        texts.dedup();
        Ok(texts)
    }
}

impl Part for LatePart {
    fn overlaps(&self, range: TimeRange) -> bool {
        self.half.overlaps(range)
    }

    fn select(&self, matchers: &[Matcher], range: TimeRange, want: Want) -> Result<Box<dyn SeriesSource>, QueryError> {
        Ok(Box::new(self.series(matchers, range, want)))
    }

    fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, QueryError> {
        self.texts(matchers, range, |series, texts| texts.extend(series.labels.iter().map(|(name, _)| name.to_owned())))
    }

    fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, QueryError> {
        self.texts(matchers, range, |series, texts| texts.extend(series.labels.get(name).map(str::to_owned)))
    }
}

struct LateSeries {
    shared: Arc<Shared>,
    half: Arc<Half>,
    slots: Arc<[u32]>,
    next: usize,
    matchers: Vec<Matcher>,
    range: TimeRange,
    want: Want,
    builder: LabelsBuilder,
}

impl SeriesSource for LateSeries {
    fn next(&mut self) -> Result<Option<PartSeries>, QueryError> {
        while let Some(&slot) = self.slots.get(self.next) {
            self.next += 1;
            if !self.half.has_chunks(slot, self.range) {
                continue;
            }
            let labels = self.shared.head.index.read().labels(slot, &mut self.builder);
            if !self.matchers.iter().all(|matcher| matcher.matches_labels(&labels)) {
                continue;
            }
            let mut chunks = Vec::new();
            if self.want == Want::Samples {
                self.half.chunks(slot, self.range, &mut chunks);
            }
            return Ok(Some(PartSeries { labels, chunks }));
        }
        Ok(None)
    }
}
