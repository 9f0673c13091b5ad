//! Reading the log back: the oldest segment's checkpoint and everything after it.
//!
//! A *torn tail* is damage at the end of the last segment, or behind the length that the next checkpoint gives a segment: what
//! remains of a write that nobody got an answer for. Damage anywhere else took what had been answered. Entries whose
//! front is still whole wait no longer and are to be settled as damaged; what vanished without a trace is found by the
//! next checkpoint, which knows how much had been received.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use environment::Disk;

use crate::files::{Files, list_numbered};
use crate::frame::{begins_like_a_record, read_frame, resume};
use crate::index::Index;
use crate::record::{CHECKPOINT_BYTES, Checkpoint, Record, front_of_damaged, parse};
use crate::segment::{Meta, Segments};
use crate::totals::{Reconciliation, Totals, plus};
use crate::{Counts, EntryId};

/// What a log says.
#[derive(Default)]
pub(crate) struct Recovered {
    pub(crate) segments: Segments,
    pub(crate) totals: Totals,
    pub(crate) next_id: u64,
    /// Number and valid bytes of the last segment.
    pub(crate) last: (u64, u64),
    /// Of a segment to be started; no file has it.
    pub(crate) next_number: u64,
    pub(crate) torn_bytes: u64,
    /// Entries that are known but cannot be read.
    pub(crate) damaged: Vec<EntryId>,
    /// Samples lost without a trace but that they had been received.
    pub(crate) lost: Counts,
    /// Files with damage that no index knows yet.
    pub(crate) damaged_files: Vec<PathBuf>,
    /// Remains of failed writes: files of no use, and lengths that files are to be cut to.
    pub(crate) useless: Vec<PathBuf>,
    pub(crate) to_cut: Vec<(PathBuf, u64)>,
    /// Indexes that segments lack.
    pub(crate) indexes: Vec<Index>,
}

/// Reads the log. Changes nothing on the disk.
///
/// # Errors
/// What the disk says, and where.
pub(crate) fn recover(disk: &dyn Disk, files: &Files) -> Result<Recovered, (PathBuf, io::Error)> {
    let (numbers, index_numbers) = list_numbered(disk, &files.log()).map_err(|error| (files.log(), error))?;
    let mut found = BTreeMap::new();
    for &number in &numbers {
        found.insert(number, Found::look(disk, files, number, index_numbers.binary_search(&number).is_ok())?);
    }
    let mut recovered =
        Recovered { next_id: 1, next_number: numbers.last().map_or(1, |last| last + 1), ..Recovered::default() };
    let orphans = index_numbers.iter().filter(|number| numbers.binary_search(number).is_err());
    recovered.useless.extend(orphans.map(|number| files.index(*number)));
    limit(&mut found, files, &mut recovered);

    let mut reading = Reading { recovered, reconciliation: Reconciliation::default(), accounted_id: 1 };
    for (position, (number, segment)) in found.into_iter().enumerate() {
        reading.opening(segment.opening.as_ref(), position == 0);
        match segment.index {
            Some(index) => reading.indexed(index),
            None => {
                let path = files.segment(number);
                let bytes = disk.read(&path).map_err(|error| (path.clone(), error))?;
                reading.scan(number, path, &bytes, segment.limit);
            }
        }
    }
    Ok(reading.finish())
}

/// What a segment says of which there is no other.
pub(crate) fn scan_alone(number: u64, path: PathBuf, bytes: &[u8]) -> Recovered {
    let recovered = Recovered { next_id: 1, ..Recovered::default() };
    let mut reading = Reading { recovered, reconciliation: Reconciliation::default(), accounted_id: 1 };
    reading.opening(opening(number, bytes).as_ref(), true);
    reading.scan(number, path, bytes, None);
    reading.finish()
}

/// The checkpoint at the beginning of a segment, if it is whole.
fn opening(number: u64, bytes: &[u8]) -> Option<Checkpoint> {
    let frame = read_frame(number, 0, bytes).ok()??;
    match parse(&frame)? {
        Record::Checkpoint(checkpoint) => Some(*checkpoint),
        _ => None,
    }
}

/// A segment before it is read.
struct Found {
    opening: Option<Checkpoint>,
    index: Option<Index>,
    /// Its valid bytes, as the next segment knows them.
    limit: Option<u64>,
}

