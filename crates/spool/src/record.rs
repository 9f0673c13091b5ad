//! Records of the log.
//!
//! ```text
//! checkpoint (1)  u64 next id; u64 number of the segment before, u64 its valid bytes; totals
//! entry (2)       u64 id; u64 received, ms; u32 samples, histograms, exemplars; u8 version; u8[3] zero; u32 series;
//!                 u32 crc32c of the frame's header but its checksum, and of the above; u32[] hashes; body
//! outcome (3)     u64 id; counts delivered, unconfirmed, resent; u8 n; n × (u8 class, u8 reason, counts)
//! dropped (4)     counts
//! totals          u8 rows; rows × counts
//! counts          u64 floats, histograms, exemplars
//! ```
//!
//! The front of an entry has a checksum of its own: when its body is damaged, its tally is still known.

use bytes::Bytes;
use remote_write::Version;

use crate::fields::{Fields, put_counts};
use crate::frame::{self, HEADER_BYTES, put_frame};
use crate::totals::Totals;
use crate::{Counts, EntryId, Expiry, NewEntry, Outcome, Rejection};

/// The first record of every segment: all that came before it, added up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Checkpoint {
    /// Of the next entry.
    pub(crate) next_id: u64,
    /// The segment that this one continues, and its length. What stands in it behind that, and segments between the two,
    /// are remains of failed writes.
    pub(crate) previous: (u64, u64),
    pub(crate) totals: Totals,
}

/// The front of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Front {
    pub(crate) id: u64,
    /// Milliseconds since 1970.
    pub(crate) received_at: u64,
    pub(crate) samples: u32,
    pub(crate) histograms: u32,
    pub(crate) exemplars: u32,
    pub(crate) version: Version,
    pub(crate) series: u32,
}

/// A record.
#[derive(Clone, Debug)]
pub(crate) enum Record<'a> {
    Checkpoint(Box<Checkpoint>),
    /// Front, hashes as bytes, body.
    Entry(Front, &'a [u8], &'a [u8]),
    Outcome(u64, Outcome),
    Dropped(Counts),
}

impl Front {
    /// Of an entry to be written; none if it cannot be said.
    pub(crate) fn of(entry: &NewEntry, id: u64, received_at: u64) -> Option<Self> {
        Some(Self {
            id,
            received_at,
            samples: entry.tally.samples.try_into().ok()?,
            histograms: entry.tally.histograms.try_into().ok()?,
            exemplars: entry.tally.exemplars.try_into().ok()?,
            version: entry.version,
            series: entry.series.len().try_into().ok()?,
        })
    }
}

/// Bytes of an entry's record.
pub(crate) fn entry_bytes(entry: &NewEntry) -> usize {
    HEADER_BYTES + FRONT_BYTES + entry.series.len() * 4 + entry.body.len()
}

/// Bytes of an outcome's record.
pub(crate) fn outcome_bytes(outcome: &Outcome) -> usize {
    HEADER_BYTES + 8 + 3 * COUNTS_BYTES + 1 + (outcome.rejected.len() + outcome.expired.len()) * (2 + COUNTS_BYTES)
}

/// Writes records for a place in a segment.
pub(crate) struct RecordWriter<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    /// Of the segment.
    pub(crate) number: u64,
    /// Where `out` will stand in it.
    pub(crate) base: u64,
}

impl RecordWriter<'_> {
    pub(crate) fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        put_frame(self.out, self.number, self.base, CHECKPOINT, |out| put_checkpoint(out, checkpoint));
    }

    pub(crate) fn entry(&mut self, front: &Front, entry: &NewEntry) {
        let (number, base, start) = (self.number, self.base, self.out.len());
        self.out.reserve(entry_bytes(entry));
        put_frame(self.out, number, base, ENTRY, |out| {
            let length = (FRONT_BYTES + entry.series.len() * 4 + entry.body.len()) as u32;
            put_front(out, front);
            let crc = front_crc(number, base + start as u64, length, &out[start + HEADER_BYTES..]);
            out.extend_from_slice(&crc.to_le_bytes());
            let hashes = out.len();
            out.resize(hashes + entry.series.len() * 4, 0);
            for (place, hash) in out[hashes..].as_chunks_mut::<4>().0.iter_mut().zip(entry.series.iter()) {
                *place = hash.to_le_bytes();
            }
            out.extend_from_slice(&entry.body);
        });
    }

    pub(crate) fn outcome(&mut self, id: EntryId, outcome: &Outcome) {
        put_frame(self.out, self.number, self.base, OUTCOME, |out| {
            out.extend_from_slice(&id.0.to_le_bytes());
            put_counts(out, outcome.delivered);
            put_counts(out, outcome.unconfirmed);
            put_counts(out, outcome.resent);
            out.push(u8::try_from(outcome.rejected.len() + outcome.expired.len()).expect("each reason once"));
            for (reason, counts) in &outcome.rejected {
                out.extend_from_slice(&[REJECTED, reason.number() as u8]);
                put_counts(out, *counts);
            }
            for (reason, counts) in &outcome.expired {
                out.extend_from_slice(&[EXPIRED, reason.number() as u8]);
                put_counts(out, *counts);
            }
        });
    }

    pub(crate) fn dropped(&mut self, tally: Counts) {
        put_frame(self.out, self.number, self.base, DROPPED, |out| put_counts(out, tally));
    }
}

