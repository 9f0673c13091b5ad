//! A body that is to outlive its request: read into memory of its own, so that it can be handed on without a copy.

use tokio::io::AsyncReadExt as _;

use super::{BodyError, Remaining, SLACK_BYTES, Sender};
use crate::budget::Share;

/// Why there is no whole body.
#[derive(Debug)]
pub(crate) enum WholeBodyError {
    /// It did not arrive.
    Body(BodyError),
    /// It is longer than taken.
    TooLong,
    /// All bodies together take the memory that there is for them.
    NoMemory,
}

impl From<BodyError> for WholeBodyError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::NoMemory => Self::NoMemory,
            error => Self::Body(error),
        }
    }
}

impl Sender {
    /// Reads the whole body of at most `bytes_max` bytes, and charges `share` with what arrives of it: a sender that
    /// declares much and sends little takes nothing from others.
    pub(crate) async fn take_whole_body(
        &mut self,
        bytes_max: u64,
        share: &mut Share<'_>,
    ) -> Result<Vec<u8>, WholeBodyError> {
        match self.remaining {
            Remaining::Length(length) if length > bytes_max => Err(WholeBodyError::TooLong),
            Remaining::Length(length) => {
                let length = usize::try_from(length).map_err(|_| WholeBodyError::TooLong)?;
                self.take_body_of(length, share).await
            }
            Remaining::Chunked(_) => self.take_chunked_body(bytes_max, share).await,
        }
    }

    async fn take_body_of(&mut self, length: usize, share: &mut Share<'_>) -> Result<Vec<u8>, WholeBodyError> {
        let mut body = Vec::with_capacity(length.min(ROOM_AT_FIRST) + SLACK_BYTES);
        let there = &self.received[self.consumed..];
        let there = &there[..there.len().min(length)];
        body.extend_from_slice(there);
        self.consumed += there.len();
        charge(share, body.len())?;
        while body.len() < length {
            // A little more room than needed: a read that does not fill it tells the runtime that nothing is left.
            body.reserve((length - body.len()).min(body.len().max(ROOM_AT_FIRST)) + SLACK_BYTES);
            let read = self.stream.read_buf(&mut body).await.map_err(|_| BodyError::Gone)?;
            if read == 0 {
                return Err(BodyError::Gone.into());
            }
            charge(share, read)?;
        }
        // What a sender sent ahead: the beginning of its next request.
        self.received.extend_from_slice(&body[length..]);
        body.truncate(length);
        self.remaining = Remaining::Length(0);
        Ok(body)
    }

    async fn take_chunked_body(&mut self, bytes_max: u64, share: &mut Share<'_>) -> Result<Vec<u8>, WholeBodyError> {
        let mut body = Vec::new();
        while !self.body_is_done() {
            let before = body.len();
            self.next_piece(&mut body).await?;
            if body.len() as u64 > bytes_max {
                return Err(WholeBodyError::TooLong);
            }
            charge(share, body.len() - before)?;
        }
        Ok(body)
    }
}

fn charge(share: &mut Share<'_>, bytes: usize) -> Result<(), WholeBodyError> {
    if share.grow(bytes) { Ok(()) } else { Err(WholeBodyError::NoMemory) }
}

/// What is reserved for a body before it has arrived; then as much again as is there. Prometheus' requests stay below it.
const ROOM_AT_FIRST: usize = 128 << 10;
