//! Replays the fuzz corpora on the stable toolchain.

mod targets;

use testkit::corpus::replay;

#[test]
fn arm_path() {
    replay("arm_path", targets::arm_path);
}

#[test]
fn arm_body() {
    replay("arm_body", targets::arm_body);
}

#[test]
fn arm_filter() {
    replay("arm_filter", targets::arm_filter);
}

#[test]
fn arm_timespan() {
    replay("arm_timespan", targets::arm_timespan);
}
