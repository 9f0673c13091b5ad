//! The program `remora-sidecar` as it is started.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod check_config;
mod deploy;
mod docs;
mod doctor;
mod faults;
mod outbound;
mod program;
mod queue;
mod reload;
mod support;
