//! The listener: takes connections, plain or with TLS, and keeps their number within its bound.
//!
//! Beyond the bound a connection is told so, its probe is answered all the same, and it ends (`turned_away`). When the
//! system has no more sockets to give, accepting rests a moment: asking again at once would only take the processor from
//! those who are to close some.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_serving::{Certificate, Stream, TlsAcceptor, begins_tls};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::Shared;
use crate::complaints::Kind;
use crate::conversation::Conversation;
use crate::listen_token::ListenToken;
use crate::refusal::Refusal;
use crate::sender::Sender;
use crate::stopping::Stopping;

/// What the listener asks of senders; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// Speak TLS alone, with this certificate, which may be exchanged at any time.
    pub certificate: Option<Arc<Certificate>>,
    /// Writes and queries have to bring this token, which may be exchanged at any time. Pages need none.
    pub token: Option<Arc<ListenToken>>,
}

impl Listen {
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.certificate.as_ref().map(|certificate| certificate.acceptor(&["http/1.1"]))
    }
}

/// Accepts connections for ever.
pub(crate) async fn accept(shared: &Arc<Shared>, listener: &TcpListener, stopping: Stopping) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let _ = socket.set_nodelay(true);
                let place = Place::of(shared);
                let newcomer =
                    Newcomer { shared: Arc::clone(shared), peer: peer.ip(), place, stopping: stopping.clone() };
                newcomer.welcome(socket);
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                shared.metrics.accept_errors.increment();
                let kind = Kind { status: 0, reason: "Accept" };
                if let Some(withheld) = shared.complaints.admit(shared.clock.monotonic(), kind, &error.to_string()) {
                    tracing::error!(withheld, "cannot accept connections: {error}");
                }
                shared.clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that was accepted a moment ago.
struct Newcomer {
    shared: Arc<Shared>,
    peer: IpAddr,
    place: Place,
    stopping: Stopping,
}

/// Where a connection stands towards the bound.
pub(crate) enum Place {
    /// Within it; counted until the value is dropped.
    Within(#[expect(dead_code, reason = "held for its drop")] CountedConnection),
    /// Beyond it, and looked at for a moment.
    Beyond(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit),
    /// Beyond it, with as many others as are looked at.
    FarBeyond,
}

impl Place {
    fn of(shared: &Arc<Shared>) -> Self {
        if shared.metrics.connections.get() < shared.limits.load().connections_max as u64 {
            return Self::Within(CountedConnection::new(Arc::clone(shared)));
        }
        shared.metrics.limited_connections.increment();
        match Arc::clone(&shared.turned_away_places).try_acquire_owned() {
            Ok(permit) => Self::Beyond(permit),
            Err(_) => Self::FarBeyond,
        }
    }
}

impl Newcomer {
    fn welcome(self, socket: TcpStream) {
        match (&self.shared.acceptor, &self.place) {
            (None, _) => self.serve(Stream::Plain(socket)),
            // A handshake is more work than a place beyond the bound is worth.
            (Some(_), Place::FarBeyond) => {}
            (Some(acceptor), _) => {
                let acceptor = acceptor.clone();
                tokio::spawn(self.shake_hands(acceptor, socket));
            }
        }
    }

    fn serve(self, stream: Stream) {
        let conversation = self.begin(stream);
        match &conversation.place {
            Place::Within(_) => drop(tokio::spawn(conversation.run())),
            Place::Beyond(_) => drop(tokio::spawn(conversation.turn_away())),
            Place::FarBeyond => drop(tokio::spawn(conversation.turn_away_unread())),
        }
    }

    fn begin(self, stream: Stream) -> Box<Conversation> {
        let sender = Sender::new(stream, self.peer, Arc::clone(&self.shared.inbound));
        Conversation::new(self.shared, sender, self.stopping, self.place)
    }

    async fn refuse_plain(self, socket: TcpStream) {
        // Not a 4xx: a sender drops what that answers, and the data are fine.
        let message = "this port takes TLS alone: use https:// in the URL";
        self.begin(Stream::Plain(socket)).refuse_unread(&Refusal::unavailable("TlsRequired", message)).await;
    }

    async fn shake_hands(mut self, acceptor: TlsAcceptor, socket: TcpStream) {
        let allowed = self.shared.limits.load().handshake_timeout;
        let secured = tokio::select! {
            biased;
            secured = timeout(allowed, secure(acceptor, socket)) => secured.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            () = self.stopping.over(Duration::ZERO) => return,
        };
        match secured {
            Ok(Secured::Tls(stream)) => self.serve(stream),
            Ok(Secured::Plain(socket)) => self.refuse_plain(socket).await,
            Ok(Secured::Gone) => {}
            Err(error) => {
                self.shared.metrics.handshake_failures.increment();
                tracing::debug!(peer = %self.peer, "TLS handshake failed: {error}");
            }
        }
    }
}

/// What became of a connection of which TLS is expected.
enum Secured {
    Tls(Stream),
    /// It began with something else, which has not been read.
    Plain(TcpStream),
    /// It went without a word.
    Gone,
}

async fn secure(acceptor: TlsAcceptor, socket: TcpStream) -> io::Result<Secured> {
    let mut first = [0];
    match socket.peek(&mut first).await? {
        0 => Ok(Secured::Gone),
        _ if begins_tls(first[0]) => Ok(Secured::Tls(Stream::Tls(Box::new(acceptor.accept(socket).await?)))),
        _ => Ok(Secured::Plain(socket)),
    }
}

/// Counts a connection until it is dropped, however the connection ends.
pub(crate) struct CountedConnection(Arc<Shared>);

impl CountedConnection {
    fn new(shared: Arc<Shared>) -> Self {
        shared.metrics.connections.increment();
        Self(shared)
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.0.metrics.connections.decrement();
    }
}

/// Errors that `accept` reports of a connection that broke before it was accepted; the listener is well.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
