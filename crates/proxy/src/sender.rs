//! The sender's side of a connection: bytes in, heads and bodies out.
//!
//! A buffer holds the head of the request under way at its beginning, so that offsets into the head stay valid while the
//! body arrives behind it. It is lent to the connection with the first byte of a request and given back after its last.
//! A sender that is slow holds as little as it sends: room for a whole body comes with the body.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_serving::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::time::{sleep, timeout};

use crate::Limits;
use crate::buffers::{Inbound, Pool};
use crate::chunked::ChunkDecoder;
use crate::fields::HeadError;
use crate::refusal::Refusal;
use crate::request_head::{RequestBody, RequestHead};
use crate::stopping::Stopping;

mod whole_body;

pub(crate) use whole_body::WholeBodyError;

/// A connection from a sender.
pub(crate) struct Sender {
    stream: Stream,
    pool: Arc<Pool<Inbound>>,
    /// Where the sender is.
    pub(crate) peer: IpAddr,
    /// The head under way and what has arrived behind it.
    received: Vec<u8>,
    pub(crate) request: RequestHead,
    /// What of `received` has been used by the request under way.
    consumed: usize,
    /// What is still to be taken of the body of the request under way.
    remaining: Remaining,
}

/// The rest of a body.
#[derive(Debug)]
enum Remaining {
    Length(u64),
    Chunked(ChunkDecoder),
}

/// What waiting for a request came to.
pub(crate) enum Waited {
    /// A head has been read and parsed.
    Request,
    /// There will be none: the sender closed, rested too long, or the proxy is stopping.
    Closed,
    /// What came is no request.
    Malformed(Refusal),
}

/// Why a body did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection ended before the body did.
    #[error("the sender closed the connection within a request")]
    Gone,
    /// The body took too long.
    #[error("the body of the request did not arrive in time")]
    Timeout,
    /// The requests under way left no memory for it in time.
    #[error("the requests under way take the memory there is for them")]
    NoMemory,
    /// The chunks are malformed.
    #[error("the chunked body is malformed")]
    Malformed,
    /// The proxy is stopping and cannot wait for the rest.
    #[error("the proxy is stopping and the body of the request had not arrived")]
    Stopping,
}

impl BodyError {
    /// What to answer, if anybody is there to read it.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::Gone => Refusal::new(400, "IncompleteBody", self.to_string()),
            // Not 408: Prometheus drops what it is answered so, and the data are fine.
            Self::Timeout => Refusal::unavailable("RequestTimeout", self.to_string()),
            Self::NoMemory => Refusal::unavailable("TooManyRequests", self.to_string()),
            Self::Malformed => Refusal::new(400, "BadRequest", self.to_string()),
            Self::Stopping => Refusal::unavailable("Stopping", self.to_string()),
        }
    }
}

impl Sender {
    pub(crate) fn new(stream: Stream, peer: IpAddr, pool: Arc<Pool<Inbound>>) -> Self {
        Self {
            stream,
            pool,
            peer,
            received: Vec::new(),
            request: RequestHead::new(),
            consumed: 0,
            remaining: Remaining::Length(0),
        }
    }

    /// The bytes into which the request's offsets point.
    pub(crate) fn head(&self) -> &[u8] {
        &self.received[..self.request.length]
    }

    /// Waits for a request and reads its head.
    pub(crate) async fn next_request(&mut self, limits: &Limits, stopping: &mut Stopping) -> Waited {
        if self.received.is_empty() {
            let arrived = tokio::select! {
                biased;
                arrived = timeout(limits.idle_timeout, std::future::poll_fn(|context| self.poll_first_bytes(context))) => {
                    arrived.is_ok_and(|read| read.is_ok_and(|read| read > 0))
                }
                () = stopping.over(Duration::ZERO) => false,
            };
            if !arrived {
                return Waited::Closed;
            }
        }
        let late = || Refusal::unavailable("RequestTimeout", "the head of the request did not arrive in time");
        tokio::select! {
            biased;
            read = timeout(limits.head_timeout, self.read_head(limits.head_bytes_max)) => {
                read.unwrap_or_else(|_| Waited::Malformed(late()))
            }
            () = stopping.over(limits.drain_head_timeout) => Waited::Closed,
        }
    }

