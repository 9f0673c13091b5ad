//! The ingestion endpoint as delivery sees it: one request over this crate's own HTTP/1.1, and its whole answer.
//!
//! Connections are kept and used again. One that turns out to be closed before the first byte of an answer is replaced by a
//! fresh one, once. An answer that does not come whole and in time is none: what the target did is then unknown, and
//! [`SendError::may_have_arrived`] says so.
//!
//! Not here: tokens, what an answer means, when to try again (`delivery`).

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use delivery::{Answer, SendError, Shipment, Target};
use environment::{BoxFuture, Clock, HttpErrorKind};
use host::ConnectError;
use remote_write::WrittenCounts;
use remote_write::negotiation::{CONTENT_ENCODING, VERSION_HEADER};
use tokio::time::timeout;

use crate::Limits;
use crate::answer_head::AnswerHead;
use crate::exchange::{ExchangeError, Sent, read_head, send};
use crate::fields::field_text;
use crate::forward::AnswerStream;
use crate::metrics::Metrics;
use crate::published::Published;
use crate::upstream::{Upstream, UpstreamConnection};

mod retry_after;

/// The ingestion endpoint of a proxy with a queue.
pub(crate) struct HttpTarget {
    upstream: Arc<Upstream>,
    parts: Arc<TargetParts>,
}

/// What one target leaves to the next when it is exchanged.
pub(crate) struct TargetParts {
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    /// Counts each request by its answer.
    pub(crate) published: Arc<Published>,
    pub(crate) user_agent: String,
}

impl HttpTarget {
    pub(crate) fn new(upstream: Arc<Upstream>, parts: Arc<TargetParts>) -> Self {
        Self { upstream, parts }
    }

    /// Sends one request that is no delivery and so is not counted as one.
    ///
    /// # Errors
    /// [`SendError`] when there is no answer.
    pub(crate) async fn ask(&self, shipment: &Shipment) -> Result<Answer, SendError> {
        let allowed = self.parts.limits.answer_timeout;
        let mut times_sent = 0;
        let exchanged = timeout(allowed, self.exchange(shipment, &mut times_sent)).await;
        let sent_twice = times_sent > 1;
        let failed = match exchanged {
            Ok(Ok(answer)) => return Ok(Answer { sent_twice, ..answer }),
            Ok(Err(failed)) => failed,
            Err(_) => Failed::Timeout { seconds: allowed.as_secs_f64() },
        };
        Err(SendError {
            kind: failed.kind(),
            message: failed.describe(&self.upstream.target.authority),
            may_have_arrived: times_sent > 0,
            sent_twice,
        })
    }