impl Found {
    fn look(disk: &dyn Disk, files: &Files, number: u64, indexed: bool) -> Result<Self, (PathBuf, io::Error)> {
        let path = files.segment(number);
        let read = || {
            let file = disk.open_read(&path)?;
            if indexed
                && let Ok(bytes) = disk.read(&files.index(number))
                && let Some(index) = Index::parse(&bytes)
                && index.number == number
                && index.bytes <= file.len()?
            {
                return Ok(Self { opening: Some(index.opening.clone()), index: Some(index), limit: None });
            }
            let mut bytes = [0; CHECKPOINT_BYTES];
            let count = file.read_at(&mut bytes, 0)?;
            let opening = opening(number, &bytes[..count]);
            Ok(Self { opening, index: None, limit: None })
        };
        read().map_err(|error| (path.clone(), error))
    }
}

/// Takes from later checkpoints how long each segment is, and removes those that no log goes through.
fn limit(found: &mut BTreeMap<u64, Found>, files: &Files, recovered: &mut Recovered) {
    let mut continued: Option<(u64, u64)> = None;
    let mut void = Vec::new();
    for (&number, segment) in found.iter_mut().rev() {
        match continued {
            Some((previous, _)) if number > previous => {
                void.push(number);
                continue;
            }
            Some((previous, bytes)) if number == previous => segment.limit = Some(bytes),
            _ => {}
        }
        // A segment whose checkpoint is damaged says nothing of those before it.
        continued = segment.opening.as_ref().map(|opening| opening.previous);
    }
    for number in void {
        found.remove(&number);
        recovered.useless.extend([files.segment(number), files.index(number)]);
    }
}

struct Reading {
    recovered: Recovered,
    reconciliation: Reconciliation,
    /// Entries before this one are part of what the last checkpoint calls received.
    accounted_id: u64,
}

impl Reading {
    fn opening(&mut self, opening: Option<&Checkpoint>, is_first: bool) {
        let Some(opening) = opening else { return };
        if is_first {
            self.recovered.totals = opening.totals.clone();
        } else {
            self.reconciliation.checkpoint(&mut self.recovered.totals, &opening.totals);
        }
        self.accounted_id = opening.next_id;
        self.recovered.next_id = self.recovered.next_id.max(opening.next_id);
    }

    fn indexed(&mut self, index: Index) {
        let recovered = &mut self.recovered;
        recovered.totals.add_between(&index.opening.totals, &index.closing.totals);
        recovered.next_id = recovered.next_id.max(index.closing.next_id);
        let segment = recovered.segments.start(index.number, index.bytes);
        index.entries.into_iter().for_each(|meta| segment.push(meta));
        recovered.last = (index.number, index.bytes);
        for id in index.settled {
            self.settled(id);
        }
    }

    /// An outcome is in the log. Says whether its entry is known.
    fn settled(&mut self, id: u64) -> bool {
        let Some(place) = self.recovered.segments.find(EntryId(id)) else { return false };
        self.recovered.segments.settle(place);
        self.recovered.segments.outcome_written(EntryId(id), 0);
        true
    }

    fn scan(&mut self, number: u64, path: PathBuf, bytes: &[u8], limit: Option<u64>) {
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let valid = &bytes[..limit.map_or(bytes.len(), |limit| limit.min(bytes.len()))];
        // A segment shorter than the next one knows it lost its end in a power cut; then a torn tail is no damage either.
        let answered = limit.is_some_and(|limit| limit <= bytes.len());
        let mut damaged = false;
        let before = Checkpoint {
            next_id: self.recovered.next_id,
            previous: self.recovered.last,
            totals: self.recovered.totals.clone(),
        };
        let mut opening = before.clone();
        let mut settled = Vec::new();
        self.recovered.segments.start(number, 0);
        let mut at = 0;
        while at < valid.len() {
            let record = read_frame(number, at as u64, &valid[at..]).ok().flatten();
            let (end, record) = match record.as_ref().and_then(|frame| Some((frame, parse(frame)?))) {
                Some((frame, record)) => (at + crate::frame::HEADER_BYTES + frame.payload.len(), Some(record)),
                None => match self.damage(number, valid, at, answered) {
                    Some(end) => {
                        damaged = true;
                        (end, None)
                    }
                    None => break,
                },
            };
            match record {
                Some(Record::Checkpoint(checkpoint)) if at == 0 => opening = *checkpoint,
                Some(record) => self.record(record, at, end - at, &mut settled),
                None => {}
            }
            at = end;
        }
        // What a failed write left behind begins as a record does; anything else was something else once.
        damaged |= !begins_like_a_record(&valid[at..]);
        let mut closing = opening.totals.clone();
        closing.add_between(&before.totals, &self.recovered.totals);
        let closing = Checkpoint { next_id: self.recovered.next_id, previous: (0, 0), totals: closing };
        let index = Index { number, bytes: at as u64, opening, closing, entries: Vec::new(), settled };
        self.end_of_scan(index, path, bytes.len() as u64, damaged);
    }

