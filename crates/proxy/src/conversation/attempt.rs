//! Getting an answer: the token, the exchange with the upstream, and what is tried again.

use std::sync::Arc;
use std::time::Duration;

use identity::AccessToken;
use tokio::time::timeout;

use super::{Body, Conversation, too_long};
use crate::answer_head::AnswerBody;
use crate::chunked::{LAST_CHUNK, chunk_head};
use crate::exchange::{ExchangeError, Sent, read_head, send};
use crate::forward::{AnswerStream, Destination, ForwardError, excerpt, write_request_head};
use crate::refusal::Refusal;
use crate::request_head::RequestBody;
use crate::sender::{BodyError, Sender};
use crate::upstream::UpstreamConnection;

impl Conversation {
    /// Sends the request, with a new token once more if the first is refused, until there is an answer to pass on; its
    /// head is then in `answer`.
    pub(super) async fn attempt(
        &mut self,
        destination: &Destination,
        body: Body,
    ) -> Result<UpstreamConnection, Refusal> {
        let mut token = self.token_while_awaited(destination).await?;
        let connection = self.exchange(destination, &body, &token).await?;
        if self.answer.status != 401 {
            return Ok(connection);
        }
        let refreshes = destination.tokens.reject(&token);
        if matches!(body, Body::Streaming) {
            let host = &destination.upstream.target.authority;
            let message = format!(
                "{host} refused the token (401){}; the request was too large to keep and send again with a new one",
                self.excerpt_of_answer()
            );
            return Err(Refusal::unavailable("Unauthorized", message));
        }
        self.reuse_refused(destination, connection).await;
        let fresh = self.token_while_awaited(destination).await?;
        if fresh == token {
            // It would be refused again.
            return Err(self.unauthorized(destination, &why_not_renewed(destination, refreshes)));
        }
        token = fresh;
        self.shared.metrics.repeats_unauthorized.increment();
        let connection = self.exchange(destination, &body, &token).await?;
        if self.answer.status == 401 {
            let refusal = self.unauthorized(destination, "and a new one too");
            self.reuse_refused(destination, connection).await;
            return Err(refusal);
        }
        Ok(connection)
    }

    /// Never the upstream's bare 401: a sender drops what that answers, and it is not its own credential that failed.
    fn unauthorized(&self, destination: &Destination, what_else: &str) -> Refusal {
        let host = &destination.upstream.target.authority;
        let excerpt = self.excerpt_of_answer();
        let message = format!("{host} refused the token (401), {what_else}{excerpt}; check audience, tenant and clock");
        Refusal::unavailable("Unauthorized", message)
    }

    /// What has arrived of the answer's body, as a part of a sentence.
    fn excerpt_of_answer(&self) -> String {
        let body = self.incoming.get(self.answer.length..).unwrap_or_default();
        if body.is_empty() { String::new() } else { format!(": {}", excerpt(body)) }
    }

    async fn token(&self, destination: &Destination) -> Result<AccessToken, Refusal> {
        destination
            .tokens
            .token()
            .await
            .map_err(|error| Refusal::unavailable("AuthenticationTokenNotFound", error.to_string()))
    }

    async fn token_while_awaited(&self, destination: &Destination) -> Result<AccessToken, Refusal> {
        while_awaited(&self.sender, self.token(destination)).await.unwrap_or_else(|HungUp| Err(Refusal::hang_up()))
    }

