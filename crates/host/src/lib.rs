//! The real outside world behind `environment`: the system's clock and randomness, files, outgoing HTTP, TLS settings,
//! and the log's text form.
//!
//! Programs make these and hand them to engines as trait objects. Nothing here reads the environment or arguments: what
//! can be set comes in as values.

mod clock;
mod connector;
mod disk;
mod http_client;
pub mod logging;
mod memory_disk;
mod open_files;
mod outbound_proxy;
mod process;
mod rng;
pub mod tls;

pub use clock::HostClock;
pub use connector::{ConnectError, Connection, Connector};
pub use disk::HostDisk;
pub use http_client::HostHttp;
pub use memory_disk::MemoryDisk;
pub use open_files::raise_open_files_max;
pub use outbound_proxy::{OutboundProxy, OutboundProxyError};
pub use process::ProcessUsage;
pub use rng::HostRng;
