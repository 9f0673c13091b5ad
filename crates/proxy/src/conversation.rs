//! One connection of a sender, from accept to close: request after request, each to its end before the next is read.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use environment::Monotonic;
use host::Connection;
use identity::AccessToken;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::Shared;
use crate::answer_head::{AnswerBody, AnswerHead};
use crate::chunked::{LAST_CHUNK, chunk_head};
use crate::exchange::{ExchangeError, Sent, read_head, send};
use crate::forward::{
    AnswerStream, Destination, ForwardError, KeptBytes, Kind, end_frame, excerpt, frame, write_answer_head,
    write_request_head,
};
use crate::pages;
use crate::refusal::{Refusal, reason};
use crate::request_head::RequestBody;
use crate::route::Route;
use crate::sender::{BodyError, Sender, Waited};

/// A connection and the buffers that its requests share.
pub(crate) struct Conversation {
    shared: Arc<Shared>,
    sender: Sender,
    stopping: watch::Receiver<bool>,
    /// What goes out next: a head for the upstream, then one for the sender.
    outgoing: Vec<u8>,
    /// What came from the upstream.
    incoming: Vec<u8>,
    answer: AnswerHead,
    /// A body that came in chunks, without them; or a piece of a body on its way.
    piece: Vec<u8>,
    /// Bytes of the body of the request under way, as far as they arrived.
    body_bytes: u64,
}

/// What is to become of the connection after an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    /// The next request may come.
    Continue,
    /// Close it.
    Close,
    /// Close it, but let the sender finish sending, so that it reads the answer.
    Linger,
}

/// Where the body of a request is.
#[derive(Clone)]
enum Body {
    /// Whole, behind the head in the sender's buffer.
    Received(Range<usize>),
    /// Whole, in `piece`.
    Decoded,
    /// Still to come, but for what `piece` holds.
    Streaming,
}

/// How a forwarded request ended.
struct Ended {
    status: u16,
    after: After,
}

