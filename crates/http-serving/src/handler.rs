//! What an edge implements, and what it is given.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;

use hyper::body::Incoming;
use uuid::Uuid;

use crate::Body;

/// A request whose body has not been read.
pub type Request = http::Request<Incoming>;

/// An answer.
pub type Response = http::Response<Body>;

/// Answers requests. One value serves all connections, so its state is behind shared references.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Dropped half-way when the client goes away; a panic becomes a 500 and ends nothing else.
    fn handle(&self, request: Request, peer: Peer) -> impl Future<Output = Response> + Send;
}

/// Who asks, and over what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The client's address.
    pub addr: SocketAddr,
    /// The address it connected to.
    pub local_addr: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// This request's name, for answers and logs.
    pub request_id: RequestId,
}

impl Peer {
    /// Whether the client is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.addr.ip().to_canonical().is_loopback()
    }
}

/// A request's name: unique among all requests of all servers, for practical purposes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestId(pub Uuid);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}
