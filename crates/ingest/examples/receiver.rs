//! A data collection endpoint alone, for trying out senders: prints its URL and a token, serves until it is killed.
//!
//! `cargo run -p ingest --example receiver`, then for example
//! `rw_receiver_cases.py URL --header 'Authorization: Bearer TOKEN'`.

#![allow(clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use support::{Endpoint, PUBLISHER, STRICT_RULE};

#[tokio::main]
async fn main() {
    let endpoint = Endpoint::start(|_| {}).await;
    println!("http://{}{}", endpoint.address, Endpoint::write_path(STRICT_RULE));
    println!("{}", endpoint.token(PUBLISHER));
    std::future::pending::<()>().await;
}
