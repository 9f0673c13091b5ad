//! Replays the fuzz corpora on the stable toolchain.

mod targets;

use testkit::corpus::replay;

#[test]
fn query_request() {
    replay("query_request", targets::query_request);
}

#[test]
fn query_remote_read() {
    replay("query_remote_read", targets::query_remote_read);
}
