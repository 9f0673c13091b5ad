//! One request on one upstream connection: send it, read the head of its answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use host::Connection;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use crate::answer_head::AnswerHead;
use crate::fields::HeadError;

/// What came of an attempt to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    /// Everything has been handed to the system.
    Whole,
    /// The upstream answered, or closed, before it had everything: read what it says, then give the connection up.
    Interrupted,
}

/// No answer came on a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The connection ended before the first byte of an answer.
    #[error("the connection was closed without an answer{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    NoAnswer(Option<io::Error>),
    /// The connection ended within the head of an answer.
    #[error("the connection was closed within an answer")]
    CutOff,
    /// What came is not HTTP.
    #[error("the answer is not valid HTTP: {0}")]
    Invalid(#[from] HeadError),
    /// The head of the answer is longer than allowed.
    #[error("the head of the answer is longer than {0} bytes")]
    TooLong(usize),
}

/// Sends `head` and `body`, watching for an answer that comes before everything is sent: an upstream that refuses early
/// may never read the rest.
pub(crate) async fn send(connection: &mut Connection, head: &[u8], body: &[u8], answer: &mut Vec<u8>) -> Sent {
    let mut sent = 0;
    std::future::poll_fn(|context| {
        loop {
            match poll_send(connection, context, head, body, &mut sent) {
                Poll::Ready(Ok(true)) => return Poll::Ready(Sent::Whole),
                Poll::Ready(Ok(false)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Sent::Interrupted),
                Poll::Pending => break,
            }
        }
        answer.reserve(READ_BYTES);
        let reading = connection.read_buf(answer);
        match std::pin::pin!(reading).poll(context) {
            Poll::Ready(_) => Poll::Ready(Sent::Interrupted),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Writes as much as goes; `Ok(true)` once everything is written and flushed.
fn poll_send(
    connection: &mut Connection,
    context: &mut Context<'_>,
    head: &[u8],
    body: &[u8],
    sent: &mut usize,
) -> Poll<io::Result<bool>> {
    let mut connection = Pin::new(connection);
    let total = head.len() + body.len();
    if *sent == total {
        // Inside TLS, bytes that are written may still wait in the session.
        return connection.poll_flush(context).map_ok(|()| true);
    }
    let slices =
        [IoSlice::new(head.get(*sent..).unwrap_or_default()), IoSlice::new(&body[sent.saturating_sub(head.len())..])];
    // An empty first slice would be written as such by some streams.
    let slices = if slices[0].is_empty() { &slices[1..] } else { &slices[..] };
    connection.as_mut().poll_write_vectored(context, slices).map(|written| match written {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(written) => {
            *sent += written;
            Ok(false)
        }
        Err(error) => Err(error),
    })
}

/// Reads until `answer` begins with a whole final head, which is parsed into `head`. Interim answers are read over.
pub(crate) async fn read_head(
    connection: &mut Connection,
    answer: &mut Vec<u8>,
    head: &mut AnswerHead,
    head_bytes_max: usize,
) -> Result<(), ExchangeError> {
    let mut line_start = 0;
    let mut seen_bytes = !answer.is_empty();
    loop {
        while !answer.is_empty() && head.parse(answer, &mut line_start)? {
            if !head.is_interim() {
                return Ok(());
            }
            answer.drain(..head.length);
            line_start = 0;
        }
        if answer.len() > head_bytes_max {
            return Err(ExchangeError::TooLong(head_bytes_max));
        }
        answer.reserve(READ_BYTES);
        match connection.read_buf(answer).await {
            Ok(0) if seen_bytes => return Err(ExchangeError::CutOff),
            Ok(0) => return Err(ExchangeError::NoAnswer(None)),
            Ok(_) => seen_bytes = true,
            Err(_) if seen_bytes => return Err(ExchangeError::CutOff),
            Err(error) => return Err(ExchangeError::NoAnswer(Some(error))),
        }
    }
}

/// Room for the head of a usual answer, and more than comes: a read that fills less than its buffer tells the runtime
/// that nothing is left, which saves the system call to find out.
pub(crate) const READ_BYTES: usize = 4 << 10;