impl Conversation {
    pub(crate) fn new(shared: Arc<Shared>, sender: Sender, stopping: watch::Receiver<bool>) -> Self {
        Self {
            shared,
            sender,
            stopping,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            answer: AnswerHead::new(),
            piece: Vec::new(),
            body_bytes: 0,
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        loop {
            match self.sender.next_request(&self.shared.limits, &mut self.stopping).await {
                Waited::Request => {}
                Waited::Closed => return,
                Waited::Malformed(refusal) => {
                    self.shared.metrics.malformed.increment();
                    tracing::debug!(status = refusal.status, "malformed request: {}", refusal.message);
                    let _ = self.answer_json(&refusal, refusal.json(), true, false).await;
                    return self.sender.linger().await;
                }
            }
            let after = self.serve().await;
            self.sender.finish_request();
            self.rest_buffers();
            match after {
                After::Continue => {}
                After::Close => return,
                After::Linger => return self.sender.linger().await,
            }
        }
    }

    async fn serve(&mut self) -> After {
        let started = self.shared.clock.monotonic();
        self.body_bytes = 0;
        let shared = Arc::clone(&self.shared);
        match shared.routing.route(&self.sender.request, self.sender.head(), self.sender.peer) {
            Route::Write => {
                let ended = self.forward(&shared.ingestion).await;
                shared.record_write(ended.status, self.body_bytes, self.elapsed(started));
                ended.after
            }
            Route::Query => match &shared.query {
                Some(query) => {
                    shared.metrics.queries.increment();
                    self.forward(query).await.after
                }
                None => {
                    self.refuse(Kind::Query, Refusal::not_found(self.sender.request.path(self.sender.head()))).await
                }
            },
            Route::Page(page) => {
                let Err(after) = self.discard_body().await else {
                    let content = pages::render(page, &shared);
                    let without_body = self.sender.request.method.of(self.sender.head()) == b"HEAD";
                    let closes = self.closes();
                    return self.answer_page(&content, closes, without_body).await;
                };
                after
            }
            Route::Refuse(refusal) => self.refuse(Kind::Write, refusal).await,
        }
    }

    /// Answers without an upstream. The body is read over first when it is short: the sender may use the connection on.
    async fn refuse(&mut self, kind: Kind, refusal: Refusal) -> After {
        match self.discard_body().await {
            Ok(()) => self.answer_refusal(kind, &refusal).await,
            Err(After::Linger) => {
                let _ = self.answer_refusal(kind, &refusal).await;
                After::Linger
            }
            Err(after) => after,
        }
    }

    /// Reads over a body that is worth it; otherwise says what to do with the connection instead.
    async fn discard_body(&mut self) -> Result<(), After> {
        if self.sender.body_is_done() {
            return Ok(());
        }
        if self.sender.request.expects_continue {
            return Err(After::Linger);
        }
        let shared = Arc::clone(&self.shared);
        let discard = async {
            let mut left = shared.limits.kept_body_bytes_max;
            while !self.sender.body_is_done() && left > 0 {
                self.piece.clear();
                self.sender.next_piece(&mut self.piece).await.map_err(|_| After::Close)?;
                left = left.saturating_sub(self.piece.len());
            }
            if self.sender.body_is_done() { Ok(()) } else { Err(After::Linger) }
        };
        timeout(shared.limits.body_timeout, discard).await.unwrap_or(Err(After::Close))
    }

    /// Passes the request on, whatever that takes, and its answer back.
    async fn forward(&mut self, destination: &Destination) -> Ended {
        let shared = Arc::clone(&self.shared);
        let kept_bytes = match self.sender.request.body {
            RequestBody::Length(length) => {
                usize::try_from(length).ok().filter(|length| *length <= shared.limits.kept_body_bytes_max)
            }
            RequestBody::Chunked => Some(shared.limits.kept_body_bytes_max),
        };
        if matches!(self.sender.request.body, RequestBody::Length(length) if length > shared.limits.body_bytes_max) {
            shared.metrics.limited_bodies.increment();
            return self.refuse_forward(destination, too_long(shared.limits.body_bytes_max)).await;
        }
        let share = kept_bytes.and_then(|bytes| KeptBytes::take(&shared.kept_bytes_left, bytes));
        if kept_bytes.is_some() && share.is_none() {
            shared.metrics.limited_kept_bytes.increment();
        }
        if self.sender.invite_body().await.is_err() {
            return Ended { status: 400, after: After::Close };
        }
        let body = match timeout(shared.limits.body_timeout, self.take_body(share.is_some())).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return self.body_failed(destination, &error).await,
            Err(_) => return self.body_failed(destination, &BodyError::Timeout).await,
        };
        match self.attempt(destination, body).await {
            Ok(connection) => self.relay(destination, connection).await,
            Err(refusal) => self.refuse_forward(destination, refusal).await,
        }
    }

    /// Reads the body if it may be kept; `piece` then holds one that came in chunks.
    async fn take_body(&mut self, keep: bool) -> Result<Body, BodyError> {
        self.piece.clear();
        if !keep {
            return Ok(Body::Streaming);
        }
        match self.sender.request.body {
            RequestBody::Length(length) => {
                let length = usize::try_from(length).expect("a kept body is bounded by a usize");
                let range = self.sender.read_whole_body(length).await?;
                self.body_bytes = length as u64;
                Ok(Body::Received(range))
            }
            RequestBody::Chunked => {
                while !self.sender.body_is_done() && self.piece.len() <= self.shared.limits.kept_body_bytes_max {
                    self.sender.next_piece(&mut self.piece).await?;
                    self.body_bytes = self.piece.len() as u64;
                }
                let too_long = self.piece.len() > self.shared.limits.kept_body_bytes_max;
                Ok(if too_long { Body::Streaming } else { Body::Decoded })
            }
        }
    }

    async fn body_failed(&mut self, destination: &Destination, error: &BodyError) -> Ended {
        let refusal = error.refusal();
        let _ = self.answer_refusal_closing(destination.kind, &refusal).await;
        Ended { status: refusal.status, after: After::Linger }
    }

