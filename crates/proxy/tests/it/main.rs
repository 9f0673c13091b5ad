//! The proxy between real sockets: what senders get, what upstreams see.

mod http_rules;
mod pages;
mod queries;
mod support;
mod writes;
