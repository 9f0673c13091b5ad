//! Replays the fuzz corpora on the stable toolchain.

mod targets;

use testkit::corpus::replay;

#[test]
fn access_token() {
    replay("access_token", targets::access_token);
}

#[test]
fn access_key_set() {
    replay("access_key_set", targets::access_key_set);
}
