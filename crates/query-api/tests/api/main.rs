//! Calls over real connections.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod answers;
mod azure;
mod bad_input;
mod openapi;
mod support;
mod workspaces;