    /// Reads what comes next, and has no buffer until it is there.
    fn poll_first_bytes(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Stream::Plain(socket) = &self.stream {
            ready!(socket.poll_read_ready(context))?;
        }
        // Inside TLS, bytes may wait in the session while there are none on the socket, so it is asked every time.
        self.borrow_buffers();
        self.received.reserve(FIRST_READ_BYTES);
        let read = pin!(self.stream.read_buf(&mut self.received)).poll(context);
        if self.received.is_empty() {
            self.return_buffers();
        }
        read
    }

    fn borrow_buffers(&mut self) {
        Inbound { received: self.received, request: self.request } = self.pool.lend();
    }

    fn return_buffers(&mut self) {
        let (received, request) = (std::mem::take(&mut self.received), std::mem::take(&mut self.request));
        self.pool.give_back(Inbound { received, request });
    }

    async fn read_head(&mut self, head_bytes_max: usize) -> Waited {
        let mut line_start = 0;
        loop {
            // An empty line before a request is a common mistake of senders (RFC 9112 §2.2).
            if line_start == 0 && self.received.starts_with(b"\r\n") {
                self.received.drain(..2);
            }
            match self.request.parse(&self.received, &mut line_start) {
                Ok(true) if self.request.length <= head_bytes_max => break,
                Ok(false) if self.received.len() <= head_bytes_max => {}
                Ok(_) => {
                    let message = format!("the head of the request is longer than {head_bytes_max} bytes");
                    return Waited::Malformed(Refusal::new(431, "RequestHeaderFieldsTooLarge", message));
                }
                Err(error) => return Waited::Malformed(malformed(error)),
            }
            match self.fill(HEAD_READ_BYTES).await {
                Ok(read) if read > 0 => {}
                _ => return Waited::Closed,
            }
        }
        self.consumed = self.request.length;
        self.remaining = match self.request.body {
            RequestBody::Length(length) => Remaining::Length(length),
            RequestBody::Chunked => Remaining::Chunked(ChunkDecoder::new()),
        };
        Waited::Request
    }

    /// Whether the whole body has been taken.
    pub(crate) fn body_is_done(&self) -> bool {
        match &self.remaining {
            Remaining::Length(left) => *left == 0,
            Remaining::Chunked(decoder) => decoder.is_done(),
        }
    }

    /// Tells a sender that waits for permission to send the body.
    pub(crate) async fn invite_body(&mut self) -> io::Result<()> {
        if self.request.expects_continue && self.received.len() == self.consumed && !self.body_is_done() {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        Ok(())
    }

    /// Waits until the body has arrived or fills the room that there is, which costs no memory: before more is set aside
    /// for it, the sender has to show that it sends.
    pub(crate) async fn body_shows(&mut self) -> Result<(), BodyError> {
        let body_bytes = match &self.remaining {
            Remaining::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX),
            Remaining::Chunked(_) => 1,
        };
        while self.received.len() < self.received.capacity() && self.received.len() - self.consumed < body_bytes {
            self.fill_some(0).await?;
        }
        Ok(())
    }

    /// Reads the first `length` bytes of a body of known length behind the head and says where in [`Sender::bytes`] they
    /// stand. They are still to be taken until [`Sender::body_is_read`] says otherwise.
    pub(crate) async fn read_body(&mut self, length: usize) -> Result<Range<usize>, BodyError> {
        let end = self.request.length + length;
        while self.received.len() < end {
            let missing = end - self.received.len();
            // More room than needed: see `READ_BYTES` of the exchange for why.
            self.fill_some(missing + SLACK_BYTES).await?;
        }
        Ok(self.request.length..end)
    }

    /// The body of the request under way is `range` of [`Sender::bytes`], and nothing else is to be taken of it.
    pub(crate) fn body_is_read(&mut self, range: &Range<usize>) {
        self.consumed = range.end;
        self.remaining = Remaining::Length(0);
    }

