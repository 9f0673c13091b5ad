//! Segments of the sidecar's queue.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    spool::fuzzing::segment(input);
});
