//! The programs as users run them: real processes, real TLS, real Prometheus, real crashes.
//!
//! Needs the peers that `scripts/peers` fetches (`make test` does) and python3; a missing one fails the test that needs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod arm;
mod client;
mod commands;
mod crash;
mod durable;
mod identities;
mod installation;
mod lifecycle;
mod managed;
mod process;
mod receiver_cases;
mod refusals;
mod serve;
mod storage;
mod tsdb_commands;
mod writing;
