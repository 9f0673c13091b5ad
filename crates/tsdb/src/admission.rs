//! Decides sample by sample what is taken, in order of arrival, and writes down what is: records for the log, and what the
//! head is to be changed to once they are in it.
//!
//! All batches of a group are judged before any of them reaches the head. So a sample is compared with what its series
//! has in the head *and* with what the group has taken for it so far: `marks` leads from a series to its newest sample in
//! the group, `previous` from there to the one before.
//!
//! A sample that is not newer than its series, or too old for the head, is *late*: it is compared with all that is in memory for
//! its series, and goes to the out-of-order store ([`late`]).

mod late;
mod records;

use std::sync::Arc;

use environment::Monotonic;
use hashbrown::HashMap;
use model::{Exemplar, Labels, LabelsBuilder, Metadata, NativeHistogram, TimestampMs};
use storage::{AppendError, CommitError, Committed, ElementKind, Rejection, TimeRange};
use tsdb_format::wal::record::{HistogramKind, WalRef};

use crate::batch::{Batch, BatchSample, BatchSeries, Known, NewSeries};
use crate::head::{Head, HeadSample, Lookup, Page, Value, Verdict, place};
use crate::key_cache::{KeyCache, KeyHash};
use crate::log::{Log, Replayed};
use crate::ooo::Ooo;
use crate::settings::Settings;
use crate::stats::Counters;
use late::Late;
use records::{Records, kind};

/// What a group of batches brings, and what is known about series beyond the head.
pub(crate) struct Admission {
    refs: Vec<WalRef>,
    metadata_refs: HashMap<String, WalRef>,
    next_ref: u64,
    /// By slot: one plus the index of the series' newest sample among `samples`; 0 for none; [`DEAD`] for dead series and for
    /// slots of nobody.
    marks: Vec<u32>,
    samples: Vec<HeadSample>,
    /// For each sample: the mark of its series before it.
    previous: Vec<u32>,
    /// Marks of the first so many samples by series and time, where it was needed.
    by_time: HashMap<(u32, i64), u32>,
    histograms: Vec<Arc<NativeHistogram>>,
    exemplars: Vec<(u32, Exemplar)>,
    /// Of this group, by family.
    metadata: HashMap<String, Metadata>,
    /// What all metadata take, in the head and in the group.
    metadata_bytes: usize,
    new_series: Vec<(u32, Labels)>,
    /// Dead series of which the group brings something.
    revived: Vec<u32>,
    new_slots: HashMap<Labels, u32>,
    keys: Vec<(KeyHash, u32)>,
    records: Records,
    late: Late,
    /// The batch being judged has late samples, or some that a batch before brought.
    uses_late: bool,
    /// For the batch being judged: slots of its new series, or [`UNBORN`].
    born: Vec<u32>,
    builder: LabelsBuilder,
    lookup: Lookup,
    /// The page read last and its number. Pages stay where they are.
    page: Option<(usize, Arc<Page>)>,
}

/// What is judged with.
pub(crate) struct Bench<'a> {
    pub(crate) head: &'a Head,
    pub(crate) ooo: &'a Ooo,
    pub(crate) settings: &'a Settings,
    pub(crate) counters: &'a Counters,
    pub(crate) log: &'a mut Log,
}

/// What is said of a batch.
pub(crate) struct Judged {
    pub(crate) committed: Committed,
    /// It holds only if the log of late samples is written, too.
    pub(crate) uses_late: bool,
}

impl Admission {
    pub(crate) fn new(refs: Vec<WalRef>, metadata_refs: HashMap<String, WalRef>, next_ref: u64) -> Self {
        Self {
            marks: vec![0; refs.len()],
            refs,
            metadata_refs,
            next_ref,
            samples: Vec::new(),
            previous: Vec::new(),
            by_time: HashMap::new(),
            histograms: Vec::new(),
            exemplars: Vec::new(),
            metadata: HashMap::new(),
            metadata_bytes: 0,
            new_series: Vec::new(),
            revived: Vec::new(),
            new_slots: HashMap::new(),
            keys: Vec::new(),
            records: Records::default(),
            late: Late::new(),
            uses_late: false,
            born: Vec::new(),
            builder: LabelsBuilder::default(),
            lookup: Lookup::default(),
            page: None,
        }
    }

