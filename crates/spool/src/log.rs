//! The end of the log, where records are appended.
//!
//! After a failed write the segment is cut back to what is known to be good; if even that fails, or a sync did, the
//! segment is left as it is and a new one started, whose checkpoint says how much of the old one counts.

use std::io;
use std::sync::Arc;

use environment::{Disk, DiskFile};

use crate::files::Files;
use crate::record::{CHECKPOINT_BYTES, Checkpoint, Front, RecordWriter};
use crate::totals::Totals;
use crate::{Counts, EntryId, NewEntry, Outcome};

/// The segment being written.
struct Open {
    number: u64,
    file: Box<dyn DiskFile>,
    bytes: u64,
    opening: Checkpoint,
    /// Ids whose outcomes are in it.
    settled: Vec<u64>,
}

/// A segment that is finished.
pub(crate) struct Sealed {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    pub(crate) opening: Checkpoint,
    pub(crate) closing: Checkpoint,
    pub(crate) settled: Vec<u64>,
}

pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    files: Files,
    open: Option<Open>,
    /// Number and valid bytes of the last segment before the open one.
    last: (u64, u64),
    next_number: u64,
    next_id: u64,
    /// As the log has it.
    totals: Totals,
    buffer: Vec<u8>,
    /// What the buffer will add once it is written.
    pending: Totals,
    pending_settled: Vec<u64>,
    pending_id: u64,
}

impl Log {
    /// Goes on behind what was recovered; starts no segment yet.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        files: Files,
        last: (u64, u64),
        next_number: u64,
        next_id: u64,
        totals: Totals,
    ) -> Self {
        Self {
            disk,
            files,
            open: None,
            last,
            next_number,
            next_id,
            pending: totals.clone(),
            totals,
            buffer: Vec::new(),
            pending_settled: Vec::new(),
            pending_id: next_id,
        }
    }

    /// Number and bytes of the open segment.
    pub(crate) fn position(&self) -> Option<(u64, u64)> {
        self.open.as_ref().map(|open| (open.number, open.bytes))
    }

    /// Whether the open segment holds more than its checkpoint.
    pub(crate) fn is_begun(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.bytes > CHECKPOINT_BYTES as u64)
    }

    /// Starts a segment, if none is open. Answers a handle for syncing it, if one was started.
    pub(crate) fn start(&mut self) -> io::Result<Option<Box<dyn DiskFile>>> {
        if self.open.is_some() {
            return Ok(None);
        }
        let number = self.next_number;
        let path = self.files.segment(number);
        let opening = Checkpoint { next_id: self.next_id, previous: self.last, totals: self.totals.clone() };
        let mut file = self.disk.create(&path)?;
        // Whatever happens now, the name is used.
        self.next_number += 1;
        self.buffer.clear();
        RecordWriter { out: &mut self.buffer, number, base: 0 }.checkpoint(&opening);
        let started = file.append(&self.buffer).and_then(|()| self.disk.open_append(&path));
        match started {
            Ok(handle) => {
                let bytes = CHECKPOINT_BYTES as u64;
                self.open = Some(Open { number, file, bytes, opening, settled: Vec::new() });
                Ok(Some(handle))
            }
            Err(error) => {
                let _ = self.disk.remove_file(&path);
                Err(error)
            }
        }
    }

    /// Ends the open segment.
    pub(crate) fn seal(&mut self) -> Option<Sealed> {
        let Open { number, bytes, opening, settled, .. } = self.open.take()?;
        self.last = (number, bytes);
        let closing = Checkpoint { next_id: self.next_id, previous: (0, 0), totals: self.totals.clone() };
        Some(Sealed { number, bytes, opening, closing, settled })
    }

    /// Begins gathering records for one write.
    pub(crate) fn begin(&mut self) {
        self.buffer.clear();
        self.pending.clone_from(&self.totals);
        self.pending_settled.clear();
        self.pending_id = self.next_id;
    }

    pub(crate) fn outcome(&mut self, id: EntryId, outcome: &Outcome) {
        self.records().outcome(id, outcome);
        self.pending.settle(outcome);
        self.pending_settled.push(id.0);
    }

    pub(crate) fn dropped(&mut self, tally: Counts) {
        self.records().dropped(tally);
        self.pending.drop_newest(tally);
    }

    /// Adds an entry. Answers its front, place and length.
    pub(crate) fn entry(&mut self, entry: &NewEntry, received_at: u64) -> Option<(Front, u32, u32)> {
        let front = Front::of(entry, self.pending_id, received_at)?;
        let start = self.buffer.len();
        self.records().entry(&front, entry);
        self.pending.receive(entry.tally);
        self.pending_id += 1;
        let position = self.position().map_or(0, |(_, bytes)| bytes) + start as u64;
        Some((front, u32::try_from(position).ok()?, u32::try_from(self.buffer.len() - start).ok()?))
    }

    /// Writes what was gathered, and syncs it if asked to. On an error nothing of it is in the log.
    pub(crate) fn write(&mut self, sync: bool) -> io::Result<()> {
        let open = self.open.as_mut().expect("a segment is started before records are gathered");
        let written = open.file.append(&self.buffer);
        let result = match written {
            Ok(()) if sync => open.file.sync().map_err(|error| (error, true)),
            Ok(()) => Ok(()),
            Err(error) => Err((error, false)),
        };
        match result {
            Ok(()) => {
                open.bytes += self.buffer.len() as u64;
                open.settled.append(&mut self.pending_settled);
                std::mem::swap(&mut self.totals, &mut self.pending);
                self.next_id = self.pending_id;
                self.shrink();
                Ok(())
            }
            Err((error, sync_failed)) => {
                let cut = open.file.truncate(open.bytes);
                // After a failed sync nothing may be assumed about this file any more.
                if cut.is_err() || sync_failed {
                    let (number, bytes) = (open.number, open.bytes);
                    tracing::warn!(segment = number, bytes, "a segment of the queue is given up after an error");
                    self.last = (number, bytes);
                    self.open = None;
                }
                self.shrink();
                Err(error)
            }
        }
    }

    /// Makes everything written survive a power cut.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        open.file.sync()?;
        self.disk.sync_directory(&self.files.log())
    }

    fn records(&mut self) -> RecordWriter<'_> {
        let (number, base) = self.open.as_ref().map_or((0, 0), |open| (open.number, open.bytes));
        RecordWriter { out: &mut self.buffer, number, base }
    }

    fn shrink(&mut self) {
        self.buffer.clear();
        // One unusually large request must not cost memory for ever.
        self.buffer.shrink_to(KEPT_BYTES_MAX);
    }
}

const KEPT_BYTES_MAX: usize = 2 << 20;