    /// Keeps the connection of an answer that is not passed on, if its body is short.
    async fn reuse_refused(&mut self, destination: &Destination, mut connection: UpstreamConnection) {
        let mut stream = AnswerStream::new(self.answer.body);
        let reusable = self.answer.keeps_alive
            && matches!(self.answer.body, AnswerBody::None | AnswerBody::Length(0..=SHORT_BODY_BYTES));
        if !reusable {
            return;
        }
        // The head and the beginning of the body stay in `incoming` for an excerpt; only the rest is read over.
        let mut rest = self.incoming.split_off(self.answer.length);
        let mut seen = Vec::new();
        let drained = async {
            while stream.take(&mut rest, &mut seen).is_ok() && !stream.is_done() {
                stream.read_more(&mut connection, &mut rest).await?;
            }
            std::io::Result::Ok(())
        };
        let drained = timeout(SHORT_BODY_TIMEOUT, drained).await;
        self.incoming.extend_from_slice(&seen);
        if matches!(drained, Ok(Ok(()))) && rest.is_empty() {
            destination.upstream.put_idle(connection);
        }
    }

    /// Sends the request once and reads the head of the answer into `answer`. A kept connection that turns out to be
    /// closed is replaced by a fresh one, once, if the body is still there to be sent.
    async fn exchange(
        &mut self,
        destination: &Destination,
        body: &Body,
        token: &AccessToken,
    ) -> Result<UpstreamConnection, Refusal> {
        let allowed = self.limits.answer_timeout;
        let exchanged = if matches!(body, Body::Streaming) {
            self.exchange_streaming(destination, token).await
        } else {
            timeout(allowed, self.exchange_kept(destination, body, token))
                .await
                .unwrap_or_else(|_| Err(Stopped::Upstream(self.timed_out(destination))))
        };
        exchanged.map_err(|stopped| match stopped {
            Stopped::Upstream(error) => Refusal::unavailable(error.code(), error.to_string()),
            Stopped::Sender(error) => error.refusal(),
            Stopped::HungUp => Refusal::hang_up(),
            Stopped::TooLong(limit) => {
                self.shared.metrics.limited_bodies.increment();
                too_long(limit)
            }
        })
    }