    pub(crate) fn after(replayed: &mut Replayed, head: &Head) -> Self {
        let refs = std::mem::take(&mut replayed.refs);
        let metadata_bytes = head.metadata.read().iter().map(|(name, metadata)| bytes_of(name, metadata)).sum();
        Self { metadata_bytes, ..Self::new(refs, std::mem::take(&mut replayed.metadata_refs), replayed.next_ref) }
    }

    /// How the log names the series of a slot.
    pub(crate) fn reference(&self, slot: u32) -> WalRef {
        self.refs[slot as usize]
    }

    /// How it names all series that may have samples, and some that had.
    pub(crate) fn references(&self) -> &[WalRef] {
        &self.refs
    }

    /// How it names metric families.
    pub(crate) fn metadata_references(&self) -> &HashMap<String, WalRef> {
        &self.metadata_refs
    }

    /// The last name it gave.
    pub(crate) fn last_reference(&self) -> Option<WalRef> {
        self.next_ref.checked_sub(1).map(WalRef)
    }

    /// Judges a batch. What it says holds once the logs are written and [`Admission::apply`] is done.
    ///
    /// # Errors
    /// [`CommitError::Busy`] when there is no room for its late samples at the moment; nothing of it is taken then.
    pub(crate) fn admit(&mut self, bench: &mut Bench<'_>, batch: &mut Batch) -> Result<Judged, CommitError> {
        self.late.follow(bench.head, bench.ooo, bench.settings);
        self.late.plan(bench.ooo, batch.samples.iter().map(|sample| sample.timestamp)).map_err(|busy| {
            bench.counters.busy.add(1);
            CommitError::Busy(busy.to_string().into())
        })?;
        self.uses_late = false;
        let mut committed = Committed::default();
        self.find_new_series(bench.head, batch);
        for sample in &batch.samples {
            match self.admit_sample(bench, batch, sample) {
                Ok(()) if sample.is_histogram => committed.histograms += 1,
                Ok(()) => committed.samples += 1,
                Err(error) => {
                    let kind = if sample.is_histogram { ElementKind::Histogram } else { ElementKind::Sample };
                    committed.rejected.push(self.rejection(bench, batch, (sample.series, kind), error));
                }
            }
        }
        for (series, exemplar) in std::mem::take(&mut batch.exemplars) {
            match self.admit_exemplar(bench, batch, series, exemplar) {
                Ok(()) => committed.exemplars += 1,
                Err(error) => {
                    let element = (series, ElementKind::Exemplar);
                    committed.rejected.push(self.rejection(bench, batch, element, error));
                }
            }
        }
        for (name, metadata) in std::mem::take(&mut batch.metadata) {
            self.admit_metadata(bench, name, metadata);
        }
        // A dead one's key would still name its slot when that is another series'.
        let is_alive = |slot: u32| slot != UNBORN && self.marks[slot as usize] != DEAD;
        let born = batch.new_series.iter().zip(&self.born).filter(|(_, slot)| is_alive(**slot));
        self.keys.extend(born.filter_map(|(series, slot)| Some((series.key?, *slot))));
        Ok(Judged { committed, uses_late: self.uses_late })
    }

    /// Ends the group's records.
    pub(crate) fn finish(&mut self, log: &mut Log) {
        self.records.flush(|record| log.push(record));
    }

    /// Whether the group has late samples.
    pub(crate) fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Ends the group's records of late samples.
    pub(crate) fn finish_late(&mut self, give: impl FnMut(&[u8])) {
        self.late.finish(give);
    }

