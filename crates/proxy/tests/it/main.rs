//! The proxy between real sockets: what senders get, what upstreams see.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![allow(unreachable_pub, reason = "one binary of several files")]

mod door;
mod exchange;
mod full;
mod http_rules;
mod kept;
mod listener;
mod log_line;
mod outbound;
mod pages;
mod pressure;
mod queries;
mod queue_pages;
mod remote_write_2;
mod support;
mod writes;