    async fn exchange_kept(
        &mut self,
        destination: &Destination,
        body: &Body,
        token: &AccessToken,
    ) -> Result<UpstreamConnection, Stopped> {
        let mut idle = destination.upstream.take_idle();
        loop {
            let reused = idle.is_some();
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => while_awaited(&self.sender, self.connect(destination)).await??,
            };
            let content = match body {
                Body::Received(range) => &self.sender.bytes()[range.clone()],
                _ => &self.piece,
            };
            let length = RequestBody::Length(content.len() as u64);
            let (request, head) = (&self.sender.request, self.sender.head());
            write_request_head(
                &mut self.outgoing,
                &destination.upstream.target,
                destination.kind,
                request,
                head,
                token,
                length,
            );
            self.incoming.clear();
            let head_bytes_max = self.limits.head_bytes_max;
            let exchanged = async {
                let sent = send(&mut connection, &self.outgoing, content, &mut self.incoming).await;
                let read = read_head(&mut connection, &mut self.incoming, &mut self.answer, head_bytes_max).await;
                (sent, read)
            };
            let (sent, read) = while_awaited(&self.sender, exchanged).await?;
            match read {
                Ok(()) => {
                    self.answer.keeps_alive &= sent == Sent::Whole;
                    return Ok(connection);
                }
                Err(ExchangeError::NoAnswer(_)) if reused => self.shared.metrics.repeats_connection.increment(),
                Err(source) => return Err(Stopped::Upstream(no_answer(destination, source))),
            }
        }
    }

    /// Always over a fresh connection: what has gone out cannot be sent again if a kept one turns out to be closed.
    async fn exchange_streaming(
        &mut self,
        destination: &Destination,
        token: &AccessToken,
    ) -> Result<UpstreamConnection, Stopped> {
        let (limits, mut stopping) = (Arc::clone(&self.limits), self.stopping.clone());
        let mut connection = self.connect(destination).await?;
        let framing = self.sender.request.body;
        let (request, head) = (&self.sender.request, self.sender.head());
        write_request_head(
            &mut self.outgoing,
            &destination.upstream.target,
            destination.kind,
            request,
            head,
            token,
            framing,
        );
        self.incoming.clear();
        // `piece` may hold the beginning of the body already.
        let sent = loop {
            if self.body_bytes > limits.body_bytes_max {
                return Err(Stopped::TooLong(limits.body_bytes_max));
            }
            if !self.piece.is_empty() && framing == RequestBody::Chunked {
                chunk_head(self.piece.len(), &mut self.outgoing);
                self.piece.extend_from_slice(b"\r\n");
            }
            if self.sender.body_is_done() && framing == RequestBody::Chunked {
                self.piece.extend_from_slice(LAST_CHUNK);
            }
            let sending = send(&mut connection, &self.outgoing, &self.piece, &mut self.incoming);
            let sent = match timeout(limits.stall_timeout, sending).await {
                Ok(sent) => sent,
                Err(_) => return Err(Stopped::Upstream(self.timed_out(destination))),
            };
            if sent == Sent::Interrupted || self.sender.body_is_done() {
                break sent;
            }
            self.outgoing.clear();
            self.piece.clear();
            let read = tokio::select! {
                biased;
                read = timeout(limits.stall_timeout, self.sender.next_piece(&mut self.piece)) => {
                    read.unwrap_or(Err(BodyError::Timeout))
                }
                () = stopping.over(limits.drain_body_timeout) => Err(BodyError::Stopping),
            };
            read.map_err(Stopped::Sender)?;
            self.body_bytes += self.piece.len() as u64;
        };
        let reading = read_head(&mut connection, &mut self.incoming, &mut self.answer, limits.head_bytes_max);
        match while_awaited(&self.sender, timeout(limits.answer_timeout, reading)).await? {
            Ok(Ok(())) => {
                self.answer.keeps_alive &= sent == Sent::Whole;
                Ok(connection)
            }
            Ok(Err(source)) => Err(Stopped::Upstream(no_answer(destination, source))),
            Err(_) => Err(Stopped::Upstream(self.timed_out(destination))),
        }
    }

    async fn connect(&self, destination: &Destination) -> Result<UpstreamConnection, Stopped> {
        self.shared.metrics.upstream_connections.increment();
        destination.upstream.connect().await.map_err(|error| Stopped::Upstream(error.into()))
    }

    fn timed_out(&self, destination: &Destination) -> ForwardError {
        let seconds = self.limits.answer_timeout.as_secs();
        ForwardError::Timeout { authority: destination.upstream.target.authority.clone(), seconds }
    }
}

/// Why there is no other token than the one refused. The cache serves an unexpired token on when a refresh fails, and
/// issuers on the machine may hand out one they keep.
fn why_not_renewed(destination: &Destination, refreshes: bool) -> String {
    match destination.tokens.state().last_error {
        Some(error) => format!("and getting a new one failed: {}", shortened(&error.to_string())),
        None if refreshes => "and asking for a new one gave the same".to_owned(),
        None => "and it was renewed a moment ago".to_owned(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The sender is gone.
struct HungUp;

/// Waits for as long as the sender does.
async fn while_awaited<T>(sender: &Sender, waiting: impl Future<Output = T>) -> Result<T, HungUp> {
    tokio::select! {
        biased;
        done = waiting => Ok(done),
        () = sender.hung_up() => Err(HungUp),
    }
}

impl From<HungUp> for Stopped {
    fn from(HungUp: HungUp) -> Self {
        Self::HungUp
    }
}

/// Why an exchange ended without an answer.
enum Stopped {
    HungUp,
    Upstream(ForwardError),
    Sender(BodyError),
    TooLong(u64),
}

fn no_answer(destination: &Destination, source: ExchangeError) -> ForwardError {
    ForwardError::Exchange { authority: destination.upstream.target.authority.clone(), source }
}

const REASON_CHARS_MAX: usize = 300;
const SHORT_BODY_BYTES: u64 = 64 << 10;
const SHORT_BODY_TIMEOUT: Duration = Duration::from_secs(2);