    /// Changes the out-of-order store as was judged. Before [`Admission::apply`].
    pub(crate) fn apply_late(&mut self, ooo: &Ooo, counters: &Counters, now: Monotonic) {
        let late = self.late.samples();
        if late.is_empty() {
            return;
        }
        ooo.append(late, self.late.histograms(), now);
        let histograms = self.late.histograms().len() as u64;
        counters.samples_appended.add(late.len() as u64 - histograms);
        counters.histograms_appended.add(histograms);
        counters.out_of_order_appended.add(late.len() as u64);
    }

    /// Changes the head as was judged, and is ready for the next group.
    pub(crate) fn apply(&mut self, head: &Head, keys: &KeyCache, counters: &Counters) {
        if !self.revived.is_empty() {
            head.revive(&self.revived);
            self.revived.clear();
        }
        head.add_all(std::mem::take(&mut self.new_series));
        self.new_slots.clear();
        let appended = head.append(&self.samples, &self.histograms);
        debug_assert_eq!(appended.stale, 0, "what is taken is newer than what was there");
        counters.samples_appended.add(appended.floats);
        counters.histograms_appended.add(appended.histograms);
        counters.chunks.add(appended.chunks);
        counters.sealed_chunk_bytes.add(appended.sealed_bytes);
        if !self.exemplars.is_empty() {
            let mut ring = head.exemplars.lock();
            counters.exemplars_appended.add(self.exemplars.len() as u64);
            self.exemplars.drain(..).for_each(|(slot, exemplar)| ring.add(slot, exemplar));
        }
        if !self.metadata.is_empty() {
            head.metadata.write().extend(self.metadata.drain());
        }
        let evicted = self.keys.drain(..).filter(|(key, slot)| keys.insert(*key, *slot)).count();
        counters.series_cache_evictions.add(evicted as u64);
        self.forget_samples();
    }

    /// Forgets the group: its records could not be logged, so nothing of it has happened.
    pub(crate) fn abandon(&mut self, head: &Head) {
        self.records.flush(|_| {});
        self.new_slots.clear();
        self.keys.clear();
        self.exemplars.clear();
        for (name, metadata) in self.metadata.drain() {
            let stored = head.metadata.read().get(&name).map_or(0, |stored| bytes_of(&name, stored));
            self.metadata_bytes = self.metadata_bytes + stored - bytes_of(&name, &metadata);
            // Its series record may be lost: the next one is written anew.
            self.metadata_refs.remove(&name);
        }
        self.forget_samples();
        for (slot, _) in self.new_series.drain(..) {
            self.marks[slot as usize] = DEAD;
            head.give_back_slot(slot);
        }
        // Their new references are unknown to the log.
        for slot in self.revived.drain(..) {
            self.marks[slot as usize] = DEAD;
        }
    }

    /// These series have died: what comes of them brings them back.
    pub(crate) fn bury(&mut self, dead: &[u32]) {
        for slot in dead {
            self.marks[*slot as usize] = DEAD;
        }
    }

    /// Gives back memory that is kept for the next group.
    pub(crate) fn rest(&mut self) {
        self.samples = Vec::new();
        self.previous = Vec::new();
        self.histograms = Vec::new();
        self.exemplars = Vec::new();
        self.born = Vec::new();
        self.records = Records::default();
        self.late.rest();
        self.page = None;
    }

    fn forget_samples(&mut self) {
        self.late.forget();
        for sample in &self.samples {
            self.marks[sample.slot as usize] = 0;
        }
        self.samples.clear();
        self.previous.clear();
        self.by_time = HashMap::new();
        self.histograms.clear();
        // One unusually large group must not cost memory for ever.
        self.samples.shrink_to(KEPT_SAMPLES_MAX);
        self.previous.shrink_to(KEPT_SAMPLES_MAX);
    }

    /// Which of the batch's new series have come to be since it asked.
    fn find_new_series(&mut self, head: &Head, batch: &Batch) {
        self.born.clear();
        if batch.new_series.is_empty() {
            return;
        }
        let index = head.index.read();
        for NewSeries { labels, .. } in &batch.new_series {
            let slot = self.new_slots.get(labels).copied().or_else(|| index.find(labels, &mut self.lookup));
            self.born.push(slot.unwrap_or(UNBORN));
        }
    }