    /// Where to go on behind damage at `at`; none when it is a torn tail.
    fn damage(&mut self, number: u64, valid: &[u8], at: usize, answered: bool) -> Option<usize> {
        if let Some((front, length)) = front_of_damaged(number, at as u64, &valid[at..])
            && at + length <= valid.len()
        {
            // Known, whole in length, but its hashes or body are not what was written.
            let id = EntryId(front.id);
            self.entry(Meta::new(&front, at as u32, length as u32));
            self.recovered.damaged.push(id);
            return Some(at + length);
        }
        match resume(number, valid, at) {
            Some(next) => Some(next),
            None => answered.then_some(valid.len()),
        }
    }

    fn entry(&mut self, meta: Meta) {
        let recovered = &mut self.recovered;
        if meta.id < recovered.next_id {
            // Ids count up; a smaller one is no entry of ours.
            return;
        }
        recovered.totals.receive(meta.tally());
        recovered.next_id = meta.id + 1;
        recovered.segments.0.back_mut().expect("a segment is being scanned").push(meta);
    }

    fn record(&mut self, record: Record<'_>, at: usize, bytes: usize, settled: &mut Vec<u64>) {
        match record {
            Record::Entry(front, _, _) => self.entry(Meta::new(&front, at as u32, bytes as u32)),
            Record::Outcome(id, outcome) => {
                self.recovered.totals.settle(&outcome);
                if !self.settled(id) && id >= self.accounted_id {
                    // Its entry was damaged, but it had been received.
                    self.recovered.totals.receive(outcome.total());
                }
                self.recovered.damaged.retain(|damaged| damaged.0 != id);
                self.recovered.next_id = self.recovered.next_id.max(id + 1);
                settled.push(id);
            }
            Record::Dropped(tally) => self.recovered.totals.drop_newest(tally),
            Record::Checkpoint(_) => {}
        }
    }

    fn end_of_scan(&mut self, mut index: Index, path: PathBuf, length: u64, damaged: bool) {
        let recovered = &mut self.recovered;
        recovered.torn_bytes += length.saturating_sub(index.bytes);
        if index.bytes == 0 {
            // Not even the checkpoint is there. Mostly it was never written, and nothing of it was answered.
            recovered.segments.0.pop_back();
            recovered.damaged_files.extend(damaged.then(|| path.clone()));
            recovered.useless.push(path);
            return;
        }
        if index.bytes < length {
            recovered.to_cut.push((path.clone(), index.bytes));
        }
        let segment = recovered.segments.0.back_mut().expect("it was just scanned");
        segment.bytes = index.bytes;
        segment.entries.shrink_to_fit();
        segment.set_aside = damaged;
        if damaged {
            recovered.damaged_files.push(path);
        }
        index.entries = segment.entries.clone();
        recovered.last = (index.number, index.bytes);
        recovered.indexes.push(index);
    }

    fn finish(self) -> Recovered {
        let Self { mut recovered, reconciliation, .. } = self;
        let waiting = recovered.segments.waiting();
        recovered.lost = reconciliation.balance(&mut recovered.totals, waiting);
        recovered.segments.0.iter_mut().for_each(|segment| segment.sealed = true);
        debug_assert_eq!(recovered.totals.queued(), plus(waiting, Counts::default()), "the account balances");
        recovered
    }
}
