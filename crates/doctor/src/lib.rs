//! The chain of checks from the configuration to the samples read back, and what to do about the first broken link.
//!
//! [`run`] follows the way that a sample takes, link by link ([`Link`] lists them in order), and makes a [`Report`]: one
//! [`Step`] per link with a finding, facts and a mend. A link behind a broken one is looked at where it can be on its own
//! and skipped otherwise. For settings that do not even parse there is [`misconfigured`].
//!
//! Each link: `configuration` (what a checked setting can still be wrong about), `queue` (its directory), `dns`, `proxy`,
//! `tcp`, `tls`, `clock`, `token`; then `admission`, `role`, `binding` and `write`, which one test request tells apart; then
//! `read_back`, and `sidecar`, the one that runs here.
//!
//! Not here: reading variables or files of settings (programs do), the sidecar's own work.
//!
//! Invariants: no token or secret is printed, whatever an endpoint echoes; a token is sent over verified TLS or to loopback
//! alone; the test request stores nothing unless [`Plan::write_sample`] says so; every step is bounded in time, and the
//! whole by [`BUDGET`].

mod answer;
mod chain;
mod claims;
mod clock;
mod configuration;
mod dns;
mod exposition;
mod forward_proxy;
mod plan;
mod queue;
mod read_back;
mod report;
mod run;
mod sidecar;
mod tcp;
mod text;
mod tls;
mod token;
mod write;

pub use chain::BUDGET;
pub use plan::{Endpoint, Listener, Plan, Queue};
pub use report::{Link, Report, Status, Step, misconfigured};
pub use run::run;
pub use write::TEST_METRIC;
