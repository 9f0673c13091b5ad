//! A write request on its way into the queue.
//!
//! Order of events: headers → admission of version 2.0 → body, whole → survey → kept as the queue promises → answer. What is
//! answered 204 is in the queue and its ledger; what is answered otherwise is in neither. A sender that has hung up by
//! then has its request kept all the same: it may be sent again, which is harmless.
//!
//! Never 429: a stock Prometheus drops what that answers. Never 4xx for what passes with time.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use remote_write::{UnsupportedMedia, Version, WrittenCounts, negotiate};
use spool::{AppendError, Appended, NewEntry};
use tokio::time::timeout;

use super::{After, Conversation, Ended, too_long, within};
use crate::Shared;
use crate::budget::Share;
use crate::fields::field_text;
use crate::forward::Kind;
use crate::queue::Queue;
use crate::refusal::Refusal;
use crate::remote_write_2::{Admission, admit};
use crate::request_head::RequestBody;
use crate::sender::{BodyError, WholeBodyError};

/// Why a request is not kept.
enum NotKept {
    Refused(Refusal),
    /// The rest of its body is not worth waiting for.
    RefusedWithin(Refusal),
    /// Its body did not arrive.
    Body(BodyError),
}

impl From<Refusal> for NotKept {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Conversation {
    /// Keeps the request under way, or says why not.
    pub(super) async fn keep(&mut self, queue: &Queue) -> Ended {
        match self.take_in(queue).await {
            Ok((version, written)) => self.answer_kept(version, written).await,
            Err(NotKept::Body(error)) => self.body_failed(Kind::Write, &error).await,
            // Logged whatever the status: a sender drops what 4xx answers, and the ledger does not know of it.
            Err(NotKept::Refused(refusal)) => {
                self.shared.complain_of_refusal(&refusal);
                let status = refusal.status;
                Ended { status, after: self.refuse(Kind::Write, refusal).await }
            }
            Err(NotKept::RefusedWithin(refusal)) => {
                self.shared.complain_of_refusal(&refusal);
                let _ = self.answer_refusal_closing(Kind::Write, &refusal).await;
                Ended { status: refusal.status, after: After::Linger }
            }
        }
    }

    /// Says what became durable of the request.
    async fn take_in(&mut self, queue: &Queue) -> Result<(Version, WrittenCounts), NotKept> {
        let version = self.negotiate()?;
        if version == Version::V2 {
            admitted(admit(&self.shared, queue).await)?;
        }
        let shared = Arc::clone(&self.shared);
        let (body, _held) = self.take_body_to_keep(&shared).await?;
        let surveyed = queue.surveyor.lock().survey(version, &body, &remote_write::Limits::default())?;
        if surveyed.is_empty {
            return Ok((version, WrittenCounts::default()));
        }
        let tally = surveyed.tally;
        let bytes = entry_bytes_min(&body, &surveyed.series);
        let entry = NewEntry { version, body: Bytes::from(body), tally, series: surveyed.series };
        let slow = || AppendError::Disk("the disk did not take the request in time".into());
        // What comes too late for an answer may be kept all the same, and comes again: twice is harmless.
        let appended = timeout(self.limits.answer_timeout, queue.spool.append(entry)).await;
        match appended.unwrap_or_else(|_| Err(slow())) {
            Ok(appended) => {
                queue.note_room();
                // What is dropped at once is in the ledger, but it is not durable.
                Ok((version, if appended == Appended::Dropped { WrittenCounts::default() } else { tally }))
            }
            // It would find no room in an empty queue either.
            Err(AppendError::Full { bytes_max, .. }) if bytes > bytes_max => {
                self.shared.metrics.limited_bodies.increment();
                Err(too_long(bytes_max).into())
            }
            Err(error) => {
                if matches!(error, AppendError::Full { .. }) {
                    queue.note_full();
                }
                Err(pushed_back(&error).into())
            }
        }
    }

    fn negotiate(&self) -> Result<Version, Refusal> {
        let (fields, head) = (&self.sender.request.fields, self.sender.head());
        negotiate(field_text(fields, head, "content-type"), field_text(fields, head, "content-encoding"))
            .map_err(|unsupported: UnsupportedMedia| Refusal::unsupported(unsupported.to_string()))
    }

