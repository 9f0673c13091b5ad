//! Host headers of installations with a domain.
#![no_main]

#[path = "../../crates/model/tests/corpus/targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::host_name(input);
});
