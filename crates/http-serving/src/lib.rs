//! Serving HTTP: the accept loop, what every request passes through before an edge sees it, and how errors become answers.
//!
//! One listener takes TLS and plain HTTP on the same port (the first byte decides), bounds connections and times, and
//! drains on shutdown. Edges implement [`Handler`]; programs choose between them by path.
//!
//! The way of a connection: accept (`server`) → plain or TLS (`connection`) → HTTP/1.1 or HTTP/2 → for each request the
//! handler (`service`), whose answer is written, counted and logged.
//! Not here: what the answers say, and what a path means.

mod activity;
mod authentication;
mod azure_error;
mod body;
mod connection;
mod handler;
mod host;
mod listener;
pub mod metrics;
mod read_body;
mod response;
mod server;
mod service;
mod status;
mod stream;
mod tls;

pub use authentication::{authenticate, token_refused};
pub use azure_error::{AzureError, InnerError};
pub use body::{Body, BodyError, BodySender};
pub use handler::{Handler, Peer, Request, RequestId, Response};
pub use host::host_of;
pub use listener::bind;
pub use read_body::{Drain, ReadBodyError, read_body};
pub use response::{PrincipalForLog, empty, json, text, with_header};
pub use server::{Limits, PlainHttp, Server, Versions};
pub use status::status_of;
pub use stream::{Stream, begins_tls};
pub use tls::{Certificate, CertificateError, TlsAcceptor};
