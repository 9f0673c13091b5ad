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
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use crate::answer_head::AnswerHead;
use crate::budget::Share;
use crate::buffers::Working;
use crate::forward::{Destination, Kind};
use crate::listen_token::ListenToken;
use crate::listener::Place;
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
    /// Held for as long as the connection lives.
    pub(crate) place: Place,
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

/// What a request holds while it is under way.
#[expect(dead_code, reason = "held for its drop")]
enum Held<'a> {
    /// Memory for everything.
    Kept(Share<'a>),
    /// A place among those whose body passes through.
    Stream(SemaphorePermit<'a>),
}

/// How a forwarded request ended.
struct Ended {
    status: u16,
    after: After,
}

impl Conversation {
    pub(crate) fn new(shared: Arc<Shared>, sender: Sender, stopping: Stopping, place: Place) -> Box<Self> {
        Box::new(Self {
            limits: shared.limits.load_full(),
            shared,
            sender,
            stopping,
            place,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            answer: AnswerHead::new(),
            piece: Vec::new(),
            body_bytes: 0,
        })
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self: Box<Self>) {
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
            self.borrow_buffers();
            // Boxed: a connection that rests holds nothing of what a request takes.
            let after = Box::pin(self.serve()).await;
            self.return_buffers();
            self.sender.finish_request();
            match after {
                After::Continue => {}
                After::Close => return self.sender.close().await,
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
            route @ (Route::Write | Route::Query) if !self.brings_token() => {
                let kind = if route == Route::Write { Kind::Write } else { Kind::Query };
                self.refuse_unauthenticated(kind, started).await
            }
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

    /// Whether the request brings what the listener asks for.
    fn brings_token(&self) -> bool {
        let brought = |token: &ListenToken| token.is_brought_by(&self.sender.request, self.sender.head());
        self.shared.listen_token.as_deref().is_none_or(brought)
    }

    async fn refuse_unauthenticated(&mut self, kind: Kind, started: Monotonic) -> After {
        self.shared.metrics.unauthenticated.increment();
        let refusal = Refusal::unauthenticated();
        self.shared.complain_of_refusal(&refusal);
        let after = self.refuse(kind, refusal).await;
        if kind == Kind::Write {
            self.shared.record_write(401, 0, self.elapsed(started));
        }
        after
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
        if self.sender.invite_body().await.is_err() {
            return Ended { status: 400, after: After::Close };
        }
        let (limits, mut stopping) = (Arc::clone(&self.limits), self.stopping.clone());
        let taken = tokio::select! {
            biased;
            taken = timeout(limits.body_timeout, self.take_body(&shared, kept_bytes)) => {
                taken.unwrap_or(Err(BodyError::Timeout))
            }
            () = stopping.over(limits.drain_body_timeout) => Err(BodyError::Stopping),
        };
        let (body, _held) = match taken {
            Ok(taken) => taken,
            Err(error) => return self.body_failed(destination.kind, &error).await,
        };
        match self.attempt(destination, body).await {
            Ok(connection) => self.relay(destination, connection).await,
            Err(refusal) => self.refuse_forward(destination.kind, refusal).await,
        }
    }

    /// Waits for the memory that the request takes, and reads the body if it may be kept; `piece` then holds one that came
    /// in chunks.
    async fn take_body<'a>(
        &mut self,
        shared: &'a Shared,
        kept_bytes: Option<usize>,
    ) -> Result<(Body, Held<'a>), BodyError> {
        self.piece.clear();
        if let Some(length) = kept_bytes
            && let Some(mut share) = self.set_memory_aside(shared, length).await?
        {
            if let Some(body) = self.keep_body(&mut share).await? {
                return Ok((body, Held::Kept(share)));
            }
            shared.metrics.limited_kept_bytes.increment();
        }
        let place = timeout(self.limits.memory_timeout, shared.streams.acquire()).await;
        let place = place.map_err(|_| BodyError::NoMemory)?.expect("the semaphore is never closed");
        Ok((Body::Streaming, Held::Stream(place)))
    }

    /// Sets memory aside for a request with a body of `length` bytes, of a long one for its beginning: the rest is charged
    /// as it comes. `None` if there will never be enough.
    async fn set_memory_aside<'a>(
        &mut self,
        shared: &'a Shared,
        length: usize,
    ) -> Result<Option<Share<'a>>, BodyError> {
        // Who declares a body and sends none takes nothing from others.
        self.sender.body_shows().await?;
        let bytes = length.min(BODY_BYTES_SET_ASIDE) + self.limits.request_bytes;
        let mut share = match shared.kept.try_set_aside(bytes) {
            Some(share) => share,
            None => {
                shared.metrics.limited_kept_bytes.increment();
                if !shared.kept.covers(bytes) {
                    return Ok(None);
                }
                let waiting = timeout(self.limits.memory_timeout, shared.kept.set_aside(bytes));
                waiting.await.map_err(|_| BodyError::NoMemory)?
            }
        };
        share.grow(self.limits.request_bytes);
        Ok(Some(share))
    }

    /// Reads the body whole; `None` if memory for the rest of it is short, and what came of it is still to be taken.
    async fn keep_body(&mut self, share: &mut Share<'_>) -> Result<Option<Body>, BodyError> {
        match self.sender.request.body {
            RequestBody::Length(length) => {
                let length = usize::try_from(length).expect("a kept body is bounded by a usize");
                let beginning = length.min(BODY_BYTES_SET_ASIDE);
                let range = self.sender.read_body(beginning).await?;
                if !share.grow(length) {
                    return Ok(None);
                }
                let range = if length > beginning { self.sender.read_body(length).await? } else { range };
                self.sender.body_is_read(&range);
                self.body_bytes = length as u64;
                Ok(Some(Body::Received(range)))
            }
            RequestBody::Chunked => {
                while !self.sender.body_is_done() {
                    let before = self.piece.len();
                    self.sender.next_piece(&mut self.piece).await?;
                    self.body_bytes = self.piece.len() as u64;
                    if self.piece.len() > self.limits.kept_body_bytes_max || !share.grow(self.piece.len() - before) {
                        return Ok(None);
                    }
                }
                Ok(Some(Body::Decoded))
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

    fn borrow_buffers(&mut self) {
        Working { outgoing: self.outgoing, incoming: self.incoming, piece: self.piece, answer: self.answer } =
            self.shared.working.lend();
    }

    fn return_buffers(&mut self) {
        let (outgoing, incoming) = (std::mem::take(&mut self.outgoing), std::mem::take(&mut self.incoming));
        let (piece, answer) = (std::mem::take(&mut self.piece), std::mem::take(&mut self.answer));
        self.shared.working.give_back(Working { outgoing, incoming, piece, answer });
    }
}

fn too_long(limit: u64) -> Refusal {
    Refusal::new(413, "ContentLengthLimitExceeded", format!("the body of the request is longer than {limit} bytes"))
}

/// Of a longer body, this much is set aside before it comes; the rest has to show first. Prometheus' requests are shorter.
const BODY_BYTES_SET_ASIDE: usize = 128 << 10;

async fn within<T>(allowed: Duration, operation: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    timeout(allowed, operation).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, F>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand connections that rest cost what these two say, their sockets, and nothing else.
    #[test]
    fn a_connection_that_rests_is_small() {
        let (state, future) = (size_of::<Conversation>(), size_of_future(Conversation::run));
        assert!(state <= 512, "{state} bytes of state");
        assert!(future <= 768, "{future} bytes of waiting: box what is rare in it");
        let beyond = size_of_future(Conversation::turn_away);
        assert!(beyond <= 1024, "{beyond} bytes of a connection that is turned away");
    }

    /// What a request under way is counted as beside its body has to cover what it holds.
    #[test]
    fn a_request_under_way_is_counted_whole() {
        let counted = crate::Limits::default().request_bytes;
        let serve = |mut conversation: Box<Conversation>| async move {
            conversation.serve().await;
        };
        let served = size_of_future(serve);
        assert!(served + 8 * 1024 <= counted, "{served} bytes, with buffers for heads more than {counted}");
    }
}