    /// The series' slot; makes it if it is new, and brings it back if it is dead. Called only when something of it is taken: a
    /// series without samples does not come to be.
    fn slot(&mut self, bench: &mut Bench<'_>, batch: &Batch, series: BatchSeries) -> Result<u32, AppendError> {
        let slot = match series.known() {
            Known::Head(slot) => slot,
            Known::New(index) if self.born[index] != UNBORN => self.born[index],
            Known::New(index) => return self.bear(bench, batch, index),
        };
        if self.marks[slot as usize] == DEAD {
            self.revive(bench, slot);
        }
        Ok(slot)
    }

    #[cold]
    fn bear(&mut self, bench: &mut Bench<'_>, batch: &Batch, index: usize) -> Result<u32, AppendError> {
        let limit = bench.settings.series_max;
        if bench.head.used_slots() >= limit {
            return Err(AppendError::SeriesLimit { limit: u64::from(limit) });
        }
        let slot = bench.head.take_slot();
        let labels = &batch.new_series[index].labels;
        self.log_series(slot, labels);
        self.new_series.push((slot, labels.clone()));
        self.new_slots.insert(labels.clone(), slot);
        self.born[index] = slot;
        Ok(slot)
    }

    /// The log may have forgotten the series since it died, so it is named again.
    #[cold]
    fn revive(&mut self, bench: &mut Bench<'_>, slot: u32) {
        let labels = bench.head.index.read().labels(slot, &mut self.builder);
        self.log_series(slot, &labels);
        self.revived.push(slot);
    }

    /// Gives the series of a slot a reference.
    fn log_series(&mut self, slot: u32, labels: &Labels) {
        let (reference, place) = (self.next_ref(), slot as usize);
        self.records.series.push(reference, labels);
        if place >= self.refs.len() {
            // Slots between belong to nobody so far.
            self.refs.resize(place + 1, WalRef(0));
            self.marks.resize(place + 1, DEAD);
        }
        self.refs[place] = reference;
        self.marks[place] = 0;
    }

    fn next_ref(&mut self) -> WalRef {
        let reference = WalRef(self.next_ref);
        self.next_ref += 1;
        reference
    }

    #[inline]
    fn admit_sample(&mut self, bench: &mut Bench<'_>, batch: &Batch, sample: &BatchSample) -> Result<(), AppendError> {
        let at = sample.timestamp;
        if at < self.late.floor()
            && self.has_nothing(sample.series)
            && let Some(refusal) = self.late.refusal(at, None)
        {
            return Err(refusal);
        }
        let slot = self.slot(bench, batch, sample.series)?;
        let value = match sample.is_histogram {
            true => Value::Histogram(Arc::clone(&batch.histograms[sample.value as usize])),
            false => Value::Float(f64::from_bits(sample.value)),
        };
        let newest = match self.marks[slot as usize] {
            0 if slot < bench.head.slot_count() => self.newest_in_head(bench.head, slot),
            0 => None,
            mark => Some(self.taken(mark)),
        };
        if at >= self.late.floor() && newest.as_ref().is_none_or(|(newest, _)| at > *newest) {
            self.take(bench.log, slot, at, value);
            return Ok(());
        }
        self.admit_late(bench, slot, at, value, newest)
    }

    /// Whether the series has to come to be, or back, before it can have a sample.
    fn has_nothing(&self, series: BatchSeries) -> bool {
        match series.known() {
            Known::Head(slot) => self.marks[slot as usize] == DEAD,
            Known::New(index) => self.born[index] == UNBORN,
        }
    }

