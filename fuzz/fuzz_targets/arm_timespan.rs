//! Timespans of metrics.
#![no_main]

#[path = "../../crates/arm-api/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::arm_timespan(input);
});
