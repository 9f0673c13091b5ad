//! The store from outside.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod cancellation;
mod contract;
mod crash;
mod files;
mod fixture;

store_contract!(in_a_file, crate::fixture::Backend::File);
store_contract!(in_memory, crate::fixture::Backend::Memory);
