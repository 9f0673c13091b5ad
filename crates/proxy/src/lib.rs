//! The sidecar's request path: plain remote write in, the same samples with a token out.
//!
//! Without a queue, a request of a sender is read, given a bearer token and passed to the ingestion endpoint as it came,
//! undecoded; the answer goes back as it came. With a queue ([`QueueParts`]), it is surveyed and kept, its sender answered,
//! and `delivery` sends it from there, through this crate's HTTP. Beside it: queries for a query endpoint, and pages about
//! the proxy itself.
//!
//! It speaks HTTP/1.1 itself on both sides, over plain buffers, instead of through a general library: a sidecar costs
//! every pod its CPU and memory, and the promise is to be as light as nginx. The price is that the rules which keep two
//! parsers of one opinion are ours: `request_head`, `answer_head` and `chunked` hold them, with tables of attacks.
//!
//! Order of events for a write that is passed through: head → route → body (kept whole up to a bound) → token → upstream →
//! judge 401 → answer → record. For one that is kept, see `conversation::keep`. Invariants: a sender never sees a 401 that
//! concerns our token; a request counts once, by its final answer; no token, and no body, is logged; every buffer, wait and
//! number of connections has a bound in [`Limits`].
//!
//! Not here: reading settings (`sidecar`), obtaining tokens (`identity`), the queue itself (`spool`), what an answer to a
//! kept request means (`delivery`).

mod answer_head;
mod budget;
mod buffers;
mod chunked;
mod complaints;
mod conversation;
mod exchange;
mod fields;
mod forward;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod limits;
mod listen_token;
mod listener;
mod metrics;
mod pages;
mod published;
mod queue;
mod refusal;
mod remote_write_2;
mod request_head;
mod route;
mod sender;
mod server;
mod stopping;
mod target;
mod upstream;

pub use handle::ProxyHandle;
pub use http_serving::{Certificate, CertificateError};
pub use limits::Limits;
pub use listen_token::{ListenToken, ListenTokenError};
pub use listener::Listen;
pub use metrics::METRICS;
pub use queue::{Medium, QueueParts, QueueSettings};
pub use remote_write_2::RemoteWrite2;
pub use server::{Parts, Proxy, QueryUpstream};
pub use upstream::{UpstreamError, check_upstream_url};

pub(crate) use server::Shared;
