//! Key sets of issuers.
#![no_main]

#[path = "../../crates/access/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::access_key_set(input);
});