    /// Judges a sample that does not belong to the end of its series in the head.
    fn admit_late(
        &mut self,
        bench: &Bench<'_>,
        slot: u32,
        at: TimestampMs,
        value: Value,
        newest: Option<(TimestampMs, Value)>,
    ) -> Result<(), AppendError> {
        let newest_at = newest.as_ref().map(|(at, _)| *at);
        let stored = match newest {
            Some((newest, stored)) if newest == at => Some(stored),
            _ => self.find_stored(bench, slot, at, newest_at),
        };
        match stored {
            Some(stored) if stored.same(&value) => {
                bench.counters.duplicates.add(1);
                Ok(())
            }
            Some(_) => Err(AppendError::DuplicateTimestamp { at }),
            None => {
                if let Some(refusal) = self.late.refusal(at, newest_at) {
                    return Err(refusal);
                }
                self.uses_late = true;
                self.late.take(slot, self.refs[slot as usize], at, value);
                Ok(())
            }
        }
    }

    /// Looks up a page once for all its neighbours.
    #[inline]
    fn newest_in_head(&mut self, head: &Head, slot: u32) -> Option<(TimestampMs, Value)> {
        let (number, place) = place(slot);
        let page = match &self.page {
            Some((cached, page)) if *cached == number => page,
            _ => &self.page.insert((number, head.page(number))).1,
        };
        page.read()[place].newest()
    }

    /// A sample that the group took.
    fn taken(&self, mark: u32) -> (TimestampMs, Value) {
        let sample = &self.samples[mark as usize - 1];
        (sample.at, sample.value(&self.histograms))
    }

    /// The value that the series has at this time in memory, or that the group has taken for it.
    fn find_stored(
        &mut self,
        bench: &Bench<'_>,
        slot: u32,
        at: TimestampMs,
        newest: Option<TimestampMs>,
    ) -> Option<Value> {
        if let Some(late) = self.late.find(slot, at) {
            self.uses_late = true;
            return Some(late);
        }
        if newest.is_some_and(|newest| at < newest) {
            let in_order = self.find_taken(slot, at).or_else(|| find_in_head(bench.head, slot, at));
            if in_order.is_some() {
                return in_order;
            }
        }
        bench.ooo.find(slot, at)
    }

    /// The value that the group has taken for this time, in order.
    fn find_taken(&mut self, slot: u32, at: TimestampMs) -> Option<Value> {
        let mut mark = self.marks[slot as usize];
        for _ in 0..WALK_MAX {
            if mark == 0 {
                return None;
            }
            let (time, value) = self.taken(mark);
            if time <= at {
                return (time == at).then_some(value);
            }
            mark = self.previous[mark as usize - 1];
        }
        // A batch with long runs of one series must not cost their square.
        let first = self.by_time.len();
        let more = self.samples[first..]
            .iter()
            .zip(first as u32 + 1..)
            .map(|(sample, mark)| ((sample.slot, sample.at.0), mark));
        self.by_time.extend(more);
        let mark = *self.by_time.get(&(slot, at.0))?;
        Some(self.taken(mark).1)
    }

    fn take(&mut self, log: &mut Log, slot: u32, at: TimestampMs, value: Value) {
        let mark = self.marks[slot as usize];
        if mark != 0 && self.kind_of(mark) != kind(&value) {
            // Records of different kinds are written one after the other; a series' samples must keep their order.
            self.records.flush(|record| log.push(record));
        }
        self.records.sample(self.refs[slot as usize], at, &value);
        log.cover(at);
        let (is_histogram, value) = match value {
            Value::Float(value) => (false, value.to_bits()),
            Value::Histogram(histogram) => {
                self.histograms.push(histogram);
                (true, self.histograms.len() as u64 - 1)
            }
        };
        self.samples.push(HeadSample { slot, is_histogram, at, value });
        self.previous.push(mark);
        self.marks[slot as usize] = self.samples.len() as u32;
        self.records.flush_if_large(log);
    }

    fn kind_of(&self, mark: u32) -> Option<HistogramKind> {
        kind(&self.taken(mark).1)
    }

