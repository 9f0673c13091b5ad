//! The examination against real sockets: each link broken once, and named.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod authority;
mod broken_links;
mod forward_proxy;
mod patient;
mod server;
mod whole_chain;
