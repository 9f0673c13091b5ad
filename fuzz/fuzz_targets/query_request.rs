//! Requests of the query API: path, parameters, headers.
#![no_main]

#[path = "../../crates/query-api/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::query_request(input);
});
