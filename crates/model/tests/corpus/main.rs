//! Replays the fuzz corpora on the stable toolchain.

mod targets;

use testkit::corpus::replay;

#[test]
fn matcher_regex() {
    replay("matcher_regex", targets::matcher_regex);
}

#[test]
fn host_name() {
    replay("host_name", targets::host_name);
}