    async fn exchange(&self, shipment: &Shipment, times_sent: &mut u32) -> Result<Answer, Failed> {
        let head = self.request_head(shipment);
        let (mut incoming, mut answer) = (Vec::new(), AnswerHead::new());
        let mut kept = self.upstream.take_idle();
        loop {
            let reused = kept.is_some();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => {
                    self.parts.metrics.upstream_connections.increment();
                    self.upstream.connect().await?
                }
            };
            *times_sent += 1;
            incoming.clear();
            let sent = send(&mut connection, &head, &shipment.body, &mut incoming).await;
            let head_bytes_max = self.parts.limits.head_bytes_max;
            match read_head(&mut connection, &mut incoming, &mut answer, head_bytes_max).await {
                Ok(()) => {
                    answer.keeps_alive &= sent == Sent::Whole;
                    return self.finish(connection, &answer, incoming).await;
                }
                Err(ExchangeError::NoAnswer(_)) if reused => self.parts.metrics.repeats_connection.increment(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads the rest of an answer whose head is there.
    async fn finish(
        &self,
        mut connection: UpstreamConnection,
        answer: &AnswerHead,
        mut incoming: Vec<u8>,
    ) -> Result<Answer, Failed> {
        let mut rest = incoming.split_off(answer.length);
        let head = incoming;
        let (mut stream, mut body) = (AnswerStream::new(answer.body), Vec::new());
        loop {
            stream.take(&mut rest, &mut body).map_err(Failed::Body)?;
            if stream.is_done() || body.len() > ANSWER_BODY_BYTES_MAX {
                break;
            }
            stream.read_more(&mut connection, &mut rest).await.map_err(Failed::Body)?;
        }
        if answer.keeps_alive && stream.is_done() && rest.is_empty() {
            self.upstream.put_idle(connection);
        }
        body.truncate(ANSWER_BODY_BYTES_MAX);
        let value = |name: &str| field_text(&answer.fields, &head, name);
        Ok(Answer {
            status: answer.status,
            retry_after: retry_after::read(value("retry-after"), value("date"), self.parts.clock.now()),
            written: WrittenCounts::from_headers(value),
            body: Bytes::from(body),
            sent_twice: false,
        })
    }

    /// The headers that Prometheus sends, with our name and token.
    fn request_head(&self, shipment: &Shipment) -> Vec<u8> {
        let target = &self.upstream.target;
        let mut out = Vec::with_capacity(HEAD_BYTES);
        let mut push = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        push(&[b"POST ", target.path_and_query.as_bytes(), b" HTTP/1.1\r\nHost: ", target.authority.as_bytes()]);
        push(&[b"\r\nUser-Agent: ", self.parts.user_agent.as_bytes()]);
        push(&[b"\r\nContent-Encoding: ", CONTENT_ENCODING.as_bytes()]);
        push(&[b"\r\nContent-Type: ", shipment.version.content_type().as_bytes()]);
        push(&[b"\r\n", VERSION_HEADER.as_bytes(), b": ", shipment.version.header_value().as_bytes()]);
        push(&[b"\r\nAuthorization: ", shipment.token.authorization().as_bytes()]);
        push(&[b"\r\nContent-Length: ", shipment.body.len().to_string().as_bytes(), b"\r\n\r\n"]);
        out
    }
}

impl Target for HttpTarget {
    fn send(&self, shipment: Shipment) -> BoxFuture<'_, Result<Answer, SendError>> {
        Box::pin(async move {
            let started = self.parts.clock.monotonic();
            let answered = self.ask(&shipment).await;
            let succeeded = answered.as_ref().is_ok_and(|answer| (200..300).contains(&answer.status));
            let took = self.parts.clock.monotonic().since(started);
            self.parts.published.record(succeeded, shipment.body.len() as u64, took);
            answered
        })
    }
}

/// Why there is no whole answer.
enum Failed {
    Connect(ConnectError),
    Exchange(ExchangeError),
    /// The body of the answer ended too soon or is malformed.
    Body(io::Error),
    Timeout {
        seconds: f64,
    },
}

impl Failed {
    /// A word for metrics.
    fn kind(&self) -> &'static str {
        match self {
            Self::Timeout { .. } | Self::Connect(ConnectError { kind: HttpErrorKind::Timeout, .. }) => "timeout",
            Self::Connect(_) | Self::Exchange(ExchangeError::NoAnswer(_)) => "unreachable",
            Self::Exchange(_) | Self::Body(_) => "invalid_answer",
        }
    }

    fn describe(&self, authority: &str) -> String {
        match self {
            Self::Connect(error) => error.to_string(),
            Self::Exchange(error) => format!("no answer from {authority}: {error}"),
            Self::Body(error) => format!("the answer from {authority} did not come whole: {error}"),
            Self::Timeout { seconds } => format!("no answer from {authority} within {seconds} s"),
        }
    }
}

impl From<ConnectError> for Failed {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl From<ExchangeError> for Failed {
    fn from(error: ExchangeError) -> Self {
        Self::Exchange(error)
    }
}

/// How much of an answer's body is read; what lists refused series is far below it.
const ANSWER_BODY_BYTES_MAX: usize = 64 << 10;
/// Room for a head with a usual token.
const HEAD_BYTES: usize = 4 << 10;

#[cfg(test)]
mod tests;
