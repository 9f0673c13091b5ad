//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// A socket that listens on `address`; port 0 picks a free one. `[::]` takes IPv4 connections too.
///
/// An address that another process left a moment ago can be taken at once.
///
/// # Errors
/// As the system reports them: the address is taken, or not one of this machine's. Must be called inside a runtime.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(StdListener::from(socket))
}

/// Connections that the system completes before we accept them.
const BACKLOG: i32 = 1024;
