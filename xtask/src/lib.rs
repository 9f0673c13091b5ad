//! Rules of the repository, held by tests (`cargo test -p xtask`).
//!
//! The layers of the architecture: which crate may use which, and what the inner ones may not name. The table in
//! [`layers`] is the one place that says so; ARCHITECTURE.md tells the reasons.

pub mod layers;
pub mod licences;
pub mod metadata;
