//! Indexes of the queue's segments.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    spool::fuzzing::index(input);
});
