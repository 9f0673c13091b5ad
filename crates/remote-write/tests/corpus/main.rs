//! Replays the fuzz corpora on the stable toolchain.

mod targets;

use testkit::corpus::replay;

#[test]
fn rw_cut() {
    replay("rw_cut", targets::rw_cut);
}

#[test]
fn rw_transcode() {
    replay("rw_transcode", targets::rw_transcode);
}

#[test]
fn rw_v1() {
    replay("rw_v1", targets::rw_v1);
}

#[test]
fn rw_v2() {
    replay("rw_v2", targets::rw_v2);
}

#[test]
fn snappy_frame() {
    replay("snappy_frame", targets::snappy_frame);
}
