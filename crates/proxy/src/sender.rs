//! The sender's side of a connection: bytes in, heads and bodies out.
//!
//! One buffer per connection serves request after request. It holds the head of the request under way at its beginning,
//! so that offsets into the head stay valid while the body arrives behind it.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Limits;
use crate::chunked::ChunkDecoder;
use crate::fields::HeadError;
use crate::refusal::Refusal;
use crate::request_head::{RequestBody, RequestHead};
use crate::stopping::Stopping;

mod whole_body;

pub(crate) use whole_body::WholeBodyError;

/// A connection from a sender.
pub(crate) struct Sender {
    stream: TcpStream,
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
            Self::Malformed => Refusal::new(400, "BadRequest", self.to_string()),
            Self::Stopping => Refusal::unavailable("Stopping", self.to_string()),
        }
    }
}

impl Sender {
    pub(crate) fn new(stream: TcpStream, peer: IpAddr) -> Self {
        Self {
            stream,
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
                arrived = self.first_bytes(limits.idle_timeout) => arrived,
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

    async fn first_bytes(&mut self, idle_timeout: Duration) -> bool {
        if self.received.capacity() > 0 {
            match timeout(BUFFER_REST, self.fill(READ_BYTES)).await {
                Ok(read) => return read.is_ok_and(|read| read > 0),
                // A sender that rests holds no memory.
                Err(_) => self.received = Vec::new(),
            }
        }
        timeout(idle_timeout, self.bytes_without_buffer()).await.is_ok_and(|read| read.is_ok_and(|read| read > 0))
    }

    /// Reads what comes next, and has no buffer until it is there.
    async fn bytes_without_buffer(&mut self) -> io::Result<usize> {
        loop {
            self.stream.readable().await?;
            self.received.reserve(READ_BYTES);
            match self.stream.try_read_buf(&mut self.received) {
                // The runtime may believe so until a read has shown otherwise.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.received = Vec::new(),
                read => return read,
            }
        }
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
            match self.fill(READ_BYTES).await {
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

    /// Reads a body of known `length` behind the head and says where in [`Sender::bytes`] it stands.
    pub(crate) async fn read_whole_body(&mut self, length: usize) -> Result<Range<usize>, BodyError> {
        let end = self.request.length + length;
        while self.received.len() < end {
            let missing = end - self.received.len();
            // More room than needed: see `READ_BYTES` of the exchange for why.
            if self.fill(missing + SLACK_BYTES).await.map_err(|_| BodyError::Gone)? == 0 {
                return Err(BodyError::Gone);
            }
        }
        self.consumed = end;
        self.remaining = Remaining::Length(0);
        Ok(self.request.length..end)
    }

    /// Resolves when the sender has hung up; for while it waits for an answer. Costs no system call until something
    /// arrives. A sender that sends ahead is not watched: what it sent hides its end.
    pub(crate) async fn hung_up(&self) {
        if self.stream.peek(&mut [0]).await.is_ok_and(|ahead| ahead > 0) {
            std::future::pending::<()>().await;
        }
    }

    /// The buffer into which [`Sender::read_whole_body`] points.
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
                if self.fill(PIECE_BYTES).await.map_err(|_| BodyError::Gone)? == 0 {
                    return Err(BodyError::Gone);
                }
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
            self.received.clear();
            if self.received.capacity() > BUFFER_KEPT_BYTES_MAX {
                self.received = Vec::new();
            }
        } else {
            self.received.drain(..self.consumed);
        }
        self.consumed = 0;
    }

    /// Closes so that the sender can read the last answer although it is still sending: a socket closed with unread
    /// bytes resets the connection, and the answer is lost.
    pub(crate) async fn linger(mut self) {
        let _ = self.stream.shutdown().await;
        let mut sink = vec![0; READ_BYTES];
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

    async fn fill(&mut self, room: usize) -> io::Result<usize> {
        self.received.reserve(room);
        self.stream.read_buf(&mut self.received).await
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

const READ_BYTES: usize = 4 << 10;
const PIECE_BYTES: usize = 64 << 10;
const SLACK_BYTES: usize = 512;
/// A buffer that grew beyond this is not kept for the next request.
const BUFFER_KEPT_BYTES_MAX: usize = 256 << 10;
/// A connection that rests longer than this gives its buffer back.
const BUFFER_REST: Duration = Duration::from_secs(2);
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 << 20;
