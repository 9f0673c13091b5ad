//! Replays the fuzz corpora on the stable toolchain.

mod targets;

use testkit::corpus::replay;

#[test]
fn chunk_xor() {
    replay("chunk_xor", targets::chunk_xor);
}

#[test]
fn chunk_foreign() {
    replay("chunk_foreign", targets::chunk_foreign);
}

#[test]
fn chunk_histogram() {
    replay("chunk_histogram", targets::chunk_histogram);
}

#[test]
fn head_chunks() {
    replay("head_chunks", targets::head_chunks);
}

#[test]
fn wal_record() {
    replay("wal_record", targets::wal_record);
}

#[test]
fn wal_segment() {
    replay("wal_segment", targets::wal_segment);
}

#[test]
fn block_index() {
    replay("block_index", targets::block_index);
}

#[test]
fn block_segment() {
    replay("block_segment", targets::block_segment);
}