/// Reads a record's payload; none when it is not what we write.
pub(crate) fn parse<'a>(frame: &frame::Frame<'a>) -> Option<Record<'a>> {
    let mut fields = Fields(frame.payload);
    let record = match frame.kind {
        CHECKPOINT => Record::Checkpoint(Box::new(take_checkpoint(&mut fields)?)),
        ENTRY => {
            let front = take_front(&mut fields)?;
            fields.u32()?;
            let hashes = fields.take(usize::try_from(front.series).ok()?.checked_mul(4)?)?;
            return Some(Record::Entry(front, hashes, fields.0));
        }
        OUTCOME => {
            let id = fields.u64()?;
            Record::Outcome(id, take_outcome(&mut fields)?)
        }
        DROPPED => Record::Dropped(fields.counts()?),
        _ => return None,
    };
    fields.is_empty().then_some(record)
}

/// The front of a damaged entry at `position`, if at least that is whole, and the record's length.
pub(crate) fn front_of_damaged(number: u64, position: u64, bytes: &[u8]) -> Option<(Front, usize)> {
    let (kind, length) = frame::read_header(bytes).ok()?;
    let mut fields = Fields(bytes.get(HEADER_BYTES..)?);
    let front = fields.clone().take(FRONT_BYTES - 4)?;
    let read = take_front(&mut fields)?;
    let crc = front_crc(number, position, u32::try_from(length).ok()?, front);
    (kind == ENTRY && fields.u32()? == crc).then_some((read, HEADER_BYTES + length))
}

/// An entry's record read back: front, hashes, body. The body shares the buffer.
pub(crate) fn read_entry(number: u64, position: u64, bytes: &Bytes) -> Option<(Front, Vec<u32>, Bytes)> {
    let frame = frame::read_frame(number, position, bytes).ok()??;
    let Record::Entry(front, hashes, body) = parse(&frame)? else { return None };
    let hashes = hashes.as_chunks::<4>().0.iter().map(|hash| u32::from_le_bytes(*hash)).collect();
    Some((front, hashes, bytes.slice_ref(body)))
}

pub(crate) fn put_checkpoint(out: &mut Vec<u8>, checkpoint: &Checkpoint) {
    for number in [checkpoint.next_id, checkpoint.previous.0, checkpoint.previous.1] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.push(Totals::ROWS as u8);
    checkpoint.totals.0.iter().for_each(|counts| put_counts(out, *counts));
}

pub(crate) fn take_checkpoint(fields: &mut Fields<'_>) -> Option<Checkpoint> {
    let mut checkpoint =
        Checkpoint { next_id: fields.u64()?, previous: (fields.u64()?, fields.u64()?), totals: Totals::default() };
    if usize::from(fields.u8()?) != Totals::ROWS {
        return None;
    }
    for row in &mut checkpoint.totals.0 {
        *row = fields.counts()?;
    }
    Some(checkpoint)
}

fn put_front(out: &mut Vec<u8>, front: &Front) {
    out.extend_from_slice(&front.id.to_le_bytes());
    out.extend_from_slice(&front.received_at.to_le_bytes());
    for number in [front.samples, front.histograms, front.exemplars] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&[version_number(front.version), 0, 0, 0]);
    out.extend_from_slice(&front.series.to_le_bytes());
}

fn take_front(fields: &mut Fields<'_>) -> Option<Front> {
    Some(Front {
        id: fields.u64()?,
        received_at: fields.u64()?,
        samples: fields.u32()?,
        histograms: fields.u32()?,
        exemplars: fields.u32()?,
        version: match fields.take(4)? {
            [1, 0, 0, 0] => Version::V1,
            [2, 0, 0, 0] => Version::V2,
            _ => return None,
        },
        series: fields.u32()?,
    })
}

fn front_crc(number: u64, position: u64, length: u32, front: &[u8]) -> u32 {
    crc32c::crc32c_append(frame::seed(number, position, &length.to_le_bytes()), front)
}

fn take_outcome(fields: &mut Fields<'_>) -> Option<Outcome> {
    let mut outcome = Outcome {
        delivered: fields.counts()?,
        unconfirmed: fields.counts()?,
        resent: fields.counts()?,
        ..Outcome::default()
    };
    for _ in 0..fields.u8()? {
        let (class, reason) = (fields.u8()?, usize::from(fields.u8()?));
        let counts = fields.counts()?;
        match class {
            REJECTED => outcome.rejected.push((*Rejection::ALL.get(reason)?, counts)),
            EXPIRED => outcome.expired.push((*Expiry::ALL.get(reason)?, counts)),
            _ => return None,
        }
    }
    Some(outcome)
}

pub(crate) fn version_number(version: Version) -> u8 {
    match version {
        Version::V1 => 1,
        Version::V2 => 2,
    }
}

/// Bytes of an entry's front with its checksum.
const FRONT_BYTES: usize = 40;
const COUNTS_BYTES: usize = 24;
/// Bytes of a checkpoint's record.
pub(crate) const CHECKPOINT_BYTES: usize = HEADER_BYTES + 25 + Totals::ROWS * COUNTS_BYTES;
const CHECKPOINT: u8 = 1;
const ENTRY: u8 = 2;
const OUTCOME: u8 = 3;
const DROPPED: u8 = 4;
const REJECTED: u8 = 1;
const EXPIRED: u8 = 2;