    fn admit_exemplar(
        &mut self,
        bench: &mut Bench<'_>,
        batch: &Batch,
        series: BatchSeries,
        exemplar: Exemplar,
    ) -> Result<(), AppendError> {
        let slot = self.slot(bench, batch, series)?;
        let waiting = self.exemplars.iter().rev().filter(|(other, _)| *other == slot).map(|(_, exemplar)| exemplar);
        match bench.head.exemplars.lock().judge(slot, &exemplar, waiting) {
            Verdict::Known => return Ok(()),
            Verdict::OutOfOrder { newest } => {
                return Err(AppendError::OutOfOrderExemplar { at: exemplar.timestamp, newest });
            }
            Verdict::Add => {}
        }
        let reference = self.refs[slot as usize];
        self.records.exemplars.push(reference, exemplar.timestamp, exemplar.value, &exemplar.labels);
        self.exemplars.push((slot, exemplar));
        self.records.flush_if_large(bench.log);
        Ok(())
    }

    fn admit_metadata(&mut self, bench: &mut Bench<'_>, name: String, metadata: Metadata) {
        let stored = bench.head.metadata.read();
        let known = self.metadata.get(&name).or_else(|| stored.get(&name));
        if known == Some(&metadata) || name.is_empty() {
            return;
        }
        let replaced = known.map_or(0, |known| bytes_of(&name, known));
        let bytes = self.metadata_bytes - replaced + bytes_of(&name, &metadata);
        let is_too_many = known.is_none() && stored.len() + self.metadata.len() >= bench.settings.metadata_max;
        if is_too_many || bytes > bench.settings.metadata_bytes_max {
            bench.counters.metadata_refused.add(1);
            return;
        }
        drop(stored);
        self.metadata_bytes = bytes;
        let reference = match self.metadata_refs.get(&name) {
            Some(reference) => *reference,
            None => {
                // The log knows metadata of series only. This one has the family's name and never a sample.
                let labels = Labels::from_pairs([(model::METRIC_NAME, &name)]).expect("one label is a label set");
                let reference = self.next_ref();
                self.records.series.push(reference, &labels);
                self.metadata_refs.insert(name.clone(), reference);
                reference
            }
        };
        self.records.metadata.push(reference, &metadata);
        self.metadata.insert(name, metadata);
        self.records.flush_if_large(bench.log);
    }

    #[cold]
    fn rejection(
        &mut self,
        bench: &Bench<'_>,
        batch: &Batch,
        (series, kind): (BatchSeries, ElementKind),
        error: AppendError,
    ) -> Rejection {
        bench.counters.rejected(&error);
        let labels = match series.known() {
            Known::New(index) => batch.new_series[index].labels.clone(),
            Known::Head(slot) => bench.head.index.read().labels(slot, &mut self.builder),
        };
        Rejection { labels, kind, error }
    }
}

/// The value that the head has for this time.
fn find_in_head(head: &Head, slot: u32, at: TimestampMs) -> Option<Value> {
    if slot >= head.slot_count() {
        return None;
    }
    let chunk = head.read(slot, |series| series.chunks(TimeRange { start: at, end: at })).pop()?;
    chunk.value_at(at).unwrap_or_else(|error| {
        tracing::error!(%error, "a chunk in memory cannot be read");
        None
    })
}

/// Memory that metadata take: the name stands in two maps.
fn bytes_of(name: &str, metadata: &Metadata) -> usize {
    2 * name.len() + metadata.help.len() + metadata.unit.len() + METADATA_ENTRY_BYTES
}

/// Of both maps, beside the texts.
const METADATA_ENTRY_BYTES: usize = 200;

/// A new series of which nothing has been taken yet.
const UNBORN: u32 = u32::MAX;

/// The mark of a slot whose series has to be named to the log before anything of it is.
const DEAD: u32 = u32::MAX;

/// Steps back through a series' samples of a group before they are found by their times.
const WALK_MAX: usize = 64;

const KEPT_SAMPLES_MAX: usize = 128 << 10;
