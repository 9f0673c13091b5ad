//! Replays the fuzz corpora on the stable toolchain.

mod targets;

use testkit::corpus::replay;

#[test]
fn metrics_filter() {
    replay("metrics_filter", targets::metrics_filter);
}