    async fn take_body_to_keep<'a>(&mut self, shared: &'a Shared) -> Result<(Vec<u8>, Share<'a>), NotKept> {
        let limits = Arc::clone(&self.limits);
        // More could never be held, however often it came again.
        let bytes_max = limits.body_bytes_max.min(shared.kept.bytes_max() as u64 / 2);
        if matches!(self.sender.request.body, RequestBody::Length(length) if length > bytes_max) {
            self.shared.metrics.limited_bodies.increment();
            return Err(too_long(bytes_max).into());
        }
        self.sender.invite_body().await.map_err(|_| NotKept::Body(BodyError::Gone))?;
        let mut stopping = self.stopping.clone();
        let taken = tokio::select! {
            biased;
            taken = timeout(limits.body_timeout, self.take_whole_body(shared, bytes_max)) => {
                taken.unwrap_or(Err(WholeBodyError::Body(BodyError::Timeout)))
            }
            () = stopping.over(limits.drain_body_timeout) => Err(WholeBodyError::Body(BodyError::Stopping)),
        };
        let (body, share) = taken.map_err(|error| match error {
            WholeBodyError::Body(error) => NotKept::Body(error),
            WholeBodyError::TooLong => {
                self.shared.metrics.limited_bodies.increment();
                NotKept::RefusedWithin(too_long(bytes_max))
            }
            WholeBodyError::NoMemory => {
                self.shared.metrics.limited_kept_bytes.increment();
                let message = "the requests that are being received take the memory there is for them";
                NotKept::RefusedWithin(Refusal::retry_after(PASSES_SOON_SECS, "TooManyBytes", message))
            }
        })?;
        self.body_bytes = body.len() as u64;
        Ok((body, share))
    }

    /// Reads the body once there is memory for it.
    async fn take_whole_body<'a>(
        &mut self,
        shared: &'a Shared,
        bytes_max: u64,
    ) -> Result<(Vec<u8>, Share<'a>), WholeBodyError> {
        let length = match self.sender.request.body {
            RequestBody::Length(length) => usize::try_from(length).map_err(|_| WholeBodyError::TooLong)?,
            RequestBody::Chunked => usize::MAX,
        };
        let share = self.set_memory_aside(shared, length).await?;
        let mut share = share.ok_or(WholeBodyError::NoMemory)?;
        let body = self.sender.take_whole_body(bytes_max, &mut share).await?;
        Ok((body, share))
    }

    async fn answer_kept(&mut self, version: Version, written: WrittenCounts) -> Ended {
        let closes = self.closes();
        self.outgoing.clear();
        self.outgoing.extend_from_slice(b"HTTP/1.1 204 No Content\r\n");
        if version == Version::V2 {
            let mut headers = String::new();
            for (name, value) in written.headers() {
                let _ = write!(headers, "{name}: {value}\r\n");
            }
            self.outgoing.extend_from_slice(headers.as_bytes());
        }
        self.outgoing.extend_from_slice(if closes { b"Connection: close\r\n\r\n" } else { b"\r\n" });
        let answered = within(self.limits.stall_timeout, self.sender.write_all(&self.outgoing)).await;
        Ended { status: 204, after: if closes || answered.is_err() { After::Close } else { After::Continue } }
    }
}

/// What an entry takes in the queue at least.
fn entry_bytes_min(body: &[u8], series: &[u32]) -> u64 {
    (body.len() + size_of_val(series)) as u64
}

fn admitted(admission: Admission) -> Result<(), Refusal> {
    match admission {
        Admission::Taken => Ok(()),
        Admission::Refused => Err(Refusal::unsupported(
            "remote write 2.0 is switched off here: set protobuf_message to prometheus.WriteRequest at the sender, or \
             REMORA_REMOTE_WRITE_2=transcode here",
        )),
        Admission::TargetRefuses => Err(Refusal::unsupported(
            "the target does not take remote write 2.0: set protobuf_message to prometheus.WriteRequest at the sender, or \
             REMORA_REMOTE_WRITE_2=transcode here",
        )),
        Admission::Unknown => Err(Refusal::retry_after(
            UNKNOWN_SECS,
            "RemoteWrite2Unknown",
            "it is not known yet whether the target takes remote write 2.0: it is being asked",
        )),
    }
}

fn pushed_back(error: &AppendError) -> Refusal {
    let message = error.to_string();
    match error {
        AppendError::Full { .. } => Refusal::retry_after(FULL_SECS, "QueueFull", message),
        AppendError::Disk(_) => Refusal::retry_after(FULL_SECS, "QueueNotWritable", message),
        AppendError::Closing => Refusal::retry_after(PASSES_SOON_SECS, "Stopping", message),
    }
}

/// What only waits for others to end.
const PASSES_SOON_SECS: u32 = 1;
/// A full queue empties in seconds once the target takes requests again; until then there is no use in hurry.
const FULL_SECS: u32 = 5;
const UNKNOWN_SECS: u32 = 5;
