//! One request: what surrounds the handler.

use std::any::Any;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use crate::activity::{Activity, InFlight};
use crate::handler::{Handler, Peer, Request, Response};
use crate::metrics::ListenerMetrics;
use crate::response::PrincipalForLog;
use crate::server::RequestIds;
use crate::{Body, BodyError, text};

/// What the requests of one connection share.
pub(crate) struct RequestScope<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) addr: SocketAddr,
    pub(crate) local_addr: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) activity: Arc<Activity>,
    pub(crate) request_ids: Arc<RequestIds>,
    pub(crate) metrics: Arc<ListenerMetrics>,
}

impl<H: Handler> RequestScope<H> {
    /// Answers one request; never fails, a panic becomes a 500.
    pub(crate) async fn respond(self: Arc<Self>, request: Request) -> Result<http::Response<Tracked>, Infallible> {
        let in_flight = self.activity.begin(request.version() == Version::HTTP_2);
        let peer =
            Peer { addr: self.addr, local_addr: self.local_addr, tls: self.tls, request_id: self.request_ids.next() };
        let mut entry =
            tracing::enabled!(target: "access_log", tracing::Level::DEBUG).then(|| AccessLogEntry::of(&request, &peer));
        let response = match AssertUnwindSafe(self.handler.handle(request, peer)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                self.metrics.panics.inc();
                tracing::error!(request = %peer.request_id, panic = panic_text(&*panic), "a request's handler panicked");
                text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
            }
        };
        if let Some(entry) = &mut entry {
            entry.note(&response);
        }
        Ok(response.map(|body| Tracked { body, entry, _in_flight: in_flight }))
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "(no message)",
    }
}

/// An answer's body that knows when it was sent.
pub(crate) struct Tracked {
    body: Body,
    entry: Option<Box<AccessLogEntry>>,
    _in_flight: InFlight,
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let (Some(entry), Poll::Ready(Some(Ok(frame)))) = (&mut self.entry, &frame) {
            entry.bytes += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// One line of the access log, written when the answer's body is sent or given up.
pub(crate) struct AccessLogEntry {
    begun: Instant,
    peer: Peer,
    method: Method,
    /// Without the query, which may hold secrets.
    path: String,
    status: StatusCode,
    principal: Option<PrincipalForLog>,
    bytes: u64,
}

impl AccessLogEntry {
    fn of(request: &Request, peer: &Peer) -> Box<Self> {
        Box::new(Self {
            begun: Instant::now(),
            peer: *peer,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            status: StatusCode::OK,
            principal: None,
            bytes: 0,
        })
    }

    fn note(&mut self, response: &Response) {
        self.status = response.status();
        self.principal = response.extensions().get::<PrincipalForLog>().cloned();
    }
}

impl Drop for AccessLogEntry {
    fn drop(&mut self) {
        tracing::debug!(
            target: "access_log",
            method = %self.method,
            path = self.path,
            status = self.status.as_u16(),
            bytes = self.bytes,
            ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            peer = %self.peer.addr,
            principal = self.principal.as_ref().map_or("", |principal| &*principal.0),
            request = %self.peer.request_id,
            "request"
        );
    }
}