    /// Resolves when the sender has hung up; for while it waits for an answer. Costs no system call until something
    /// arrives. A sender that sends ahead in the clear is not watched: what it sent hides its end, and it may have closed
    /// its side in good order.
    pub(crate) async fn hung_up(&self) {
        let socket = self.stream.socket();
        if !socket.peek(&mut [0]).await.is_ok_and(|ahead| ahead > 0) {
            return;
        }
        if matches!(self.stream, Stream::Plain(_)) {
            return std::future::pending().await;
        }
        // Inside TLS the end of the session comes as bytes like others. Whether the end of the connection is behind them
        // the system knows, but wakes nobody for it.
        while socket.ready(Interest::READABLE).await.is_ok_and(|ready| !ready.is_read_closed()) {
            sleep(HANG_UP_LOOK).await;
        }
    }

    /// The buffer into which [`Sender::read_body`] points.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.received
    }

    /// Appends the next piece of the body to `piece`; nothing is appended only when the body is done.
    pub(crate) async fn next_piece(&mut self, piece: &mut Vec<u8>) -> Result<(), BodyError> {
        let before = piece.len();
        while piece.len() == before && !self.body_is_done() {
            if self.consumed == self.received.len() {
                self.received.truncate(self.request.length);
                self.consumed = self.request.length;
                self.fill_some(PIECE_BYTES).await?;
            }
            let input = &self.received[self.consumed..];
            self.consumed += match &mut self.remaining {
                Remaining::Length(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    piece.extend_from_slice(&input[..take]);
                    *left -= take as u64;
                    take
                }
                Remaining::Chunked(decoder) => decoder.decode(input, piece).map_err(|_| BodyError::Malformed)?,
            };
        }
        Ok(())
    }

    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Forgets the request under way; what arrived behind it is the beginning of the next.
    pub(crate) fn finish_request(&mut self) {
        if self.consumed == self.received.len() {
            self.return_buffers();
        } else {
            self.received.drain(..self.consumed);
        }
        self.consumed = 0;
    }

    /// Closes in good order: inside TLS, the end of the connection without that of the session is an error.
    pub(crate) async fn close(&mut self) {
        if let Stream::Tls(session) = &mut self.stream {
            let _ = timeout(LINGER, session.shutdown()).await;
        }
    }

    /// Closes so that the sender can read the last answer although it is still sending: a socket closed with unread
    /// bytes resets the connection, and the answer is lost.
    pub(crate) async fn linger(&mut self) {
        let _ = self.stream.shutdown().await;
        let mut sink = vec![0; LINGER_READ_BYTES];
        let drained = async {
            let mut left = LINGER_BYTES_MAX;
            while left > 0 {
                match self.stream.read(&mut sink).await {
                    Ok(read) if read > 0 => left = left.saturating_sub(read),
                    _ => break,
                }
            }
        };
        let _ = timeout(LINGER, drained).await;
    }

    /// Reads what is there, or waits for something. Where there is no room left, makes `room`.
    async fn fill(&mut self, room: usize) -> io::Result<usize> {
        if self.received.len() == self.received.capacity() {
            self.received.reserve(room);
        }
        self.stream.read_buf(&mut self.received).await
    }

    /// The same within a body, which the end of the connection cuts off.
    async fn fill_some(&mut self, room: usize) -> Result<(), BodyError> {
        match self.fill(room).await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(BodyError::Gone),
        }
    }
}

fn malformed(error: HeadError) -> Refusal {
    let (status, code) = match error {
        HeadError::Version => (505, "HttpVersionNotSupported"),
        HeadError::TransferEncoding => (501, "NotImplemented"),
        HeadError::Expectation => (417, "ExpectationFailed"),
        HeadError::TooManyFields => (431, "RequestHeaderFieldsTooLarge"),
        _ => (400, "BadRequest"),
    };
    Refusal::new(status, code, error.to_string())
}

/// Room for the first read into a buffer that has none yet: enough for a usual head, little for a sender that drips.
const FIRST_READ_BYTES: usize = 1 << 10;
/// Room for more of a head that is longer.
const HEAD_READ_BYTES: usize = 4 << 10;
const PIECE_BYTES: usize = 64 << 10;
const SLACK_BYTES: usize = 512;
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 << 20;
const LINGER_READ_BYTES: usize = 4 << 10;
/// How often a sender that sent ahead is looked after.
const HANG_UP_LOOK: Duration = Duration::from_millis(250);
