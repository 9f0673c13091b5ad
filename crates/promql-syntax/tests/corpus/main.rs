//! Replays the fuzz corpora on the stable toolchain.

mod targets;

use testkit::corpus::replay;

#[test]
fn promql_parse() {
    replay("promql_parse", targets::promql_parse);
}
