//! Filters of the management API and the directory.
#![no_main]

#[path = "../../crates/arm-api/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::arm_filter(input);
});
