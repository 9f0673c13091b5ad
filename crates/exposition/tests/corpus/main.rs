//! Replays the fuzz corpora on the stable toolchain.

mod targets;

use testkit::corpus::replay;

#[test]
fn open_metrics() {
    replay("open_metrics", targets::open_metrics);
}
