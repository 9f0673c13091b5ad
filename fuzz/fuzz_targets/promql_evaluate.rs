//! PromQL queries over data of every kind.
#![no_main]

#[path = "../../crates/promql/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::promql_evaluate(input);
});
