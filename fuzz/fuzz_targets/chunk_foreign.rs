//! Chunks in encodings that are read and never written.
#![no_main]

#[path = "../../crates/tsdb-format/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::chunk_foreign(input);
});
