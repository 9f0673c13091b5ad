//! A data collection endpoint alone, for trying out senders: prints its URL and a token, serves until it is killed.
//!
//! `cargo run -p ingest --example receiver [DIRECTORY]`, then for example
//! `tests/conformance/remote-write/rw_receiver_cases.py URL --header 'Authorization: Bearer TOKEN'`. With a directory,
//! samples go into a database there; otherwise into memory, slowly.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool of tests: it prints where it listens, and what fails ends it"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;

use host::{HostClock, HostDisk};
use quota::RuleLimits;
use support::{Endpoint, PUBLISHER, STRICT, STRICT_RULE, TestStorage};
use tsdb::{Db, Engine, EngineSettings};

#[tokio::main]
async fn main() {
    let endpoint = match std::env::args().nth(1) {
        None => Endpoint::start(|_| {}).await,
        Some(directory) => {
            let engine =
                Engine::start(Arc::new(HostDisk), Arc::new(HostClock::new()), EngineSettings::default()).unwrap();
            let db = Db::open(&engine, Path::new(&directory), tsdb::Settings::default()).unwrap();
            Endpoint::start_over(db, TestStorage::default(), |_| {}).await
        }
    };
    endpoint.limit(STRICT, Some(u64::MAX), None);
    endpoint.quotas.set_rule_limits(RuleLimits { requests_per_minute: u64::MAX, bytes_per_minute: u64::MAX });
    println!("http://{}{}", endpoint.address, Endpoint::write_path(STRICT_RULE));
    println!("{}", endpoint.token(PUBLISHER));
    std::future::pending::<()>().await;
}
