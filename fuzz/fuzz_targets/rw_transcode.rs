//! Decompressed requests of version 2.0, said in 1.0.
#![no_main]

#[path = "../../crates/remote-write/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::rw_transcode(input);
});
