//! What is known of the segments in memory: where every entry stands and which are settled. No bodies, no hashes.

use std::collections::VecDeque;

use remote_write::Version;

use crate::record::Front;
use crate::{Counts, EntryId};

/// An entry as the queue knows it: 48 bytes for each that is on disk.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    pub(crate) id: u64,
    /// Milliseconds since 1970.
    pub(crate) received_at: u64,
    /// Since when it waits, on the queue's own steady time, which does not step with the wall clock.
    pub(crate) waiting_since: u64,
    pub(crate) position: u32,
    pub(crate) bytes: u32,
    pub(crate) samples: u32,
    pub(crate) histograms: u32,
    pub(crate) exemplars: u32,
    pub(crate) version: Version,
    /// A process before this one wrote it.
    pub(crate) recovered: bool,
    /// It was handed out for sending.
    pub(crate) handed_out: bool,
    pub(crate) settled: bool,
}

impl Meta {
    pub(crate) fn new(front: &Front, position: u32, bytes: u32) -> Self {
        Self {
            id: front.id,
            received_at: front.received_at,
            waiting_since: front.received_at,
            position,
            bytes,
            samples: front.samples,
            histograms: front.histograms,
            exemplars: front.exemplars,
            version: front.version,
            recovered: true,
            handed_out: false,
            settled: false,
        }
    }

    pub(crate) fn tally(&self) -> Counts {
        Counts {
            samples: u64::from(self.samples),
            histograms: u64::from(self.histograms),
            exemplars: u64::from(self.exemplars),
        }
    }
}

/// One file of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// Valid bytes.
    pub(crate) bytes: u64,
    /// The largest id in it or before it, so that segments without entries can be searched past.
    last_id: u64,
    /// In order of their ids.
    pub(crate) entries: Vec<Meta>,
    /// Entries before this one are settled.
    first_unsettled: usize,
    /// Entries that are not settled.
    pub(crate) unsettled: usize,
    /// Settled entries whose outcome is not in the log yet.
    pub(crate) unwritten: usize,
    /// The write that brought the last outcome into the log.
    pub(crate) outcomes_written: u64,
    /// Nothing is appended any more.
    pub(crate) sealed: bool,
    /// Damage was found and the file copied.
    pub(crate) set_aside: bool,
}

impl Segment {
    /// Adds an entry. One whose id does not count up is none of ours: a forged file must not end the program.
    pub(crate) fn push(&mut self, meta: Meta) {
        if meta.id <= self.last_id {
            return;
        }
        self.last_id = meta.id;
        self.unsettled += usize::from(!meta.settled);
        self.entries.push(meta);
    }

    fn first_unsettled_from(&mut self, from: usize) -> Option<usize> {
        if self.unsettled == 0 {
            return None;
        }
        let skip = |entries: &[Meta], from: usize| {
            entries.get(from..)?.iter().position(|meta| !meta.settled).map(|found| from + found)
        };
        self.first_unsettled = skip(&self.entries, self.first_unsettled)?;
        skip(&self.entries, from.max(self.first_unsettled))
    }
}

/// Where an entry is: which segment of [`Segments`], which entry of it. Good until segments change.
pub(crate) type Place = (usize, usize);

/// All segments, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segments(pub(crate) VecDeque<Segment>);

impl Segments {
    /// Starts an empty segment behind the others.
    pub(crate) fn start(&mut self, number: u64, bytes: u64) -> &mut Segment {
        let last_id = self.0.back().map_or(0, |last| last.last_id);
        self.0.push_back(Segment { number, bytes, last_id, ..Segment::default() });
        self.0.back_mut().expect("it was just pushed")
    }

    /// An entry that is not settled.
    pub(crate) fn find(&self, id: EntryId) -> Option<Place> {
        let place = self.place(id)?;
        (!self.meta(place).settled).then_some(place)
    }

    fn place(&self, id: EntryId) -> Option<Place> {
        let segment = self.0.partition_point(|segment| segment.last_id < id.0);
        let entry = self.0.get(segment)?.entries.binary_search_by_key(&id.0, |meta| meta.id).ok()?;
        Some((segment, entry))
    }

    pub(crate) fn meta(&self, (segment, entry): Place) -> &Meta {
        &self.0[segment].entries[entry]
    }

    /// The first entry behind `after` that is not settled.
    pub(crate) fn next_unsettled(&mut self, after: Option<EntryId>) -> Option<Place> {
        let after = after.map_or(0, |id| id.0);
        let first = self.0.partition_point(|segment| segment.last_id <= after);
        for segment in first..self.0.len() {
            let at = &mut self.0[segment];
            let from = at.entries.partition_point(|meta| meta.id <= after);
            if let Some(entry) = at.first_unsettled_from(from) {
                return Some((segment, entry));
            }
        }
        None
    }

    /// Marks an entry as settled and answers it. Its outcome is still to be written.
    pub(crate) fn settle(&mut self, (segment, entry): Place) -> &Meta {
        let segment = &mut self.0[segment];
        segment.unsettled -= 1;
        segment.unwritten += 1;
        let meta = &mut segment.entries[entry];
        meta.settled = true;
        meta
    }

    /// An outcome is in the log since the write numbered `write`.
    pub(crate) fn outcome_written(&mut self, id: EntryId, write: u64) {
        if let Some((segment, _)) = self.place(id) {
            self.0[segment].unwritten -= 1;
            self.0[segment].outcomes_written = write;
        }
    }

    /// Sum of what waits.
    pub(crate) fn waiting(&self) -> Counts {
        let metas = self.0.iter().flat_map(|segment| &segment.entries).filter(|meta| !meta.settled);
        metas.fold(Counts::default(), |sum, meta| crate::totals::plus(sum, meta.tally()))
    }

    /// Bytes from the first segment on in which something waits.
    pub(crate) fn bytes_in_use(&self) -> u64 {
        self.0.iter().skip_while(|segment| segment.unsettled == 0).map(|segment| segment.bytes).sum()
    }
}
