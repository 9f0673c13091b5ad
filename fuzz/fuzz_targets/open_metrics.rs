//! OpenMetrics text.
#![no_main]

#[path = "../../crates/exposition/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::open_metrics(input);
});
