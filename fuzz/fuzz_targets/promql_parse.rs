//! PromQL texts.
#![no_main]

#[path = "../../crates/promql-syntax/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::promql_parse(input);
});
