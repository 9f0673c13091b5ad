//! The proxy between real sockets: what senders get, what upstreams see.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![allow(unreachable_pub, reason = "one binary of several files")]

mod http_rules;
mod log_line;
mod pages;
mod queries;
mod support;
mod writes;
