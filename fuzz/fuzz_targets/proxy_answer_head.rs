//! Heads of answers, and the heads that go to the sender for them.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    proxy::fuzzing::answer_head(input);
});
