//! The ring of refused series on disk: a few files, of which the oldest goes when a new one is needed. Best effort: what
//! cannot be written is lost with a warning, and the queue goes on.
//!
//! ```text
//! refusal (1)  u64 given up, ms; u64 entry; u8 reason; u8 zero; u16 status or 0; counts; answer; series; body
//!              (each with its length as u32)
//! ```

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use environment::{Disk, DiskFile, UnixTime};

use crate::fields::{Fields, put_bytes, put_counts};
use crate::files::{Files, list_numbered};
use crate::frame::{Frame, HEADER_BYTES, put_frame, read_frame, resume};
use crate::shared::{Shared, millis};
use crate::{EntryId, Refusal, Rejection};

/// A file of the ring.
struct Part {
    number: u64,
    bytes: u64,
    refusals: u64,
}

/// The end of the ring, where refusals are appended.
#[derive(Default)]
pub(crate) struct Ring {
    /// Oldest first.
    parts: VecDeque<Part>,
    /// Of the last part.
    open: Option<Box<dyn DiskFile>>,
    next_number: u64,
    recovered: bool,
    failing: bool,
}

impl Ring {
    /// Counts what an earlier process left, once.
    pub(crate) fn recover(&mut self, shared: &Shared) {
        if std::mem::replace(&mut self.recovered, true) {
            return;
        }
        let numbers = list_numbered(&*shared.disk, &shared.files.refusals()).unwrap_or_default().0;
        for number in numbers {
            let bytes = shared.disk.read(&shared.files.refusals_file(number)).unwrap_or_default();
            let refusals = scan(number, &bytes).len() as u64;
            self.parts.push_back(Part { number, bytes: bytes.len() as u64, refusals });
            self.next_number = number + 1;
        }
        self.tell(shared);
    }

    pub(crate) fn append(&mut self, shared: &Shared, refusal: &Refusal, bytes_max: u64) {
        let written = self.try_append(shared, refusal, bytes_max / PARTS);
        let failed_before = std::mem::replace(&mut self.failing, written.is_err());
        if let Err(error) = written {
            self.open = None;
            if !failed_before {
                tracing::warn!(%error, "refused series cannot be kept in the ring");
            }
        }
        let mut bytes: u64 = self.parts.iter().map(|part| part.bytes).sum();
        while (bytes > bytes_max || self.parts.len() > PARTS_MAX)
            && let Some(oldest) = self.parts.pop_front()
        {
            bytes -= oldest.bytes;
            let _ = shared.disk.remove_file(&shared.files.refusals_file(oldest.number));
            if self.parts.is_empty() {
                self.open = None;
            }
        }
        self.tell(shared);
    }

    fn try_append(&mut self, shared: &Shared, refusal: &Refusal, part_bytes_max: u64) -> io::Result<()> {
        // What does not fit is kept without the request that would send it again.
        let with_body = refusal.bytes() as u64 + FIXED_BYTES <= part_bytes_max;
        let body = if with_body { &refusal.body[..] } else { &[] };
        let mut record = Vec::new();
        let place = |parts: &VecDeque<Part>, next| parts.back().map_or((next, 0), |part| (part.number, part.bytes));
        if self.open.is_some() {
            let (number, bytes) = place(&self.parts, 0);
            put_frame(&mut record, number, bytes, REFUSAL, |out| put_refusal(out, refusal, body));
            if bytes > 0 && bytes + record.len() as u64 > part_bytes_max {
                self.open = None;
            }
        }
        if self.open.is_none() {
            shared.disk.create_directory(&shared.files.refusals())?;
            self.open = Some(shared.disk.create(&shared.files.refusals_file(self.next_number))?);
            self.parts.push_back(Part { number: self.next_number, bytes: 0, refusals: 0 });
            record.clear();
            put_frame(&mut record, self.next_number, 0, REFUSAL, |out| put_refusal(out, refusal, body));
            self.next_number += 1;
        }
        let file = self.open.as_mut().expect("it was just opened");
        let part = self.parts.back_mut().expect("the open part is the last");
        file.append(&record)?;
        part.bytes += record.len() as u64;
        part.refusals += 1;
        Ok(())
    }

    fn tell(&self, shared: &Shared) {
        shared.refusals.store(self.parts.iter().map(|part| part.refusals).sum(), Ordering::Relaxed);
    }
}

/// Reads the whole ring, oldest first. Skips what is damaged, and files that go meanwhile.
pub(crate) fn read(disk: &dyn Disk, files: &Files) -> Result<Vec<Refusal>, (PathBuf, io::Error)> {
    let directory = files.refusals();
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let numbers = match list_numbered(disk, &directory) {
        Ok((numbers, _)) => numbers,
        Err(error) if missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err((directory, error)),
    };
    let mut refusals = Vec::new();
    for number in numbers {
        let path = files.refusals_file(number);
        match disk.read(&path) {
            Ok(bytes) => refusals.append(&mut scan(number, &bytes)),
            Err(error) if missing(&error) => {}
            Err(error) => return Err((path, error)),
        }
    }
    Ok(refusals)
}

fn scan(number: u64, bytes: &[u8]) -> Vec<Refusal> {
    let (mut refusals, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match read_frame(number, at as u64, &bytes[at..]) {
            Ok(Some(frame)) => {
                refusals.extend(parse(&frame));
                at += HEADER_BYTES + frame.payload.len();
            }
            _ => match resume(number, bytes, at) {
                Some(next) => at = next,
                None => break,
            },
        }
    }
    refusals
}

fn put_refusal(out: &mut Vec<u8>, refusal: &Refusal, body: &[u8]) {
    out.extend_from_slice(&millis(refusal.at).to_le_bytes());
    out.extend_from_slice(&refusal.entry.0.to_le_bytes());
    out.extend_from_slice(&[refusal.reason.number() as u8, 0]);
    out.extend_from_slice(&refusal.status.unwrap_or(0).to_le_bytes());
    put_counts(out, refusal.tally);
    for text in [&refusal.answer, &refusal.series] {
        put_bytes(out, &text.as_bytes()[..text.floor_char_boundary(TEXT_BYTES_MAX)]);
    }
    put_bytes(out, body);
}

pub(crate) fn parse(frame: &Frame<'_>) -> Option<Refusal> {
    let mut fields = Fields(frame.payload);
    if frame.kind != REFUSAL {
        return None;
    }
    let (at, entry) = (UnixTime::from_millis(fields.u64()?), EntryId(fields.u64()?));
    let reason = *Rejection::ALL.get(usize::from(fields.u8()?))?;
    fields.u8()?;
    let status = Some(fields.u16()?).filter(|status| *status != 0);
    let tally = fields.counts()?;
    let answer = String::from_utf8_lossy(fields.bytes()?).into_owned();
    let series = String::from_utf8_lossy(fields.bytes()?).into_owned();
    let body = Bytes::copy_from_slice(fields.bytes()?);
    Some(Refusal { at, entry, reason, status, answer, series, tally, body })
}

/// Nothing else stands in these files.
const REFUSAL: u8 = 1;
/// Parts that share the bound of bytes.
const PARTS: u64 = 4;
/// More parts come from many starts.
const PARTS_MAX: usize = 16;
const TEXT_BYTES_MAX: usize = 64 << 10;
const FIXED_BYTES: u64 = 128;
