//! Records, one after the other, into the head.

use std::path::Path;

use hashbrown::HashMap;
use model::{Exemplar, Labels, LabelsBuilder, Metadata, NativeHistogram, TimestampMs};
use storage::TimeRange;
use tsdb_format::wal::record::{CorruptRecord, LabelPairs, LoggedExemplar, LoggedSeries, Record, Tombstone, WalRef};

use super::references::{Reference, References, UnbornLabels};
use super::sink::Sink;
use super::{Late, Replayed, Replaying};
use crate::head::{Head, HeadSample, Lookup, MemSeries, Verdict};
use crate::head_chunks::LoadedChunks;
use crate::log::{ClosedSegment, Recovery};
use crate::stats::Counters;

/// Which log a record is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    InOrder,
    OutOfOrder,
}

pub(super) struct Records<'a, 's> {
    head: &'a Head,
    counters: &'a Counters,
    from: TimestampMs,
    chunks: LoadedChunks,
    late: Option<&'a Late<'a>>,
    sink: Sink<'s>,
    late_samples: LateSamples,
    references: References,
    unborn: UnbornLabels,
    refs: Vec<WalRef>,
    metadata_refs: HashMap<String, WalRef>,
    /// Above every reference that any record names. Also of a series whose own record is lost: given to another series, that one
    /// would have its samples at the next start.
    next_ref: u64,
    newest: TimestampMs,
    deleted_until: Option<TimestampMs>,
    builder: LabelsBuilder,
    lookup: Lookup,
    pub(super) recovery: Recovery,
}

/// Of one record of the log of samples out of order.
#[derive(Default)]
struct LateSamples {
    samples: Vec<HeadSample>,
    histograms: Vec<std::sync::Arc<NativeHistogram>>,
}

impl<'a, 's> Records<'a, 's> {
    pub(super) fn new(replaying: &'a Replaying<'a>, mut chunks: LoadedChunks, sink: Sink<'s>) -> Self {
        let mut recovery = Recovery::default();
        if let Some(damage) = chunks.damage.take() {
            recovery.add_damage(damage);
        }
        Self {
            head: replaying.head,
            counters: replaying.counters,
            from: replaying.from,
            next_ref: chunks.last_ref().map_or(1, |last| last.0.saturating_add(1)),
            chunks,
            late: replaying.late.as_ref(),
            sink,
            late_samples: LateSamples::default(),
            references: References::default(),
            unborn: UnbornLabels::default(),
            refs: Vec::new(),
            metadata_refs: HashMap::new(),
            newest: TimestampMs::MIN,
            deleted_until: None,
            builder: LabelsBuilder::default(),
            lookup: Lookup::default(),
            recovery,
        }
    }

    /// The newest time seen so far.
    pub(super) fn newest(&self) -> TimestampMs {
        self.newest
    }

    /// Takes in one record. What cannot be read of it is told and left out.
    pub(super) fn take(&mut self, path: &Path, kind: Kind, record: &[u8]) {
        let taken = match kind {
            Kind::InOrder => self.take_in_order(record),
            Kind::OutOfOrder => self.take_late(record),
        };
        if let Err(error) = taken {
            self.recovery.unreadable_records += 1;
            tracing::warn!(file = %path.display(), %error, "a record of the write-ahead log cannot be read; it is left out");
        }
    }

    /// The log of what comes in order has been read.
    pub(super) fn finish_in_order(&mut self) {
        self.sink.settle();
        if let Some(late) = self.late {
            late.ooo.follow(self.head);
        }
    }

    pub(super) fn finish(mut self, next_segment: u64, next_late_segment: u64, closed: Vec<ClosedSegment>) -> Replayed {
        let appended = self.sink.finish();
        self.recovery.samples = appended.floats + appended.histograms;
        self.recovery.repeated += appended.stale;
        self.counters.chunks.add(appended.chunks + self.recovery.head_chunks);
        self.counters.sealed_chunk_bytes.add(appended.sealed_bytes);
        Replayed {
            next_segment,
            next_late_segment,
            closed,
            refs: self.refs,
            metadata_refs: self.metadata_refs,
            next_ref: self.next_ref,
            // No deletion reaches what comes later, whatever another program has logged.
            deleted_until: self.deleted_until.map(|until| until.min(self.newest)),
            recovery: self.recovery,
        }
    }

