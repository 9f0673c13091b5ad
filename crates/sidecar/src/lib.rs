//! The sidecar as a library: its settings from environment variables and a file, and the wiring of credentials, token
//! caches, queue and proxy. The program `remora-sidecar` and the program `remora` (`remora sidecar`, `remora up`) both
//! stand on it.
//!
//! The order of events: [`Settings::load`] (every mistake at once) → [`Sidecar::bind`] (the queue is opened, the listener
//! after it) → [`Sidecar::run`] until told to stop, while [`SidecarHandle`] takes up new settings. A credential that fails
//! is no mistake of the settings: the listener is open from the start; without a queue it answers 503 until there is a
//! token, with one it keeps what it is sent.
//!
//! Invariant: links nothing of the service (`tsdb`, `promql`, `catalog`); a test reads the dependency graph.

mod effective;
mod examine;
mod ledger;
mod mistake;
mod outgoing;
mod program;
mod quantity;
mod queue;
mod reload;
mod serve;
mod settings;
mod settings_file;
mod sidecar;
pub mod variables;

pub use examine::{Examination, examine};
pub use mistake::{InvalidSettings, Mistake, Place};
pub use outgoing::{environment_for, host_environment};
pub use program::program;
pub use proxy::{Medium, RemoteWrite2};
pub use reload::SidecarHandle;
pub use settings::{
    CertificatePem, DeliverySettings, IdentitySettings, ListenerSettings, QuerySettings, QueueSettings, Settings,
};
pub use sidecar::{BindError, Sidecar};
