//! What is looked at of a body before it is kept: that it is a message at all, how much it holds, and which series.

use std::sync::Arc;

use model::{ErrorKind, Kinded as _};
use remote_write::{Limits, Request, SurveyScratch, Version, WrittenCounts, framing, survey};

use crate::refusal::Refusal;

/// Surveys bodies one at a time, in memory that is used again. The work is short and the runtime has few threads, so that
/// one for all is no queue.
#[derive(Default)]
pub(crate) struct Surveyor {
    message: Vec<u8>,
    scratch: SurveyScratch,
}

/// What a body holds.
pub(crate) struct Surveyed {
    pub(crate) tally: WrittenCounts,
    /// As [`spool::NewEntry::series`] wants them.
    pub(crate) series: Arc<[u32]>,
    /// There is nothing in it to deliver.
    pub(crate) is_empty: bool,
}

impl Surveyor {
    /// Decompresses `body` and passes over its message once.
    ///
    /// # Errors
    /// What the sender is answered: 400 for what is not snappy or not the message, 413 for what is too large decompressed.
    pub(crate) fn survey(&mut self, version: Version, body: &[u8], limits: &Limits) -> Result<Surveyed, Refusal> {
        let surveyed = self.look(version, body, limits);
        if self.message.capacity() > MESSAGE_BYTES_KEPT_MAX {
            *self = Self::default();
        }
        surveyed
    }

    fn look(&mut self, version: Version, body: &[u8], limits: &Limits) -> Result<Surveyed, Refusal> {
        framing::decode(body, DECODED_BYTES_MAX, &mut self.message).map_err(|error| match error.kind() {
            ErrorKind::TooLarge => Refusal::new(413, "ContentLengthLimitExceeded", error.to_string()),
            _ => Refusal::new(400, "BadRequest", error.to_string()),
        })?;
        let found = survey(version, &self.message, limits, &mut self.scratch)
            .map_err(|error| Refusal::new(400, "BadRequest", error.to_string()))?;
        // Without a series, a message of version 1.0 may hold metadata of families, one of version 2.0 only symbols.
        let is_empty = found.series == 0 && (self.message.is_empty() || version == Version::V2);
        if found.series == 0 && !is_empty && !holds_metadata(&self.message, limits) {
            return Err(Refusal::new(400, "BadRequest", NOTHING_KNOWN));
        }
        Ok(Surveyed { tally: found.tally, series: found.hashes.into(), is_empty })
    }
}

/// Whether a message of version 1.0 without series has metadata of families.
fn holds_metadata(message: &[u8], limits: &Limits) -> bool {
    let Ok(request) = Request::parse(Version::V1, message, limits) else { return false };
    let mut scratch = Vec::new();
    request.walk(&mut scratch).next_item().is_ok_and(|item| item.is_some())
}

const NOTHING_KNOWN: &str = "the message holds neither series nor metadata that remote write 1.0 knows: one of version 2.0 \
     needs the content type application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// Bytes of a message after decompression. Prometheus' own requests are below 1 MiB; senders that pack up to the 1 MiB
/// that Azure takes stay below it at the best ratio seen.
pub(crate) const DECODED_BYTES_MAX: usize = 32 << 20;
/// Working memory beyond this is not kept for the next request.
const MESSAGE_BYTES_KEPT_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests;