    /// Sends the request, with a new token once more if the first is refused, until there is an answer to pass on; its
    /// head is then in `answer`.
    async fn attempt(&mut self, destination: &Destination, body: Body) -> Result<Connection, Refusal> {
        let mut token = self.token(destination).await?;
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
        let fresh = self.token(destination).await?;
        if !refreshes && fresh == token {
            return Err(self.unauthorized(destination, "and it was renewed a moment ago"));
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

    /// Keeps the connection of an answer that is not passed on, if its body is short.
    async fn reuse_refused(&mut self, destination: &Destination, mut connection: Connection) {
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
    ) -> Result<Connection, Refusal> {
        let allowed = self.shared.limits.answer_timeout;
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
    ) -> Result<Connection, Stopped> {
        let mut idle = destination.upstream.take_idle();
        loop {
            let reused = idle.is_some();
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => self.connect(destination).await?,
            };
            let content = match body {
                Body::Received(range) => &self.sender.bytes()[range.clone()],
                _ => &self.piece,
            };
            let length = RequestBody::Length(content.len() as u64);
            let (request, head) = (&self.sender.request, self.sender.head());
            write_request_head(&mut self.outgoing, destination, request, head, token, length);
            self.incoming.clear();
            let sent = send(&mut connection, &self.outgoing, content, &mut self.incoming).await;
            let head_bytes_max = self.shared.limits.head_bytes_max;
            match read_head(&mut connection, &mut self.incoming, &mut self.answer, head_bytes_max).await {
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
    ) -> Result<Connection, Stopped> {
        let limits = self.shared.limits.clone();
        let mut connection = self.connect(destination).await?;
        let framing = self.sender.request.body;
        write_request_head(&mut self.outgoing, destination, &self.sender.request, self.sender.head(), token, framing);
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
            match timeout(limits.stall_timeout, self.sender.next_piece(&mut self.piece)).await {
                Ok(read) => read.map_err(Stopped::Sender)?,
                Err(_) => return Err(Stopped::Sender(BodyError::Timeout)),
            }
            self.body_bytes += self.piece.len() as u64;
        };
        let reading = read_head(&mut connection, &mut self.incoming, &mut self.answer, limits.head_bytes_max);
        match timeout(limits.answer_timeout, reading).await {
            Ok(Ok(())) => {
                self.answer.keeps_alive &= sent == Sent::Whole;
                Ok(connection)
            }
            Ok(Err(source)) => Err(Stopped::Upstream(no_answer(destination, source))),
            Err(_) => Err(Stopped::Upstream(self.timed_out(destination))),
        }
    }

    async fn connect(&self, destination: &Destination) -> Result<Connection, Stopped> {
        self.shared.metrics.upstream_connections.increment();
        destination.upstream.connect().await.map_err(|error| Stopped::Upstream(error.into()))
    }

    fn timed_out(&self, destination: &Destination) -> ForwardError {
        let seconds = self.shared.limits.answer_timeout.as_secs();
        ForwardError::Timeout { authority: destination.upstream.target.authority.clone(), seconds }
    }

    /// Passes the answer whose head is in `answer` to the sender, unchanged but for the headers of the connection.
    async fn relay(&mut self, destination: &Destination, mut connection: Connection) -> Ended {
        let status = self.answer.status;
        if status >= 300 && destination.kind == Kind::Write {
            self.shared.complain_of_answer(status, self.incoming.get(self.answer.length..).unwrap_or_default());
        }
        // What is left of the request's body when the upstream answered early would be read as the next request.
        let mut after = if self.closes() { After::Close } else { After::Continue };
        if !self.sender.body_is_done() {
            after = After::Linger;
        }
        let framing = match self.answer.body {
            AnswerBody::Chunked | AnswerBody::UntilClose if self.sender.request.is_http_1_0 => {
                after = if after == After::Continue { After::Close } else { after };
                AnswerBody::UntilClose
            }
            AnswerBody::UntilClose => AnswerBody::Chunked,
            framing => framing,
        };
        let closes = after != After::Continue;
        let head = &self.incoming[..self.answer.length];
        write_answer_head(&mut self.outgoing, destination.kind, &self.answer, head, framing, closes);
        self.incoming.drain(..self.answer.length);
        match self.relay_body(&mut connection, framing).await {
            Ok(()) => {
                if self.answer.keeps_alive && self.incoming.is_empty() {
                    destination.upstream.put_idle(connection);
                }
                Ended { status, after }
            }
            // The sender sees a body that ends too soon, as we did.
            Err(error) => {
                tracing::debug!(statusCode = status, "an answer was not passed on completely: {error}");
                Ended { status, after: After::Close }
            }
        }
    }

    async fn relay_body(&mut self, connection: &mut Connection, framing: AnswerBody) -> std::io::Result<()> {
        let allowed = self.shared.limits.stall_timeout;
        let mut stream = AnswerStream::new(self.answer.body);
        loop {
            self.piece.clear();
            stream.take(&mut self.incoming, &mut self.piece)?;
            frame(&mut self.outgoing, framing, &self.piece);
            if stream.is_done() {
                end_frame(&mut self.outgoing, framing);
            }
            within(allowed, self.sender.write_all(&self.outgoing)).await?;
            if stream.is_done() {
                return Ok(());
            }
            self.outgoing.clear();
            within(allowed, stream.read_more(connection, &mut self.incoming)).await?;
        }
    }

    async fn refuse_forward(&mut self, destination: &Destination, refusal: Refusal) -> Ended {
        let status = refusal.status;
        if status >= 500 {
            self.shared.complain_of_refusal(&refusal);
        }
        let after = self.refuse(destination.kind, refusal).await;
        Ended { status, after }
    }

    async fn answer_refusal(&mut self, kind: Kind, refusal: &Refusal) -> After {
        let closes = self.closes() || !self.sender.body_is_done();
        let without_body = self.sender.request.method.of(self.sender.head()) == b"HEAD";
        let written = self.answer_json(refusal, body_of(kind, refusal), closes, without_body).await;
        if closes || written.is_err() { After::Close } else { After::Continue }
    }

    async fn answer_refusal_closing(&mut self, kind: Kind, refusal: &Refusal) -> std::io::Result<()> {
        self.answer_json(refusal, body_of(kind, refusal), true, false).await
    }

    async fn answer_json(
        &mut self,
        refusal: &Refusal,
        json: Vec<u8>,
        closes: bool,
        without_body: bool,
    ) -> std::io::Result<()> {
        let content = pages::Content { status: refusal.status, content_type: "application/json", body: json };
        self.write_page(&content, refusal.allow, closes, without_body).await
    }

    async fn answer_page(&mut self, content: &pages::Content, closes: bool, without_body: bool) -> After {
        let written = self.write_page(content, None, closes, without_body).await;
        if closes || written.is_err() { After::Close } else { After::Continue }
    }

    async fn write_page(
        &mut self,
        content: &pages::Content,
        allow: Option<&str>,
        closes: bool,
        without_body: bool,
    ) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", content.status, reason(content.status));
        if !content.body.is_empty() {
            head.push_str(&format!("Content-Type: {}\r\n", content.content_type));
        }
        head.push_str(&format!("Content-Length: {}\r\n", content.body.len()));
        if let Some(allow) = allow {
            head.push_str(&format!("Allow: {allow}\r\n"));
        }
        head.push_str(if closes { "Connection: close\r\n\r\n" } else { "\r\n" });
        self.outgoing.clear();
        self.outgoing.extend_from_slice(head.as_bytes());
        if !without_body {
            self.outgoing.extend_from_slice(&content.body);
        }
        within(self.shared.limits.stall_timeout, self.sender.write_all(&self.outgoing)).await
    }

    /// Whether the connection is to be closed after this answer.
    fn closes(&self) -> bool {
        !self.sender.request.keeps_alive || *self.stopping.borrow()
    }

    fn elapsed(&self, started: Monotonic) -> Duration {
        self.shared.clock.monotonic().since(started)
    }

    /// Gives back memory that an unusual request took.
    fn rest_buffers(&mut self) {
        for buffer in [&mut self.outgoing, &mut self.incoming, &mut self.piece] {
            if buffer.capacity() > BUFFER_KEPT_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
    }
}

/// Why an exchange ended without an answer.
enum Stopped {
    Upstream(ForwardError),
    Sender(BodyError),
    TooLong(u64),
}

fn no_answer(destination: &Destination, source: ExchangeError) -> ForwardError {
    ForwardError::Exchange { authority: destination.upstream.target.authority.clone(), source }
}

fn too_long(limit: u64) -> Refusal {
    Refusal::new(413, "ContentLengthLimitExceeded", format!("the body of the request is longer than {limit} bytes"))
}

fn body_of(kind: Kind, refusal: &Refusal) -> Vec<u8> {
    match kind {
        Kind::Write => refusal.json(),
        Kind::Query => refusal.query_api_json(),
    }
}

async fn within<T>(allowed: Duration, operation: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    timeout(allowed, operation).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

const BUFFER_KEPT_BYTES_MAX: usize = 256 << 10;
const SHORT_BODY_BYTES: u64 = 64 << 10;
const SHORT_BODY_TIMEOUT: Duration = Duration::from_secs(2);
