//! What the reading thread does: reads entries back from the disk, and keeps the ring of refused series.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use environment::DiskRead;

use crate::cache::Cached;
use crate::record::read_entry;
use crate::ring::Ring;
use crate::shared::Shared;
use crate::state::Read;
use crate::{Entry, EntryId, ReadError};

pub(crate) struct Reader {
    /// The segment read last. Entries are asked for in order.
    file: Option<(u64, Box<dyn DiskRead>)>,
    ring: Ring,
}

impl Reader {
    pub(crate) fn new(ring: Ring) -> Self {
        Self { file: None, ring }
    }

    /// Works until the queue is closing.
    pub(crate) fn run(&mut self, shared: &Shared) {
        self.turn(shared);
        loop {
            let mut state = shared.state.lock();
            while state.reads.is_empty() && state.refusals.is_empty() && !state.closing {
                shared.reader_wake.wait(&mut state);
            }
            let closing = state.closing;
            drop(state);
            self.turn(shared);
            if closing {
                return;
            }
        }
    }

    /// Answers who waits for an entry, then writes what is refused.
    pub(crate) fn turn(&mut self, shared: &Shared) {
        loop {
            let read = shared.state.lock().reads.pop_front();
            let Some(Read { id, ticket }) = read else { break };
            if ticket.is_awaited() {
                ticket.answer(self.read(shared, id));
            }
        }
        self.ring.recover(shared);
        let mut state = shared.state.lock();
        let refusals = std::mem::take(&mut state.refusals);
        state.refusal_bytes = 0;
        let bytes_max = state.settings.refusals_bytes_max;
        drop(state);
        refusals.iter().for_each(|refusal| self.ring.append(shared, refusal, bytes_max));
    }

    fn read(&mut self, shared: &Shared, id: EntryId) -> Result<Entry, ReadError> {
        let state = shared.state.lock();
        let place = state.segments.find(id).ok_or(ReadError::Settled(id))?;
        let meta = state.segments.meta(place);
        let (number, position, bytes) = (state.segments.0[place.0].number, meta.position, meta.bytes);
        drop(state);
        let record = match self.record(shared, number, position, bytes) {
            Ok(record) => record,
            Err(error) if error.kind() == ErrorKind::NotFound => Bytes::new(),
            Err(error) => {
                self.file = None;
                let path = shared.files.segment(number);
                return Err(ReadError::Disk(format!("{}: {error}", path.display()).into()));
            }
        };
        let read = read_entry(number, u64::from(position), &record).filter(|(front, ..)| front.id == id.0);
        let mut state = shared.state.lock();
        let place = state.segments.find(id).ok_or(ReadError::Settled(id))?;
        let Some((_, series, body)) = read else {
            let first = !std::mem::replace(&mut state.segments.0[place.0].set_aside, true);
            drop(state);
            if first {
                // One line for each segment, however many entries it spoils.
                tracing::error!(segment = number, position, entry = id.0, "an entry of the queue is damaged");
                shared.set_aside(&shared.files.segment(number));
            }
            return Err(ReadError::Damaged(id));
        };
        Ok(state.hand_out(place, Cached { body, series: Arc::from(series) }))
    }

    fn record(&mut self, shared: &Shared, number: u64, position: u32, bytes: u32) -> std::io::Result<Bytes> {
        if self.file.as_ref().is_none_or(|(open, _)| *open != number) {
            self.file = Some((number, shared.disk.open_read(&shared.files.segment(number))?));
        }
        let (_, file) = self.file.as_ref().expect("it was just opened");
        let mut record = vec![0; bytes as usize];
        let read = file.read_at(&mut record, u64::from(position))?;
        record.truncate(read);
        Ok(record.into())
    }
}
