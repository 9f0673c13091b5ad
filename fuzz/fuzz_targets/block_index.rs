//! Indices of blocks.
#![no_main]

#[path = "../../crates/tsdb-format/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::block_index(input);
});
