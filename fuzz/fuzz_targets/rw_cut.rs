//! Decompressed requests that are sent in parts.
#![no_main]

#[path = "../../crates/remote-write/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::rw_cut(input);
});
