//! Bodies of answers.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::sync::mpsc;

/// Why a body ends before its end. The client sees a broken connection, never a short answer that looks whole.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The body of an answer.
#[derive(Default)]
pub struct Body(Inner);

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    Full(Bytes),
    Channel(mpsc::Receiver<Result<Bytes, BodyError>>),
    /// Of another server's answer, passed on.
    Incoming(Incoming),
    Boxed(UnsyncBoxBody<Bytes, BodyError>),
}

impl Body {
    /// No bytes.
    pub const fn empty() -> Self {
        Self(Inner::Empty)
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty() } else { Self(Inner::Full(bytes)) }
    }

    /// What is sent through the sender. At most `capacity` pieces wait for the client; then the sender waits.
    pub fn channel(capacity: usize) -> (BodySender, Self) {
        let (sender, receiver) = mpsc::channel(capacity);
        (BodySender(sender), Self(Inner::Channel(receiver)))
    }

    /// These pieces, each made when the client has read what is in front of it. Making one is short work: it is done where
    /// connections are served.
    pub fn pieces<P: Into<Bytes>>(pieces: impl Iterator<Item = P> + Send + 'static) -> Self {
        let pieces = pieces.map(|piece| Ok::<_, BodyError>(piece.into()));
        Self::stream(futures_util::stream::iter(pieces))
    }

    /// The pieces of `stream`, taken as the client reads.
    pub fn stream<E: Into<BodyError> + 'static>(stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Self {
        use futures_util::TryStreamExt as _;
        Self(Inner::Boxed(StreamBody::new(stream.map_ok(Frame::data).map_err(Into::into)).boxed_unsync()))
    }
}

impl From<Incoming> for Body {
    /// Passes on the body of an answer that comes from elsewhere.
    fn from(incoming: Incoming) -> Self {
        Self(Inner::Incoming(incoming))
    }
}

/// Sends pieces of a body. Dropping it ends the body.
pub struct BodySender(mpsc::Sender<Result<Bytes, BodyError>>);

impl BodySender {
    /// Sends one piece; waits while too many wait for the client already.
    ///
    /// # Errors
    /// The piece, when the client is gone.
    pub async fn send(&self, piece: impl Into<Bytes>) -> Result<(), Bytes> {
        self.0.send(Ok(piece.into())).await.map_err(|unsent| unsent.0.unwrap_or_default())
    }

    /// As [`send`](Self::send), from a thread that may block.
    ///
    /// # Errors
    /// The piece, when the client is gone.
    pub fn blocking_send(&self, piece: impl Into<Bytes>) -> Result<(), Bytes> {
        self.0.blocking_send(Ok(piece.into())).map_err(|unsent| unsent.0.unwrap_or_default())
    }

    /// Ends the body as broken, so that the client does not take what it has for the whole.
    pub async fn abort(self, error: impl Into<BodyError>) {
        // A client that is gone needs no notice.
        let _ = self.0.send(Err(error.into())).await;
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let inner = &mut self.get_mut().0;
        match inner {
            Inner::Empty => Poll::Ready(None),
            Inner::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *inner = Inner::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Inner::Channel(receiver) => {
                let piece = ready!(receiver.poll_recv(cx));
                Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
            }
            Inner::Incoming(incoming) => {
                Pin::new(incoming).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Inner::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Full(_) | Inner::Channel(_) => false,
            Inner::Incoming(incoming) => incoming.is_end_stream(),
            Inner::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Channel(_) => SizeHint::default(),
            Inner::Incoming(incoming) => incoming.size_hint(),
            Inner::Boxed(body) => body.size_hint(),
        }
    }
}