    fn take_in_order(&mut self, record: &[u8]) -> Result<(), CorruptRecord> {
        match Record::decode(record)? {
            Record::Series(series) => { series }.try_for_each(|series| self.series(&series?)),
            Record::Samples(samples) => {
                for sample in samples {
                    let sample = sample?;
                    if let Some(slot) = self.slot_in_order(sample.series, sample.timestamp) {
                        self.sink.float(slot, sample.timestamp, sample.value);
                    }
                }
                Ok(())
            }
            Record::Histograms(histograms) => {
                for sample in histograms {
                    let sample = sample?;
                    if let Some(slot) = self.slot_in_order(sample.series, sample.timestamp) {
                        self.sink.histogram(slot, sample.timestamp, sample.histogram);
                    }
                }
                Ok(())
            }
            Record::Exemplars(exemplars) => { exemplars }.try_for_each(|exemplar| self.exemplar(&exemplar?)),
            Record::Metadata(metadata) => {
                for metadata in metadata {
                    let metadata = metadata?;
                    self.metadata(metadata.series, metadata.metadata);
                }
                Ok(())
            }
            Record::Tombstones(tombstones) => {
                // They delete what was logged before them.
                self.sink.settle();
                { tombstones }.try_for_each(|tombstone| {
                    self.delete(tombstone?);
                    Ok(())
                })
            }
            Record::Markers(_) => Ok(()),
            Record::Unknown(_) => Err(CorruptRecord { offset: 0, what: "a type of record that is not known" }),
        }
    }

    fn take_late(&mut self, record: &[u8]) -> Result<(), CorruptRecord> {
        let taken = self.gather_late(record);
        let LateSamples { samples, histograms } = &mut self.late_samples;
        if let Some(late) = self.late {
            for HeadSample { slot, at, .. } in &*samples {
                if self.head.read(*slot, MemSeries::newest_time).is_none_or(|newest| newest < *at) {
                    late.ooo.note_orphan(*at);
                }
            }
            let new = late.ooo.append_new(samples, histograms, late.now);
            self.recovery.out_of_order += new;
            self.recovery.repeated += samples.len() as u64 - new;
        }
        samples.clear();
        histograms.clear();
        taken
    }

    fn gather_late(&mut self, record: &[u8]) -> Result<(), CorruptRecord> {
        match Record::decode(record)? {
            Record::Samples(samples) => {
                for sample in samples {
                    let sample = sample?;
                    if let Some(slot) = self.slot_late(sample.series) {
                        let value = sample.value.to_bits();
                        let sample = HeadSample { slot, is_histogram: false, at: sample.timestamp, value };
                        self.late_samples.samples.push(sample);
                    }
                }
                Ok(())
            }
            Record::Histograms(histograms) => {
                for sample in histograms {
                    let sample = sample?;
                    if let Some(slot) = self.slot_late(sample.series) {
                        let LateSamples { samples, histograms } = &mut self.late_samples;
                        let value = histograms.len() as u64;
                        samples.push(HeadSample { slot, is_histogram: true, at: sample.timestamp, value });
                        histograms.push(sample.histogram.into());
                    }
                }
                Ok(())
            }
            // Prometheus' own: their samples are here, too.
            Record::Markers(_) => Ok(()),
            _ => Err(CorruptRecord { offset: 0, what: "a record that the log of samples out of order does not have" }),
        }
    }

    fn series(&mut self, series: &LoggedSeries<'_>) -> Result<(), CorruptRecord> {
        self.count(series.series);
        let place = self.unborn.push(series.labels.encoded());
        if let Reference::Unborn(before) = self.references.set(series.series, Reference::Unborn(place)) {
            self.unborn.release(before);
        }
        Ok(())
    }

