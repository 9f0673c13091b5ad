//! Whether a connection is alive: what its two ends did lately, and when that means that it should end.
//!
//! The connection's stream and requests leave marks (cheap, without reading a clock); a [`Watch`] looks at them every now
//! and then. So the three time-outs cost nothing per request, and hold to within one look.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::server::Limits;

/// Marks of one connection. Only hints, so relaxed order is enough.
#[derive(Default, Debug)]
pub(crate) struct Activity {
    in_flight: AtomicU32,
    requests_begun: AtomicU32,
    /// Bytes came since the last request began. A head's first bytes that came together with the end of the request before
    /// it go unnoticed: such a client is cut as idle, later.
    bytes_came: AtomicBool,
    /// More than one request at a time: bytes between requests are no sign of a request head.
    multiplexed: AtomicBool,
    writes: AtomicU32,
    /// The last write found the client's window full.
    write_blocked: AtomicBool,
}

impl Activity {
    /// Marks the begin of a request; it ends when the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>, multiplexed: bool) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        self.requests_begun.fetch_add(1, Relaxed);
        self.bytes_came.store(false, Relaxed);
        self.multiplexed.store(multiplexed, Relaxed);
        InFlight(self.clone())
    }
}

/// A request that has begun and not ended.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// What should become of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Keep,
    /// Nothing is going on: end it politely.
    Idle,
    /// The client keeps us waiting: cut it, for this reason.
    Cut(&'static str),
}

/// Looks at a connection's marks from time to time.
pub(crate) struct Watch {
    activity: Arc<Activity>,
    state: State,
    since: Instant,
    requests_seen: u32,
    writes_seen: u32,
}

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Working,
    /// The client's window is full.
    WriteBlocked,
    /// The first bytes of a request's head are there, or the first request is due.
    AwaitingHead,
    Idle,
}

impl Watch {
    pub(crate) fn new(activity: Arc<Activity>) -> Self {
        Self { activity, state: State::AwaitingHead, since: Instant::now(), requests_seen: 0, writes_seen: 0 }
    }

    /// How often to look.
    pub(crate) fn period(limits: &Limits) -> Duration {
        (limits.header_time_max.min(limits.idle_time_max).min(limits.write_stall_max) / 2)
            .max(Duration::from_millis(10))
    }

    /// Looks at the marks now.
    pub(crate) fn look(&mut self, limits: &Limits) -> Verdict {
        let now = Instant::now();
        let (state, requests, writes) = self.current();
        if (state, requests, writes) != (self.state, self.requests_seen, self.writes_seen) {
            (self.state, self.requests_seen, self.writes_seen, self.since) = (state, requests, writes, now);
        }
        let lasts = now.duration_since(self.since);
        match state {
            State::WriteBlocked if lasts >= limits.write_stall_max => Verdict::Cut("write-stall"),
            State::AwaitingHead if lasts >= limits.header_time_max => Verdict::Cut("header-timeout"),
            State::Idle if lasts >= limits.idle_time_max => Verdict::Idle,
            _ => Verdict::Keep,
        }
    }

    fn current(&self) -> (State, u32, u32) {
        let marks = &*self.activity;
        let requests = marks.requests_begun.load(Relaxed);
        let state = if marks.in_flight.load(Relaxed) > 0 {
            if marks.write_blocked.load(Relaxed) { State::WriteBlocked } else { State::Working }
        } else if requests == 0 || (marks.bytes_came.load(Relaxed) && !marks.multiplexed.load(Relaxed)) {
            State::AwaitingHead
        } else {
            State::Idle
        };
        (state, requests, marks.writes.load(Relaxed))
    }
}

/// A stream that leaves marks.
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn mark_write<T>(&self, result: Poll<T>) -> Poll<T> {
        if result.is_ready() {
            self.activity.writes.fetch_add(1, Relaxed);
        }
        self.activity.write_blocked.store(result.is_pending(), Relaxed);
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if result.is_ready() {
            this.activity.bytes_came.store(true, Relaxed);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.mark_write(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.mark_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
