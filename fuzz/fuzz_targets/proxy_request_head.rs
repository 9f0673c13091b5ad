//! Heads of requests, and the heads that go to the upstream for them.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    proxy::fuzzing::request_head(input);
});
