//! What is to be examined.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use environment::Clock;
use host::OutboundProxy;
use identity::{Cloud, Credential, Scope};
use rustls::RootCertStore;
use url::Url;

/// Everything that the examination needs to know: settings that were found right, and the parts made of them.
#[derive(Clone)]
pub struct Plan {
    /// Version of the program, for the report.
    pub version: &'static str,
    /// Which cloud the settings name.
    pub cloud: Cloud,
    /// Who we are, as `IDENTITY_TYPE` has it, for the report.
    pub identity: String,
    /// Who we are.
    pub credential: Arc<dyn Credential>,
    /// Where samples go.
    pub ingestion: Endpoint,
    /// Where they can be read back, if that is known.
    pub query: Option<Endpoint>,
    /// Whom to trust.
    pub roots: Arc<RootCertStore>,
    /// The way out.
    pub outbound_proxy: Option<OutboundProxy>,
    /// Where the sidecar of these settings listens, if it runs.
    pub listener: Option<Listener>,
    /// The durable queue, if there is one on disk.
    pub queue: Option<Queue>,
    /// Whether to write one sample of [`crate::TEST_METRIC`]. Otherwise the test request is empty, which tells whether it
    /// would be taken and stores nothing.
    pub write_sample: bool,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// An address and the audience of tokens for it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address: `https`, or `http` to loopback. For queries without `/api/v1/…`.
    pub url: Url,
    /// The audience.
    pub scope: Scope,
}

/// Where a sidecar listens.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    /// As it was bound; an unspecified address is probed over loopback.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// A queue on disk.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its directory.
    pub directory: PathBuf,
    /// Bytes it may grow to.
    pub bytes_max: u64,
}
