//! Filters of requests for metrics.
#![no_main]

#[path = "../../crates/platform-metrics/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::metrics_filter(input);
});
