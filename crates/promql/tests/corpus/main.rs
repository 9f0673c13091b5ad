//! Replays the fuzz corpus on the stable toolchain.

mod targets;

use testkit::corpus::replay;

#[test]
fn promql_evaluate() {
    replay("promql_evaluate", targets::promql_evaluate);
}
