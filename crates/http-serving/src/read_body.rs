//! Reading a request's body within bounds, or throwing it away within bounds.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use model::{ErrorKind, Kinded};
use tokio::time::timeout;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadBodyError {
    /// Larger than allowed.
    #[error("the body is larger than {limit} bytes{}", declared.map(|bytes| format!(": {bytes} bytes")).unwrap_or_default())]
    TooLarge {
        /// What is allowed, in bytes.
        limit: u64,
        /// What the client announced, if it did.
        declared: Option<u64>,
    },
    /// It did not come in time.
    #[error("the body did not arrive within {0:?}")]
    Timeout(Duration),
    /// The client went away, or broke the protocol.
    #[error("the body ended early: {0}")]
    Broken(#[source] hyper::Error),
}

impl Kinded for ReadBodyError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::Broken(_) => ErrorKind::Canceled,
        }
    }
}

/// The whole body, if it is at most `limit` bytes long and arrives within `time`. An announced length over the limit is
/// refused before anything is read. A body that arrives in one piece is not copied.
///
/// # Errors
/// [`ReadBodyError`]; the rest of the body is then unread.
pub async fn read_body(body: &mut Incoming, limit: u64, time: Duration) -> Result<Bytes, ReadBodyError> {
    let declared = body.size_hint().exact();
    if declared.is_some_and(|declared| declared > limit) {
        return Err(ReadBodyError::TooLarge { limit, declared });
    }
    match timeout(time, collect(body, limit, declared)).await {
        Ok(result) => result,
        Err(_) => Err(ReadBodyError::Timeout(time)),
    }
}

async fn collect(body: &mut Incoming, limit: u64, declared: Option<u64>) -> Result<Bytes, ReadBodyError> {
    let first = next_piece(body).await?.unwrap_or_default();
    check(first.len(), limit)?;
    let Some(second) = next_piece(body).await? else { return Ok(first) };
    // An announced length is believed up to a bound, so that a lie costs little.
    let announced =
        declared.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)).min(ALLOCATE_AHEAD_BYTES_MAX);
    let mut whole = BytesMut::with_capacity(announced.max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    let mut piece = Some(second);
    while let Some(bytes) = piece {
        check(whole.len() + bytes.len(), limit)?;
        whole.extend_from_slice(&bytes);
        piece = next_piece(body).await?;
    }
    Ok(whole.freeze())
}

async fn next_piece(body: &mut Incoming) -> Result<Option<Bytes>, ReadBodyError> {
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame.map_err(ReadBodyError::Broken)?.into_data() {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

fn check(len: usize, limit: u64) -> Result<(), ReadBodyError> {
    if len as u64 > limit { Err(ReadBodyError::TooLarge { limit, declared: None }) } else { Ok(()) }
}

/// How much of a body that nobody wants is read before the answer.
///
/// Closing a connection with unread bytes resets it, and the client may lose the answer that says what is wrong. Also, a
/// connection with unread bytes cannot be used again.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// At most so many bytes.
    pub bytes_max: u64,
    /// At most for so long.
    pub time_max: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { bytes_max: 4 << 20, time_max: Duration::from_secs(2) }
    }
}

impl Drain {
    /// Reads and forgets. A body that is announced as longer than the bound is left alone, as is one that the client only
    /// sends when told to (`Expect: 100-continue`; the caller passes what the header said).
    pub async fn run(self, mut body: Incoming, expects_continue: bool) {
        if expects_continue || body.is_end_stream() || body.size_hint().lower() > self.bytes_max {
            return;
        }
        let read = async {
            let mut left = self.bytes_max;
            while let Ok(Some(bytes)) = next_piece(&mut body).await {
                match left.checked_sub(bytes.len() as u64) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        // Whether it came to the end makes no difference: the answer is sent either way.
        let _ = timeout(self.time_max, read).await;
    }
}

/// The most that is allocated on the strength of an announced length.
const ALLOCATE_AHEAD_BYTES_MAX: usize = 1 << 20;