    #[inline]
    fn count(&mut self, series: WalRef) {
        self.next_ref = self.next_ref.max(series.0.saturating_add(1));
    }

    /// The slot of a series that has a sample in order, unless that is in a block.
    #[inline]
    fn slot_in_order(&mut self, series: WalRef, at: TimestampMs) -> Option<u32> {
        self.newest = self.newest.max(at);
        self.count(series);
        if at < self.from {
            self.recovery.in_blocks += 1;
            return None;
        }
        self.slot(series)
    }

    /// The slot of a series that has a sample out of order.
    fn slot_late(&mut self, series: WalRef) -> Option<u32> {
        self.count(series);
        self.slot(series)
    }

    #[inline]
    fn slot(&mut self, series: WalRef) -> Option<u32> {
        match self.references.get(series) {
            Reference::Slot(slot) => Some(slot),
            Reference::Unborn(_) => self.bear(series),
            Reference::Unknown => {
                self.recovery.without_series += 1;
                None
            }
        }
    }

    /// Makes the series of a reference, unless another reference stands for it already.
    fn bear(&mut self, series: WalRef) -> Option<u32> {
        let Reference::Unborn(place) = self.references.get(series) else { return None };
        let Some(labels) = labels(self.unborn.get(place), &mut self.builder) else {
            self.recovery.without_series += 1;
            return None;
        };
        self.unborn.release(place);
        let found = self.head.index.read().find(&labels, &mut self.lookup);
        let slot = found.unwrap_or_else(|| {
            self.refs.push(series);
            let slot = self.head.add_series(&labels);
            self.recovery.head_chunks += self.chunks.attach(self.head, slot, series);
            slot
        });
        self.refs[slot as usize] = series;
        self.references.set(series, Reference::Slot(slot));
        Some(slot)
    }

    fn exemplar(&mut self, logged: &LoggedExemplar<'_>) -> Result<(), CorruptRecord> {
        self.count(logged.series);
        let labels = logged.labels.to_labels(&mut self.builder);
        let labels = labels.map_err(|_| CorruptRecord { offset: 0, what: "labels that are no label set" })?;
        if let Some(slot) = self.slot(logged.series) {
            let exemplar = Exemplar { labels, timestamp: logged.timestamp, value: logged.value };
            let mut ring = self.head.exemplars.lock();
            if ring.judge(slot, &exemplar, std::iter::empty()) == Verdict::Add {
                ring.add(slot, exemplar);
            }
        }
        Ok(())
    }

    fn delete(&mut self, tombstone: Tombstone) {
        if tombstone.end >= self.from {
            self.deleted_until = self.deleted_until.max(Some(tombstone.end));
        }
        // Of what is in blocks alone, or of a series that is gone, there is nothing to delete.
        if let Reference::Slot(slot) = self.references.get(tombstone.series) {
            let range = TimeRange { start: tombstone.start, end: tombstone.end };
            match self.head.delete(slot, range) {
                Ok(samples) => self.recovery.deleted += samples,
                Err(error) => tracing::error!(%error, "samples that were deleted cannot be left out"),
            }
        }
    }

    fn metadata(&mut self, series: WalRef, metadata: Metadata) {
        self.count(series);
        let labels = match self.references.get(series) {
            Reference::Unborn(place) => labels(self.unborn.get(place), &mut self.builder),
            Reference::Slot(slot) => Some(self.head.index.read().labels(slot, &mut self.builder)),
            Reference::Unknown => None,
        };
        let Some(labels) = labels else {
            self.recovery.without_series += 1;
            return;
        };
        let name = labels.metric_name().to_owned();
        self.metadata_refs.insert(name.clone(), series);
        self.head.metadata.write().insert(name, metadata);
    }
}

/// The label set that was logged; `None` when it is none, which is no series either.
fn labels(encoded: &[u8], builder: &mut LabelsBuilder) -> Option<Labels> {
    LabelPairs::of(encoded).to_labels(builder).ok()
}
