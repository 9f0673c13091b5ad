//! One connection of a sender, from accept to close: request after request, each to its end before the next is read.

mod attempt;
mod keep;
mod local_answer;
mod relay;
mod turned_away;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use environment::Monotonic;
use tokio::time::timeout;

use crate::answer_head::AnswerHead;
use crate::forward::{Destination, Kind, Share};
use crate::pages;
use crate::refusal::Refusal;
use crate::request_head::RequestBody;
use crate::route::Route;
use crate::sender::{BodyError, Sender, Waited};
use crate::stopping::Stopping;
use crate::{Limits, Shared};

/// A connection and the buffers that its requests share.
pub(crate) struct Conversation {
    shared: Arc<Shared>,
    /// Those in force when the request under way began.
    limits: Arc<Limits>,
    sender: Sender,
    stopping: Stopping,
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
    pub(crate) fn new(shared: Arc<Shared>, sender: Sender, stopping: Stopping) -> Self {
        Self {
            limits: shared.limits.load_full(),
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
            self.limits = self.shared.limits.load_full();
            match self.sender.next_request(&self.limits, &mut self.stopping).await {
                Waited::Request => {}
                Waited::Closed => return,
                Waited::Malformed(refusal) => {
                    self.answer_malformed(&refusal).await;
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

    async fn answer_malformed(&mut self, refusal: &Refusal) {
        self.shared.metrics.malformed.increment();
        tracing::debug!(status = refusal.status, "malformed request: {}", refusal.message);
        let _ = self.answer_refusal_closing(Kind::Write, refusal).await;
    }

    async fn serve(&mut self) -> After {
        let started = self.shared.clock.monotonic();
        self.body_bytes = 0;
        let shared = Arc::clone(&self.shared);
        match shared.routing().route(&self.sender.request, self.sender.head(), self.sender.peer) {
            Route::Write => {
                let ended = match &shared.queue {
                    Some(queue) => self.keep(queue).await,
                    None => self.forward(&shared.ingestion.load_full()).await,
                };
                shared.record_write(ended.status, self.body_bytes, self.elapsed(started));
                ended.after
            }
            Route::Query => match shared.query.load_full() {
                Some(query) => {
                    shared.metrics.queries.increment();
                    self.forward(&query.destination).await.after
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
            Route::Refuse(kind, refusal) => self.refuse(kind, refusal).await,
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
        let (limits, mut stopping) = (Arc::clone(&self.limits), self.stopping.clone());
        let discard = async {
            let mut left = limits.kept_body_bytes_max;
            while !self.sender.body_is_done() && left > 0 {
                self.piece.clear();
                self.sender.next_piece(&mut self.piece).await.map_err(|_| After::Close)?;
                left = left.saturating_sub(self.piece.len());
            }
            if self.sender.body_is_done() { Ok(()) } else { Err(After::Linger) }
        };
        tokio::select! {
            biased;
            discarded = timeout(limits.body_timeout, discard) => discarded.unwrap_or(Err(After::Close)),
            () = stopping.over(limits.drain_body_timeout) => Err(After::Linger),
        }
    }

    /// Passes the request on, whatever that takes, and its answer back.
    async fn forward(&mut self, destination: &Destination) -> Ended {
        let shared = Arc::clone(&self.shared);
        let kept_bytes = match self.sender.request.body {
            RequestBody::Length(length) => {
                usize::try_from(length).ok().filter(|length| *length <= self.limits.kept_body_bytes_max)
            }
            RequestBody::Chunked => Some(self.limits.kept_body_bytes_max),
        };
        if matches!(self.sender.request.body, RequestBody::Length(length) if length > self.limits.body_bytes_max) {
            shared.metrics.limited_bodies.increment();
            return self.refuse_forward(destination.kind, too_long(self.limits.body_bytes_max)).await;
        }
        let share = kept_bytes.and_then(|bytes| Share::take(&shared.kept_bytes_left, bytes));
        if kept_bytes.is_some() && share.is_none() {
            shared.metrics.limited_kept_bytes.increment();
        }
        if self.sender.invite_body().await.is_err() {
            return Ended { status: 400, after: After::Close };
        }
        let (limits, mut stopping) = (Arc::clone(&self.limits), self.stopping.clone());
        let taken = tokio::select! {
            biased;
            taken = timeout(limits.body_timeout, self.take_body(share.is_some())) => {
                taken.unwrap_or(Err(BodyError::Timeout))
            }
            () = stopping.over(limits.drain_body_timeout) => Err(BodyError::Stopping),
        };
        let body = match taken {
            Ok(body) => body,
            Err(error) => return self.body_failed(destination.kind, &error).await,
        };
        match self.attempt(destination, body).await {
            Ok(connection) => self.relay(destination, connection).await,
            Err(refusal) => self.refuse_forward(destination.kind, refusal).await,
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
                while !self.sender.body_is_done() && self.piece.len() <= self.limits.kept_body_bytes_max {
                    self.sender.next_piece(&mut self.piece).await?;
                    self.body_bytes = self.piece.len() as u64;
                }
                let too_long = self.piece.len() > self.limits.kept_body_bytes_max;
                Ok(if too_long { Body::Streaming } else { Body::Decoded })
            }
        }
    }

    async fn body_failed(&mut self, kind: Kind, error: &BodyError) -> Ended {
        let refusal = error.refusal();
        let _ = self.answer_refusal_closing(kind, &refusal).await;
        Ended { status: refusal.status, after: After::Linger }
    }

    async fn refuse_forward(&mut self, kind: Kind, refusal: Refusal) -> Ended {
        let status = refusal.status;
        if refusal.is_hang_up() {
            return Ended { status, after: After::Close };
        }
        if status >= 500 {
            self.shared.complain_of_refusal(&refusal);
        }
        let after = self.refuse(kind, refusal).await;
        Ended { status, after }
    }

    /// Whether the connection is to be closed after this answer.
    fn closes(&self) -> bool {
        !self.sender.request.keeps_alive || self.stopping.is_set()
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

fn too_long(limit: u64) -> Refusal {
    Refusal::new(413, "ContentLengthLimitExceeded", format!("the body of the request is longer than {limit} bytes"))
}

async fn within<T>(allowed: Duration, operation: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    timeout(allowed, operation).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

const BUFFER_KEPT_BYTES_MAX: usize = 256 << 10;
