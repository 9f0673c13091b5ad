//! The sidecar as a library: its settings from environment variables, and the wiring of credentials, token caches and
//! proxy. The program `remora-sidecar` and the program `remora` (`remora sidecar`, `remora up`) both stand on it.
//!
//! The order of events: [`Settings::from_env`] (every mistake at once) → [`Sidecar::bind`] → [`Sidecar::run`] until told to
//! stop. A credential that fails is no mistake of the settings: the listener is open from the start and answers 503 until
//! there is a token.
//!
//! Invariant: links nothing of the service (`tsdb`, `promql`, `catalog`); a test reads the dependency graph.

mod mistake;
mod program;
mod settings;
mod sidecar;
pub mod variables;

pub use mistake::{InvalidSettings, Mistake};
pub use program::program;
pub use settings::{IdentitySettings, QuerySettings, Settings};
pub use sidecar::{BindError, Sidecar, host_environment};
